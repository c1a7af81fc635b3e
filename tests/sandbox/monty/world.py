"""An engine on interpreters of Monty, for tests that are coroutines."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.walls import Level
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.monty.runner import MontyRunner
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from tests.sandbox.cpython.world import stock

WAIT_S = 30
"""A scene starts processes behind walls, on a machine that does much else at the same time."""
QUICK = Limits(wall_ms=10_000)


class Monty:
    """An engine and its runner."""

    def __init__(self, engine: Engine, runner: MontyRunner) -> None:
        self.engine = engine
        self.runner = runner

    async def run(self, code: str, *, owner: str = "ana", limits: Limits = QUICK, **more: Any) -> RunRecord:
        return await self.engine.run(RunRequest(code=code, owner=owner, limits=limits, **more))


def play(
    scene: Callable[[Monty], Awaitable[None]], level: Level = "strict", bounds: Bounds | None = None
) -> None:
    """Run a scene against Monty at a level of isolation; it may leave neither tasks nor troubles."""
    walls = stock(level).walls
    count = itertools.count()

    async def bounded() -> None:
        troubles: list[str] = []
        runner = MontyRunner(walls, cache_folder({}), warm=1)
        engine = Engine(
            runner,
            clock=lambda: time.time_ns() // 1000,
            mint=lambda: f"run_{next(count)}",
            bounds=bounds,
            on_trouble=troubles.append,
        )
        made = Monty(engine, runner)
        async with asyncio.timeout(WAIT_S):
            await engine.open()
            try:
                await scene(made)
            finally:
                await engine.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        assert not troubles

    try:
        asyncio.run(bounded())
    finally:
        walls.cells.close()
