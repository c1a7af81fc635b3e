"""How owners share the places and the queue of one engine. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from ostiary.errors import CallerFault
from ostiary.sandbox.bounds import Bounds

T = TypeVar("T")


class Busy(CallerFault):
    """Too much is under way; the same request can succeed later."""


def check_room(owner: str, underway: Iterable[tuple[str, bool]], bounds: Bounds) -> None:
    """Whether `owner` may have one more run. Raises Busy.

    `underway`: of each run whose it is, and whether it waits, for a place or for anything else. One owner
    may take as much of the queue as it leaves free: alone half of it, and never the last of it from
    somebody who has nothing in it.
    """
    runs = list(underway)
    if len(runs) >= bounds.at_once + bounds.queue:
        raise Busy(
            f"busy: {bounds.at_once} runs at once and {bounds.queue} waiting is the most",
            hint="try again when some have ended",
        )
    # Runs that have only just been accepted wait for nothing while there are places for them.
    places = max(0, bounds.at_once - sum(not waits for _, waits in runs))
    waiting = sum(waits for _, waits in runs) - places
    own = sum(waits for whose, waits in runs if whose == owner) - places
    if own > 0 and own >= bounds.queue - waiting:
        raise Busy(
            f"you have {own} runs waiting, and the room that is left in the queue is for others",
            hint="try again when some of yours have ended",
        )


class Turns(Generic[T]):
    """Who waits for a place, and how many each owner has.

    A free place goes to the waiting owner that has the fewest; among those, to the one whose turn is
    longest ago. What one owner waits with keeps its order.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[T]] = {}  # the next turn first

    def wait(self, owner: str, one: T) -> None:
        """`owner` waits with `one`, behind what it waits with already."""
        self._waiting.setdefault(owner, deque()).append(one)

    def leave(self, owner: str, one: T) -> None:
        """`one` waits no more."""
        self._waiting[owner].remove(one)
        if not self._waiting[owner]:
            del self._waiting[owner]

    def give(self) -> T | None:
        """What has a place from now on; None if no place is free, or nobody waits."""
        if self._free <= 0 or not self._waiting:
            return None
        owner = min(self._waiting, key=lambda one: self._held[one])
        mine = self._waiting.pop(owner)
        given = mine.popleft()
        if mine:
            self._waiting[owner] = mine  # behind all others
        self._free -= 1
        self._held[owner] += 1
        return given

    def back(self, owner: str) -> None:
        """A place of `owner` is free again."""
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
