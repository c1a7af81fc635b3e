"""Requests per second, CPU and latency of the gate and of its peers, measured in one run.

    python -m benchmarks [--quick]

Load and upstream share one core, the gateways the next. All gateways run at once and are loaded
in short slices in shuffled order, so that what else the machine does falls on all of them alike.
Compare figures of one run only; where the machine is busy, CPU per call is the one to trust.
Every answer is compared with the expected one, and every call must have left two records.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

from benchmarks import report
from benchmarks.machine import MissingError, resident
from benchmarks.slices import Lengths, RefutedError, measure, measure_pipes
from benchmarks.world import World, recorded, world

FULL, QUICK = Lengths(100, 400), Lengths(40, 120)
SECONDS = 130
"""No new round after this; the rest takes some 20 seconds more."""


def main() -> int:
    """Measure, print, and fail if a figure would be worthless."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look only: under half a minute, wide spread")
    quick = parser.parse_args().quick
    started = time.monotonic()
    lengths = QUICK if quick else FULL
    try:
        with world() as made:
            samples = measure(made, lengths, 3 if quick else 9, started + (10 if quick else SECONDS))
            pipes = measure_pipes(made, lengths, 2 if quick else 5)
            calls = check_records(made)
            print(_machine())
            for missing in made.missing:
                print(f"left out: {missing}")
            print(report.table(samples, [gateway.name for gateway in made.gateways]), end="\n\n")
            print(report.ratios(samples), end="\n\n")
            print(report.pipes(pipes), end="\n\n")
            print(_memory(made), end="\n\n")
    except MissingError as error:
        print(f"benchmarks: left out: {error}", file=sys.stderr)
        return 0
    except RefutedError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(f"{calls} calls through the gates, each answered as expected and recorded twice; ", end="")
    print(f"{time.monotonic() - started:.0f} s")
    return 0


def check_records(made: World) -> int:
    """Every call through a gate has an intent and an outcome; raises RefutedError. Returns the calls."""
    total = 0
    for gateway in made.gateways:
        if gateway.state is None:
            continue
        total += gateway.calls
        wanted, deadline = (gateway.calls, gateway.calls), time.monotonic() + 3
        while (found := recorded(gateway.state)) != wanted:
            if time.monotonic() > deadline:
                raise RefutedError(f"{gateway.name}: {gateway.calls} calls left {found} intents and outcomes")
            time.sleep(0.05)
    return total


def _memory(made: World) -> str:
    """Resident memory of each process that was loaded, after all of it."""
    lines = ["resident memory after the run, MB (target: 60 for a gate)"]
    lines += [f"  {one.name:20}{resident(one.pid):6.1f}" for one in made.gateways if one.pid]
    return "\n".join(lines)


def _machine() -> str:
    versions = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    return f"{versions}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
