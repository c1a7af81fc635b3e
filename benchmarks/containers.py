"""How long commands and scripts take in a container, beside the engine's own client.

    python -m benchmarks.containers [--quick]

An engine is started for it, from what `make .venvs/containers/stamp` has fetched; that takes root.
Every way is taken once in each round, in shuffled order: compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.runner import ContainerRunner
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.request import Command, RunRequest
from tests.tools import engines

ROUNDS, QUICK = 60, 15
CLIENT, COMMAND, SCRIPT, AT_ONCE = "docker exec", "a command", "a script", "10 scripts at once, each"
AIMS = {COMMAND: "<= 1.2 of docker exec", SCRIPT: "<= 5 ms"}
Way = Callable[[], Awaitable[None]]


async def measured(url: str, rounds: int) -> tuple[str, dict[str, list[float]]]:
    """The engine's version, and milliseconds of every way."""
    containers = Containers(
        ContainerSettings(host=url), {}, clock=lambda: time.time_ns() // 1000, on_trouble=print
    )
    ids = itertools.count()
    engine = Engine(
        ContainerRunner(containers), clock=lambda: time.time_ns() // 1000, mint=lambda: str(next(ids))
    )
    await engine.open()
    try:
        made = await containers.create("bench", engines.IMAGES["python"], "bench", lambda _: None)
        client = str(engines.PROGRAMS / "usr/bin/docker")

        async def run(command: Command, code: str = "") -> None:
            record = await engine.run(RunRequest(code=code, owner="bench", command=command))
            if record.status != "success":
                raise SystemExit(f"benchmarks: a run failed: {record.error}")

        async def cli() -> None:
            process = await asyncio.create_subprocess_exec(
                client, "-H", url, "exec", made.id, "echo", "2", stdout=asyncio.subprocess.PIPE
            )
            await process.communicate()

        async def command() -> None:
            await run(Command(container=made.id, argv=("echo", "2")))

        async def script() -> None:
            await run(Command(container=made.id, script=True), "print(1 + 1)")

        async def many() -> None:
            await asyncio.gather(*(script() for _ in range(10)))

        ways: dict[str, Way] = {CLIENT: cli, COMMAND: command, SCRIPT: script, AT_ONCE: many}
        return await containers.version(), await in_rounds(ways, rounds)
    finally:
        await engine.close()


async def in_rounds(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Each way once in each round; the first round is for warming up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in random.sample(list(ways), len(ways)):
            began = time.perf_counter()
            await ways[name]()
            took = (time.perf_counter() - began) * 1000
            if number:
                found[name].append(took / 10 if name == AT_ONCE else took)
    return found


def table(found: dict[str, list[float]]) -> str:
    """Medians, spread, and the ratio to the engine's own client."""
    peer = statistics.median(found[CLIENT])
    lines = [f"{'':<26}{'p50 ms':>9}{'p90 ms':>9}{'of docker exec':>16}  aim"]
    for name, samples in found.items():
        middle = statistics.median(samples)
        late = statistics.quantiles(samples, n=10)[-1]
        lines.append(f"{name:<26}{middle:>9.1f}{late:>9.1f}{middle / peer:>15.2f}x  {AIMS.get(name, '')}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.containers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="a look only, with a wide spread")
    asked = parser.parse_args()
    if os.geteuid() != 0 or not (engines.PROGRAMS / "images").is_dir():
        print("benchmarks: left out: only root can start an engine, from .venvs/containers", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        engine = engines.Engine(Path(folder) / "e", "docker")
        try:
            version, found = uvloop.run(measured(engine.url, QUICK if asked.quick else ROUNDS))
        finally:
            engine.close()
    print(f"{version}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print(f"in a container, {len(found[CLIENT])} rounds\n{table(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
