"""What the gate remembers of each MCP session: calls in flight and questions of the server."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ostiary.calls.driver import Run
from ostiary.wire.message import MessageId

IdKey = tuple[type, MessageId]
"""Ids `1` and `"1"` differ, so the type is part of the key."""

MAX_SESSIONS = 10_000
MAX_OPEN = 1_024


def id_key(message_id: MessageId) -> IdKey:
    """The key under which a message id is remembered."""
    return (type(message_id), message_id)


class Session:
    """One MCP session of one grant, or everything a session-less client of it does.

    `exclusive` sessions belong to one client, so an id still in flight may be refused there.
    `label` names it in records.
    """

    __slots__ = ("asked", "exclusive", "label", "name", "runs")

    def __init__(self, name: str, label: str, *, exclusive: bool) -> None:
        self.name = name
        self.label = label
        self.exclusive = exclusive
        self.runs: dict[IdKey, Run] = {}
        self.asked: OrderedDict[IdKey, str] = OrderedDict()

    def ask(self, message_id: MessageId, method: str) -> None:
        """Remember a request of the server, so that only an answer to it may go back."""
        self.asked[id_key(message_id)] = method
        if len(self.asked) > MAX_OPEN:
            self.asked.popitem(last=False)

    def answered(self, message_id: MessageId) -> str | None:
        """The method of the open question `message_id`, which is closed by this; or None."""
        return self.asked.pop(id_key(message_id), None)


class Sessions:
    """All sessions, oldest use first; bounded, because ids come from outside."""

    __slots__ = ("_by_key", "_label")

    def __init__(self, label: Callable[[str], str]) -> None:
        self._label = label
        self._by_key: OrderedDict[tuple[str, str], Session] = OrderedDict()

    def get(self, grant: str, name: str, *, exclusive: bool) -> Session:
        """The session `name` of `grant`, created on first use."""
        key = (grant, name)
        session = self._by_key.get(key)
        if session is None:
            session = self._by_key[key] = Session(name, self._label(name), exclusive=exclusive)
            if len(self._by_key) > MAX_SESSIONS:
                self._by_key.popitem(last=False)
        else:
            self._by_key.move_to_end(key)
        return session

    def drop(self, grant: str, name: str) -> None:
        """Forget a session that ended."""
        self._by_key.pop((grant, name), None)
