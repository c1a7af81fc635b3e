"""What of an upstream's messages a client gets: answers filtered, questions decided."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from ostiary.calls.call import Call, Ended, Era
from ostiary.identity.grant import Grant
from ostiary.policy.compile import Compiled
from ostiary.policy.methods import decide_method
from ostiary.policy.reach import passes_everything
from ostiary.proxy.cancelling import Way
from ostiary.proxy.catalogue import Link
from ostiary.proxy.desk import Desk
from ostiary.proxy.discard import Discard
from ostiary.proxy.exchange import Header, UpstreamRequest
from ostiary.proxy.handles.recall import Context
from ostiary.proxy.handles.tasks import Task
from ostiary.proxy.headers import for_own_request, own_meta
from ostiary.proxy.peek import has_handles, status_of
from ostiary.proxy.results import CHECKED, READ, TASKS, Results, asks_too_much
from ostiary.proxy.sessions import MAX_REPLIES, Session
from ostiary.wire import answers
from ostiary.wire.arrays import REVISION, members_of
from ostiary.wire.envelope import read_message
from ostiary.wire.ids import IdKey, id_key
from ostiary.wire.loose import read_answer
from ostiary.wire.message import Message, MessageId, Refusal, as_object
from ostiary.wire.spans import Span, replaced, splice, without
from ostiary.wire.tasks import lists_tasks, related

log = logging.getLogger("ostiary.proxy")

MAX_ANSWER = 16 * 1024 * 1024

MAX_VERSION = 32
MAX_CAPABILITIES = 32

LIST_CHANGED = "notifications/tools/list_changed"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
WITHHELD = "the gateway withheld an answer of the upstream that it could not check"


class Judge:
    """Judges the messages of one upstream stream on behalf of one client.

    `own` is the id of the request that the stream answers (None on a GET stream) and `call`
    that request. `headers` are those forwarded with it. `session` is the one that the stream
    belongs to: for initialize the one that its answer opens. `closed` is the answer as it was
    passed on, `task` the task that it stands for, `acknowledged` what the server agreed to report
    where the request was to listen. `withheld` counts what could not be told or
    read and was not passed on.
    """

    __slots__ = (
        "_call",
        "_context",
        "_desk",
        "_era",
        "_grant",
        "_headers",
        "_held",
        "_link",
        "_own",
        "_own_method",
        "_place",
        "_results",
        "acknowledged",
        "closed",
        "session",
        "task",
        "withheld",
    )

    def __init__(
        self,
        desk: Desk,
        grant: Grant,
        session: Session,
        era: Era,
        headers: Sequence[Header],
        own: IdKey | None = None,
        call: Call | None = None,
    ) -> None:
        self._desk = desk
        self._grant = grant
        self._era: Era = era
        self._headers = headers
        self._own = own
        self._own_method = "" if call is None else call.message.method
        self._call = call
        self._context: Context | None = None
        self._held = False
        self._link: Link = (grant.name, session.name)
        self._place = b""
        self._results: Results | None = None
        self.acknowledged: Mapping[str, object] | None = None
        self.closed: bytes | None = None
        self.session = session
        self.task: Task | None = None
        self.withheld = 0

    @property
    def context(self) -> Context:
        """What the answer to `own` is judged by."""
        if self._context is None:
            self._context = Context(self._own_method, self._call)
            if self._call is not None:
                self._desk.book.names(self._call.message, self._context, self._grant.name)
                self._context.way = partial(self._way, self._call.message)
        return self._context

    def _way(self, message: Message, task_id: str) -> Way:
        """How a message of the gate's own about a task that `message` became reaches the server."""
        headers = for_own_request(self._headers, self._desk.own_headers)
        return Way(task_id, headers, own_meta(message) if self._era == "modern" else None)

    @property
    def open(self) -> bool:
        """True when no answer has to be looked into: nothing is hidden and nothing is denied."""
        policy = self._desk.policy
        return policy is not None and passes_everything(policy) and (policy.monitor or not self._desk.locked)

    @property
    def drifted(self) -> bool:
        """Whether the last page of tools had one that is not as it was pinned."""
        return self._results is not None and self._results.drifted

    @property
    def lists(self) -> bool:
        """Whether the answer is a listing: read as a whole, since the policy may change meanwhile."""
        return self._own_method in CHECKED

    @property
    def always(self) -> bool:
        """Whether the answer is filtered whatever the policy: it may show what others own."""
        return self._own_method == TASKS

    @property
    def read(self) -> bool:
        """Whether the gate itself must have seen the whole answer."""
        return self._own_method in READ or (self._call is not None and "task" in self._call.message.params)

    def quick(self, message_id: object) -> bool:
        """Whether a plain result with this id can pass unread: it answers this request, and nothing else."""
        return self._era == "legacy" and not self.read and (type(message_id), message_id) == self._own

    def message(self, raw: bytes) -> bytes | None:
        """The bytes to pass on for one upstream message: the same, edited, or None for none.

        Sets `closed` to the passed bytes when the message was the answer to `own`.
        """
        policy = self._desk.policy
        message = read_message(raw, max_bytes=MAX_ANSWER, null_id=True)
        if not isinstance(message, Message):
            return self._unreadable(raw, message, policy)
        if message.kind == "notification":
            return self._notification(message, policy)
        if message.kind == "request":
            return self._question(message, policy)
        return self._response(message, policy)

    def _unreadable(
        self, raw: bytes, refusal: Refusal | tuple[Message, ...], policy: Compiled | None
    ) -> bytes | None:
        """Pass what cannot be read strictly only where nothing could be hidden in it."""
        if self._era == "legacy" and self.session.version == REVISION:
            members = members_of(raw)
            if members is not None:
                return self._each(raw, members)
        answer = read_answer(raw)
        readable = self._era == "legacy" and answer is not None and self._method_of(answer) not in CHECKED
        if answer is not None and (readable or self.open):
            return self._response(answer, policy)
        if self.open and not self.always:
            return raw
        rule = refusal.rule if isinstance(refusal, Refusal) else "(batch)"
        self._withhold(rule)
        if answer is not None and answer.id is not None and id_key(answer.id) == self._own:
            self.closed = answers.error(answer.id, answers.INTERNAL, WITHHELD)
            return self.closed
        return None

    def _each(self, raw: bytes, members: Sequence[Span]) -> bytes | None:
        """An array of messages: each is judged as if it had come alone, and cut out if it may not pass."""
        kept: list[bytes | None] = []
        for span in members:
            one = span.of(raw)
            if one.startswith(b"["):  # no revision has arrays in arrays
                self._withhold("(batch)")
                kept.append(None)
            else:
                kept.append(self.message(one))
        if not any(one is not None for one in kept):
            return None
        edits = [
            replaced(span, one)
            for span, one in zip(members, kept, strict=True)
            if one is not None and one != span.of(raw)
        ]
        edits += without(members, [one is not None for one in kept])
        return splice(raw, edits) if edits else raw

    def _withhold(self, rule: str) -> None:
        """Say so once for each stream: an upstream must not be able to fill the log."""
        self.withheld += 1
        if self.withheld == 1:
            log.warning("withheld a message of the upstream: %s", rule)

    def _method_of(self, answer: Message) -> str:
        """The method that an answer belongs to; `tools/list` when that is not known."""
        assert answer.id is not None  # noqa: S101 - `read_answer` only gives answers with an id
        if id_key(answer.id) == self._own:
            return self._own_method
        return self.session.method_of(answer.id) or "tools/list"

    def _notification(self, message: Message, policy: Compiled | None) -> bytes | None:
        if message.method == LIST_CHANGED:
            self._desk.catalogues.invalidate(self._link)
        elif message.method == ACKNOWLEDGED and self.acknowledged is None:
            self.acknowledged = as_object(message.params.get("notifications"))
        about_task = message.method.startswith("notifications/tasks")
        task = self._desk.book.notified(message, self._grant.name) if about_task else None
        if about_task and task is None and not self.session.runs:
            return None  # of somebody else; while calls run it may be of one whose answer is yet to come
        creator = None if task is None else task.policy
        strict = creator is not None and not passes_everything(creator)
        if strict and asks_too_much(creator, message.params):
            return None  # what a task asks must be allowed by the policy it was made under, too
        if self.open or _monitor(policy):
            return message.raw
        verdict = decide_method(policy, message.method, message.params, from_server=True)
        if verdict.effect != "allow":
            return None
        if about_task and asks_too_much(policy, message.params):
            return None
        return message.raw

    def _question(self, message: Message, policy: Compiled | None) -> bytes | None:
        """A request of the server: relayed and remembered, or answered by the gate (P6)."""
        assert message.id is not None  # noqa: S101 - a request has an id
        verdict = decide_method(policy, message.method, message.params, from_server=True)
        name = related(message)
        task = None if name is None else self._desk.book.tasks.of(self._grant.name, name)
        if verdict.effect == "allow" and task is not None and task.policy is not None:
            # What a task asks must be allowed by the policy it was made under, too.
            verdict = decide_method(task.policy, message.method, message.params, from_server=True)
        if verdict.effect == "allow" or _monitor(policy):
            self.session.ask(message.id, message.method)
            return message.raw
        if self.session.replies < MAX_REPLIES:
            self._desk.note("server-request-denied", message.method[:80], grant=self._grant.name)
            self._reply(answers.error(message.id, answers.DENIED, verdict.message or "denied by policy"))
        return None

    def _reply(self, body: bytes) -> None:
        """Answer the server ourselves, so that its tool does not hang."""
        desk, discard = self._desk, Discard(self.session)
        headers = for_own_request(self._headers, desk.own_headers)
        request = UpstreamRequest("POST", headers, body, grant=self._grant.name)
        discard.flow = desk.upstream.send(request, discard)

    def _response(self, message: Message, policy: Compiled | None) -> bytes | None:
        if message.id is None:
            return message.raw if self.open else self._judging().unasked_error(message, policy)
        if self._own is not None and id_key(message.id) == self._own:
            self.closed = self._own_answer(message, policy)
            return self.closed
        context = self.session.context_of(message.id)
        if context is not None:
            return self._late_answer(message, message.id, context, policy)
        if self.open and not lists_tasks(message):
            return message.raw
        self._withhold("(unasked answer)")
        return None

    def _own_answer(self, message: Message, policy: Compiled | None) -> bytes:
        results = self._judging()
        kept = results.judged(message, self.context, policy, unguarded=self.open)
        self.task = results.task
        if self._own_method == "initialize":
            _negotiated(self.session, message)
            if self._call is not None and self.session.exclusive:
                self.session.client = as_object(self._call.message.params.get("capabilities"))
        if self._held:
            self._settled()
        return kept

    def _late_answer(
        self, message: Message, message_id: MessageId, context: Context, policy: Compiled | None
    ) -> bytes:
        """An answer on another stream than the one it was asked on, or once more."""
        results, book = self._judging(), self._desk.book
        before = context.answered
        kept = results.judged(message, context, policy, unguarded=self.open)
        if results.task is not None:
            book.became(context, results.task)
        else:
            book.answered(context, Ended(status_of(kept, 200), self._desk.clock(), bytes=len(kept)))
        if not before and context.outstanding is not None:
            self.session.hold(message_id, context)
        return kept

    def _judging(self) -> Results:
        if self._results is None:
            self._results = Results(self._desk, self._link, self._era)
        self._results.task = None
        return self._results

    # What a stream leaves behind.

    def glance(self, body: bytes) -> None:
        """Learn of handles in an answer that passes unread. Only what can hold one is read."""
        if self._call is None or self._era == "legacy" or not has_handles(body):
            return
        message = read_message(body, max_bytes=MAX_ANSWER)
        if isinstance(message, Message) and message.id is not None and id_key(message.id) == self._own:
            self.task = self._desk.book.learn(message, self.context, self._grant.name)

    def passed(self, event_id: bytes) -> None:
        """The client was given an event with this id: from here it may resume."""
        session, self._place = self.session, event_id
        session.resumable = True
        self._desk.book.events.passed(self._grant.name, session.name, event_id)
        if self._own is None or self._held:
            return
        if self.lists:
            session.listed(self._own[1], self.context)
        elif self.closed is None:
            session.hold(self._own[1], self.context)
        else:
            return
        self._held = True

    def parted(self) -> None:
        """The stream ended without the answer, which may come on another one."""
        if self._place:
            self._desk.book.events.ended(self._grant.name, self.session.name, self._place)

    def _settled(self) -> None:
        """The answer came as it should: a replay of it is no second outcome."""
        self.context.answered = True
        if self._own is not None and self.context.outstanding is not None:
            self.session.hold(self._own[1], self.context)


def _negotiated(session: Session, message: Message) -> None:
    """Keep what initialize settled. Without a session there is nobody whom it would belong to."""
    result = as_object(message.envelope.get("result")) or {}
    version = result.get("protocolVersion")
    if session.exclusive and isinstance(version, str):
        declared = frozenset(_declared(as_object(result.get("capabilities")) or {}))
        session.negotiated(version[:MAX_VERSION], declared)


def _declared(capabilities: Mapping[str, object]) -> Iterator[str]:
    """The names of capabilities, and of those members that are true. Bounded."""
    for name, value in islice(capabilities.items(), MAX_CAPABILITIES):
        yield name[:64]
        for member, held in islice((as_object(value) or {}).items(), MAX_CAPABILITIES):
            if held is True:
                yield f"{name[:64]}.{member[:64]}"


def _monitor(policy: Compiled | None) -> bool:
    return policy is not None and policy.monitor
