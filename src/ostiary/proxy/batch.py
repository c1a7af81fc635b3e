"""A batch of revision 2025-03-26: its members are calls of their own, their answers are one answer.

`admitted` says whether an array is a batch that the session may send. `Batch` gives every member
a `Responder`; what comes back on those becomes one event stream, or one array. JSON-RPC 2.0
section 6; MCP 2025-03-26, streamable HTTP, "Sending Messages to the Server".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from ostiary.proxy.exchange import ClientRequest, Head, Responder
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.member import TOO_MUCH, Member, read_told
from ostiary.proxy.peek import EVENTS, JSON
from ostiary.proxy.sessions import Session
from ostiary.wire import sse
from ostiary.wire.arrays import REVISION
from ostiary.wire.envelope import read_message
from ostiary.wire.era import VERSION_HEADER, check_headers
from ostiary.wire.ids import IdKey, id_key
from ostiary.wire.message import Message, Refusal

log = logging.getLogger("ostiary.proxy")

RULE = "(batch)"

MAX_HELD = 16 * 1024 * 1024
"""Bytes of answers that one batch may hold back, all members together."""
Form = Literal["events", "array", "lines"]
"""How a batch is answered: each message an event; one array at the end; or, to a stdio client,
one array after the lines of whatever else the server says meanwhile."""

_SPREAD = Head(200, ((b"content-type", EVENTS), (b"cache-control", b"no-cache")))


def admitted(
    found: tuple[Message, ...] | Refusal, request: ClientRequest, session: Session
) -> tuple[Message, ...] | Refusal:
    """The members of the batch in `request`, or the one refusal for all of it.

    `found` is what was read so far, which is a refusal unless batches were already asked for.
    A server of this day may run an array on any revision, so only here is it kept out.
    """
    if isinstance(found, Refusal):
        if found.rule != RULE or session.version != REVISION:
            return found
        read = read_message(request.body, max_bytes=len(request.body), batches=True)
        assert not isinstance(read, Message)  # noqa: S101 - it was an array a moment ago
        found = read
    if isinstance(found, Refusal):
        return found
    if request.header(VERSION_HEADER) not in (None, REVISION.encode()):
        return _refused("MCP-Protocol-Version names a revision that has no batches")
    for member in found:
        era = check_headers(member, request.headers)
        if isinstance(era, Refusal):
            return _refused(era.message)
        if era != "legacy":
            return _refused("a member of the batch names a revision that has no batches")
    return found


def _refused(text: str) -> Refusal:
    return Refusal(-32600, 400, text, RULE)


def form_of(request: ClientRequest) -> Form:
    """The form in which the client of `request` takes the answer."""
    if request.peer == "stdio":
        return "lines"
    accepted = b",".join(value for name, value in request.headers if name == b"accept").lower()
    kinds = {kind.partition(b";")[0].strip() for kind in accepted.split(b",")}
    return "events" if EVENTS in kinds else "array"


class _Failure(msgspec.Struct, frozen=True):
    """An HTTP status that stands where a member's answer should be, as it came."""

    head: Head
    body: bytes


class Batch:
    """The one answer to a batch. `members` are the responders, in the order of the messages.

    It is over when each request has its answer or its failure; where there is no request, when
    each message was taken. If all fail alike before anything was sent, that HTTP answer is the
    whole answer: a client must hear of a lost session (404) or a missing login (401) as such.
    A client that goes away cancels nothing.
    """

    __slots__ = (
        "_by_id", "_dropped", "_failures", "_form", "_held", "_kept", "_open", "_over", "_responder",
        "_started", "_streams", "members", "paused", "written",
    )  # fmt: skip

    def __init__(
        self, messages: Sequence[Message], responder: Responder, form: Form, streams: KeepAlive
    ) -> None:
        """`streams` looks after the answer while nothing is written to it."""
        self.members = [Member(self, message) for message in messages]
        self.written = False
        self.paused = False
        self._responder = responder
        self._form: Form = form
        self._streams = streams
        self._by_id: dict[IdKey, Member] = {id_key(one.id): one for one in self.members if one.id is not None}
        self._open = {id(one) for one in (self._by_id.values() or self.members)}
        self._kept: dict[int, bytes] = {}
        self._failures: dict[int, _Failure] = {}
        self._held = 0
        self._dropped = False
        self._started = False
        self._over = False
        responder.on_gone = self._close
        responder.on_pause = self._pause
        responder.on_resume = self._resume
        if self._by_id and form != "array":
            streams.add(self)

    # What members report.

    @property
    def over(self) -> bool:
        """Whether nothing is written any more."""
        return self._over

    def hold(self, size: int) -> bool:
        """Count `size` bytes that are held back, or given back; False when they are too many."""
        self._held += size
        return self._held <= MAX_HELD

    def message(self, raw: bytes) -> None:
        """Pass on one message that came in the answer of a member."""
        read = read_told(raw)
        if read is None:
            self._drop()
        elif read.kind == "response":
            member = None if read.id is None else self._by_id.get(id_key(read.id))
            if member is None and self._form == "events":
                self._event(raw)
            elif member is not None and not member.answered:
                self.answered(member, raw)
        elif self._form != "array":  # an array has no place for what is no answer
            self._event(raw)

    def _drop(self) -> None:
        """Say so once: an upstream must not be able to fill the log."""
        if not self._dropped:
            self._dropped = True
            log.warning("dropped a message of the upstream that cannot be part of the answer to a batch")

    def answered(self, member: Member, raw: bytes) -> None:
        """The answer of `member` is there. It may have failed before, and be answered by another stream."""
        self._failures.pop(id(member), None)
        self._put(member, raw)
        self._settle(member)

    def failed(self, member: Member, head: Head, body: bytes) -> None:
        """`member` has an HTTP status and no answer."""
        if id(member) not in self._open:
            return
        if self._started:
            self.answered(member, member.error(_status(head)))
            return
        self._failures[id(member)] = _Failure(head, body)
        self._settle(member)

    def taken(self, member: Member) -> None:
        """The notification or response `member` was accepted."""
        self._settle(member)

    def keep_alive(self) -> None:
        """Show the client that its answers are awaited."""
        if not self._over:
            self._start()
            self._responder.write(sse.comment())

    # Inside.

    def _put(self, member: Member, raw: bytes) -> None:
        """Send the answer of `member`, or keep it for the end."""
        member.answered = True
        if self._form == "events":
            self._event(raw)
        elif not self._over:
            self._kept[id(member)] = raw if self.hold(len(raw)) else member.error(TOO_MUCH)

    def _settle(self, member: Member) -> None:
        self._open.discard(id(member))
        if not self._open and not self._over:
            self._conclude()

    def _conclude(self) -> None:
        alike = self._failed_alike()
        if alike is not None:
            self._whole(Head(alike.head.status, alike.head.headers, len(alike.body)), alike.body)
        elif not self._by_id and not self._started:
            self._whole(Head(202, (), 0), b"")
        elif not self._by_id:  # the server said something although it was asked nothing
            self._close()
            self._responder.finish()
        else:
            self._pass_failures()
            self._finish()

    def _failed_alike(self) -> _Failure | None:
        """The first failure, if each member has one and all have the same status.

        A stdio client never sees a status; it waits for an answer to each id.
        """
        expected = len(self._by_id) or len(self.members)
        statuses = {failure.head.status for failure in self._failures.values()}
        if self._form == "lines" or len(self._failures) != expected or len(statuses) != 1:
            return None
        return next(iter(self._failures.values()))

    def _finish(self) -> None:
        """Everything is there: send what was kept, in the order of the requests."""
        if self._form == "events":
            self._close()
            self._responder.finish()
            return
        kept = [self._kept[id(one)] for one in self.members if id(one) in self._kept]
        body = b"[" + b",".join(kept) + b"]"
        if self._form == "array":
            self._whole(Head(200, ((b"content-type", JSON),), len(body)), body)
            return
        self._event(body)
        self._close()
        self._responder.finish()

    def _whole(self, head: Head, body: bytes) -> None:
        self._close()
        self._responder.start(head)
        if body:
            self._responder.write(body)
        self._responder.finish()

    def _event(self, raw: bytes) -> None:
        if not self._over:
            self._start()
            self._responder.write(sse.event(raw))
            self.written = True

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._responder.start(_SPREAD)
            self._pass_failures()

    def _pass_failures(self) -> None:
        """Some members did not fail: those that did get an error each."""
        failures, self._failures = self._failures, {}
        for member in self._by_id.values():
            failure = failures.get(id(member))
            if failure is not None:
                self._put(member, member.error(_status(failure.head)))

    def _close(self) -> None:
        """Nothing is written any more. Calls that still run go on to their outcome, as each would alone."""
        self._over = True
        self._kept = {}
        self._streams.discard(self)
        self._each(lambda member: member.on_gone())

    def _pause(self) -> None:
        self.paused = True
        self._each(lambda member: member.on_pause())

    def _resume(self) -> None:
        self.paused = False
        self._each(lambda member: member.on_resume())

    def _each(self, tell: Callable[[Member], object]) -> None:
        for member in self.members:
            if not member.done:
                tell(member)


def _status(head: Head) -> str:
    return f"the upstream answered with HTTP status {head.status}"
