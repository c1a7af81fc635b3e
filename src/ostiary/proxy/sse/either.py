"""A server of which only the URL is known: streamable HTTP, or HTTP+SSE where that is refused.

The rule for clients (MCP 2025-03-26, backwards compatibility): POST `initialize`; where that is
answered with 400, 404 or 405, ask for an event stream with an endpoint. It is followed for every
`initialize` anew, so nothing is remembered that could become wrong. No other message is ever
sent twice, and an `initialize` only after the server has refused it.
"""

from __future__ import annotations

from ostiary.errors import UpstreamFault
from ostiary.proxy.bridge.glance import glance
from ostiary.proxy.exchange import Flow, Head, Sink, Upstream, UpstreamRequest
from ostiary.proxy.headers import SESSION
from ostiary.proxy.sse.upstream import PREFIX, SseUpstream

MAX_REFUSAL = 64 * 1024
"""Bytes kept of the refusal while the other transport is tried; a longer one is not read to its end."""

_REFUSED = frozenset({400, 404, 405})


class EitherUpstream:
    """Implements `Upstream`. Session ids tell which transport a later request belongs to."""

    def __init__(self, http: Upstream, sse: SseUpstream) -> None:
        """Both lead to the same URL. `sse` closes what they share."""
        self._http = http
        self._sse = sse

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one HTTP-shaped request; see `Upstream.send`."""
        session = request.header(SESSION)
        if session is not None:
            return (self._sse if session.startswith(PREFIX) else self._http).send(request, sink)
        if request.method == "POST" and _is_handshake(request.body):
            return _Attempt(self._http, self._sse, request, sink)
        return self._http.send(request, sink)

    async def close(self) -> None:
        """End everything."""
        await self._sse.close()


def _is_handshake(body: bytes) -> bool:
    if b"initialize" not in body:  # nearly every message, and this costs nearly nothing
        return False
    seen = glance(body)
    return seen is not None and seen.kind == "request" and seen.method == "initialize" and not seen.modern


class _Attempt:
    """An `initialize` over streamable HTTP, and over HTTP+SSE if that is refused.

    The sink of both answers and the flow that their consumer holds.
    """

    __slots__ = ("_flow", "_kept", "_paused", "_refusal", "_request", "_sink", "_size", "_sse", "_turn")

    def __init__(self, http: Upstream, sse: SseUpstream, request: UpstreamRequest, sink: Sink) -> None:
        self._sse = sse
        self._request = request
        self._sink: Sink | None = sink
        self._refusal: Head | None = None
        self._kept: list[bytes] = []
        self._size = 0
        self._turn = 1
        self._paused = False
        self._flow = http.send(request, self)

    # The sink.

    def head(self, head: Head) -> None:
        if self._turn == 1 and head.status in _REFUSED:
            self._refusal = head
        elif self._sink is not None:
            self._turn = 0  # nothing more to decide: this is the answer
            self._sink.head(head)

    def data(self, data: bytes) -> None:
        if self._turn == 0:
            if self._sink is not None:
                self._sink.data(data)
        elif self._size + len(data) <= MAX_REFUSAL:
            self._size += len(data)
            self._kept.append(data)
        else:
            self._flow.cancel()
            self._try_sse()

    def end(self) -> None:
        if self._turn == 0:
            if self._sink is not None:
                self._sink.end()
        else:
            self._try_sse()

    def fault(self, fault: UpstreamFault) -> None:
        """Before any answer over HTTP+SSE the refusal stands; it was an answer to this request."""
        if self._sink is None:
            return
        if self._turn == 1 and self._refusal is not None:
            self._try_sse()
        elif self._turn == 0 or self._refusal is None or fault.written:
            self._sink.fault(fault)
        else:
            self._refuse(self._refusal)

    def _try_sse(self) -> None:
        if self._sink is None:
            return
        self._turn = 2
        self._flow = self._sse.send(self._request, self)
        if self._paused:
            self._flow.pause()

    def _refuse(self, refusal: Head) -> None:
        body = b"".join(self._kept)
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.head(Head(refusal.status, refusal.headers, len(body)))
            if body:
                sink.data(body)
            sink.end()

    # The flow.

    def pause(self) -> None:
        self._paused = True
        self._flow.pause()

    def resume(self) -> None:
        self._paused = False
        self._flow.resume()

    def cancel(self) -> None:
        self._sink = None
        self._flow.cancel()
