"""One session with an SSE server: its event stream, and the POSTs that are answered on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.conversation import Bounds, Conversation, Use
from ostiary.proxy.bridge.glance import Glance, Kind
from ostiary.proxy.exchange import Flow, Head, Header, Sink, Upstream, UpstreamRequest
from ostiary.proxy.headers import SESSION
from ostiary.proxy.peek import EVENTS, compressed, content_type
from ostiary.proxy.sse.endpoint import endpoint_target
from ostiary.proxy.sse.outbox import Outbox, Parcel
from ostiary.wire.lines import MAX_LINE
from ostiary.wire.sse import MAX_EVENT, Event, EventTooLarge, SseParser

MAX_ACKNOWLEDGEMENT = 64 * 1024
"""Bytes read of the answer to a POST, which means nothing; with more the connection is closed."""

_OF_A_MESSAGE = frozenset({b"accept", b"content-type", b"last-event-id"})
_TOLD = frozenset({b"www-authenticate", b"retry-after"})
_NOT_FOUND = 404


class LinkLimits(Bounds, frozen=True):
    """Bounds of one session with an SSE server, in messages, bytes and seconds.

    There are up to a thousand sessions (`SessionLimits`), and what each may hold is set by that:
    `max_event` bytes of an event that has not ended, as much as any answer may have;
    `max_buffered` messages or `max_buffered_bytes` that the server sends and no client fetches;
    `max_waiting` messages or `max_queued` bytes that the server does not take, where a single
    message of any size is taken always; and `max_pending` requests without an answer.
    `endpoint_within` is how long the stream may take to name its endpoint, `accepted_within`
    how long later messages wait for a POST that is not answered.
    """

    max_buffered_bytes: int = 4 * 1024 * 1024
    max_pending: int = 1_024
    max_event: int = MAX_EVENT
    max_waiting: int = 256
    max_queued: int = MAX_LINE
    endpoint_within: float = 10.0
    accepted_within: float = 2.0


class Target(msgspec.Struct, frozen=True):
    """The server: how it is reached, its configured URL, and what faults call it."""

    http: Upstream
    url: str
    name: str


class Link:
    """One GET stream and the conversation on it, for which this is the `Channel`.

    `ended` is told once, when the stream is over; what waits then gets a fault.
    """

    def __init__(
        self,
        target: Target,
        opening: UpstreamRequest,
        use: Use,
        limits: LinkLimits,
        complain: Complaints,
        ended: Callable[[Link], object],
    ) -> None:
        """Open the stream on behalf of the client that sent `opening`."""
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._limits = limits
        self._complain = complain
        self._ended = ended
        self._grant = opening.grant
        self._talk = Conversation(self, target.name, use, limits, complain)
        self._outbox = Outbox()
        self._headers: tuple[Header, ...] = ()  # of the message that is being taken
        self._posts: dict[int, _Post] = {}
        self._endpoint = ""
        self._over = ""
        self._patience: asyncio.TimerHandle | None = None
        self._deadline = self._loop.call_later(limits.endpoint_within, self._no_endpoint)
        stream = _Stream(self, limits.max_event)
        request = UpstreamRequest("GET", _of_the_stream(opening.headers), b"", grant=self._grant)
        self._stream = target.http.send(request, stream)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything from this session."""
        return self._talk.idle

    @property
    def used(self) -> float:
        """When the client last sent something, on the clock of the loop."""
        return self._talk.used

    def post(self, request: UpstreamRequest, seen: Glance, sink: Sink) -> Flow:
        """Take one message from the client."""
        self._headers = tuple(header for header in request.headers if header[0] != SESSION)
        return self._talk.post(request.body, seen, sink)

    def listen(self, sink: Sink) -> Flow:
        """Open the stream from server to client; it takes the place of one that was open."""
        return self._talk.listen(sink)

    def close(self, reason: str) -> None:
        """End the session, for which the server is given no other sign than the end of its stream."""
        if self._over:
            return
        self._over = f"the MCP server `{self._target.name}` {reason}"
        self._deadline.cancel()
        if self._patience is not None:
            self._patience.cancel()
        self._stream.cancel()
        self._talk.ended(self._over)
        for post in list(self._posts.values()):
            post.cancel()
        self._posts.clear()
        self._ended(self)

    # --- as the channel -----------------------------------------------------------------------

    def refusal(self, size: int) -> str | None:
        if self._over:
            return self._over
        limits, waiting = self._limits, self._outbox
        full = len(waiting) >= limits.max_waiting or waiting.size + size > limits.max_queued
        if len(waiting) and full:
            return f"the MCP server `{self._target.name}` does not take its messages"
        return None

    def write(self, message: bytes, kind: Kind) -> int:
        ticket = self._outbox.put(message, kind, self._headers)
        self._loop.call_soon(self._pump)
        return ticket

    def untouched(self, ticket: int) -> bool:
        return self._outbox.waits(ticket)

    def withdraw(self, ticket: int) -> bool:
        return bool(self._over) or self._outbox.withdraw(ticket)

    def pause(self) -> None:
        self._stream.pause()

    def resume(self) -> None:
        self._stream.resume()

    # --- POSTs --------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what may be sent, once it is known where to."""
        if self._over or not self._endpoint:
            return
        parcels = self._outbox.take()
        for parcel in parcels:
            self._send(parcel)
        newer = any(parcel.kind != "response" for parcel in parcels)
        if self._patience is not None and (newer or not self._outbox.blocked):
            self._patience.cancel()  # what is waited for from here on has only now been sent
            self._patience = None
        if self._outbox.blocked and self._patience is None:
            self._patience = self._loop.call_later(self._limits.accepted_within, self._wait_no_more)

    def _wait_no_more(self) -> None:
        self._patience = None
        self._outbox.forgive()
        self._pump()

    def _send(self, parcel: Parcel) -> None:
        request = UpstreamRequest(
            "POST", parcel.headers, parcel.message, grant=self._grant, target=self._endpoint
        )
        post = _Post(self, parcel.ticket)
        try:
            post.flow = self._target.http.send(request, post)
        except GatewayFault as fault:  # a message that cannot be sent at all
            self.post_failed(parcel.ticket, UpstreamFault(fault.message, written=False))
            return
        self._posts[parcel.ticket] = post

    def post_answered(self, ticket: int, head: Head) -> None:
        """The server has accepted a message, or has not."""
        self._outbox.accepted(ticket)
        status = head.status
        if status < 300:  # noqa: PLR2004 - HTTP success
            pass
        elif status < 400:  # noqa: PLR2004 - the HTTP class
            text = "the MCP server answered with a redirect, which is never followed"
            self._talk.failed(ticket, UpstreamFault(text, written=True))
        else:
            text = f"the MCP server answered the message with HTTP status {status}"
            told = tuple(header for header in head.headers if header[0] in _TOLD)
            if not self._talk.refused(ticket, status, text, told):
                self._complain(f"`{self._target.name}` answered a message with HTTP status {status}")
            if status == _NOT_FOUND:
                self.close("does not know the session any more")
        self._pump()

    def post_failed(self, ticket: int, fault: UpstreamFault) -> None:
        """A message has not arrived, or nobody knows whether it has."""
        self._posts.pop(ticket, None)
        self._outbox.accepted(ticket)
        if not self._talk.failed(ticket, fault):
            self._complain(f"a message did not reach `{self._target.name}`: {fault.message}")
        self._pump()

    def post_over(self, ticket: int) -> None:
        """Nothing more comes of this POST."""
        self._posts.pop(ticket, None)

    # --- the stream ---------------------------------------------------------------------------

    def stream_event(self, event: Event) -> None:
        """The server has sent an event; types that are not known mean nothing."""
        if self._over or not event.data:
            return
        if event.event == "endpoint":
            self._take_endpoint(event.data)
        elif event.event == "message":
            self._talk.received(event.data)

    def _take_endpoint(self, data: bytes) -> None:
        """Only the first one counts; another one may not redirect what the client says."""
        try:
            endpoint = endpoint_target(self._target.url, data)
        except GatewayFault as fault:
            self._complain(f"`{self._target.name}`: {fault.message}")
            self.close(f"cannot be used: {fault.message}")
            return
        if self._endpoint and endpoint != self._endpoint:
            self.close("changed its endpoint in the middle of a session")
            return
        self._endpoint = endpoint
        self._deadline.cancel()
        self._pump()

    def _no_endpoint(self) -> None:
        self.close(f"named no endpoint within {self._limits.endpoint_within:.0f} s")


class _Stream:
    """The `Sink` of the event stream."""

    __slots__ = ("_link", "_parser")

    def __init__(self, link: Link, max_event: int) -> None:
        self._link = link
        self._parser = SseParser(max_event=max_event)

    def head(self, head: Head) -> None:
        kind, _ = content_type(head)
        if head.status != 200:  # noqa: PLR2004 - HTTP OK
            self._link.close(f"answered the request for its stream with HTTP status {head.status}")
        elif kind != EVENTS or compressed(head):
            self._link.close("does not answer with an event stream")

    def data(self, data: bytes) -> None:
        try:
            events = self._parser.feed(data)
        except EventTooLarge as error:
            self._link.close(f"cannot be followed: {error}")
            return
        for event in events:
            self._link.stream_event(event)

    def end(self) -> None:
        self._link.close("ended its event stream")

    def fault(self, fault: UpstreamFault) -> None:
        self._link.close(f"cannot be followed: {fault.message}")


class _Post:
    """The `Sink` of one POST. What it is answered with beyond the status means nothing."""

    __slots__ = ("_answered", "_link", "_size", "_ticket", "flow")

    def __init__(self, link: Link, ticket: int) -> None:
        self._link = link
        self._ticket = ticket
        self._size = 0
        self._answered = False
        self.flow: Flow | None = None

    def head(self, head: Head) -> None:
        self._answered = True
        self._link.post_answered(self._ticket, head)

    def data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_ACKNOWLEDGEMENT:
            self.cancel()
            self.end()

    def end(self) -> None:
        self._link.post_over(self._ticket)

    def fault(self, fault: UpstreamFault) -> None:
        if self._answered:
            self.end()
        else:
            self._link.post_failed(self._ticket, fault)

    def cancel(self) -> None:
        """Wait for nothing more."""
        if self.flow is not None:
            self.flow.cancel()


def _of_the_stream(headers: Sequence[Header]) -> tuple[Header, ...]:
    """The headers of the GET, from those of the first message: the operator's own, and who asks."""
    kept = tuple(
        header for header in headers if header[0] not in _OF_A_MESSAGE and not header[0].startswith(b"mcp-")
    )
    return ((b"accept", EVENTS), *kept)
