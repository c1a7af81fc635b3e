"""Passes one upstream answer to the client, and notices what came of the call.

Bytes stream through unless something in the answer must be looked at first: a filtered list,
the events of a stream, the questions in a modern result, and, where policy hides anything, which
request a JSON answer belongs to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from ostiary.audit.record import Status
from ostiary.calls.call import Ended
from ostiary.errors import UpstreamFault
from ostiary.proxy.answering import Answering
from ostiary.proxy.ending import end_with
from ostiary.proxy.exchange import Flow, Head, Responder
from ostiary.proxy.headers import SESSION, towards_client
from ostiary.proxy.judge import MAX_ANSWER, WITHHELD, Judge
from ostiary.proxy.peek import (
    Mode,
    compressed,
    error_of,
    in_utf8,
    mode_of,
    plain_event,
    plain_id,
    status_of,
)
from ostiary.wire import answers, sse

log = logging.getLogger("ostiary.proxy")

TEE = 1024 * 1024

MAX_UNREAD = 16 * 1024 * 1024
"""Bytes of an answer that are still awaited after its client has gone."""

UNANSWERED = "the upstream ended its event stream without an answer"
UNREADABLE = "the upstream's answer is neither JSON nor an event stream"


class Relay:
    """A sink that writes to a responder. `done` is called once, with how the call ended."""

    __slots__ = (
        "_answering",
        "_buffer",
        "_done",
        "_events",
        "_head",
        "_http_status",
        "_judge",
        "_mode",
        "_resumable",
        "_seen",
        "_size",
        "_started",
        "_status",
        "_unread",
        "flow",
        "responder",
        "written",
    )

    def __init__(
        self,
        answering: Answering,
        judge: Judge,
        responder: Responder | None,
        done: Callable[[Ended], None],
    ) -> None:
        self._answering = answering
        self._judge = judge
        self.responder = responder
        self._done: Callable[[Ended], None] | None = done
        self._mode: Mode = "stream"
        self._buffer: list[bytes] = []
        self._seen = 0
        self._size = 0
        self._unread = 0
        self._resumable = False
        self._started = False
        self._head = Head(0)
        self._http_status = 0
        self._status: Status | None = None
        self._events: sse.SseParser | None = None
        self.flow: Flow | None = None
        self.written = False

    # The upstream's side: what the sink is told.

    def head(self, head: Head) -> None:
        self._guarded(lambda: self._take_head(head))

    def data(self, data: bytes) -> None:
        if self._done is not None:
            self._guarded(lambda: self._take(data))

    def end(self) -> None:
        if self._done is not None:
            self._guarded(self._finish_whole if self._mode == "whole" else self._finish)

    def fault(self, fault: UpstreamFault) -> None:
        if self._done is None:
            return
        if self._status is not None:
            # The answer was complete; what broke afterwards is the stream around it.
            self._tell(200, b"")
            self._close(self._status, "")
            return
        if self._can_resume and fault.written:
            # As if the server had closed it: the client goes on where it was.
            self._tell(200, b"")
            self._part(fault.message)
            return
        self._report(fault.message)
        self._close("unknown" if fault.written else "not_sent", "", fault.message)

    @property
    def _can_resume(self) -> bool:
        """Whether the client of an event stream can ask for the rest of it elsewhere."""
        waited = self._status is None and self._answering.message_id is not None
        return waited and self._mode == "events" and self._started and self._resumable

    # The client's side.

    def client_gone(self) -> None:
        """The client went away: nothing is written any more; the answer is still awaited."""
        self.responder = None
        if self.flow is not None:
            self.flow.resume()

    def cancel(self) -> None:
        """Stop the upstream's work (modern era: a disconnect is a cancel)."""
        self.responder = None
        self._drop("cancelled", "the client went away")

    def abandon(self) -> None:
        """Wait no longer for an answer that nobody reads."""
        self._drop("unknown", "the client went away before the answer")

    def halt(self, note: str, status: int, body: bytes) -> None:
        """The gate itself ends the call. Its client gets `body`, unless it has its answer already."""
        if self._done is None:
            return
        self._stop()
        if self._status is not None:
            self.fault(UpstreamFault(note, written=True))
            return
        resumable = self._can_resume
        self._tell(status, body)
        if resumable:
            self._part(note)  # the answer may still come, on another stream
        else:
            self._close("cancelled", "", note)

    def insert(self, message: bytes) -> bool:
        """Write a message of the gate's own between two events; False where no event stream is open.

        It carries no id, so that resuming points stay the upstream's.
        """
        if self._done is None or self._events is None or self.responder is None:
            return False
        self.responder.write(sse.event(message))
        self.written = True
        return True

    def keep_alive(self) -> None:
        """Write a comment to a stream that has been silent for a while."""
        if self.responder is not None:
            self.responder.write(sse.comment())

    def give_up(self) -> None:
        """The call is over for the gate, however that came about: nobody may wait for it."""
        if self._done is not None:
            self._done = None
            self._answering.streams.discard(self)
            self._report("the gateway failed while relaying the answer")
            self._stop()

    # Inside.

    def _guarded(self, step: Callable[[], None]) -> None:
        """A fault of our own ends the answer: whoever waits for it must hear of its end."""
        try:
            step()
        except Exception:  # the relay's edge: the call was forwarded, and only its answer is lost
            log.exception("an answer ended by an unexpected fault")
            if self._done is not None:
                self._refuse("the gateway failed while relaying the answer")

    def _drop(self, status: Status, note: str) -> None:
        if self._done is not None:
            self._stop()
            self._close(status, "", note)

    def _take_head(self, head: Head) -> None:
        self._http_status = head.status
        if 300 <= head.status < 400:  # noqa: PLR2004 - the HTTP class
            self._refuse("the upstream answered with a redirect, which is never followed")
            return
        if compressed(head):
            self._refuse("the upstream compressed its answer although identity was asked for")
            return
        self._answering.on_head(head)
        judge = self._judge
        self._mode = mode_of(head, self._answering.kind, lists=judge.read, unguarded=judge.open)
        match self._mode:
            case "events":
                self._events = sse.SseParser(max_event=MAX_ANSWER)
                self._start(head if judge.open else in_utf8(head), None)
                self._answering.streams.add(self)
            case "whole":
                self._head = head
            case "bare":
                self._start(head, 0)
            case "refused":
                self._refuse(UNREADABLE)
            case "stream":
                self._start(head, head.length)

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self.responder is None:
            self._unread += len(data)
            if self._unread > MAX_UNREAD:
                self.abandon()
                return
        match self._mode:
            case "stream":
                self._tee(data)
                if self.responder is not None:
                    self.responder.write(data)
            case "whole":
                self._buffer.append(data)
                if self._size > MAX_ANSWER:
                    self._refuse(f"the answer must be checked and is over {MAX_ANSWER} bytes")
            case "events":
                self._feed(data)
            case "bare" | "refused":
                pass

    def _start(self, head: Head, length: int | None) -> None:
        self._started = True
        if self.responder is None:
            return
        session = head.header(SESSION)
        sealed = self._answering.seal(session) if session is not None else None
        self.responder.start(Head(head.status, towards_client(head.headers, sealed), length))

    def _tee(self, data: bytes) -> None:
        self._seen += len(data)
        if self._seen <= TEE:
            self._buffer.append(data)

    def _feed(self, data: bytes) -> None:
        assert self._events is not None  # noqa: S101 - set together with the mode
        try:
            events = self._events.feed(data)
        except ValueError as error:
            self.fault(UpstreamFault(f"event stream: {error}", written=True))
            self._stop()
            return
        self._pass_on(events)

    def _pass_on(self, events: list[sse.Event]) -> None:
        passed = b"".join([out for event in events if (out := self._event(event))])
        if passed and self.responder is not None:
            self.responder.write(passed)
            self.written = True

    def _event(self, event: sse.Event) -> bytes:
        self._resumable = self._resumable or bool(event.id)
        kept = self._judge.message(event.data) if event.data else event.data
        if event.data:
            self._note_answer()
            if kept is None:
                return b""
        if event.id and self.responder is not None:
            self._judge.passed(event.id)
        return self._plain(event) if kept is event.data else sse.replace_data(event, kept or b"")

    def _note_answer(self) -> None:
        closed = self._judge.closed
        if closed is not None and self._status is None:
            self._status = status_of(closed, 200)
            self._tee(closed)

    def _plain(self, event: sse.Event) -> bytes:
        if self._judge.open:
            return event.raw
        passed = plain_event(event)
        self._resumable = self._resumable and passed is event.raw
        return passed

    def _finish(self) -> None:
        """The end of an answer. A request must not be left without one."""
        if self._events is not None and not self._end_events(self._events):
            return
        body = b"".join(self._buffer)
        if self._status is None and self._mode != "events":
            cut = self._seen > TEE
            self._status = "ok" if cut else status_of(body, self._http_status)
            if not cut and self._status == "ok":
                self._judge.glance(body)
        if self.responder is not None:
            self.responder.finish()
        if self._status is None and self._answering.message_id is not None:
            self._part("")
            return
        digest = self._answering.digest(body) if body and self._seen <= TEE else ""
        status = self._status or "ok"
        self._close(status, digest)

    def _end_events(self, events: sse.SseParser) -> bool:
        """Whether the stream ended as it may: with the answer, or where it can be resumed."""
        try:
            complete, rest = events.finish()
        except sse.EventTooLarge as error:
            self.fault(UpstreamFault(f"event stream: {error}", written=True))
            return False
        self._pass_on(complete)
        if self._status is not None or self._answering.message_id is None:
            return True
        if self._judge.withheld or rest.strip() or not self._resumable:
            self._refuse(WITHHELD if self._judge.withheld else UNANSWERED)
            return False
        return True

    def _finish_whole(self) -> None:
        body = b"".join(self._buffer)
        kept = body if self._judge.quick(plain_id(body)) else self._judged(body)
        if kept is None:
            self._refuse(WITHHELD)
            return
        self._start(self._head if self._judge.open else in_utf8(self._head), len(kept))
        if self.responder is not None:
            self.responder.write(kept)
            self.responder.finish()
        self._close(status_of(body, self._http_status), self._answering.digest(body))

    def _judged(self, body: bytes) -> bytes | None:
        """A JSON body must be the answer to this request; with an error status, an error will do."""
        kept = self._judge.message(body)
        if self._judge.closed is not None:
            return kept
        if self._judge.open and not self._judge.always:
            return body
        if self._http_status < 400:  # noqa: PLR2004 - the HTTP class
            return None
        return error_of(body, kept, lists=self._judge.lists)

    def _refuse(self, reason: str) -> None:
        """End an answer that may not be passed on; the call itself did reach the upstream."""
        self._report(reason)
        self._stop()
        self._close("unknown", "", reason)

    def _report(self, reason: str) -> None:
        """Tell the client of a failure in the shape that it waits for."""
        message_id = self._answering.message_id
        if message_id is not None:
            self._tell(200, answers.error(message_id, 4502, reason))
        elif not self._started:
            status = 502
            self._tell(status, b"")
        elif self.responder is not None:
            self.responder.abort()

    def _tell(self, status: int, body: bytes) -> None:
        if self.responder is not None:
            events = self._mode == "events"
            end_with(self.responder, status, body, started=self._started, events=events)

    def _stop(self) -> None:
        if self.flow is not None:
            self.flow.cancel()

    def _part(self, note: str) -> None:
        """The stream is over, and the answer may come on another one."""
        self._judge.parted()
        self._close("unknown", "", note, "stream")

    def _close(
        self, status: Status, digest: str, note: str = "", later: Literal["", "task", "stream"] = ""
    ) -> None:
        if self._judge.task is not None:
            later = "task"
        done, self._done = self._done, None
        self._buffer = []
        self._answering.streams.discard(self)
        if done is not None:
            at = self._answering.clock()
            done(Ended(status, at, self._http_status, self._size, digest, note, later))
