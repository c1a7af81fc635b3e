"""A server over an engine in the place of an upstream."""

from __future__ import annotations

import asyncio
import sys

from ostiary.errors import OstiaryError
from ostiary.proxy.exchange import Flow, Sink, UpstreamRequest
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.walls import Walls
from ostiary.servers.core.upstream import BuiltinUpstream


class EngineUpstream:
    """Implements `Upstream`: a server, and the engine that lives as long as it does."""

    def __init__(self, server: BuiltinUpstream, engine: Engine, walls: Walls, failing: str) -> None:
        """Serves at once; the engine warms up meanwhile, and a run that comes early waits for it.

        `failing` is what is said when it cannot.
        """
        self._server = server
        self._engine = engine
        self._walls = walls
        self._failing = failing
        self._warming = asyncio.get_running_loop().create_task(self._warm())  # ended in `close`

    async def _warm(self) -> None:
        try:
            await self._engine.open()
        except OstiaryError as error:
            hint = f" ({error.hint})" if error.hint else ""
            trouble(f"{self._failing}: {error.message}{hint}")

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one request; see `Upstream.send`."""
        return self._server.send(request, sink)

    async def close(self) -> None:
        """End every call, then every run and session, and wait until nothing of them is left."""
        self._warming.cancel()
        await asyncio.wait({self._warming})
        await self._server.close()
        await self._engine.close()
        self._walls.cells.close()


def trouble(text: str) -> None:
    """Tell the operator."""
    print(f"ostiary: {text}", file=sys.stderr, flush=True)
