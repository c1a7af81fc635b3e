"""One engine for all attempts of a level of isolation, and how an attempt is made on it."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ostiary.sandbox.cpython.place import Place
from ostiary.sandbox.cpython.runner import CPythonRunner
from ostiary.sandbox.cpython.worker import CPythonWorker
from ostiary.sandbox.cpython.zygote import Stock
from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.cells import running
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Level, Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from tests.escapes.attempt import PRELUDE, Attempt
from tests.escapes.world import SOON_S, WAIT_S, World
from tests.needs import missing, needs_program

T = TypeVar("T")
START_S = 45
WAITING = 5
"""Bubblewrap and its own init, the warm interpreter, and the child that is ready: an init and another."""

ORDINARY = "import json\nprint('as ever')\njson.loads('[1, 2]')[1] + 40"


class Tier:
    """An engine that gives every run the same place, and the host around it."""

    def __init__(self, stock: Stock, world: World) -> None:
        self.world = world
        self.stock = stock
        self.runner = CPythonRunner(stock, warm=1)
        self.troubles: list[str] = []
        count = itertools.count()
        self.engine = Engine(
            self.runner,
            clock=lambda: time.time_ns() // 1000,
            mint=lambda: f"run_{next(count)}",
            bounds=Bounds(at_once=1),
            on_trouble=self.troubles.append,
        )
        self.loop = asyncio.Runner()

    def run(self, code: str, owner: str = "ana", **more: Any) -> RunRecord:
        """The record of some code; it has to end in time, whatever it does."""
        request = RunRequest(code=code, owner=owner, **more)
        wait_s = request.limits.wall_ms / 1000 + WAIT_S
        return self.loop.run(asyncio.wait_for(self.engine.run(request), wait_s))

    def settle(self) -> Place:
        """The place of the next run, once nothing of the one before is left in it."""
        return self.loop.run(asyncio.wait_for(self._settle(), START_S))

    async def _settle(self) -> Place:
        while True:
            idle = self.runner._idle
            if idle and len(self.runner._places) == len(idle):
                await asyncio.wait({place.spare for place in idle if place.spare is not None})
                if all(place.alive and _is_ready(place) for place in idle):
                    return idle[0]
                # A warm interpreter was ended for want of memory: the next run has another one started.
                await self.engine.run(RunRequest(code=ORDINARY, owner="ben"))
            await asyncio.sleep(0.005)

    def nothing_is_left(self) -> None:
        """Of the user that runs in the place there are only the processes that wait for the next run.

        Not told where that user is everybody's: nothing tells its processes from ours.
        """
        if self.settle().cell.uid is None:
            return
        deadline = time.monotonic() + WAIT_S
        while len(found := self._running(self.settle())) != WAITING:
            assert time.monotonic() < deadline, found

    def _running(self, place: Place) -> dict[int, str]:
        victim = self.world.victims.get(place.cell.uid)
        found = running(place.cell.uid or 0)
        return {pid: _command(pid) for pid in found if victim is None or pid != victim.process.pid}

    def make(self, attempt: Attempt) -> tuple[RunRecord, bool]:
        """Make an attempt: its record, and whether it succeeded."""
        prize = secrets.token_hex(16)
        if attempt.planted:
            context = {"planted": self.world.secret["planted"], "left": self.world.left}
            record = self.run(PRELUDE + attempt.planted, "ben", context=context, limits=attempt.limits)
            if not record.stdout.shown.endswith("planted\n"):
                return record, False
        uid = self.settle().cell.uid
        victim = self.world.victim(self.stock.root, uid)
        record = self.run(
            PRELUDE + attempt.code,
            context={"host": self.world.facts(victim), "prize": prize},
            limits=attempt.limits,
            session=attempt.session,
        )
        if attempt.sign == "busy":
            work = self._goes_on(attempt.limits.cpu_ms)
            succeeded = self.loop.run(asyncio.wait_for(work, START_S))
        else:
            within_s = SOON_S if self.stock.walled else WAIT_S
            succeeded = self.world.happened(attempt.sign, prize, record, victim, within_s=within_s)
        if attempt.session:
            self.end_session(attempt.session)
        self.world.tidy()
        return record, succeeded

    def end_session(self, name: str, owner: str = "ana") -> bool:
        """Close a session. Whether there was one."""
        return self.ask(lambda: self.engine.close_session(owner, name))

    def ask(self, question: Callable[[], T]) -> T:
        """What the engine answers, asked on its loop."""

        async def asked() -> T:
            return question()

        return self.loop.run(asked())

    async def _goes_on(self, cpu_ms: int) -> bool:
        """Whether some process of the session uses three times what a run may, after the answer."""
        worker = next(iter(self.engine._sessions)).worker
        while isinstance(worker, CPythonWorker) and not _has_ended(worker._child.pidfd):
            if max(map(_cpu_ms, _below(worker._child.pid))) > 3 * cpu_ms:
                return True
            await asyncio.sleep(0.02)
        return False

    def ordinary(self) -> None:
        """The next call of somebody else is answered as ever, and soon."""
        began = time.monotonic()
        record = self.run(ORDINARY, "ben", limits=Limits(wall_ms=WAIT_S * 1000))
        assert record.result is not None, record
        assert (record.status, record.stdout.shown, record.result.text) == ("success", "as ever\n", "42")
        assert time.monotonic() - began < WAIT_S

    def close(self) -> None:
        self.loop.run(asyncio.wait_for(self.engine.close(), START_S))
        self.loop.close()


def _has_ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 0)[0])


def _below(pid: int) -> Iterator[int]:
    """A process and all that it, and they, have started."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _below(int(child))


def _is_ready(place: Place) -> bool:
    spare = place.spare
    return spare is not None and spare.done() and not spare.cancelled() and spare.exception() is None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()[:80]
    except OSError:
        return ""


def _cpu_ms(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


@contextmanager
def tier(level: Level) -> Iterator[Tier]:
    """An engine with these walls, and a host. Skips where the machine has no such walls."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "OSTIARY_CACHE_DIR") if name in os.environ}
    if level == "strict":
        environ["PATH"] = f"{needs_program('bwrap').parent}:{environ['PATH']}"
    found = probe(environ)
    if level == "strict" and found.lacking():
        missing(f"strict isolation: {found.lacking()[0].sentence()}")
    if level == "none" and found.uids is None:
        missing("only root can give attempts a user of their own: they would succeed against yours")
    cache = cache_folder(environ)
    stock = Stock(Walls.decide(level, found), build_root(cache, Path(sys.executable)))
    world = World(cache)
    made = Tier(stock, world)
    try:
        made.loop.run(made.engine.open())
        yield made
    finally:
        made.close()
        world.close()
