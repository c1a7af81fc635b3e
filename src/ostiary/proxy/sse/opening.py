"""The answer to `initialize`: the one by which a client learns of its session, or does not."""

from __future__ import annotations

from ostiary.errors import UpstreamFault
from ostiary.proxy.bridge.glance import glance
from ostiary.proxy.exchange import Flow, Head, Sink
from ostiary.proxy.sse.link import Link

MAX_ERROR = 64 * 1024
"""Bytes in which an error is looked for; an answer that is longer is none."""

_UNKNOWN = "was left: no client knows the session"


class Opening:
    """Sink and flow of that answer. Without a result the session is ended: nobody will use it."""

    __slots__ = ("_body", "_failed", "_link", "_over", "_sink", "flow")

    def __init__(self, sink: Sink, link: Link) -> None:
        self._sink = sink
        self._link = link
        self._body = b""
        self._failed = False
        self._over = False
        self.flow: Flow | None = None

    # The sink.

    def head(self, head: Head) -> None:
        self._failed = head.status >= 400  # noqa: PLR2004 - the HTTP class
        self._sink.head(head)

    def data(self, data: bytes) -> None:
        if len(self._body) <= MAX_ERROR:
            self._body += data
        self._sink.data(data)

    def end(self) -> None:
        self._over = True
        self._sink.end()
        seen = glance(self._body) if len(self._body) <= MAX_ERROR else None
        if self._failed or (seen is not None and seen.error):
            self._link.close(_UNKNOWN)

    def fault(self, fault: UpstreamFault) -> None:
        self._over = True
        self._sink.fault(fault)
        self._link.close(_UNKNOWN)

    # The flow.

    def pause(self) -> None:
        if self.flow is not None:
            self.flow.pause()

    def resume(self) -> None:
        if self.flow is not None:
            self.flow.resume()

    def cancel(self) -> None:
        if self.flow is not None:
            self.flow.cancel()
        if not self._over:
            self._over = True
            self._link.close(_UNKNOWN)
