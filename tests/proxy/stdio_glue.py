"""A stdio client in front of a stdio server with nothing in between: `stdio_glue.py CMD…`.

What a gate that allows everything would be, so that tests see the two adapters alone.
"""

from __future__ import annotations

import sys

import uvloop

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.exchange import ClientRequest, Head, Responder, Upstream, UpstreamRequest
from ostiary.proxy.stdio.downstream import StdioDownstream, claim_standard_streams
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream


class Relayed:
    """A sink that writes to a responder."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._started = False

    def head(self, head: Head) -> None:
        self._started = True
        self._responder.start(head)

    def data(self, data: bytes) -> None:
        self._responder.write(data)

    def end(self) -> None:
        self._responder.finish()

    def fault(self, fault: UpstreamFault) -> None:
        if self._started:
            self._responder.abort()
        else:
            self._responder.start(Head(502))
            self._responder.finish()


class Glue:
    """A handler that sends everything on."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        sent = UpstreamRequest(request.method, request.headers, request.body, grant="local")
        flow = self._upstream.send(sent, Relayed(responder))
        responder.on_gone, responder.on_pause, responder.on_resume = flow.cancel, flow.pause, flow.resume


async def main() -> int:
    """Serve standard input and output; the exit status is the child's."""
    reading, writing = claim_standard_streams()
    upstream = StdioUpstream(Command(tuple(sys.argv[1:])), single=True, on_exit=lambda _: downstream.stop())
    downstream = StdioDownstream(Glue(upstream), reading=reading, writing=writing, on_signal=upstream.signal)
    try:
        upstream.start()
    except GatewayFault as fault:
        sys.stderr.write(f"error: {fault.message}\n")
        await upstream.close()
        return 2
    await downstream.run()
    await upstream.close()
    return upstream.status or 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
