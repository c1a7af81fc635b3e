"""What the gate remembers of each MCP session: calls in flight and questions of the server.

Where the server gives event ids, a stream can be resumed, also after a restart of the gate: what
is needed to judge it then is kept with `handles.recall`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import islice

from ostiary.calls.driver import Run
from ostiary.proxy.handles.recall import MAX_METHOD, Context, Facts, Recall
from ostiary.wire.ids import IdKey, id_key
from ostiary.wire.message import Message, MessageId

MAX_SESSIONS = 10_000
MAX_OPEN = 1_024
MAX_PAST = 64
"""Contexts that one session keeps in memory of requests that are over."""

MAX_REPLIES = 32
"""Answers of the gate's own to one session's server that may be under way at once."""

_PASSED_OVER = 64


class Session:
    """One MCP session of one grant, or everything a session-less client of it does.

    `exclusive` sessions belong to one client: only there does an id mean one request, so only
    there may an id in flight be refused, a call be withdrawn by its id, or an answer on another
    stream be told by its id. `label` names the session in records. `version` is the protocol
    revision that initialize negotiated, empty where the gate did not see it; `declared` are the
    server's capabilities with their true members, such as `tools` and `tools.listChanged`.
    `resumable` says that its clients may have been given event ids. `client` are the capabilities
    that the client declared, `own` the questions of the gate itself that are open.
    """

    __slots__ = (
        "_early",
        "_listed",
        "_past",
        "_recall",
        "_recalled",
        "asked",
        "client",
        "declared",
        "exclusive",
        "grant",
        "label",
        "name",
        "own",
        "replies",
        "resumable",
        "runs",
        "version",
    )

    def __init__(self, grant: str, name: str, label: str, recall: Recall, *, exclusive: bool) -> None:
        self.grant = grant
        self.name = name
        self.label = label
        self.exclusive = exclusive
        self.runs: dict[IdKey, Run] = {}
        self.asked: OrderedDict[IdKey, str] = OrderedDict()
        self.replies = 0
        self.version = ""
        self.declared: frozenset[str] = frozenset()
        self.client: Mapping[str, object] | None = None
        self.own: dict[str, Callable[[Message], None]] = {}
        self.resumable = False
        self._early: dict[IdKey, Context] = {}  # of requests under way, answered on another stream
        self._listed: OrderedDict[IdKey, str] = OrderedDict()
        self._past: OrderedDict[IdKey, Context] = OrderedDict()
        self._recall = recall
        self._recalled = False

    def recall(self, facts: Facts) -> None:
        """Take up what another process, or this one, knew of the session."""
        self.version, self.declared = facts.version, frozenset(facts.declared)
        self.resumable = self._recalled = True

    def negotiated(self, version: str, declared: frozenset[str]) -> None:
        """Keep what initialize settled."""
        self.version, self.declared = version, declared
        if self.name:
            self._recall.keep_facts(self.grant, self.name, Facts(version, tuple(sorted(declared))))

    def taken(self, message_id: MessageId, method: str) -> str:
        """The rule by which a request may not have this id: one with it is in flight, or had another method.

        The latter only where the answer to that may be replayed: it would be judged as this one's.
        """
        if not self.exclusive:
            return ""
        key = id_key(message_id)
        if key in self.runs:
            return "(id in flight)"
        if not self.resumable:
            return ""
        before = self._past.get(key)
        if before is None and self._recalled and key not in self._listed:
            before = self._recall.context(self.grant, self.name, message_id)
        used_for = self._listed.get(key, "") if before is None else before.method
        return "(id used before)" if used_for and used_for != method else ""

    def listed(self, message_id: MessageId, context: Context) -> None:
        """The answer to a listing can be replayed: its id must not stand for anything else again."""
        self._listed[id_key(message_id)] = context.method
        self.hold(message_id, context)
        if len(self._listed) > MAX_OPEN:
            self._listed.popitem(last=False)
            self._recalled = True  # from now on what is kept durably is asked, too

    def begin(self, message_id: MessageId, run: Run) -> None:
        """A request is under way."""
        if self.exclusive:
            self.runs[id_key(message_id)] = run

    def end(self, message_id: MessageId, run: Run, context: Context | None = None) -> None:
        """A request is over. `context`: its answer may still come, or again, on a resumed stream."""
        key = id_key(message_id)
        if self.runs.get(key) is not run:
            return
        del self.runs[key]
        self._past.pop(key, None)
        early = self._early.pop(key, None)
        if context is not None:
            if early is not None and early.answered:
                context.answered, context.ended, context.became = early.answered, early.ended, early.became
            self._past[key] = context.slim()
            if len(self._past) > MAX_PAST:
                self._past.popitem(last=False)

    def hold(self, message_id: MessageId, context: Context) -> None:
        """Keep the context of a request where a restart does not lose it."""
        if self.exclusive and self.name:
            self._recall.keep_context(self.grant, self.name, message_id, context)

    def context_of(self, message_id: MessageId) -> Context | None:
        """What an answer on some stream is judged by; None where its request is not known."""
        if not self.exclusive:
            return None
        key = id_key(message_id)
        run = self.runs.get(key)
        if run is not None:
            early = self._early.get(key)
            if early is None:
                early = self._early[key] = Context(run.call.message.method, run.call)
            return early
        context = self._past.get(key)
        if context is None and self.name:
            context = self._recall.context(self.grant, self.name, message_id)
            if context is not None:
                self._past[key] = context
        return context

    def method_of(self, message_id: MessageId) -> str | None:
        """The method of the request that an answer on some stream belongs to; None if unknown."""
        context = self.context_of(message_id)
        return None if context is None else context.method

    def ask(self, message_id: MessageId, method: str) -> None:
        """Remember a request of the server, so that only an answer to it may go back."""
        self.asked[id_key(message_id)] = method[:MAX_METHOD]
        if len(self.asked) > MAX_OPEN:
            self.asked.popitem(last=False)
        if self.resumable and self.name:
            self._recall.keep_question(self.grant, self.name, message_id, method[:MAX_METHOD])

    def answered(self, message_id: MessageId) -> str | None:
        """The method of the open question `message_id`, which is closed by this; or None."""
        method = self.asked.pop(id_key(message_id), None)
        if not self.name:
            return method
        if method is None:
            return self._recall.question(self.grant, self.name, message_id)
        if self.resumable:
            self._recall.drop_question(self.grant, self.name, message_id)
        return method


class Sessions:
    """All sessions, oldest use first; bounded, because ids come from outside."""

    __slots__ = ("_by_key", "_label", "_recall")

    def __init__(self, label: Callable[[str], str], recall: Recall) -> None:
        self._label = label
        self._recall = recall
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
            session = self._by_key[key] = self._new(grant, name, exclusive=exclusive)
        else:
            self._by_key.move_to_end(key)
        return session

    def _new(self, grant: str, name: str, *, exclusive: bool) -> Session:
        """A session that is new to this process; what was kept of it is read back."""
        session = Session(grant, name, self._label(name), self._recall, exclusive=exclusive)
        facts = self._recall.facts(grant, name) if name else None
        if facts is not None:
            session.recall(facts)
        return session

    def _forget_one(self) -> None:
        """Make room: the session unused for longest, passing over a few in which calls run."""
        oldest = list(islice(self._by_key.items(), _PASSED_OVER))
        idle = next((key for key, session in oldest if not session.runs), oldest[0][0])
        del self._by_key[idle]

    def newest(self, grant: str) -> Session | None:
        """The session that `grant` used last, of those whose handshake the gate saw."""
        for (owner, _), session in reversed(self._by_key.items()):
            if owner == grant and session.version:
                return session
        return None

    def drop(self, grant: str, name: str) -> None:
        """Forget a session that ended."""
        self._by_key.pop((grant, name), None)
        self._recall.forget(grant, name)
