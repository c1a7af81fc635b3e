"""Event ids that clients received: the only places from which they may resume a stream.

A server may replay any stream to whoever names one of its event ids, so an id of somebody else,
or of another session, must not reach it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ostiary.proxy.handles.marks import MARK, Marks
from ostiary.proxy.handles.shelf import Shelf

KEPT = 1_024
"""Event ids that are known of each session: the newest."""

MAX_RINGS = 1_000
"""Sessions whose event ids are held in memory; those of others are read back."""

DAY = 24 * 3_600_000_000
"""A day, in microseconds."""

_KEEP = 7 * DAY


class _Ring:
    """The newest marks of one session, side by side. `number` counts all there ever were."""

    __slots__ = ("marks", "number")

    def __init__(self) -> None:
        self.marks = bytearray()
        self.number = 0

    def add(self, mark: bytes) -> int:
        """Keep a mark in place of the oldest; the slot that it lies in."""
        slot = self.number % KEPT
        self.marks[slot * MARK : (slot + 1) * MARK] = mark
        self.number += 1
        return slot

    def __contains__(self, mark: bytes) -> bool:
        at = self.marks.find(mark)
        while at >= 0 and at % MARK:
            at = self.marks.find(mark, at + 1)
        return at >= 0


class Events:
    """The event ids of all sessions."""

    __slots__ = ("_clock", "_marks", "_rings", "_shelf")

    def __init__(self, marks: Marks, shelf: Shelf, clock: Callable[[], int]) -> None:
        self._marks = marks
        self._shelf = shelf
        self._clock = clock
        self._rings: OrderedDict[bytes, _Ring] = OrderedDict()

    def passed(self, grant: str, session: str, event_id: bytes) -> None:
        """A client of `grant` was given an event with this id."""
        of = self._marks("ring", grant, session.encode("latin-1"))
        mark = self._marks("event", grant, session.encode("latin-1"), event_id)
        ring = self._ring(of)
        if mark in ring:  # replayed
            return
        slot, number = ring.add(mark), ring.number
        if number % KEPT == 1:
            now = self._clock()
            self._shelf.put(of, "ring", self._marks.owner(grant), now, now + _KEEP, b"")
        self._shelf.add_event(of, slot, number, mark)

    def ended(self, grant: str, session: str, event_id: bytes) -> None:
        """A stream ended at this id before its answer.

        It stays a place to resume, however much the session's other streams bring.
        """
        mark = self._marks("event", grant, session.encode("latin-1"), event_id)
        now = self._clock()
        self._shelf.put(mark, "place", self._marks.owner(grant), now, now + DAY, b"")

    def known(self, grant: str, session: str, event_id: bytes) -> bool:
        """Whether a client of `grant` was given this id in this session."""
        of = self._marks("ring", grant, session.encode("latin-1"))
        mark = self._marks("event", grant, session.encode("latin-1"), event_id)
        return mark in self._ring(of) or self._shelf.get(mark) is not None

    def forget(self, grant: str, session: str) -> None:
        """The session is over."""
        of = self._marks("ring", grant, session.encode("latin-1"))
        if self._rings.pop(of, None) is not None or self._shelf.get(of) is not None:
            self._shelf.drop(of)

    def _ring(self, of: bytes) -> _Ring:
        ring = self._rings.get(of)
        if ring is not None:
            self._rings.move_to_end(of)
            return ring
        ring = self._rings[of] = _Ring()
        for number, mark in self._shelf.events(of)[-KEPT:]:
            ring.number = number - 1
            if len(ring.marks) < ring.number % KEPT * MARK:
                ring.marks.extend(bytes(ring.number % KEPT * MARK - len(ring.marks)))
            ring.add(mark)
        if len(self._rings) > MAX_RINGS:
            self._rings.popitem(last=False)
        return ring
