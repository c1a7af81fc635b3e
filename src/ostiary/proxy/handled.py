"""A handler of this process in the place of an upstream: the one shape, joined without a connection."""

from __future__ import annotations

import asyncio
from collections import deque

from ostiary.errors import UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.proxy.door import MCP_PATH
from ostiary.proxy.exchange import (
    Callback,
    ClientRequest,
    Flow,
    Handler,
    Head,
    Sink,
    UpstreamRequest,
    nothing,
)


class _Answer:
    """One answer on its way: the server's `Responder`, and the `Flow` that the gate holds.

    While the gate has paused, what is said waits here; the server is told and says no more than it must.
    """

    def __init__(self, sink: Sink) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self._sink: Sink | None = sink
        self._steps: deque[Head | bytes | UpstreamFault | None] = deque()
        self._paused = False
        self._over = False

    @property
    def wanted(self) -> bool:
        """Whether the gate still waits for it."""
        return self._sink is not None

    # --- for the server -------------------------------------------------------------------------

    def start(self, head: Head) -> None:
        self._put(head)

    def write(self, data: bytes) -> None:
        self._put(data)

    def finish(self) -> None:
        self._over = True
        self._put(None)

    def abort(self) -> None:
        self._over = True
        self._put(UpstreamFault("the answer of the server in this process broke off", written=True))

    # --- for the gate ---------------------------------------------------------------------------

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.on_pause()

    def resume(self) -> None:
        if not self._paused:
            return
        self._paused = False
        while self._steps and not self._paused:
            self._take(self._steps.popleft())
        if not self._paused:
            self.on_resume()

    def cancel(self) -> None:
        if self._sink is None:
            return
        self._sink = None
        self._steps.clear()
        if not self._over:
            self._over = True
            self.on_gone()

    def _put(self, step: Head | bytes | UpstreamFault | None) -> None:
        if self._sink is None:
            return
        if self._paused or self._steps:
            self._steps.append(step)
        else:
            self._take(step)

    def _take(self, step: Head | bytes | UpstreamFault | None) -> None:
        sink = self._sink
        if sink is None:
            return
        if isinstance(step, Head):
            sink.head(step)
        elif isinstance(step, bytes):
            sink.data(step)
        else:
            self._sink = None
            if step is None:
                sink.end()
            else:
                sink.fault(step)


class HandledUpstream:
    """Hands each request to `handler`, which may be a server of ours or another gate.

    The handler's client is `peer`, and its request belongs to the call that the request was sent for.
    To be made inside a running loop.
    """

    def __init__(self, handler: Handler, *, peer: str = "gate") -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._peer = peer

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one request; see `Upstream.send`. Its path means nothing here."""
        answer = _Answer(sink)
        asked = ClientRequest(
            request.method,
            MCP_PATH,
            b"",
            request.headers,
            request.body,
            self._peer,
            Grant.named(request.grant) if request.grant else None,
            request.call,
        )
        self._loop.call_soon(self._begin, asked, answer)
        return answer

    def _begin(self, request: ClientRequest, answer: _Answer) -> None:
        if answer.wanted:
            self._handler(request, answer)

    async def close(self) -> None:
        """Nothing: the handler has an owner of its own."""
