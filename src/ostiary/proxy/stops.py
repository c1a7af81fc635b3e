"""The emergency stops in force as this gate knows them, and what runs that they would end (P2.5).

(1) `covering` is asked when a call is decided and once more when it would be forwarded, so nothing
leaves after the gate has seen a stop. (2) `look` sees one, a few times a second. (3) What was
forwarded before is ended then, piece by piece, so that no other client waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ostiary.calls.stop import UNREADABLE, Stop
from ostiary.errors import GatewayFault

log = logging.getLogger("ostiary.proxy")

AT_ONCE = 64
"""What is ended in one turn of the loop: there may be thousands."""

UNREAD_FOR = 5
"""Looks that may fail in a row before what runs is ended as well; nothing new goes on from the first."""


class Board(Protocol):
    """Where stops are found."""

    def look(self) -> tuple[Stop, ...] | None:
        """The stops in force; None when none can have come or gone since the last look.

        Raises GatewayFault when they cannot be read.
        """
        ...

    def close(self) -> None:
        """Look no more."""
        ...


class NoBoard:
    """Nobody sets a stop here."""

    def look(self) -> tuple[Stop, ...] | None:
        """None."""
        return None

    def close(self) -> None: ...


class Running(Protocol):
    """Something that was forwarded and is not over."""

    def stop(self, stop: Stop) -> object:
        """End it now, on both sides."""
        ...


Ends = Callable[[Stop], object]
Tells = Callable[[Stop, str], object]

IN_FORCE, LIFTED = "stop-in-force", "stop-lifted"
"""What records call the two things that a gate says of a stop."""


class Stops:
    """What is in force. `server` is the one behind this gate.

    `tells` is told of each stop that concerns it, when it is seen (`IN_FORCE`) and when it is gone
    (`LIFTED`). `ends` is told of a stop whose calls are to end, for what is not registered here.
    """

    def __init__(self, server: str, board: Board, *, tells: Tells, ends: Ends) -> None:
        self._server = server
        self._board = board
        self._tells = tells
        self._ends = ends
        self._known: tuple[Stop, ...] = ()
        self._in_force: tuple[Stop, ...] = ()
        self._failed = 0
        self._running: dict[Running, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ending: deque[tuple[Running, Stop]] = deque()

    # --- what is asked ------------------------------------------------------------------------

    def covering(self, grant: str) -> Stop | None:
        """The stop that covers calls of `grant`, or None."""
        for stop in self._in_force:
            if stop.scope.covers(grant, self._server):
                return stop
        return None

    def add(self, running: Running, grant: str) -> None:
        """`running` was forwarded for `grant`."""
        self._running[running] = grant

    def discard(self, running: Running) -> None:
        """`running` is over."""
        self._running.pop(running, None)

    def __len__(self) -> int:
        return len(self._running)

    # --- what is seen -------------------------------------------------------------------------

    def watch(self, every: float) -> None:
        """Look now, and from now on every so many seconds, until `close`."""
        self._timer = asyncio.get_running_loop().call_later(every, self.watch, every)
        self.look()

    def close(self) -> None:
        """Look no more. What is in force stays so."""
        if self._timer is not None:
            self._timer.cancel()
        self._board.close()

    def look(self) -> None:
        """See which stops are in force. While that cannot be read, everything is stopped."""
        try:
            found = self._board.look()
        except GatewayFault as fault:
            self._unread(fault)
            return
        if self._failed:
            log.warning("the stops can be read again")
            self._failed = 0
            self._in_force = self._known
        if found is not None:
            self._take(found)

    def _unread(self, fault: GatewayFault) -> None:
        self._failed += 1
        if self._failed == 1:
            log.error("the stops cannot be read, so nothing is forwarded: %s", fault.message)
            self._in_force = (*self._known, UNREADABLE)
        if self._failed == UNREAD_FOR:
            self._end(UNREADABLE)

    def _take(self, found: tuple[Stop, ...]) -> None:
        """(1) Nothing covered is forwarded from here on. (2) Say so. (3) End what runs."""
        # (1)
        mine = tuple(stop for stop in found if stop.scope.kind != "server" or stop.scope.name == self._server)
        before, self._known = self._known, mine
        self._in_force = mine
        # (2)
        for stop in before:
            if stop not in mine:
                self._tells(stop, LIFTED)
        fresh = [stop for stop in mine if stop not in before]
        for stop in fresh:
            self._tells(stop, IN_FORCE)
        # (3)
        for stop in fresh:
            self._end(stop)

    # --- what is ended ------------------------------------------------------------------------

    def _end(self, stop: Stop) -> None:
        """Each step in a turn of its own: one that fails must not keep the others from their end."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._ends, stop)
        covered = [one for one, grant in self._running.items() if stop.scope.covers(grant, self._server)]
        starts = not self._ending
        self._ending.extend((one, stop) for one in covered)
        if starts and self._ending:
            loop.call_soon(self._some)

    def _some(self) -> None:
        try:
            for _ in range(min(AT_ONCE, len(self._ending))):
                running, stop = self._ending.popleft()
                if running in self._running:
                    running.stop(stop)
        finally:
            if self._ending:
                asyncio.get_running_loop().call_soon(self._some)
