"""Keeps warm interpreters, each in a cell of its own, and hands out workers from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ostiary.errors import GatewayFault, OstiaryError
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.cpython.place import Place
from ostiary.sandbox.cpython.worker import Child, CPythonWorker
from ostiary.sandbox.cpython.zygote import Stock, Zygote
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import IsolationReport
from ostiary.sandbox.runner import Environment

_NO_PACKAGES: Final = Environment()
_REFILL_S: Final = 1.0


class _OpenOneError(Exception):
    """The place that was waited for will not come."""


class _GoneError(GatewayFault):
    """A warm interpreter ended before it had made a child."""


class CPythonRunner:
    """A `Runner` of CPython. `warm` places are kept, with a child ready in each; there are `most` at most.

    Without `spares` a child is forked when it is wanted, which takes some milliseconds more and some
    megabytes less.

    A place serves one worker at a time. Its next child is forked when nothing of the one before is
    left, so with two or more of them a run does not wait for that.
    """

    name = "cpython"
    grace_ms = 0

    def __init__(self, stock: Stock, *, warm: int = 2, most: int = 16, spares: bool = True) -> None:
        self.version = stock.root.version
        self._stock = stock
        self._warm = warm
        self._most = most
        self._spares = spares
        self._idle: list[Place] = []
        self._places: set[Place] = set()
        self._coming = 0  # places whose last worker is about to be gone
        self._refilling = False
        self._waiting: deque[asyncio.Future[Place]] = deque()
        self._closing = False
        # One thread, as long as the runner: what it starts dies with it.
        self._keeper = ThreadPoolExecutor(1, "ostiary-cpython")
        self._on_trouble: Callable[[str], object] = lambda _: None
        self._chores = Chores(self._trouble)

    def _trouble(self, text: str) -> None:
        self._on_trouble(text)

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Warm up. Raises OstiaryError when the first interpreter cannot be started."""
        self._on_trouble = on_trouble
        for _ in range(self._warm):
            self._rest(await self._open())

    @property
    def ready(self) -> int:
        """How many runs could begin now without waiting for anything."""
        return sum(
            place.spare.done() if place.spare is not None else not self._spares for place in self._idle
        )

    def isolation(self) -> IsolationReport:
        """Behind which walls its workers run."""
        return self._stock.walls.report

    async def worker(self, limits: Limits, environment: Environment) -> CPythonWorker:
        """A fresh worker: a ready child where there is one. Raises GatewayFault when none can be made."""
        try:
            place, child = await self._made(environment)
        except _GoneError:  # the interpreter, not the child: another one can do it
            place, child = await self._made(environment)
        asyncio.get_running_loop().call_later(_REFILL_S, self._refill)
        worker = self._worker(child, limits, lambda: self._freed(place, child))
        try:
            place.bound(limits)
        except BaseException:
            await worker.close()
            raise
        return worker

    async def close(self) -> None:
        """End everything, and wait for it. The cells themselves are closed by whoever made the walls."""
        self._closing = True
        await self._chores.finish()
        await asyncio.gather(*(place.close() for place in list(self._places)))
        self._places.clear()
        self._idle.clear()
        self._keeper.shutdown()

    async def _made(self, environment: Environment) -> tuple[Place, Child]:
        """A place and a child in it. Raises GatewayFault, _GoneError if its interpreter has ended."""
        place = self._choose() or await self._next()
        try:
            return place, await self._child(place, environment)
        except BaseException as error:
            alive = place.alive
            self._chores.start(self._after(place))
            if isinstance(error, GatewayFault) and not alive:
                raise _GoneError(error.message) from error
            raise

    # --- places -----------------------------------------------------------------------------------

    def _choose(self) -> Place | None:
        """An idle place, if possible one with a child that is ready."""
        while self._idle:
            ready = (place for place in self._idle if place.spare is not None and place.spare.done())
            place = next(ready, self._idle[0])
            self._idle.remove(place)
            if place.alive:
                return place
            self._tell_of(place)
            self._chores.start(self._drop(place))
            self._chores.start(self._replace())
        return None

    async def _next(self) -> Place:
        """A place that is about to be free, which takes less than to open one; else one more."""
        if self._coming <= len(self._waiting):
            return await self._open()
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except _OpenOneError:
            return await self._open()
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._rest(turn.result())
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    async def _child(self, place: Place, environment: Environment) -> Child:
        """The spare, if it will do; else one that is forked now."""
        spare, place.spare = place.spare, None
        if spare is not None:
            if environment.folder is None:
                with contextlib.suppress(OstiaryError):  # it was told as trouble
                    return await self._whole(place, spare)
            else:
                self._chores.start(_discard(place, spare))
        return await place.child(environment)

    async def _whole(self, place: Place, spare: asyncio.Task[Child]) -> Child:
        """The spare, once it is ready. If whoever waits is cancelled, the child is not lost."""
        try:
            return await asyncio.shield(spare)
        except asyncio.CancelledError:
            self._chores.start(_discard(place, spare))
            raise

    async def _open(self) -> Place:
        if self._closing or len(self._places) >= self._most:
            raise GatewayFault(f"no further worker can be made: there are {len(self._places)} already")
        loop = asyncio.get_running_loop()
        cell = await loop.run_in_executor(self._keeper, self._cell)
        place = self._place(cell)
        self._places.add(place)
        try:
            await place.start()
        except BaseException:
            await self._drop(place)
            raise
        return place

    def _worker(self, child: Child, limits: Limits, freed: Callable[[], Awaitable[None]]) -> CPythonWorker:
        """What is handed out."""
        return CPythonWorker(child, limits, freed)

    def _cell(self) -> Cell:
        """What the next place runs under. Blocks for milliseconds."""
        return self._stock.walls.cells.take()

    def _place(self, cell: Cell) -> Place:
        """A place that is not warm yet."""
        return Place(Zygote(self._stock, cell), cell, self._keeper)

    def _tell_of(self, place: Place) -> None:
        """A place is not alive any more, and nobody asked it to end."""
        self._on_trouble("a warm interpreter had ended; another is started")

    async def _drop(self, place: Place) -> None:
        self._places.discard(place)
        await place.close()

    def _refill(self) -> None:
        """Some time after a worker went out: if it is a session's, it will not be back soon."""
        nothing_comes = not (self._idle or self._coming or self._refilling)
        if nothing_comes and not self._closing and len(self._places) < self._most:
            self._refilling = True
            self._chores.start(self._replace())

    async def _replace(self) -> None:
        try:
            if not self._closing and len(self._idle) < self._warm:
                self._rest(await self._open())
        finally:
            self._refilling = False

    def _rest(self, place: Place) -> None:
        """A place that nobody uses: it gets its next child ready."""
        if self._spares:
            place.spare = self._chores.start(place.child(_NO_PACKAGES))
        self._idle.append(place)

    async def _freed(self, place: Place, child: Child) -> None:
        self._coming += 1
        try:
            await place.release(child)
        finally:
            self._coming -= 1
            await self._after(place)

    async def _after(self, place: Place) -> None:
        """What becomes of a place after a worker: whoever waits gets it, or it is kept warm, or closed."""
        alive = place.alive
        if alive and not self._closing:
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_result(place)
                    return
            if len(self._idle) < self._warm:
                self._rest(place)
                return
        await self._drop(place)
        if not alive and not self._closing:
            self._tell_of(place)
            await self._replace()
        self._let_open()

    def _let_open(self) -> None:
        """Nobody waits for a place that will not come: whoever is left over opens one."""
        while len(self._waiting) > self._coming:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_exception(_OpenOneError())


async def _discard(place: Place, spare: asyncio.Task[Child]) -> None:
    with contextlib.suppress(OstiaryError):
        child = await spare
        child.kill()
        await place.release(child)
