"""One answer on its way to one HTTP client: the `Responder` of the HTTP listener."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ostiary.errors import GatewayFault
from ostiary.proxy.exchange import Callback, ClientRequest, Head
from ostiary.proxy.http.head import BODILESS_STATUS, RESPONSE_OURS, Refused, head_block, status_line


class Line(Protocol):
    """The connection an answer is written to."""

    closing: bool
    """No request after the running one will be served."""

    def send(self, data: bytes) -> None: ...
    def finished(self, *, persistent: bool) -> None: ...
    def cut(self, *, delimited: bool) -> None: ...


def _is_events(head: Head) -> bool:
    """Whether this is an event stream without a known length."""
    if head.length is not None:
        return False
    kind = head.header(b"content-type")
    return kind is not None and kind.lower().startswith(b"text/event-stream")


def nothing() -> None:
    """Stand in for a callback nobody has set."""


class Answer:
    """Head and body of one answer, framed by length, in chunks, or by the end of the connection.

    Head and first body bytes leave in one write. A head without a known length waits for body
    bytes until the end of the loop's turn only, so that an idle stream shows its head at once.
    After the client has gone every call is ignored. `events` tells that it is an event stream, of
    which only whole events are written.
    """

    __slots__ = (
        "_chunked",
        "_delimited",
        "_left",
        "_line",
        "_loop",
        "_pending",
        "_persistent",
        "events",
        "on_gone",
        "on_pause",
        "on_resume",
        "refused",
        "request",
        "started",
        "version",
    )

    def __init__(
        self,
        line: Line,
        loop: asyncio.AbstractEventLoop,
        request: ClientRequest,
        version: str,
        *,
        persistent: bool,
    ) -> None:
        self._line: Line | None = line
        self._loop = loop
        self._persistent = persistent
        self._pending = b""
        self._left = -1
        self._chunked = False
        self._delimited = True
        self.started = False
        self.events = False
        self.request = request
        self.version = version
        self.refused: Refused | None = None
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing

    def start(self, head: Head) -> None:
        """Give status and headers, once. Raises `GatewayFault` for headers that may not be sent."""
        line = self._line
        if line is None:
            return
        if self.started:
            raise GatewayFault("an answer was started twice")
        if line.closing:
            self._persistent = False
        last = self._framing(head)
        if not self._persistent:
            last = b"connection: close\r\n" + last
        self._pending = head_block(status_line(head.status), head.headers, RESPONSE_OURS, last)
        self.started = True
        self.events = _is_events(head)
        if self._left < 0:
            self._loop.call_soon(self._flush)

    def _framing(self, head: Head) -> bytes:
        """Choose how the end of the body is told; returns the last lines of the head."""
        length = head.length
        if self.request.method == "HEAD" or head.status in BODILESS_STATUS:
            self._left = 0
            if length is None or head.status in BODILESS_STATUS:
                return b"\r\n"
            return b"content-length: %d\r\n\r\n" % length
        if length is not None:
            self._left = length
            return b"content-length: %d\r\n\r\n" % length
        if self.version == "1.1":
            self._chunked = True
            return b"transfer-encoding: chunked\r\n\r\n"
        self._persistent = self._delimited = False
        return b"\r\n"

    def write(self, data: bytes) -> None:
        """Add bytes to the body. More than the head promised cut the connection."""
        line = self._line
        if line is None or not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._left >= 0:
            if self._silent():
                return
            self._left -= len(data)
            if self._left < 0:
                self.abort()
                return
            line.send(self._pending + data if self._pending else data)
            self._pending = b""
            return
        if self._pending:
            self._pending += data
        else:
            line.send(data)

    def _silent(self) -> bool:
        """Whether body bytes are dropped: the answer is one that has a body only for others."""
        return self.request.method == "HEAD"

    def _flush(self) -> None:
        line = self._line
        if line is not None and self._pending:
            line.send(self._pending)
            self._pending = b""

    def finish(self) -> None:
        """End the body. One shorter than the head promised cuts the connection instead."""
        line = self._line
        if line is None:
            return
        if self._left > 0 or not self.started:
            self.abort()
            return
        last = self._pending + b"0\r\n\r\n" if self._chunked else self._pending
        if last:
            line.send(last)
        self.detach()
        line.finished(persistent=self._persistent)

    def close(self) -> None:
        """End the body where it is, and the connection after it."""
        self._persistent = False
        self.finish()

    def abort(self) -> None:
        """Cut the connection, so that a part is never taken for the whole."""
        line = self._line
        if line is None:
            return
        self.detach()
        line.cut(delimited=self._delimited)

    def detach(self) -> None:
        """Forget the connection and the callbacks: nothing that happens to it concerns us now."""
        self._line = None
        self._pending = b""
        self.on_gone = self.on_pause = self.on_resume = nothing

    def refuse(self, refused: Refused) -> None:
        """Give the whole answer of a refusal, after which the connection closes."""
        self._persistent = False
        self.start(refused.head)
        self.write(refused.body)
        self.finish()
