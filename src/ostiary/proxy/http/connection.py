"""One connection from an HTTP client: its requests run one at a time and are answered in order.

Requests that arrive meanwhile wait, at most a few of them, then reading pauses. A refused one
is answered in its turn and closes.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from typing import Protocol, cast

import msgspec

from ostiary.proxy.exchange import ClientRequest, Handler
from ostiary.proxy.http.answer import Answer
from ostiary.proxy.http.head import Refused
from ostiary.proxy.http.liveness import watch
from ostiary.proxy.http.repeats import Allowance, Repeats
from ostiary.proxy.http.request import HEAD, IDLE, SLICE, HeadCheck, Limits, RequestReader
from ostiary.proxy.http.sweep import NEVER, Sweep
from ostiary.wire import sse

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LISTEN = b"subscriptions/listen"

_PROBE_FIRST, _PROBE_AGAIN = 1.0, 15.0
_NO_LINGER = struct.pack("ii", 1, 0)


class Spans(msgspec.Struct, frozen=True):
    """The time-outs of `Limits` as distances on the clock of the sweep."""

    head: float
    body: float
    idle: float
    linger: float


class Listener(Protocol):
    """What a connection needs of the server that accepted it."""

    limits: Limits
    allowance: Allowance
    spans: Spans
    sweep: Sweep
    loop: asyncio.AbstractEventLoop
    handler: Handler
    check_head: HeadCheck | None

    def admit(self, connection: Connection) -> bool: ...
    def dismiss(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """Moves bytes between one client, the reader of its requests and the running answer."""

    __slots__ = (
        "_advancing",
        "_at",
        "_current",
        "_eof",
        "_listener",
        "_mark",
        "_probed",
        "_reader",
        "_reading",
        "_rest",
        "_socket",
        "_sweep",
        "_transport",
        "_writable",
        "closing",
        "deadline",
    )

    _transport: asyncio.Transport
    _socket: socket.socket

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._sweep = listener.sweep
        self._reader = RequestReader(listener.limits, listener.check_head, Repeats(listener.allowance))
        self._current: Answer | None = None
        self._mark = 0
        # Bytes received but not yet parsed, and how far they are.
        self._rest = b""
        self._at = 0
        self._advancing = False
        self._eof = False
        self._probed = False
        self._reading = True
        self._writable = True
        self.closing = False
        self.deadline = NEVER

    # Transport side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock; refuse at once what is over the connection limit."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._listener.limits.write_buffer)
        peer: tuple[str, int] | None = transport.get_extra_info("peername")
        if peer:
            self._reader.peer = peer[0]
        self._socket = transport.get_extra_info("socket")
        watch(self._socket, self._listener.limits.peer_timeout)
        self.deadline = self._sweep.now + self._listener.spans.head
        if not self._listener.admit(self):
            self._refuse(Refused(503, "too many connections", headers=((b"retry-after", b"1"),)))

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, then run what is complete."""
        if self._reader.deaf:
            return
        if self._rest or len(data) > SLICE:
            self._rest = self._rest[self._at :] + data
            self._at = 0
        else:
            self._parse(data)
        self._advance()

    def eof_received(self) -> bool:
        """The client sends no more; what it asked for completely is still answered."""
        self._eof = True
        if self._reader.phase != IDLE:
            self._refuse(Refused(400, "the request ended early"))
        if self._quiet() or not self._transport.can_write_eof():
            return False  # TLS knows no half-closed connection
        self.deadline = self._sweep.now + _PROBE_FIRST
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: tell the running answer, drop what waits."""
        self._listener.dismiss(self)
        self._reader.close()
        self._rest = b""
        current, self._current = self._current, None
        if current is not None:
            on_gone = current.on_gone
            current.detach()
            on_gone()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self._writable = False
        if self._current is not None:
            self._current.on_pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable = True
        if self._current is not None:
            self._current.on_resume()
        self._advance()

    # Requests

    def _parse(self, data: bytes) -> None:
        """Feed the reader and set the clock by where it stands now."""
        reader = self._reader
        reader.feed(data)
        if reader.phase == IDLE:
            if reader.ready or reader.refused is not None:
                self.deadline = NEVER
        elif reader.mark != self._mark:
            self._mark = reader.mark
            spans = self._listener.spans
            self.deadline = self._sweep.now + (spans.head if reader.phase == HEAD else spans.body)
        if reader.wants_continue and self._quiet():
            self._continue()

    def _continue(self) -> None:
        """Invite the body."""
        self._reader.wants_continue = False
        self._transport.write(_CONTINUE)

    def _quiet(self) -> bool:
        """Whether nothing runs and nothing waits for its turn."""
        return self._current is None and not self._reader.ready and self._reader.refused is None

    def _refuse(self, refused: Refused) -> None:
        self._reader.refuse(refused)
        self.deadline = NEVER
        self._advance()

    def _advance(self) -> None:
        """Run what can run: the next answer, then the next bytes, until neither can."""
        if self._advancing:
            return
        self._advancing = True
        reader = self._reader
        try:
            while True:
                while self._current is None and self._writable and (reader.ready or reader.refused):
                    self._run()
                if not self._rest or not self._room():
                    break
                self._parse(self._next_slice())
        except BaseException:
            # A fault of ours: nobody may wait for an answer that will not come.
            self._transport.abort()
            raise
        self._advancing = False
        if self._reading is not (not self._rest and self._room()):
            self._turn_reading()

    def _run(self) -> None:
        """Hand on the first request that is ready, or answer with the refusal after the last."""
        reader = self._reader
        loop = self._listener.loop
        if reader.ready:
            complete = reader.take()
            request = complete.request
            self._current = Answer(self, loop, request, complete.version, persistent=complete.persistent)
            self._listener.handler(request, self._current)
        elif reader.refused is not None:
            refused, reader.refused = reader.refused, None
            request = ClientRequest("HEAD" if refused.without_body else "GET", "", b"", (), b"")
            self._current = Answer(self, loop, request, "1.1", persistent=False)
            self._current.refuse(refused)

    def _next_slice(self) -> bytes:
        piece = self._rest[self._at : self._at + SLICE]
        self._at += SLICE
        if self._reader.deaf or self._at >= len(self._rest):
            self._rest = b""
            self._at = 0
        return piece if not self._reader.deaf else b""

    def _room(self) -> bool:
        limits = self._listener.limits
        return len(self._reader.ready) < limits.queued and self._reader.held <= limits.body

    def _turn_reading(self) -> None:
        """Pause or resume reading; the clock of a client that is not read stands still."""
        if self._eof or self._transport.is_closing():
            return
        self._reading = not self._reading
        if self._reading:
            self._transport.resume_reading()
            if self._reader.phase != IDLE:
                self.deadline = self._sweep.now + self._listener.spans.body
        else:
            self._transport.pause_reading()
            self.deadline = NEVER

    # Answers

    def send(self, data: bytes) -> None:
        """Write bytes of the running answer."""
        self._transport.write(data)

    def finished(self, *, persistent: bool) -> None:
        """The running answer is complete."""
        self._current = None
        reader = self._reader
        if not persistent:
            self._shut()
        elif reader.ready or reader.refused is not None or self._rest:
            self._advance()
        elif self._eof or (self.closing and reader.phase == IDLE):
            self._shut()
        elif reader.phase == IDLE:
            self.deadline = self._sweep.now + self._listener.spans.idle
        elif reader.wants_continue:
            self._continue()

    def cut(self, *, delimited: bool) -> None:
        """End the connection so that its end cannot be taken for the end of the body.

        A body `delimited` by length or chunks is seen to be short by itself; one that lasts until
        the end of the connection needs a reset.
        """
        self._current = None
        if not delimited and not self._transport.is_closing():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()
        self._shut()

    def _shut(self) -> None:
        """Close after the last byte has left; first let a client that still sends read it.

        Closing with unread bytes in the socket would reset the connection and take the answer
        away from the client, so reading goes on for a moment (RFC 9112 section 9.6).
        """
        reader = self._reader
        reader.deaf = True
        reader.phase = IDLE
        reader.ready.clear()
        reader.refused = None
        self._rest = b""
        if self._transport.is_closing():
            return
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._half_close()
        spans = self._listener.spans
        unsent = self._transport.get_write_buffer_size()
        self.deadline = self._sweep.now + (spans.idle if unsent else spans.linger)

    def _half_close(self) -> None:
        """Send no more, read on."""
        try:
            self._transport.write_eof()
        except OSError:
            # The client was faster.
            self._transport.abort()
            return
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def drain(self) -> None:
        """Serve what has been asked for, then close; at once if there is nothing."""
        self.closing = True
        if self._quiet() and self._reader.phase == IDLE and not self._reader.deaf:
            self._transport.close()

    @property
    def listens(self) -> bool:
        """Whether all that runs here is a stream from the server, which has no end of its own.

        Up to 2025-11-25 that is the answer to a GET, later one to a request to listen; the gate
        has held the header of that against the body.
        """
        current = self._current
        if current is None or not current.started or self._reader.ready:
            return False
        request = current.request
        return request.method == "GET" or (current.events and request.header(b"mcp-method") == _LISTEN)

    def end(self) -> None:
        """End what runs, however far it is: an event stream between two events, all else by a cut.

        What happened to a call is found out by whoever waits for it: to it the client has gone.
        """
        current = self._current
        if current is None or not current.events:
            self._transport.abort()
            return
        on_gone = current.on_gone
        self.closing = True
        current.close()
        on_gone()

    def abort(self) -> None:
        """Drop everything now."""
        self._transport.abort()

    # Time

    def on_deadline(self) -> None:
        """The client took too long with whatever it had to do."""
        if self._reader.phase != IDLE:
            self._refuse(Refused(408, "the request took too long"))
        elif self._quiet():
            self._transport.abort()
        elif self._eof:
            self._probe()
        else:
            self.deadline = NEVER

    def _probe(self) -> None:
        """Find out whether a client that sends no more still listens.

        Half-closed and closed look the same until something is sent: a closed socket answers it
        with a reset. An interim answer may be sent at any time before the final one and means
        nothing (RFC 9110 section 15.2), a comment between the events of a stream as little; once
        another answer has begun its own bytes do the same.
        """
        poller = select.poll()
        poller.register(self._socket.fileno(), 0)
        if poller.poll(0):
            self._transport.abort()
            return
        current = self._current
        events = current is not None and current.events
        if current is None or (not events and (current.started or current.version != "1.1")):
            wait = _PROBE_FIRST
        elif self._probed:
            self._probed = False
            wait = _PROBE_AGAIN
        else:
            self._probed = True
            if events:
                current.write(sse.comment())
            else:
                self._transport.write(_CONTINUE)
            wait = 0.0
        self.deadline = self._sweep.now + wait
