"""Passes one upstream answer to the client, and notices what came of the call.

Bytes stream through unless something in the answer must be looked at first: a filtered list,
the events of a stream, the questions in a modern result.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.audit.record import Status
from ostiary.calls.call import Ended
from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Flow, Head, Responder
from ostiary.proxy.headers import SESSION, towards_client
from ostiary.proxy.judge import MAX_ANSWER, WITHHELD, Judge
from ostiary.wire import answers, sse
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message, MessageId

TEE = 1024 * 1024

JSON = b"application/json"
EVENTS = b"text/event-stream"


class _ToolResult(msgspec.Struct):
    isError: bool = False  # noqa: N815 - the wire's name


class _Peek(msgspec.Struct):
    result: _ToolResult | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_peek = msgspec.json.Decoder(_Peek).decode


def status_of(body: bytes, http_status: int) -> Status:
    """What an answer says of its call: `ok`, `tool_error` (`isError`) or `error`."""
    if http_status >= 400:  # noqa: PLR2004 - the HTTP class
        return "error"
    if not body:
        return "ok"
    try:
        peek = _peek(body)
    except msgspec.MsgspecError:
        return "error"
    if peek.error is not msgspec.UNSET:
        return "error"
    result = peek.result
    return "tool_error" if result is not msgspec.UNSET and result.isError else "ok"


class Answering(msgspec.Struct):
    """What a relay needs to know of the message that it answers.

    `message_id` is None for notifications and responses, which get no JSON-RPC answer.
    `whole` asks to buffer a JSON answer, because the judge must see it first.
    """

    message_id: MessageId | None
    method: str
    whole: bool
    seal: Callable[[bytes], bytes]
    on_head: Callable[[Head], None]
    digest: Callable[[bytes], str]
    clock: Callable[[], int]


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
        "_seen",
        "_size",
        "_started",
        "_status",
        "flow",
        "responder",
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
        self._mode = "stream"
        self._buffer: list[bytes] = []
        self._seen = 0
        self._size = 0
        self._started = False
        self._head: Head | None = None
        self._http_status = 0
        self._status: Status | None = None
        self._events: sse.SseParser | None = None
        self.flow: Flow | None = None

    # The upstream's side: what the sink is told.

    def head(self, head: Head) -> None:
        self._http_status = head.status
        if 300 <= head.status < 400:  # noqa: PLR2004 - the HTTP class
            self._refuse("the upstream answered with a redirect, which is never followed")
            return
        encoding = head.header(b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            self._refuse("the upstream compressed its answer although identity was asked for")
            return
        self._answering.on_head(head)
        kind = (head.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind == EVENTS:
            self._mode = "events"
            self._events = sse.SseParser(max_event=MAX_ANSWER)
            self._start(head, None)
        elif kind == JSON and self._answering.whole and head.status < 400:  # noqa: PLR2004 - the HTTP class
            self._mode = "whole"
            self._head = head
        else:
            self._start(head, head.length)

    def data(self, data: bytes) -> None:
        if self._done is None:
            return
        self._size += len(data)
        if self._mode == "stream":
            self._tee(data)
            if self.responder is not None:
                self.responder.write(data)
        elif self._mode == "whole":
            self._buffer.append(data)
            if self._size > MAX_ANSWER:
                self._refuse(f"the answer must be checked and is over {MAX_ANSWER} bytes")
        else:
            self._feed(data)

    def end(self) -> None:
        if self._done is None:
            return
        if self._mode == "whole":
            self._finish_whole()
            return
        if self._events is not None:
            self._pass_on(self._events.finish()[0])
        if self.responder is not None:
            self.responder.finish()
        body = b"".join(self._buffer)
        if self._status is None and self._mode == "stream":
            cut = self._seen > TEE
            self._status = "ok" if cut else status_of(body, self._http_status)
        digest = self._answering.digest(body) if body and self._seen <= TEE else ""
        status = self._status or ("unknown" if self._answering.message_id is not None else "ok")
        self._close(status, digest)

    def fault(self, fault: UpstreamFault) -> None:
        if self._done is None:
            return
        if self._status is not None:
            # The answer was complete; what broke afterwards is the stream around it.
            self._finish_or_abort()
            self._close(self._status, "")
            return
        self._report(fault.message)
        self._close("unknown" if fault.written else "not_sent", "", fault.message)

    # The client's side.

    def client_gone(self) -> None:
        """The client went away: nothing is written any more; the answer is still awaited."""
        self.responder = None
        if self.flow is not None:
            self.flow.resume()

    def cancel(self) -> None:
        """Stop the upstream's work (modern era: a disconnect is a cancel)."""
        if self._done is None:
            return
        self.responder = None
        if self.flow is not None:
            self.flow.cancel()
        self._close("cancelled", "", "the client went away")

    # Inside.

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

    def _event(self, event: sse.Event) -> bytes:
        if not event.data:
            return event.raw
        kept = self._judge.message(event.data)
        closed = self._judge.closed
        if closed is not None and self._status is None:
            self._status = status_of(closed, 200)
            self._tee(closed)
        if kept is None:
            return b""
        return event.raw if kept is event.data else sse.replace_data(event, kept)

    def _finish_whole(self) -> None:
        body = b"".join(self._buffer)
        message = read_message(body, max_bytes=MAX_ANSWER)
        if not isinstance(message, Message) or message.kind != "response":
            self._refuse(WITHHELD)
            return
        kept = self._judge.answer_to_own(message, self._answering.method)
        assert self._head is not None  # noqa: S101 - set together with the mode
        self._start(self._head, len(kept))
        if self.responder is not None:
            self.responder.write(kept)
            self.responder.finish()
        self._close(status_of(body, self._http_status), self._answering.digest(body))

    def _refuse(self, reason: str) -> None:
        """End an answer that may not be passed on; the call itself did reach the upstream."""
        self._report(reason)
        self._stop()
        self._close("unknown", "", reason)

    def _report(self, reason: str) -> None:
        """Tell the client of a failure in the shape that it waits for."""
        responder, message_id = self.responder, self._answering.message_id
        if responder is None:
            return
        if message_id is None:
            if not self._started:
                responder.start(Head(502, ((b"content-type", b"text/plain"),), 0))
                responder.finish()
            else:
                responder.abort()
            return
        body = answers.error(message_id, 4502, reason)
        if self._started and self._mode != "events":
            responder.abort()
            return
        if not self._started:
            responder.start(Head(200, ((b"content-type", JSON),), len(body)))
        responder.write(sse.event(body) if self._mode == "events" else body)
        responder.finish()

    def _finish_or_abort(self) -> None:
        if self.responder is None:
            return
        if self._mode == "events":
            self.responder.finish()
        else:
            self.responder.abort()

    def _stop(self) -> None:
        if self.flow is not None:
            self.flow.cancel()

    def _close(self, status: Status, digest: str, note: str = "") -> None:
        done, self._done = self._done, None
        if done is not None:
            done(Ended(status, self._answering.clock(), self._http_status, self._size, digest, note))
