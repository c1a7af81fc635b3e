"""The built-in containers' server in the place of an upstream: engine of containers, queue, server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ostiary import VERSION
from ostiary.builtin import DockerOptions
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.runner import ContainerRunner
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.packages.resolve import Packages
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.runner import Environment
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.servers.docker.server import make_server
from ostiary.servers.docker.service import Service
from ostiary.servers.docker.work_folder import WorkFolder
from ostiary.servers.runs import run_id, status_of
from ostiary.wiring.engine import EngineUpstream, trouble

MICROSECONDS = 1_000_000
NO_NETWORK = "none"
MOST_TARGETS = 16
"""Pythons of containers for which packages are kept at hand."""


def start_docker(
    options: DockerOptions, environ: Mapping[str, str], clock: Callable[[], int]
) -> EngineUpstream:
    """Serve. The engine of containers is reached later, and need not be there yet."""
    fetched = Fetched(environ)
    containers = Containers(
        settings_of(options),
        environ,
        clock=clock,
        on_trouble=trouble,
        fetch=fetched if options.network == NO_NETWORK else None,
    )
    engine = Engine(ContainerRunner(containers), clock=clock, mint=run_id, on_trouble=trouble)
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
    return EngineUpstream(BuiltinUpstream(server), (engine,), fetched.close)


class Fetched:
    """Packages of Python for containers that reach no network: resolved outside, wheels only.

    As for runs of the Python server: in the sandbox, which has to be there, with an index as its only
    address.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._walls: Walls | None = None
        self._packages: dict[Target, Packages] = {}
        self._turn = asyncio.Lock()

    async def __call__(self, owner: str, requirements: tuple[str, ...], target: Target) -> Environment:
        """Raises PackageFault, CallerFault and GatewayFault where there is no sandbox to resolve in."""
        async with self._turn:
            if len(self._packages) > MOST_TARGETS:
                self._packages.clear()
            if target not in self._packages:
                self._packages[target] = await asyncio.to_thread(self._supply, target)
            packages = self._packages[target]
        return await packages.resolve("", requirements, owner, target.engine)

    def _supply(self, target: Target) -> Packages:
        from ostiary.sandbox.isolation.cache import cache_folder
        from ostiary.sandbox.isolation.probe import probe
        from ostiary.sandbox.packages.opening import open_supply

        self._walls = self._walls or Walls.decide("strict", probe(self._environ))
        cache, python = cache_folder(self._environ), Path(sys.executable)
        supply = open_supply(self._environ, self._walls, cache, python, others={target.engine: target})
        return supply.packages()

    async def close(self) -> None:
        """Let go of what the sandbox took of the machine."""
        if self._walls is not None:
            self._walls.cells.close()


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
