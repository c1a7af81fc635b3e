"""How long code takes that calls tools: a run in Monty, a call from it, from CPython, a check, a pause.

    python -m benchmarks.tools [--quick]

Every way is taken once in each round, in shuffled order, beside Monty by itself: its own pool, without
walls, queue and record. First the ways that start no process, then the others. Compare figures of one
run only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

from ostiary.errors import OstiaryError
from ostiary.sandbox.cpython.runner import CPythonRunner
from ostiary.sandbox.cpython.zygote import Stock
from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.monty.runner import MontyRunner
from ostiary.sandbox.request import Resumption, RunRequest
from ostiary.sandbox.runner import Runner
from ostiary.sandbox.toolbox import ToolHeld

ROUNDS, QUICK = 60, 15
IN_A_ROW, PAUSE_S = 25, 0.03
CALLS = 200
LOOP = f"for n in range({CALLS}):\n    mcp_Echo_say(n)"
LIMITS = Limits(inner_calls=CALLS)
STUBS = "def mcp_Echo_say(n: int) -> int: ...\ndef mcp_Echo_hold() -> int: ...\n"
TARGETS = {"Monty: a run": "<= 0.5"}
Way = Callable[[], Awaitable[float]]


class Echo:
    """A toolbox whose tools answer at once; one of them always waits for somebody."""

    stubs = STUBS
    names = frozenset({"mcp_Echo_say", "mcp_Echo_hold"})

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if name == "mcp_Echo_hold":
            raise ToolHeld("waits")
        return positional[0]

    def spelled(self, name: str) -> str:
        return name

    def missing(self, name: str) -> str | None:
        return None


def engine_of(runner: Runner) -> Engine:
    count = iter(range(1 << 40))
    return Engine(
        runner,
        clock=lambda: time.time_ns() // 1000,
        mint=lambda: f"run_{next(count)}",
        bounds=Bounds(keep_runs=1),
        on_trouble=print,
    )


async def timed(engine: Engine, wanted: str = "success", **asked: Any) -> float:
    """Milliseconds of one run, which has to end as it should."""
    began = time.perf_counter()
    record = await engine.run(RunRequest(owner="bench", limits=LIMITS, **asked))
    took = (time.perf_counter() - began) * 1000
    if record.status != wanted:
        raise RuntimeError(f"{wanted} was expected, {record.status} came: {record.error}")
    return took


def a_run(engine: Engine) -> Way:
    return lambda: timed(engine, code="1 + 1")


def a_call(engine: Engine) -> Way:
    """One call of many, without what the run takes that makes them."""

    async def way() -> float:
        bare = await timed(engine, code="1 + 1")
        return (await timed(engine, code=LOOP, tools=Echo()) - bare) / CALLS

    return way


def a_pause(engine: Engine) -> Way:
    """From the start of a run to its pause, and from there to its end."""

    async def way() -> float:
        began = time.perf_counter()
        record = await engine.run(RunRequest(owner="bench", code="mcp_Echo_hold() + 1", tools=Echo()))
        if record.paused is None:
            raise RuntimeError(f"it was not paused: {record.error}")
        await timed(engine, code="", tools=Echo(), resumes=Resumption(state=record.paused.state, result=1))
        return (time.perf_counter() - began) * 1000

    return way


def a_check(runner: MontyRunner, code: str) -> Way:
    async def way() -> float:
        began = time.perf_counter()
        await runner.check(code, "bench", Echo())
        return (time.perf_counter() - began) * 1000

    return way


def by_itself(pool: Any, code: str = "1 + 1") -> Way:
    """Monty without anything of ours."""

    async def way() -> float:
        began = time.perf_counter()
        async with pool.checkout() as session:
            await session.feed_run(code)
        return (time.perf_counter() - began) * 1000

    return way


def a_call_by_itself(pool: Any) -> Way:
    async def way() -> float:
        async with pool.checkout() as session:
            began = time.perf_counter()
            await session.feed_run(LOOP, external_lookup={"mcp_Echo_say": lambda n: n})
            return (time.perf_counter() - began) * 1000 / CALLS

    return way


def often(way: Way) -> Way:
    """The median of some in a row, once nothing of an earlier way goes on: its forks, its ends.

    Enough of them that most find the processor awake: the first ones after a pause take twice as long.
    """

    async def several() -> float:
        await asyncio.sleep(PAUSE_S)
        return statistics.median([await way() for _ in range(IN_A_ROW)])

    return several


async def measured(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way in each round; the first rounds are thrown away."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 3):
        for name in random.sample(list(ways), len(ways)):
            took = await ways[name]()
            if number > 2:
                found[name].append(took)
    return found


async def compared(rounds: int) -> dict[str, list[float]]:
    from pydantic_monty import AsyncMonty  # noqa: PLC0415 - an extra

    environ = dict(os.environ)
    walls, cache = Walls.decide("strict", probe(environ)), cache_folder(environ)
    monty = MontyRunner(walls, cache)
    cpython = CPythonRunner(Stock(walls, build_root(cache, Path(sys.executable))))
    of_monty, of_cpython = engine_of(monty), engine_of(cpython)
    await of_monty.open()
    await of_cpython.open()
    try:
        async with AsyncMonty(max_processes=1) as pool:
            quick = {
                "Monty by itself: a run": often(by_itself(pool)),
                "Monty: a run": often(a_run(of_monty)),
                "Monty by itself: a call": a_call_by_itself(pool),
                "Monty: a call": a_call(of_monty),
            }
            # These end processes and start others, which would take their time from the ones above.
            heavy = {
                "CPython: a run": often(a_run(of_cpython)),
                "CPython: a call": a_call(of_cpython),
                "Monty: paused and gone on with": a_pause(of_monty),
                "a check of code without tools": often(a_check(monty, "import json\njson.dumps([1])")),
                "a check of calls and their types": a_check(monty, "mcp_Echo_say(1) + 1"),
            }
            return await measured(quick, rounds) | await measured(heavy, rounds)
    finally:
        await of_monty.close()
        await of_cpython.close()
        walls.cells.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = QUICK if parser.parse_args().quick else ROUNDS
    print(
        f"code that calls tools, {platform.processor() or platform.machine()}, {os.cpu_count()} cores,",
        end=" ",
    )
    print(f"{rounds} rounds, milliseconds")
    try:
        found = uvloop.run(compared(rounds))
    except (OstiaryError, ImportError) as fault:
        print(f"not measured: {fault}")
        return 0
    for name, took in found.items():
        low, middle, high = statistics.quantiles(took, n=20)[0], statistics.median(took), max(took)
        print(f"  {name:<34} p50 {middle:8.3f}   p5 {low:8.3f}   max {high:8.3f}   {TARGETS.get(name, '')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
