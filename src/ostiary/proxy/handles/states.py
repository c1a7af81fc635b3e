"""`requestState`: what a modern server gives a client to bring back with its answers.

It is good for the request it was given for and for no other: the same method, and the same tool,
prompt or resource (MCP 2026-07-28, multi round-trip requests).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ostiary.proxy.handles.events import DAY
from ostiary.proxy.handles.marks import Marks, as_bytes
from ostiary.proxy.handles.shelf import Shelf

MAX_IN_MEMORY = 4_096


class States:
    """The states that are out. One may be used again: a retry can be lost on its way."""

    __slots__ = ("_clock", "_known", "_marks", "_shelf")

    def __init__(self, marks: Marks, shelf: Shelf, clock: Callable[[], int]) -> None:
        self._marks = marks
        self._shelf = shelf
        self._clock = clock
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def issued(self, grant: str, method: str, about: str, state: str) -> None:
        """A client of `grant` was given `state` in answer to `method` about `about`."""
        mark = self._mark(grant, method, about, state)
        self._known[mark] = None
        self._known.move_to_end(mark)
        if len(self._known) > MAX_IN_MEMORY:
            self._known.popitem(last=False)
        now = self._clock()
        self._shelf.put(mark, "state", self._marks.owner(grant), now, now + DAY, b"")
        self._shelf.hurry()  # its client may come back as soon as it has the answer

    def known(self, grant: str, method: str, about: str, state: str) -> bool:
        """Whether `grant` was given `state` for such a request."""
        mark = self._mark(grant, method, about, state)
        return mark in self._known or self._shelf.get(mark) is not None

    def _mark(self, grant: str, method: str, about: str, state: str) -> bytes:
        return self._marks("state", grant, as_bytes(method), as_bytes(about), as_bytes(state))
