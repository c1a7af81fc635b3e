"""One connection to an HTTP upstream and the call that runs on it.

The sink is told after the parser has returned, so a fault in the consumer never looks like one
of the upstream.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from typing import Protocol, cast

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Head, Sink
from ostiary.proxy.http.liveness import PEER_TIMEOUT, watch
from ostiary.proxy.http.reason import tls_reason
from ostiary.proxy.http.repeats import Allowance, Repeats
from ostiary.proxy.http.response import ResponseReader
from ostiary.proxy.http.sweep import NEVER, Sweep

_EVENT_STREAM = b"text/event-stream"
_LOGIN_AT_PROXY = 407


class UpstreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one HTTP upstream. Sizes in bytes, times in seconds.

    `connections` may be open at one time, of which `idle_connections` are kept for reuse.
    `head_timeout` runs from sending the request to the head of its answer, `body_timeout` and
    `stream_timeout` (for event streams) from one piece of the body to the next. `peer_timeout` is
    how long the upstream may be gone before the connection ends.
    """

    head: int = 64 * 1024
    headers: int = 100
    idle_connections: int = 256
    connections: int = 4096
    connect_timeout: float = 10.0
    head_timeout: float = 300.0
    body_timeout: float = 60.0
    stream_timeout: float = 3600.0
    idle_timeout: float = 4.0
    peer_timeout: float = PEER_TIMEOUT


class UpstreamSpans(msgspec.Struct, frozen=True):
    """The time-outs of `UpstreamLimits` as distances on the clock of the sweep."""

    head: float
    body: float
    stream: float
    idle: float


class Pool(Protocol):
    """What a connection needs of the upstream it belongs to."""

    name: str
    limits: UpstreamLimits
    allowance: Allowance
    spans: UpstreamSpans
    sweep: Sweep

    def opened(self, line: UpstreamLine) -> None: ...
    def free(self, line: UpstreamLine) -> None: ...
    def lost(self, line: UpstreamLine) -> None: ...


class Call:
    """Control over one running answer (a `Flow`). Without a sink it is over."""

    __slots__ = ("line", "paused", "sink")

    def __init__(self, sink: Sink) -> None:
        self.sink: Sink | None = sink
        self.line: UpstreamLine | None = None
        self.paused = False

    def pause(self) -> None:
        """Stop reading the answer."""
        self.paused = True
        if self.line is not None:
            self.line.pause()

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        if self.line is not None:
            self.line.resume()

    def cancel(self) -> None:
        """Stop the answer and discard the connection it runs on."""
        self.sink = None
        line, self.line = self.line, None
        if line is not None:
            line.discard()

    def fail(self, fault: UpstreamFault) -> None:
        """End with `fault`, unless it is over already."""
        sink, self.sink = self.sink, None
        self.line = None
        if sink is not None:
            sink.fault(fault)


class UpstreamLine(asyncio.Protocol):
    """Sends one request at a time and passes its answer on.

    Whatever leaves doubt about where an answer ends discards the connection.
    """

    __slots__ = (
        "_call", "_poller", "_pool", "_reader", "_span", "_sweep", "_transport", "broken", "deadline",
    )  # fmt: skip

    _transport: asyncio.Transport
    _poller: select.poll

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sweep = pool.sweep
        self._reader = ResponseReader(pool.limits.head, pool.limits.headers, Repeats(pool.allowance))
        self._call: Call | None = None
        # Whether the upstream ended the connection where it need not have: it may be a new one.
        self.broken = False
        # How long the upstream may be silent from here on.
        self._span = NEVER
        self.deadline = NEVER

    # Pool side

    def fresh(self) -> bool:
        """Whether the connection is open and silent, so that a request may be sent on it.

        Asks the socket itself: an end of stream that the loop has not delivered yet would cost
        the request, bytes nobody asked for would become its answer.
        """
        return not self._transport.is_closing() and not self._poller.poll(0)

    @property
    def secured(self) -> bool:
        """Whether the connection is open and speaks TLS, which may send of its own accord."""
        transport = self._transport
        return not transport.is_closing() and transport.get_extra_info("sslcontext") is not None

    def run(self, call: Call, data: bytes) -> None:
        """Send one request; from here on its bytes count as written."""
        self._call = call
        call.line = self
        self._reader.begin()
        self._span = self._pool.spans.head
        self.deadline = self._sweep.now + self._span
        self._transport.write(data)
        if call.paused:
            self.pause()

    def rest(self) -> None:
        """Wait for the next request, in the pool, until the idle time is over."""
        self.deadline = self._sweep.now + self._pool.spans.idle
        self._pool.free(self)

    def cut(self) -> None:
        """Close at once; a running answer ends with a fault."""
        self._transport.abort()

    def discard(self) -> None:
        """Close at once; nothing that still arrives reaches anybody."""
        call, self._call = self._call, None
        if call is not None:
            call.line = None
        self._transport.abort()

    def pause(self) -> None:
        """Stop reading; the upstream's silence is ours now, so no time-out runs."""
        if not self._transport.is_closing():
            self._transport.pause_reading()
            self.deadline = NEVER

    def resume(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.deadline = self._sweep.now + self._span

    # Transport side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Get ready for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        sock: socket.socket = transport.get_extra_info("socket")
        watch(sock, self._pool.limits.peer_timeout)
        self._poller = select.poll()
        self._poller.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse, then tell the sink."""
        call = self._call
        if call is None:
            self.discard()
            return
        problem = self._reader.feed(data)
        self._deliver(call)
        if problem and call.sink is not None:
            self._fail(f"sent a malformed answer: {problem}")

    def eof_received(self) -> bool:
        """The upstream closed: the end of a body without other end, else a fault."""
        call = self._call
        reader = self._reader
        if call is not None and reader.until_close and reader.headed and not self._cut_short():
            reader.complete = True
            self._deliver(call)
        else:
            self.broken = True
        return False

    def _cut_short(self) -> bool:
        """Whether TLS was ended without saying so: somebody on the way may have done it (RFC 9112 9.8)."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        if tls is None:
            return False
        try:
            return tls.read(1) != b""
        except ssl.SSLError:
            return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; an answer that was not whole is a fault."""
        self.broken = self.broken or exc is not None
        self._pool.lost(self)
        self._reader.close()
        part = "during its answer" if self._reader.headed else "before it answered"
        if isinstance(exc, ssl.SSLError):
            self._fail(f"broke off {part}: {tls_reason(exc)}")
        else:
            self._fail(f"{'reset' if exc is not None else 'closed'} the connection {part}")

    def on_deadline(self) -> None:
        """The upstream took too long, or the connection was idle for long enough."""
        if self._reader.headed:
            self._fail("stopped in the middle of its answer")
        else:
            self._fail("did not answer in time")

    # Between reader and sink

    def _deliver(self, call: Call) -> None:
        """Tell the sink what has been read. Each step may cancel the call."""
        reader = self._reader
        sink = call.sink
        head = reader.head
        if head is not None and sink is not None:
            reader.head = None
            if head.status == _LOGIN_AT_PROXY:  # for us, who come by way of one, and for no client
                self._fail("is behind a proxy that asks for another login: HTTP status 407")
                return
            self._span = self._silence(head)
            sink.head(head)
            sink = call.sink
        if reader.pieces and sink is not None:
            pieces = reader.pieces
            reader.pieces = []
            sink.data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            sink = call.sink
        if sink is None:
            return
        if reader.complete:
            self._release(call)
            sink.end()
        elif reader.headed and not call.paused:
            self.deadline = self._sweep.now + self._span

    def _silence(self, head: Head) -> float:
        """How long the body of this answer may pause."""
        if head.length is None:
            kind = head.header(b"content-type")
            if kind is not None and kind[: len(_EVENT_STREAM)].lower() == _EVENT_STREAM:
                return self._pool.spans.stream
        return self._pool.spans.body

    def _release(self, call: Call) -> None:
        """Give the connection back, or close it if the next answer could be in doubt."""
        call.sink = None
        call.line = None
        self._call = None
        transport = self._transport
        if not self._reader.persistent or transport.is_closing() or transport.get_write_buffer_size():
            transport.abort()
            return
        if call.paused:
            transport.resume_reading()
        self.rest()

    def _fail(self, problem: str) -> None:
        """Discard the connection; a running answer ends with a fault."""
        call = self._call
        self.discard()
        if call is not None:
            call.fail(UpstreamFault(f"the upstream `{self._pool.name}` {problem}", written=True))
