"""One timer for the time-outs of many connections.

A timer per request would cost more than the request. Here each member carries a deadline as a
plain number and one timer looks at all of them. The clock that deadlines are set from is the
time of the last look, so a deadline is met up to two ticks late, and never early if it was set
with `span`.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

NEVER = float("inf")
"""The deadline of something that may take as long as it likes."""


class Timed(Protocol):
    """Something with a deadline, in the time of the event loop's clock."""

    deadline: float

    def on_deadline(self) -> None:
        """Called once the deadline has passed; must move the deadline or end the member."""
        ...


class Sweep:
    """Calls `on_deadline` of every member whose deadline has passed, every `tick` seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: float) -> None:
        self._loop = loop
        self._tick = tick
        self._members: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.now = loop.time()

    def span(self, seconds: float) -> float:
        """What to add to `now` for a deadline at least `seconds` away."""
        return seconds + self._tick

    def add(self, member: Timed) -> None:
        """Watch `member` until it is discarded."""
        self.now = self._loop.time()
        self._members.add(member)
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick, self._look)

    def discard(self, member: Timed) -> None:
        """Stop watching `member`. The timer stops after the last one."""
        self._members.discard(member)
        if not self._members and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self.now = self._loop.time()
        self._timer = self._loop.call_later(self._tick, self._look)
        for member in [member for member in self._members if member.deadline <= now]:
            member.on_deadline()


def tick_for(*timeouts: float) -> float:
    """A tick fine enough for the shortest of `timeouts`, between 10 ms and half a second."""
    return min(0.5, max(0.01, min(timeouts) / 8))
