"""Answers whose clients have gone, which are still awaited for their outcome (legacy era).

Their number is bounded: a client that asks and leaves, again and again, must not use up the
connections of everybody.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

MAX_ORPHANS = 256


class Awaited(Protocol):
    """An answer that is still to come."""

    def abandon(self) -> None: ...


class Orphans:
    """The oldest is given up when there are too many."""

    __slots__ = ("_awaited", "_most")

    def __init__(self, most: int = MAX_ORPHANS) -> None:
        self._most = most
        self._awaited: OrderedDict[Awaited, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._awaited)

    def add(self, awaited: Awaited) -> None:
        """The client of `awaited` has gone."""
        self._awaited[awaited] = None
        if len(self._awaited) > self._most:
            oldest, _ = self._awaited.popitem(last=False)
            oldest.abandon()

    def discard(self, awaited: Awaited) -> None:
        """`awaited` is over."""
        self._awaited.pop(awaited, None)
