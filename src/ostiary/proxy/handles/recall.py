"""What outlives a request or a session in memory: contexts, open questions, what was negotiated."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.calls.call import Call, Ended
from ostiary.calls.machine import RECORDED_AFTER
from ostiary.calls.outstanding import Outstanding, outstanding
from ostiary.policy.compile import Compiled
from ostiary.policy.decision import Charge
from ostiary.proxy.cancelling import Way
from ostiary.proxy.handles.events import DAY
from ostiary.proxy.handles.marks import Marks, as_bytes
from ostiary.proxy.handles.shelf import Shelf
from ostiary.proxy.handles.tasks import Task
from ostiary.wire.message import MessageId
from ostiary.wire.mirror import subject

MAX_METHOD = 256
_KEEP = 7 * DAY


class Context:
    """What the answer to one forwarded request is judged by.

    `method` and `about` (a tool, prompt or resource) are of the request; `task` marks the task
    that it names. `asked` says that it asked to become a task, `became` that it did, elsewhere
    than on its own stream; `way` is how a message about that task reaches its server.
    `outstanding` is its call, where calls of this method have an outcome of their own;
    `answered`, that it is on record.
    """

    __slots__ = (
        "_about",
        "_call",
        "_outstanding",
        "answered",
        "asked",
        "became",
        "charges",
        "ended",
        "method",
        "policy",
        "task",
        "way",
    )

    def __init__(self, method: str, call: Call | None = None) -> None:
        self.method = method[:MAX_METHOD]
        self.policy: Compiled | None = None if call is None else call.policy
        self.asked = call is not None and "task" in call.message.params
        self.task = b""
        self.answered = False
        self.became: Task | None = None
        self.charges: tuple[Charge, ...] | None = None
        self.ended: Ended | None = None
        self._call = call
        self._about = ""
        self._outstanding: Outstanding | None = None
        self.way: Callable[[str], Way] | None = None

    @property
    def about(self) -> str:
        """The tool, prompt or resource that the request named, as it stood there."""
        return self._about if self._call is None else subject(self._call.message) or ""

    @property
    def outstanding(self) -> Outstanding | None:
        """The call, as far as its outcome needs it."""
        if self._call is None:
            return self._outstanding
        return None if self.method in RECORDED_AFTER else outstanding(self._call)

    def slim(self) -> Context:
        """Let go of the message itself."""
        self._about, self._outstanding, self._call = self.about, self.outstanding, None
        return self

    def saved(self) -> bytes:
        """As the shelf keeps it."""
        return _encode(
            _Saved(self.method, self.about, self.task, self.asked, self.outstanding, self.answered)
        )

    @classmethod
    def read(cls, body: bytes) -> Context | None:
        """What `saved` made; None for what another version made."""
        try:
            saved = _decode(body)
        except msgspec.MsgspecError:
            return None
        context = cls(saved.method)
        context.task = saved.task
        context.asked = saved.asked
        context.answered = saved.answered
        context.charges = ()  # what the call held is freed by its lease
        context._about, context._outstanding = saved.about, saved.outstanding
        return context


class _Saved(msgspec.Struct, array_like=True):
    method: str
    about: str
    task: bytes
    asked: bool
    outstanding: Outstanding | None
    answered: bool


class Facts(msgspec.Struct, array_like=True):
    """What initialize settled: the revision, and what the server declared."""

    version: str = ""
    declared: tuple[str, ...] = ()


class Recall:
    """The durable side of sessions."""

    __slots__ = ("_clock", "_marks", "_shelf")

    def __init__(self, marks: Marks, shelf: Shelf, clock: Callable[[], int]) -> None:
        self._marks = marks
        self._shelf = shelf
        self._clock = clock

    def facts(self, grant: str, session: str) -> Facts | None:
        """What is kept of a session that this process does not know yet."""
        body = self._shelf.get(self._session(grant, session))
        try:
            return None if body is None else _decode_facts(body)
        except msgspec.MsgspecError:
            return None

    def keep_facts(self, grant: str, session: str, facts: Facts) -> None:
        """Keep what initialize settled."""
        self._put(self._session(grant, session), "session", grant, _KEEP, _encode(facts))

    def context(self, grant: str, session: str, message_id: MessageId) -> Context | None:
        """The context of a request that this process does not know."""
        body = self._shelf.get(self._message("context", grant, session, message_id))
        return None if body is None else Context.read(body)

    def keep_context(self, grant: str, session: str, message_id: MessageId, context: Context) -> None:
        """Keep the context of a request whose answer may come after a restart."""
        key = self._message("context", grant, session, message_id)
        self._put(key, "context", grant, DAY, context.saved())

    def question(self, grant: str, session: str, message_id: MessageId) -> str | None:
        """The method of an open question of the server, which is closed by this."""
        key = self._message("question", grant, session, message_id)
        body = self._shelf.get(key)
        if body is None:
            return None
        self._shelf.drop(key)
        return body.decode("utf-8", "replace")

    def keep_question(self, grant: str, session: str, message_id: MessageId, method: str) -> None:
        """Keep a question of the server that its client may answer after a restart."""
        key = self._message("question", grant, session, message_id)
        self._put(key, "question", grant, DAY, method.encode("utf-8", "replace"))

    def drop_question(self, grant: str, session: str, message_id: MessageId) -> None:
        """The question was answered."""
        self._shelf.drop(self._message("question", grant, session, message_id))

    def forget(self, grant: str, session: str) -> None:
        """The session is over."""
        self._shelf.drop(self._session(grant, session))

    def _session(self, grant: str, session: str) -> bytes:
        return self._marks("session", grant, session.encode("latin-1"))

    def _message(self, kind: str, grant: str, session: str, message_id: MessageId) -> bytes:
        exact = b"%b:%b" % (type(message_id).__name__.encode(), as_bytes(str(message_id)))
        return self._marks(kind, grant, session.encode("latin-1"), exact)

    def _put(self, key: bytes, kind: str, grant: str, keep: int, body: bytes) -> None:
        now = self._clock()
        self._shelf.put(key, kind, self._marks.owner(grant), now, now + keep, body)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Saved).decode
_decode_facts = msgspec.msgpack.Decoder(Facts).decode
