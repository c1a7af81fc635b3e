"""Turns HTTP answers back into the single messages that a client without HTTP expects.

A request is answered exactly once, whatever the other side does: an HTTP error without a usable
body, a stream that ends early or a connection that is cut becomes a JSON-RPC error with the
request's id. A notification is never answered.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.glance import Glance, glance
from ostiary.proxy.bridge.outlet import error_body, one_line
from ostiary.proxy.exchange import Callback, ClientRequest, Head, nothing
from ostiary.wire.arrays import taken_apart
from ostiary.wire.lines import MAX_LINE
from ostiary.wire.sse import Event, EventTooLarge, SseParser

INTERNAL_ERROR = -32603
MAX_BODY = 2 * MAX_LINE
MAX_RESUMES = 1_000
DEFAULT_RETRY = 1.0
SHORTEST_RETRY = 0.1

JSON = b"application/json"
NOT_FOUND = 404
"""Where a session id was sent: the session has ended (MCP 2025-06-18, session management)."""

Verdict = Callable[[int, bytes], object]
"""Told once, for bytes that are not one message: the HTTP status and body of their refusal, or 202."""


class Turns(msgspec.Struct, frozen=True):
    """What an answer tells its owner.

    `line` is a message for the client, `first` looks at the response before that, `settled`
    says that no more will come, `resume` asks to go on with a stream that was cut. `lost` is asked
    what to do where the session is not known any more: True leaves the message with the owner.
    """

    line: Callable[[bytes], object]
    first: Callable[[Answer, Glance, bytes], object]
    settled: Callable[[Answer], object]
    resume: Callable[[Answer], bool]
    lost: Callable[[Answer], bool]
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

    def __init__(
        self, request: ClientRequest, seen: Glance | None, turns: Turns, verdict: Verdict | None = None
    ) -> None:
        """`seen` is None for a line that is not one message: a batch, or nothing readable.

        `verdict` is told what became of those; without it a refusal is a message for the client.
        """
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.request = request
        self.seen = seen
        self.cancelled = False
        self.done = False
        self.session: bytes | None = None
        self.resumed = 0
        self.kept = False
        self.again = False
        self.turns = turns
        self.status = 0
        self._events: _Events | None = None
        self._body = bytearray()
        self._words = False
        self._answered = False
        self._verdict = verdict if seen is None else None

    @property
    def modern(self) -> bool:
        """Whether it belongs to a request of the era without sessions."""
        return self.seen is not None and self.seen.modern

    @property
    def waits(self) -> bool:
        """Whether the client expects a response that has not come."""
        return (self.seen is None or self.seen.kind == "request") and not self._answered

    @property
    def last_event(self) -> tuple[bytes | None, float]:
        """The last event id of the stream, and the seconds to wait before resuming it."""
        return (None, DEFAULT_RETRY) if self._events is None else (self._events.last_id, self._events.retry)

    def start(self, head: Head) -> None:
        self.status = head.status
        if head.status < 400:  # noqa: PLR2004 - the HTTP class
            self._judge(202, b"")
        self.session = head.header(b"mcp-session-id") or self.session
        kind = (head.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        self._words = head.status >= 400 and kind != JSON  # noqa: PLR2004 - the HTTP class
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
                self._take_event(message)
        except EventTooLarge as error:
            self._end(str(error), cut=True)

    def finish(self) -> None:
        if self.done or self._is_lost():
            return
        if self._events is None:
            self._whole(bytes(self._body))
            return
        for message in self._events.finish():
            self._take_event(message)
        self._end_stream()

    def abort(self) -> None:
        if self.done or self._is_lost():
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
        if self.modern and not self.done:
            self._end("", cut=True)

    def take_response(self, message: bytes, seen: Glance) -> None:
        """Its response has come on the GET stream."""
        self._deliver(message, seen)
        if not self.done:
            self._end("", cut=True)

    def send_again(self, request: ClientRequest, turns: Turns) -> None:
        """Forget the refusal of a message that was kept: it is sent once more, as `request`."""
        self.request, self.turns = request, turns
        self.kept, self.again = False, True
        self.status = 0
        self._body.clear()

    def refuse(self) -> None:
        """Pass the refusal of a message that was kept on after all."""
        self.kept = False
        if not self.done:
            self._whole(bytes(self._body))

    def waive(self) -> None:
        """End a message that need not reach the server any more, and is owed no answer."""
        self.status = 202
        self.kept = False
        self._end("")

    def _is_lost(self) -> bool:
        """Whether the owner keeps the message, since the server does not know its session."""
        if self.status != NOT_FOUND:
            return False
        self.on_gone = self.on_pause = self.on_resume = nothing
        return self.turns.lost(self)

    def _whole(self, body: bytes) -> None:
        """A body that is not a stream: a message, an error in some form, or nothing.

        (1) A readable message is passed on, an error without an id gets the request's; (2) what
        is left is an HTTP status and words that no client of ours would read. Of another type than
        JSON an error is words, whatever they look like: nobody has judged them as a message.
        """
        # (1)
        seen = glance(body) if body and not self._words else None
        is_array = body.lstrip()[:1] == b"[" and not self._words
        if self.seen is None:
            if self._judge(self.status, body):
                self._answered = True
            elif seen is not None or is_array:
                self._answered = True
                self.turns.line(one_line(body))
        elif seen is not None and seen.kind == "response" and self.seen.kind == "request":
            if seen.id is None and seen.error:
                body = b'{"jsonrpc":"2.0","id":' + self.seen.id_raw + b',"error":' + seen.error + b"}"
                seen.id = self.seen.id
            self._deliver(body, seen)
        elif seen is None and is_array:  # its answer, in an array (2025-03-26)
            self._take_event(body)
        # (2)
        if self.status == 202 and self.seen is None:  # noqa: PLR2004 - HTTP Accepted: no requests in it
            self._answered = True
        if self.status < 300:  # noqa: PLR2004 - HTTP success
            self._end("the server sent no answer to this request")
        else:
            self._end(f"the server answered with HTTP status {self.status}")

    def _take_event(self, data: bytes) -> None:
        """One message, or (2025-03-26) an array: the answers to a batch, or what belongs to one request."""
        if self.seen is None and data.startswith(b"["):
            self._answered = True
            self.turns.line(one_line(data))
            return
        for message in taken_apart(data):
            self._deliver(message)

    def _deliver(self, message: bytes, seen: Glance | None = None) -> None:
        seen = seen or glance(message)
        if seen is None:
            self.turns.complain("the server sent an event that is not a JSON-RPC message; dropped")
            return
        if seen.kind == "response" and self.seen is not None:
            if self._answered or seen.id != self.seen.id:
                self.turns.complain("the server answered a request that was not asked here; dropped")
                return
            self._answered = True
            self.turns.first(self, seen, message)
        self._answered = self._answered or seen.kind == "response"
        self.turns.line(one_line(message))

    def _judge(self, status: int, body: bytes) -> bool:
        """Tell the verdict, if somebody waits for it and it has not been told."""
        verdict, self._verdict = self._verdict, None
        if verdict is None:
            return False
        verdict(status, body)
        return True

    def _end_stream(self) -> None:
        """A stream may end before the response when the server wants to be asked again for it."""
        if self.waits and not self.cancelled and self.seen is not None and self.resumed < MAX_RESUMES:
            self.resumed += 1
            if self.turns.resume(self):
                return
        self._end("the answer ended before it was complete")

    def _end(self, reason: str, *, cut: bool = False) -> None:
        self.done = True
        if cut:
            self.on_gone()
        is_request = self.seen is None or self.seen.kind == "request"
        if is_request and self.waits and not self.cancelled:
            id_raw = b"" if self.seen is None else self.seen.id_raw
            error = error_body(id_raw, INTERNAL_ERROR, reason)
            if not self._judge(500, error):
                self.turns.line(error)
        elif not is_request and reason and self.status >= 300:  # noqa: PLR2004 - beyond HTTP success
            self.turns.complain(f"a {self.seen.kind if self.seen else 'message'} was not accepted: {reason}")
        self.turns.settled(self)
