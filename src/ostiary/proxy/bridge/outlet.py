"""The way of one answer from a pipe to its consumer, with back-pressure and cancellation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Flow, Head, Header, Sink, nothing
from ostiary.wire.sse import event

JSON: Header = (b"content-type", b"application/json")
EVENTS: tuple[Header, ...] = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))

HIGH = 1 << 20
"""Bytes that may wait for a paused consumer before the pipe itself is held."""


_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


class _End(msgspec.Struct, frozen=True):
    """The regular end of an answer."""


_Step = Head | bytes | _End | UpstreamFault


class Outlet:
    """A `Flow` around a `Sink`.

    Steps wait while the consumer has paused. `full` is told with True when more than `high`
    bytes wait and with False when they no longer do; `cancelled` when the consumer gives up.
    """

    __slots__ = (
        "_cancelled",
        "_full",
        "_high",
        "_is_full",
        "_loop",
        "_paused",
        "_sink",
        "_size",
        "_steps",
        "ended",
        "started",
    )

    def __init__(
        self,
        sink: Sink,
        *,
        full: Callable[[bool], object] = bool,
        cancelled: Callable[[], object] = nothing,
        high: int = HIGH,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sink: Sink | None = sink
        self._full = full
        self._cancelled = cancelled
        self._high = high
        self._paused = False
        self._is_full = False
        self._size = 0
        self._steps: deque[_Step] = deque()
        self.started = False
        self.ended = False

    def open_events(self, headers: tuple[Header, ...] = ()) -> None:
        """Begin an event stream, unless the answer has begun."""
        if not self.started:
            self.started = True
            self._put(Head(200, EVENTS + headers))

    def event(self, message: bytes) -> None:
        """Send one message as an event."""
        self._put(event(one_line(message)))

    def whole(self, status: int, body: bytes, headers: tuple[Header, ...] = ()) -> None:
        """Send a complete answer; without a body there is no content type either."""
        self.started = True
        self._put(Head(status, ((JSON,) if body else ()) + headers, len(body)))
        if body:
            self._put(body)
        self.end()

    def end(self) -> None:
        """End the answer."""
        self._put(_End())
        self.ended = True

    def fault(self, fault: UpstreamFault) -> None:
        """End the answer with a fault."""
        self._put(fault)
        self.ended = True

    def cut(self, fault: UpstreamFault) -> None:
        """End the answer with a fault at once, without what still waits."""
        sink, self._sink = self._sink, None
        self.ended = True
        self._steps.clear()
        self._size = 0
        if sink is not None:
            sink.fault(fault)

    def soon(self, step: Callable[[], object]) -> None:
        """Take `step` in a later turn of the loop, for answers known inside `Upstream.send`."""
        self._loop.call_soon(step)

    def pause(self) -> None:
        """Hold every step until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Take the steps that waited."""
        self._paused = False
        while self._steps and not self._paused:
            step = self._steps.popleft()
            if isinstance(step, bytes):
                self._size -= len(step)
            self._take(step)
        self._weigh()

    def cancel(self) -> None:
        """Call the sink no more and tell the owner, once, if the answer was still to come."""
        if self._sink is None:
            return
        self._sink = None
        self._steps.clear()
        self._size = 0
        self._weigh()
        if not self.ended:
            self.ended = True
            self._cancelled()

    def _put(self, step: _Step) -> None:
        if self._sink is None or self.ended:
            return
        if self._paused or self._steps:
            self._steps.append(step)
            if isinstance(step, bytes):
                self._size += len(step)
            self._weigh()
        else:
            self._take(step)

    def _take(self, step: _Step) -> None:
        sink = self._sink
        if sink is None:
            return
        if isinstance(step, Head):
            sink.head(step)
        elif isinstance(step, bytes):
            sink.data(step)
        elif isinstance(step, _End):
            self._sink = None
            sink.end()
        else:
            self._sink = None
            sink.fault(step)

    def _weigh(self) -> None:
        is_full = self._size > self._high
        if is_full != self._is_full:
            self._is_full = is_full
            self._full(is_full)


def one_line(message: bytes) -> bytes:
    """A valid JSON `message` without raw line ends, which mean nothing in JSON but do around it."""
    return message.translate(_TO_SPACES) if b"\r" in message or b"\n" in message else message


def error_body(id_raw: bytes, code: int, message: str) -> bytes:
    """A JSON-RPC error response. An empty `id_raw` is spelled as null."""
    error = msgspec.json.encode({"code": code, "message": message})
    return b'{"jsonrpc":"2.0","id":' + (id_raw or b"null") + b',"error":' + error + b"}"


def refused(sink: Sink, status: int, code: int, message: str, id_raw: bytes) -> Flow:
    """Answer with an HTTP status and a JSON-RPC error."""
    return whole(sink, status, error_body(id_raw, code, message))


def whole(sink: Sink, status: int, body: bytes, headers: tuple[Header, ...] = ()) -> Flow:
    """Give a whole answer, in a later turn of the loop."""
    outlet = Outlet(sink)
    outlet.soon(lambda: outlet.whole(status, body, headers))
    return outlet
