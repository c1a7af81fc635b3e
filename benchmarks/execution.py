"""How long runs of Python take behind walls: with a child ready, without one, after a time-out.

    python -m benchmarks.execution [--quick] [--wheels FOLDER]

Every way is taken once in each round, in shuffled order, beside a bare `python -c` of the same
interpreter: compare figures of one run only. With a folder that holds numpy and pandas, they are
measured too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import random
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from ostiary.errors import OstiaryError
from ostiary.sandbox.cpython.runner import CPythonRunner
from ostiary.sandbox.cpython.zygote import Stock
from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import Root, build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest

ROUNDS, QUICK = 40, 12
CODE = "print(1 + 1)\n1 + 1"
TABLE = "import numpy as np, pandas as pd\npd.DataFrame({'a': np.arange(5)}).a.sum()"
ENDLESS = "while True: pass"
LATE = Limits(wall_ms=100)
WARM = 2
TARGETS = {
    "a child is ready": "<= 5",
    "none is ready": "<= 12",
    "numpy and pandas, ready": "<= 25",
    "time-out to next answer": "<= 100",
}
PAUSE_S, TRIES = 0.02, 500
Way = Callable[[], Awaitable[float]]


async def timed(
    engine: Engine, code: str, limits: Limits, wanted: str = "success", session: str = ""
) -> float:
    """Milliseconds of one run, which has to end as it should."""
    began = time.perf_counter()
    record: RunRecord = await engine.run(RunRequest(code=code, owner="bench", limits=limits, session=session))
    if record.status != wanted:
        raise RuntimeError(f"{wanted} was expected, {record.status} came: {record.error}")
    return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def opened(stock: Stock, *, warm: int = WARM, spares: bool = True):
    """An engine of its own, and the runner below it."""
    runner = CPythonRunner(stock, warm=warm, spares=spares)
    engine = Engine(
        runner,
        clock=lambda: time.time_ns() // 1000,
        mint=lambda: secrets.token_hex(8),
        bounds=Bounds(keep_runs=1),
        on_trouble=print,
    )
    await engine.open()
    try:
        yield engine, runner
    finally:
        await engine.close()


async def settled(runner: CPythonRunner) -> None:
    """Wait until nothing of an earlier run goes on."""
    for _ in range(TRIES):
        if runner.ready:
            await asyncio.sleep(PAUSE_S)
            return
        await asyncio.sleep(PAUSE_S)
    raise RuntimeError("no place became free")


def alone(engine: Engine, runner: CPythonRunner, code: str = CODE) -> Way:
    """A run when nothing else goes on."""

    async def way() -> float:
        await settled(runner)
        return await timed(engine, code, Limits())

    return way


def recovery(engine: Engine, runner: CPythonRunner) -> Way:
    """From the end of the time that a run has to the answer of the next one."""

    async def way() -> float:
        await settled(runner)
        late = await timed(engine, ENDLESS, LATE, "timeout") - LATE.wall_ms
        return late + await timed(engine, CODE, Limits())

    return way


def in_session(engine: Engine, _runner: CPythonRunner) -> Way:
    """A run in a session that is open."""

    async def way() -> float:
        return await timed(engine, CODE, Limits(), session="open")

    return way


def bare(python: str, code: str = CODE) -> Way:
    """The same code in an interpreter that is started for it, without any wall."""

    async def way() -> float:
        began = time.perf_counter()
        await asyncio.to_thread(subprocess.run, [python, "-I", "-c", code], capture_output=True, check=True)
        return (time.perf_counter() - began) * 1000

    return way


async def measured(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way in each round; the first round is thrown away."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in random.sample(list(ways.items()), len(ways)):
            took = await way()
            if number:
                found[name].append(took)
    return found


async def compared(walls: Walls, root: Root, wheels: str | None, rounds: int) -> dict[str, list[float]]:
    """All ways, on engines that live at once."""
    async with contextlib.AsyncExitStack() as stack:
        plain = Stock(walls, root)
        ready = await stack.enter_async_context(opened(plain))
        unready = await stack.enter_async_context(opened(plain, spares=False))
        ways = {
            "a child is ready": alone(*ready),
            "none is ready": alone(*unready),
            "in an open session": in_session(*await stack.enter_async_context(opened(plain, warm=1))),
            "time-out to next answer": recovery(*ready),
            "bare python -c": bare(sys.executable),
        }
        if wheels is not None:
            stocked = Stock(walls, root, wheels=wheels, preload=("numpy", "pandas"))
            table = await stack.enter_async_context(opened(stocked))
            later = await stack.enter_async_context(opened(stocked, spares=False))
            ways["numpy and pandas, ready"] = alone(*table, TABLE)
            ways["numpy and pandas, not ready"] = alone(*later, TABLE)
        return await measured(ways, rounds)


def table(found: dict[str, list[float]]) -> str:
    """Median, quartiles and least of each way, and its ratio to the bare interpreter."""
    peer = statistics.median(found["bare python -c"])
    lines = [f"  {'ms':30}{'p50':>8}{'p25':>8}{'p75':>8}{'least':>8}{'of bare':>9}   target"]
    for name, took in found.items():
        low, middle, high = statistics.quantiles(took, n=4)
        target = TARGETS.get(name, "")
        figures = f"{middle:8.1f}{low:8.1f}{high:8.1f}{min(took):8.1f}{middle / peer:9.2f}"
        lines.append(f"  {name:30}{figures}   {target}".rstrip())
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.execution", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="a look only, with a wide spread")
    parser.add_argument("--wheels", type=Path, help="a folder that numpy and pandas are installed in")
    asked = parser.parse_args()
    try:
        walls = Walls.decide("strict", probe(os.environ))
        root = build_root(cache_folder(os.environ), Path(sys.executable))
    except OstiaryError as error:
        print(f"benchmarks: left out: {error}", file=sys.stderr)
        return 0
    wheels = None if asked.wheels is None else str(asked.wheels.resolve())
    try:
        found = uvloop.run(compared(walls, root, wheels, QUICK if asked.quick else ROUNDS))
    finally:
        walls.cells.close()
    versions = f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    print(f"{versions}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print(f"runs of Python behind walls, {len(found['bare python -c'])} rounds\n{table(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
