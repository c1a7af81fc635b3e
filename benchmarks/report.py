"""Medians, their spread, and ratios to the peer of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks import peers
from benchmarks.slices import FIXED, GENTLE, LOADS, MANY, ONE, Sample, Samples

QUIET = 0.15
FEWEST = 3

_HEADER = (
    f"  {'':18}{'req/s':>8}{'+-':>6}{'cpu us':>9}{'least':>8}{'p50 us':>9}{'p99 us':>9}"
    f"{'req/s':>9}{'cpu':>7}{'foreign':>9}{'slices':>8}"
)
_UNITS = f"  {'':18}{'':>8}{'':>6}{'':>9}{'':>8}{'':>9}{'':>9}{'of nginx':>16}{'':>9}{'':>8}"


def quiet(samples: Sequence[Sample]) -> list[Sample]:
    """The slices in which the machine was ours, or the quietest few where too few were."""
    ordered = sorted(samples, key=lambda sample: sample.foreign)
    calm = [sample for sample in ordered if sample.foreign < QUIET]
    return calm if len(calm) >= FEWEST else ordered[:FEWEST]


def rate(samples: Sequence[Sample]) -> float:
    """Median requests per second of the quiet slices."""
    return statistics.median(sample.rate for sample in quiet(samples))


def p50(samples: Sequence[Sample]) -> float:
    """Median of the median latencies, microseconds."""
    return statistics.median(sample.p50 for sample in quiet(samples))


def p99(samples: Sequence[Sample]) -> float:
    """Median of the 99th percentiles, microseconds."""
    return statistics.median(sample.p99 for sample in quiet(samples))


def least_cpu(samples: Sequence[Sample]) -> float:
    """The least CPU per call of any slice: noise can only add to it."""
    return min(sample.cpu for sample in samples)


def table(samples: Samples, gateways: Sequence[str]) -> str:
    """Every gateway under every load. `+-` is half the range of req/s over the quiet slices."""
    lines: list[str] = []
    for load in LOADS:
        lines += ["", load.name, _HEADER, _UNITS]
        peer = samples.get((load.name, "nginx"))
        for gateway in gateways:
            if found := samples.get((load.name, gateway)):
                lines.append(_line(gateway, found, peer if gateway != "direct" else None))
    return "\n".join(lines)


def _line(gateway: str, found: Sequence[Sample], peer: Sequence[Sample] | None) -> str:
    calm = quiet(found)
    rates = [sample.rate for sample in calm]
    spread = (max(rates) - min(rates)) / 2 / rate(found)
    cpu = statistics.median(sample.cpu for sample in calm)
    ratios = f"{rate(found) / rate(peer):9.2f}{least_cpu(found) / least_cpu(peer):7.2f}" if peer else " " * 16
    foreign = statistics.median(sample.foreign for sample in calm)
    return (
        f"  {gateway:18}{rate(found):8.0f}{spread:6.0%}{cpu:9.1f}{least_cpu(found):8.1f}"
        f"{p50(found):9.0f}{p99(found):9.0f}{ratios}{foreign:9.2f}{f'{len(calm)}/{len(found)}':>8}"
    )


def ratios(samples: Samples) -> str:
    """The figures that have a target, beside it. Added latency is that above the bare upstream."""
    needed = [(load.name, name) for load in (ONE, MANY, FIXED) for name in ("direct", "nginx", "ostiary")]
    if any(key not in samples for key in needed):
        return "no ratios: they need nginx in the same run"
    found = [
        ("req/s at 32 connections, of nginx", _of_rate(samples, "ostiary"), ">= 0.50"),
        ("  the same with durability power", _of_rate(samples, "ostiary power"), ">= 0.28"),
        ("  the same with an allow-all policy", _of_rate(samples, "ostiary allow-all"), ""),
        ("least CPU per call at 32 connections, of nginx's", _of_cpu(samples, "ostiary"), ""),
        ("added p50 at 1 connection, of nginx's", _of_added(samples, ONE.name, "ostiary"), "<= 2.0"),
        ("added p50 at 1,500 requests/s, of nginx's", _of_added(samples, FIXED.name, "ostiary"), "<= 2.0"),
        ("  the same with durability power", _of_added(samples, FIXED.name, "ostiary power"), "<= 3.5"),
        ("p99 at 1,500 requests/s, of nginx's", _of_p99(samples, "ostiary"), "<= 4"),
    ]
    lines = ["ratios in this run", f"  {'':50}{'found':>7}   target of the finished gate"]
    lines += [f"  {name:50}{value:7.2f}   {target}".rstrip() for name, value, target in found]
    lines += _beside_python(samples)
    if busy(samples):
        lines.append("  the machine was busy with other programs: only CPU per call can be relied on")
    return "\n".join(lines)


def _beside_python(samples: Samples) -> list[str]:
    """The gate beside each Python gateway under the same load."""
    lines: list[str] = []
    ours = samples.get((GENTLE.name, "ostiary"))
    for name in peers.PYTHON:
        if ours and (theirs := samples.get((GENTLE.name, name))):
            faster, lighter = rate(ours) / rate(theirs), least_cpu(theirs) / least_cpu(ours)
            lines.append(f"  {f'req/s at 8 connections, of {name}':50}{faster:6.0f}x   CPU 1/{lighter:.0f}")
    return lines


def busy(samples: Samples) -> bool:
    """Whether even the quietest slices of the compared gateways shared the machine."""
    compared = [samples[MANY.name, name] for name in ("nginx", "ostiary")]
    return any(statistics.median(one.foreign for one in quiet(found)) >= QUIET for found in compared)


def _of_cpu(samples: Samples, name: str) -> float:
    return least_cpu(samples[MANY.name, name]) / least_cpu(samples[MANY.name, "nginx"])


def _of_rate(samples: Samples, name: str) -> float:
    return rate(samples[MANY.name, name]) / rate(samples[MANY.name, "nginx"])


def _of_added(samples: Samples, load: str, name: str) -> float:
    bare = p50(samples[load, "direct"])
    return (p50(samples[load, name]) - bare) / max(1.0, p50(samples[load, "nginx"]) - bare)


def _of_p99(samples: Samples, name: str) -> float:
    return p99(samples[FIXED.name, name]) / p99(samples[FIXED.name, "nginx"])


def pipes(found: Mapping[str, Sequence[float]]) -> str:
    """The stdio figures: one call after the other."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    lines = ["one call after the other over a pipe, p50"]
    lines += [
        f"  {name:18}{medians[name]:8.1f} us  ({min(values):.1f} to {max(values):.1f})"
        for name, values in found.items()
    ]
    lines.append(f"  {medians['ostiary'] / medians['bare pipe']:.1f} times the bare pipe")
    return "\n".join(lines)
