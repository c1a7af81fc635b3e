"""A server over engines in the place of an upstream."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from ostiary.errors import OstiaryError
from ostiary.proxy.exchange import Flow, Sink, UpstreamRequest
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.walls import Walls
from ostiary.servers.core.upstream import BuiltinUpstream

Release = Callable[[], Awaitable[object]]
"""Lets go of what a server and its engines stood on, once both have ended."""


class EngineUpstream:
    """Implements `Upstream`: a server, and the engines that live as long as it does."""

    def __init__(self, server: BuiltinUpstream, engines: Sequence[Engine], release: Release) -> None:
        """Serves at once; the engines warm up meanwhile, and a run that comes early waits for its own."""
        self._server = server
        self._engines = engines
        self._release = release
        loop = asyncio.get_running_loop()
        self._warming = {loop.create_task(_warm(engine)) for engine in engines}  # ended in `close`

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one request; see `Upstream.send`."""
        return self._server.send(request, sink)

    def end(self, covers: Callable[[str], bool]) -> None:
        """See `RunsBehind`: runs in the background are no calls, and would outlive a stop."""
        for engine in self._engines:
            engine.end(covers)

    async def close(self) -> None:
        """End every call, then every run and session, and wait until nothing of them is left."""
        for task in self._warming:
            task.cancel()
        await asyncio.wait(self._warming)
        await self._server.close()
        for engine in self._engines:
            await engine.close()
        await self._release()


async def _warm(engine: Engine) -> None:
    try:
        await engine.open()
    except OstiaryError as error:
        hint = f" ({error.hint})" if error.hint else ""
        trouble(f"the engine `{engine.runner.name}` could not warm up: {error.message}{hint}")


def giving_back(walls: Walls) -> Release:
    """Gives back the cells of `walls`, where nothing else is to be let go of."""

    async def release() -> None:
        walls.cells.close()

    return release


def trouble(text: str) -> None:
    """Tell the operator."""
    print(f"ostiary: {text}", file=sys.stderr, flush=True)
