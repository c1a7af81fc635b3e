"""Turns HTTP answers back into the lines that a stdio client expects.

A request is answered exactly once, whatever the other side does: an HTTP error without a usable
body, a stream that ends early or a connection that is cut becomes a JSON-RPC error with the
request's id. A notification is never answered.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.proxy.exchange import Callback, ClientRequest, Head
from ostiary.proxy.stdio.complaint import Complaints
from ostiary.proxy.stdio.glance import Glance, glance
from ostiary.proxy.stdio.outlet import error_body, one_line
from ostiary.proxy.stdio.pipe import nothing
from ostiary.wire.lines import MAX_LINE
from ostiary.wire.sse import Event, EventTooLarge, SseParser

INTERNAL_ERROR = -32603
MAX_BODY = 2 * MAX_LINE
MAX_RESUMES = 1_000
DEFAULT_RETRY = 1.0
SHORTEST_RETRY = 0.1


class Turns(msgspec.Struct, frozen=True):
    """What an answer tells its owner.

    `line` is a message for the client, `first` looks at the response before that, `settled`
    says that no more will come, `resume` asks to go on with a stream that was cut.
    """

    line: Callable[[bytes], object]
    first: Callable[[Answer, Glance, bytes], object]
    settled: Callable[[Answer], object]
    resume: Callable[[Answer], bool]
    complain: Complaints


class _Events:
    """The messages in an event stream, with what is needed to resume it."""

    __slots__ = ("_parser", "last_id", "retry")

    def __init__(self) -> None:
        self._parser = SseParser()
        self.last_id: bytes | None = None
        self.retry = DEFAULT_RETRY

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises EventTooLarge."""
        return self._messages(self._parser.feed(data))

    def finish(self) -> list[bytes]:
        """The messages that only the end of the stream completes."""
        return self._messages(self._parser.finish()[0])

    def _messages(self, events: list[Event]) -> list[bytes]:
        found: list[bytes] = []
        for event in events:
            if event.id is not None:
                self.last_id = event.id
            if event.retry is not None:
                self.retry = max(event.retry / 1000, SHORTEST_RETRY)
            if event.data and event.event == "message":
                found.append(event.data)
        return found


class Answer:
    """The `Responder` for one line of the client."""

    def __init__(self, request: ClientRequest, seen: Glance | None, turns: Turns) -> None:
        """`seen` is None for a line that is not one message: a batch, or nothing readable."""
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.request = request
        self.seen = seen
        self.cancelled = False
        self.done = False
        self.session: bytes | None = None
        self.resumed = 0
        self._turns = turns
        self._status = 0
        self._events: _Events | None = None
        self._body = bytearray()
        self._answered = False

    @property
    def waits(self) -> bool:
        """Whether the client expects a response that has not come."""
        return (self.seen is None or self.seen.kind == "request") and not self._answered

    @property
    def last_event(self) -> tuple[bytes | None, float]:
        """The last event id of the stream, and the seconds to wait before resuming it."""
        return (None, DEFAULT_RETRY) if self._events is None else (self._events.last_id, self._events.retry)

    def start(self, head: Head) -> None:
        self._status = head.status
        self.session = head.header(b"mcp-session-id") or self.session
        kind = (head.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        former, self._events = self._events, None
        if kind == b"text/event-stream" and head.status == 200:  # noqa: PLR2004 - HTTP OK
            self._events = _Events()
            if former is not None:
                self._events.last_id, self._events.retry = former.last_id, former.retry

    def write(self, data: bytes) -> None:
        if self.done:
            return
        if self._events is None:
            self._body += data
            if len(self._body) > MAX_BODY:
                self._end(f"the answer is over {MAX_BODY} bytes", cut=True)
            return
        try:
            for message in self._events.feed(data):
                self._deliver(message)
        except EventTooLarge as error:
            self._end(str(error), cut=True)

    def finish(self) -> None:
        if self.done:
            return
        if self._events is None:
            self._whole(bytes(self._body))
            return
        for message in self._events.finish():
            self._deliver(message)
        self._end_stream()

    def abort(self) -> None:
        if self.done:
            return
        if self._events is None:
            self._end("the answer was cut off")
        else:
            self._end_stream()

    def give_up(self, reason: str) -> None:
        """Answer with an error now, and let go of the exchange."""
        if not self.done:
            self._end(reason, cut=True)

    def cancel(self) -> None:
        """The client wants no answer any more; on the modern era that ends the exchange."""
        self.cancelled = True
        if self.seen is not None and self.seen.modern and not self.done:
            self._end("", cut=True)

    def take_response(self, message: bytes, seen: Glance) -> None:
        """Its response has come on the GET stream."""
        self._deliver(message, seen)
        if not self.done:
            self._end("", cut=True)

    def _whole(self, body: bytes) -> None:
        """A body that is not a stream: a message, an error in some form, or nothing.

        (1) A readable message is passed on, an error without an id gets the request's; (2) what
        is left is an HTTP status and words that no client of ours would read.
        """
        # (1)
        seen = glance(body) if body else None
        if self.seen is None:
            if body and (seen is not None or body.lstrip()[:1] == b"["):
                self._answered = True
                self._turns.line(one_line(body))
        elif seen is not None and seen.kind == "response" and self.seen.kind == "request":
            if seen.id is None and seen.error:
                body = b'{"jsonrpc":"2.0","id":' + self.seen.id_raw + b',"error":' + seen.error + b"}"
                seen.id = self.seen.id
            self._deliver(body, seen)
        # (2)
        if self._status == 202 and self.seen is None:  # noqa: PLR2004 - HTTP Accepted: no requests in it
            self._answered = True
        if self._status < 300:  # noqa: PLR2004 - HTTP success
            self._end("the server sent no answer to this request")
        else:
            self._end(f"the server answered with HTTP status {self._status}")

    def _deliver(self, message: bytes, seen: Glance | None = None) -> None:
        seen = seen or glance(message)
        if seen is None:
            self._turns.complain("the server sent an event that is not a JSON-RPC message; dropped")
            return
        if seen.kind == "response" and self.seen is not None:
            if self._answered or seen.id != self.seen.id:
                self._turns.complain("the server answered a request that was not asked here; dropped")
                return
            self._answered = True
            self._turns.first(self, seen, message)
        self._answered = self._answered or seen.kind == "response"
        self._turns.line(one_line(message))

    def _end_stream(self) -> None:
        """A stream may end before the response when the server wants to be asked again for it."""
        if self.waits and not self.cancelled and self.seen is not None and self.resumed < MAX_RESUMES:
            self.resumed += 1
            if self._turns.resume(self):
                return
        self._end("the answer ended before it was complete")

    def _end(self, reason: str, *, cut: bool = False) -> None:
        self.done = True
        if cut:
            self.on_gone()
        is_request = self.seen is None or self.seen.kind == "request"
        if is_request and self.waits and not self.cancelled:
            id_raw = b"" if self.seen is None else self.seen.id_raw
            self._turns.line(error_body(id_raw, INTERNAL_ERROR, reason))
        elif not is_request and reason and self._status >= 300:  # noqa: PLR2004 - beyond HTTP success
            self._turns.complain(f"a {self.seen.kind if self.seen else 'message'} was not accepted: {reason}")
        self._turns.settled(self)
