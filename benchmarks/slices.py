"""Short slices of load, in an order shuffled anew each round, and the CPU they cost."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.machine import busy_seconds, compiled, cores, cpu_seconds, pinned
from benchmarks.world import Gateway, World


@dataclass(frozen=True, slots=True)
class Load:
    """How to load: connections, requests per second (0 as fast as they come), kind of answer."""

    name: str
    connections: int
    rate: int = 0
    kind: str = "json"


ONE = Load("1 connection", 1)
MANY = Load("32 connections", 32)
FIXED = Load("1,500 requests/s", 64, rate=1500)
EVENTS = Load("32 connections, event streams", 32, kind="events")
GENTLE = Load("8 connections, Python gateways", 8)
LOADS = (ONE, MANY, FIXED, EVENTS, GENTLE)
COMPARED = frozenset({"direct", "nginx", "ostiary"})
"""What the loads that are not for everybody are run on, beside those they are for."""


EVERY = 3
"""Python gateways take part in each third round: what they show needs no more."""

SLOWER = 3
"""How many times longer a slice of a Python gateway is: it makes few calls in one of ours."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one slice showed. Times in microseconds.

    `foreign` is how many cores other programs of the machine took meanwhile.
    """

    rate: float
    cpu: float
    p50: float
    p99: float
    foreign: float


@dataclass(frozen=True, slots=True)
class Lengths:
    """Milliseconds of one slice."""

    warm: int
    measure: int


LONGER = (1, 3, 9)
"""How many times as long as planned a slice is tried, where no answer came while it was measured."""


class RefutedError(Exception):
    """A figure would be worthless: an answer was not the expected one, or a record is missing."""


class UnmeasuredError(RefutedError):
    """All `calls` were answered well, and no answer came in the measured part of the slice."""

    def __init__(self, calls: int) -> None:
        super().__init__("no answer came while it was measured")
        self.calls = calls


Samples = dict[tuple[str, str], list[Sample]]
"""By load and gateway."""


def measure(world: World, lengths: Lengths, rounds: int, deadline: float) -> Samples:
    """Run up to `rounds` rounds, fewer if `deadline` (monotonic) comes first."""
    pairs = [(load, gateway) for load in LOADS for gateway in world.gateways if _meant_for(load, gateway)]
    samples: Samples = {}
    for number, order in enumerate(_shuffled(pairs, rounds)):
        if number and time.monotonic() > deadline:
            break
        for load, gateway in order:
            if gateway.python and number % EVERY:
                continue
            sample = _sample(world, gateway, load, lengths)
            samples.setdefault((load.name, gateway.name), []).append(sample)
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    return samples


def _meant_for(load: Load, gateway: Gateway) -> bool:
    """Python gateways get one connection, and eight; event streams and eight are for a few of the rest."""
    if gateway.python:
        return load in (ONE, GENTLE)
    return load not in (EVENTS, GENTLE) or gateway.name in COMPARED


def _shuffled(pairs: list[tuple[Load, Gateway]], rounds: int) -> Iterator[list[tuple[Load, Gateway]]]:
    chance = random.Random()
    for _ in range(rounds):
        yield chance.sample(pairs, len(pairs))


def _sample(world: World, gateway: Gateway, load: Load, lengths: Lengths) -> Sample:
    """One slice, longer ones if need be: a gateway may be held up for longer than a slice lasts.

    Raises RefutedError, which says by what gateway under what load a figure would be worthless.
    """
    try:
        for times in LONGER:
            try:
                return _slice(world, gateway, load, Lengths(lengths.warm * times, lengths.measure * times))
            except UnmeasuredError as error:
                gateway.calls += error.calls
    except RefutedError as error:
        raise RefutedError(f"{gateway.name}, {load.name}: {error}") from None
    raise RefutedError(f"{gateway.name}, {load.name}: no answer within {LONGER[-1] * lengths.measure} ms")


def _slice(world: World, gateway: Gateway, load: Load, lengths: Lengths) -> Sample:
    words = [str(gateway.port), str(gateway.requests[load.kind]), str(gateway.answers[load.kind])]
    words += [str(load.connections)]
    slower = SLOWER if gateway.python else 1
    words += [str(lengths.warm * slower), str(lengths.measure * slower), str(load.rate)]
    before, started = _clocks(world, gateway), time.monotonic()
    found = run_load(["http", *words])
    lasted = time.monotonic() - started
    after = _clocks(world, gateway)
    gate, ours, machine = (end - start for end, start in zip(after, before, strict=True))
    gateway.calls += int(found["calls"])
    return Sample(
        rate=found["measured"] / found["seconds"],
        cpu=gate / found["calls"] * 1e6,
        p50=found["p50"],
        p99=found["p99"],
        foreign=max(0.0, (machine - gate - ours) / lasted),
    )


def _clocks(world: World, gateway: Gateway) -> tuple[float, float, float]:
    """CPU seconds of the gateway, of load and upstream and ourselves, and of the whole machine."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    gate = cpu_seconds(gateway.pid) if gateway.pid else 0.0
    return gate, own + cpu_seconds(world.upstream_pid), busy_seconds()


def run_load(words: list[str]) -> dict[str, float]:
    """Run the load generator on its core; raises RefutedError unless every answer was good.

    Raises UnmeasuredError where all answers came before or after the measured part.
    """
    with pinned(cores()[0]):
        process = subprocess.Popen(
            [str(compiled("load")), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    out, errors = process.communicate(timeout=60)
    if process.returncode:
        raise RefutedError(errors.strip() or f"load ended with {process.returncode}")
    found: dict[str, float] = json.loads(out)
    if found["good"] == found["calls"] and not found["measured"]:
        raise UnmeasuredError(int(found["calls"]))
    if found["good"] != found["calls"]:
        raise RefutedError(f"{found['good']:.0f} of {found['calls']:.0f} answers were good\n{errors[:1000]}")
    return found


def measure_pipes(world: World, lengths: Lengths, rounds: int) -> dict[str, list[float]]:
    """Median latencies of one call after the other over a bare pipe and through the gate."""
    home = world.home
    upstream = [str(compiled("upstream")), "pipe", str(home / "result.json"), str(home / "tools.json")]
    gate = [sys.executable, "-m", "ostiary", "proxy", "-p", str(home / "policy.json")]
    gate += ["--max-requests", "1000000000"]  # one grant sends everything here
    gate += ["--state-dir", str(home / "state-pipe"), "--", *upstream]
    if taskset := shutil.which("taskset"):
        gate = [taskset, "-c", str(cores()[1]), *gate]
    files = [str(home / f"pipe.{name}") for name in ("hello", "request", "answer")]
    found: dict[str, list[float]] = {"bare pipe": [], "ostiary": []}
    for _ in range(rounds):
        for name, command in (("bare pipe", upstream), ("ostiary", gate)):
            words = ["pipe", *files, str(lengths.warm), str(lengths.measure), *command]
            found[name].append(run_load(words)["p50"])
    return found
