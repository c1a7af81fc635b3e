"""The built-in containers' server in the place of an upstream: engine of containers, queue, server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping

from ostiary import VERSION
from ostiary.errors import OstiaryError
from ostiary.proxy.exchange import Flow, Sink, UpstreamRequest
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.runner import ContainerRunner
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.engine import Engine
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.servers.docker.server import make_server
from ostiary.servers.docker.service import Service
from ostiary.servers.docker.work_folder import WorkFolder
from ostiary.servers.runs import run_id, status_of
from ostiary.settings import DockerOptions

MICROSECONDS = 1_000_000


class DockerUpstream:
    """Implements `Upstream`: the containers' server, and the queue that lives as long as it does."""

    def __init__(self, server: BuiltinUpstream, engine: Engine) -> None:
        """Serves at once; the engine is reached meanwhile, and a call that comes early waits for it."""
        self._server = server
        self._engine = engine
        self._reaching = asyncio.get_running_loop().create_task(self._reach())  # ended in `close`

    async def _reach(self) -> None:
        try:
            await self._engine.open()
        except OstiaryError as error:
            _trouble(f"the containers' server: {error.message}")

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one request; see `Upstream.send`."""
        return self._server.send(request, sink)

    async def close(self) -> None:
        """End every call, then every run, and wait until nothing of them is left in any container."""
        self._reaching.cancel()
        await asyncio.wait({self._reaching})
        await self._server.close()
        await self._engine.close()


def start_docker(
    options: DockerOptions, environ: Mapping[str, str], clock: Callable[[], int]
) -> DockerUpstream:
    """Serve. The engine of containers is reached later, and need not be there yet."""
    containers = Containers(settings_of(options), environ, clock=clock, on_trouble=_trouble)
    engine = Engine(ContainerRunner(containers), clock=clock, mint=run_id, on_trouble=_trouble)
    service = Service(
        engine=engine,
        containers=containers,
        folder=WorkFolder(options.work_folder),
        now=lambda: clock() / MICROSECONDS,
        strict_errors=options.strict_errors,
    )
    server = make_server(
        service,
        options.toolsets,
        version=VERSION,
        naming=options.naming,
        status=lambda: status_of(engine, dict),
    )
    return DockerUpstream(BuiltinUpstream(server), engine)


def settings_of(options: DockerOptions) -> ContainerSettings:
    """What the operator's options mean for containers."""
    return ContainerSettings(
        host=options.host or "",
        allowed=options.containers,
        unsafe_any_container=options.unsafe_any_container,
        network=options.network,
        runtime=options.runtime or "",
        ttl_s=options.container_ttl_s,
        pull="missing" if options.pull else "never",
        unsafe_writable_root=options.unsafe_writable_root,
    )


def _trouble(text: str) -> None:
    print(f"ostiary: {text}", file=sys.stderr, flush=True)
