"""A server of ours in the place of one behind the gate, without a connection in between."""

from __future__ import annotations

from ostiary.proxy.exchange import Flow, Sink, UpstreamRequest
from ostiary.proxy.handled import HandledUpstream
from ostiary.servers.core.endpoint import Endpoint, EndpointLimits, SessionEnded, nobody
from ostiary.servers.core.server import Server


class BuiltinUpstream:
    """Implements `Upstream` with a server in this process. To be made inside a running loop.

    `ended` is told the owner (the name of the grant) and the name of each legacy session that is over.
    """

    def __init__(
        self, server: Server, *, limits: EndpointLimits | None = None, ended: SessionEnded = nobody
    ) -> None:
        self._endpoint = Endpoint(server, limits=limits, ended=ended)
        self._way = HandledUpstream(self._endpoint)

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one request; see `Upstream.send`."""
        return self._way.send(request, sink)

    async def close(self) -> None:
        """End every call and session."""
        await self._endpoint.close()
