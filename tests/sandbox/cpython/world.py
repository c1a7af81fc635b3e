"""An engine on real CPython workers, for tests that are not coroutines themselves.

Its loop runs in a thread, so that the tests of a file share one set of warm interpreters.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from ostiary.sandbox.cpython.runner import CPythonRunner
from ostiary.sandbox.cpython.zygote import Stock
from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Level, Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.resolving import Resolve
from tests.needs import missing, needs_program

T = TypeVar("T")
WAIT_S = 5
RUN_S = 15
"""A run is bounded by its own limits; this is for a machine that does much else at the same time."""

BEGUN_MS = 3_000
"""The time of code that never ends by itself: it has begun long before that, also on such a machine."""

LEVELS: tuple[Level, ...] = ("none", "strict")
QUICK = Limits(wall_ms=10_000)


def stock(level: Level, **more: Any) -> Stock:
    """What warm interpreters need; skips where this machine has no such isolation."""
    environ = {"PATH": os.environ["PATH"]}
    if level == "strict":
        environ["PATH"] = f"{needs_program('bwrap').parent}:{environ['PATH']}"
    found = probe(environ)
    if level == "strict" and found.lacking():
        missing(f"strict isolation: {found.lacking()[0].sentence()}")
    root = build_root(cache_folder(environ), Path(sys.executable))
    return Stock(Walls.decide(level, found), root, **more)


class Sandbox:
    """An engine and the loop it runs on."""

    def __init__(self, engine: Engine, runner: CPythonRunner, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.runner = runner
        self.troubles: list[str] = []
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T], wait_s: float = RUN_S) -> T:
        """The result of a coroutine that runs on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(wait_s)

    def run(self, code: str, *, owner: str = "ana", limits: Limits = QUICK, **more: Any) -> RunRecord:
        """The record of some code."""
        request = RunRequest(code=code, owner=owner, limits=limits, **more)
        return self.do(self.engine.run(request), max(RUN_S, limits.wall_ms / 1000 + WAIT_S))


@contextmanager
def sandbox(
    of: Stock, bounds: Bounds | None = None, *, warm: int = 2, resolve: Resolve | None = None
) -> Iterator[Sandbox]:
    """A sandbox that is closed afterwards, and whose troubles were none."""
    loop = uvloop.new_event_loop() if of.walled else asyncio.new_event_loop()  # both kinds are tried
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    count = itertools.count()
    runner = CPythonRunner(of, warm=warm)
    troubles: list[str] = []
    more: dict[str, Any] = {} if resolve is None else {"resolve": resolve}
    try:
        engine = Engine(
            runner,
            clock=lambda: time.time_ns() // 1000,
            mint=lambda: f"run_{next(count)}",
            bounds=bounds,
            on_trouble=troubles.append,
            **more,
        )
        made = Sandbox(engine, runner, loop)
        made.troubles = troubles
        made.do(engine.open(), 30)
        try:
            yield made
        finally:
            made.do(engine.close(), 30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()
        of.walls.cells.close()
