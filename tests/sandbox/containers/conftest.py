"""One world for each file of tests and each engine, and one container in it with Python and a shell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ostiary.sandbox.containers.found import Found
from tests.sandbox.containers.world import KINDS, World, world


@pytest.fixture(scope="module", params=KINDS)
def any_engine(request: pytest.FixtureRequest) -> Iterator[World]:
    """On Docker, on podman and on Docker with gVisor."""
    with world(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def docker() -> Iterator[World]:
    """On Docker only, for what has nothing to do with the engine."""
    with world("docker") as made:
        yield made


@pytest.fixture(scope="module")
def box(any_engine: World) -> Found:
    """A container with Python."""
    return any_engine.create()


@pytest.fixture(scope="module")
def crate(docker: World) -> Found:
    """The same, on Docker only."""
    return docker.create()
