"""A server on standard input and output, without a gate in front."""

from __future__ import annotations

import asyncio

from ostiary.proxy.stdio.downstream import StdioDownstream, StdioLimits, claim_standard_streams
from ostiary.servers.core.endpoint import Endpoint, EndpointLimits, SessionEnded, nobody
from ostiary.servers.core.server import Server


async def serve(
    server: Server,
    *,
    limits: EndpointLimits | None = None,
    stdio: StdioLimits | None = None,
    ended: SessionEnded = nobody,
) -> None:
    """Serve one client on this process's standard streams until it leaves or a signal comes.

    From here on `print` goes to standard error. Raises GatewayFault where a stream is closed.
    """
    endpoint = Endpoint(server, limits=limits, ended=ended)
    reading, writing = claim_standard_streams()
    try:
        await StdioDownstream(endpoint, reading=reading, writing=writing, limits=stdio).run()
    finally:
        await endpoint.close()


def run(server: Server, *, limits: EndpointLimits | None = None) -> None:
    """As `serve`, in an event loop of its own."""
    asyncio.run(serve(server, limits=limits))
