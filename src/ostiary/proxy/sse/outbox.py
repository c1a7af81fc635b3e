"""The messages of one client on their way to an SSE server, each a POST of its own.

POSTs on several connections overtake each other, so a message that another one may depend on is
waited for: nothing passes a notification (`initialized`), and a notification passes nothing
(`cancelled`). Requests run side by side. A response never waits: the server may not accept
anything else before it has come.
"""

from __future__ import annotations

from collections import deque

import msgspec

from ostiary.proxy.bridge.glance import Kind
from ostiary.proxy.exchange import Header


class Parcel(msgspec.Struct, frozen=True):
    """One message with the headers of its POST. `ticket` names it."""

    ticket: int
    message: bytes
    kind: Kind
    headers: tuple[Header, ...]


class Outbox:
    """What waits to be sent, and what was sent but not accepted yet."""

    __slots__ = ("_tickets", "_under_way", "_waiting", "size")

    def __init__(self) -> None:
        self._tickets = 0
        self._waiting: deque[Parcel] = deque()
        self._under_way: dict[int, Kind] = {}
        self.size = 0  # bytes that wait

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: bytes, kind: Kind, headers: tuple[Header, ...]) -> int:
        """Add a message; returns its ticket."""
        self._tickets += 1
        self._waiting.append(Parcel(self._tickets, message, kind, headers))
        self.size += len(message)
        return self._tickets

    def take(self) -> list[Parcel]:
        """What may be sent now; from here on it is under way."""
        found = [parcel for parcel in self._waiting if parcel.kind == "response"]
        self._waiting = deque(parcel for parcel in self._waiting if parcel.kind != "response")
        while self._waiting and self._may_go(self._waiting[0].kind):
            parcel = self._waiting.popleft()
            self._under_way[parcel.ticket] = parcel.kind
            found.append(parcel)
        self.size -= sum(len(parcel.message) for parcel in found)
        return found

    def _may_go(self, kind: Kind) -> bool:
        if kind == "notification":
            return not self._under_way
        return "notification" not in self._under_way.values()

    @property
    def blocked(self) -> bool:
        """Whether something waits for what is under way."""
        return bool(self._waiting) and bool(self._under_way)

    def accepted(self, ticket: int) -> None:
        """The POST has been answered, or is not going to be."""
        self._under_way.pop(ticket, None)

    def forgive(self) -> None:
        """Wait no longer for what is under way: a server may accept a request when it is done."""
        self._under_way.clear()

    def waits(self, ticket: int) -> bool:
        """Whether no byte of the message has left."""
        return any(parcel.ticket == ticket for parcel in self._waiting)

    def withdraw(self, ticket: int) -> bool:
        """Take back a message that waits; False when it has been sent."""
        for parcel in self._waiting:
            if parcel.ticket == ticket:
                self._waiting.remove(parcel)
                self.size -= len(parcel.message)
                return True
        return False
