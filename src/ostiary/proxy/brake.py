"""The brake: more requests of one grant than a person could want are turned away unread (P2.2).

A loop that has run wild must cost neither decisions nor rows, so what is turned away is counted
and recorded once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

WINDOW = 60
"""Seconds. Requests are counted by the second and count until their second is wholly outside."""

SECOND = 1_000_000


class Brake:
    """Counts the requests of each grant; `most` a minute may pass. There is no way to have no brake.

    `clock` gives microseconds. `told` gets grant and number for every second in which something
    was turned away.
    """

    __slots__ = ("_clock", "_counts", "_most", "_refused", "_told")

    def __init__(self, most: int, clock: Callable[[], int], told: Callable[[str, int], None]) -> None:
        self._most = most
        self._clock = clock
        self._told = told
        self._counts: dict[str, _Count] = {}
        self._refused: dict[str, int] = {}

    def admit(self, grant: str, number: int = 1) -> int | None:
        """None if `number` requests may go on; else the seconds after which to try again."""
        count = self._counts.get(grant)
        if count is None:
            count = self._counts[grant] = _Count()
        now = self._clock() // SECOND
        if count.until(now) + number <= self._most:
            count.add(number)
            return None
        if not self._refused:
            asyncio.get_running_loop().call_later(1.0, self.tell)
        self._refused[grant] = self._refused.get(grant, 0) + number
        return count.wait()

    def tell(self) -> None:
        """Report what was turned away since the last report."""
        refused, self._refused = self._refused, {}
        for grant, number in refused.items():
            self._told(grant, number)


class _Count:
    """Requests by second, in a ring of one place more than the window has seconds."""

    __slots__ = ("_now", "_places", "_total")

    def __init__(self) -> None:
        self._places = [0] * (WINDOW + 1)
        self._now = 0
        self._total = 0

    def until(self, now: int) -> int:
        """How many count at second `now`, which never goes back."""
        if now > self._now:
            for second in range(self._now + 1, min(now, self._now + len(self._places)) + 1):
                place = second % len(self._places)
                self._total -= self._places[place]
                self._places[place] = 0
            if now - self._now > len(self._places):
                self._places = [0] * len(self._places)
                self._total = 0
            self._now = now
        return self._total

    def add(self, number: int) -> None:
        """Count requests at the present second."""
        self._places[self._now % len(self._places)] += number
        self._total += number

    def wait(self) -> int:
        """Seconds until the oldest counted second is wholly outside."""
        size = len(self._places)
        for ahead in range(1, size):
            if self._places[(self._now + ahead) % size]:
                return ahead
        return size
