"""Where the gate keeps what must survive its restart."""

from __future__ import annotations

from typing import Protocol


class Shelf(Protocol):
    """Keeps things by key. What is put is durable after the transaction of this tick.

    A shelf bounds what each owner may keep of a kind, and forgets what is over.
    """

    def put(self, key: bytes, kind: str, owner: str, at: int, until: int, body: bytes) -> None:
        """Keep something, in place of what has the same key.

        `owner` is the server with the grant; times are microseconds since the epoch.
        """
        ...

    def hurry(self) -> None:
        """Make durable what was put, before anything else is done if that takes no time."""
        ...

    def drop(self, key: bytes) -> None:
        """Forget something; with a ring go its events."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """What was kept under `key`; None when it is over, or cannot be read."""
        ...

    def add_event(self, ring: bytes, slot: int, number: int, key: bytes) -> None:
        """Keep the event id number `number` of a ring, in place of what lies in `slot`."""
        ...

    def events(self, ring: bytes) -> list[tuple[int, bytes]]:
        """Number and key of each event id that is kept in a ring, oldest first."""
        ...


class NoShelf:
    """Keeps nothing: everything is known as long as the process remembers it."""

    def put(self, key: bytes, kind: str, owner: str, at: int, until: int, body: bytes) -> None: ...
    def drop(self, key: bytes) -> None: ...
    def hurry(self) -> None: ...
    def add_event(self, ring: bytes, slot: int, number: int, key: bytes) -> None: ...

    def get(self, key: bytes) -> bytes | None:
        """Nothing."""
        return None

    def events(self, ring: bytes) -> list[tuple[int, bytes]]:
        """None."""
        return []
