"""Which container engine this machine has, for `ostiary doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ostiary.errors import OstiaryError
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.isolation.probe import Layer

NAME = "container engine"
PATIENCE_S = 5


def engine_layer(environ: Mapping[str, str]) -> Layer:
    """The engine that `ostiary run docker` would use. It is asked for its version, and nothing is changed."""
    try:
        version = asyncio.run(_version(environ))
    except TimeoutError:
        return _missing(f"it did not answer within {PATIENCE_S} s", "look whether it runs: `docker version`")
    except OstiaryError as fault:
        return _missing(fault.message, fault.hint or "start Docker, or `podman system service`")
    return Layer(name=NAME, found=True, version=version, path=environ.get("DOCKER_HOST", ""))


def _missing(why: str, remedy: str) -> Layer:
    loss = "`ostiary run docker` has no containers"
    return Layer(name=NAME, found=False, why=why, remedy=remedy, loss=loss)


async def _version(environ: Mapping[str, str]) -> str:
    """Raises EngineFault, TimeoutError."""
    containers = Containers(ContainerSettings(), environ, clock=lambda: 0, on_trouble=lambda _: None)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await containers.version()
    finally:
        await containers.close()
