"""What the gate remembers of each MCP session: calls in flight and questions of the server."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from ostiary.calls.driver import Run
from ostiary.wire.ids import IdKey, id_key
from ostiary.wire.message import MessageId

MAX_SESSIONS = 10_000
MAX_OPEN = 1_024
MAX_METHOD = 256
MAX_REPLIES = 32
"""Answers of the gate's own to one session's server that may be under way at once."""

_PASSED_OVER = 64


class Session:
    """One MCP session of one grant, or everything a session-less client of it does.

    `exclusive` sessions belong to one client: only there does an id mean one request, so only
    there may an id in flight be refused, a call be withdrawn by its id, or an answer on another
    stream be told by its id. `label` names the session in records.
    """

    __slots__ = ("_owed", "asked", "exclusive", "label", "name", "replies", "runs")

    def __init__(self, name: str, label: str, *, exclusive: bool) -> None:
        self.name = name
        self.label = label
        self.exclusive = exclusive
        self.runs: dict[IdKey, Run] = {}
        self.asked: OrderedDict[IdKey, str] = OrderedDict()
        self.replies = 0
        self._owed: OrderedDict[IdKey, str] = OrderedDict()

    def begin(self, message_id: MessageId, run: Run) -> None:
        """A request is under way."""
        if self.exclusive:
            key = id_key(message_id)
            self.runs[key] = run
            self._owed.pop(key, None)

    def end(self, message_id: MessageId, run: Run, *, owed: bool) -> None:
        """A request is over. `owed`: without its answer, which a resumed stream may still bring."""
        key = id_key(message_id)
        if self.runs.get(key) is not run:
            return
        del self.runs[key]
        if owed:
            self._owed[key] = run.call.message.method[:MAX_METHOD]
            if len(self._owed) > MAX_OPEN:
                self._owed.popitem(last=False)

    def method_of(self, message_id: MessageId) -> str | None:
        """The method of the request that an answer on some stream belongs to; None if unknown."""
        key = id_key(message_id)
        run = self.runs.get(key)
        return run.call.message.method if run is not None else self._owed.get(key)

    def ask(self, message_id: MessageId, method: str) -> None:
        """Remember a request of the server, so that only an answer to it may go back."""
        self.asked[id_key(message_id)] = method[:MAX_METHOD]
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

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, grant: str, name: str, *, exclusive: bool) -> Session:
        """The session `name` of `grant`, created on first use."""
        key = (grant, name)
        session = self._by_key.get(key)
        if session is None:
            if len(self._by_key) >= MAX_SESSIONS:
                self._forget_one()
            session = self._by_key[key] = Session(name, self._label(name), exclusive=exclusive)
        else:
            self._by_key.move_to_end(key)
        return session

    def _forget_one(self) -> None:
        """Make room: the session unused for longest, passing over a few in which calls run."""
        oldest = list(islice(self._by_key.items(), _PASSED_OVER))
        idle = next((key for key, session in oldest if not session.runs), oldest[0][0])
        del self._by_key[idle]

    def drop(self, grant: str, name: str) -> None:
        """Forget a session that ended."""
        self._by_key.pop((grant, name), None)
