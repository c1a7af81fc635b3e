"""What a server says to its client outside of any answer, until the client fetches it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ostiary.proxy.bridge.outlet import Outlet
from ostiary.proxy.exchange import Flow, Sink


class Mailbox:
    """The client's GET stream of one pipe, and a bounded buffer for the time before it opens.

    `full` is told by the stream's back-pressure, `dropped` each time the oldest message had to go.
    """

    __slots__ = ("_buffer", "_dropped", "_full", "_max", "_max_bytes", "_size", "_stream")

    def __init__(
        self,
        *,
        max_messages: int,
        max_bytes: int,
        full: Callable[[bool], object],
        dropped: Callable[[], object],
    ) -> None:
        self._max = max_messages
        self._max_bytes = max_bytes
        self._full = full
        self._dropped = dropped
        self._buffer: deque[bytes] = deque()
        self._size = 0
        self._stream: Outlet | None = None

    @property
    def fetched(self) -> bool:
        """Whether the client has a stream open."""
        return self._stream is not None

    @property
    def waiting(self) -> bool:
        """Whether messages wait."""
        return bool(self._buffer)

    def open(self, sink: Sink) -> Flow:
        """Open the stream. One that was open ends: its client may have lost it unnoticed."""
        former = self._stream
        outlet = Outlet(sink, full=self._full, cancelled=lambda: self._gone(outlet))
        self._stream = outlet
        if former is not None:
            former.end()
        outlet.soon(lambda: self._begin(outlet))
        return outlet

    def put(self, message: bytes) -> None:
        """Send a message, now or when a stream opens."""
        if self._stream is not None and self._stream.started:
            self._stream.event(message)
            return
        self._buffer.append(message)
        self._size += len(message)
        while len(self._buffer) > self._max or self._size > self._max_bytes:
            self._size -= len(self._buffer.popleft())
            self._dropped()

    def empty(self, deliver: Callable[[bytes], object]) -> None:
        """Deliver everything that waits."""
        waiting, self._buffer, self._size = self._buffer, deque(), 0
        for message in waiting:
            deliver(message)

    def close(self) -> None:
        """End the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end()

    def _begin(self, outlet: Outlet) -> None:
        if self._stream is outlet:
            outlet.open_events()
            self.empty(outlet.event)

    def _gone(self, outlet: Outlet) -> None:
        if self._stream is outlet:
            self._stream = None
