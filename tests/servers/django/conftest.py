"""A project that tests only look at, copies of it, and the official clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import Drivers
from tests.sandbox.django.world import copied, filled, manage
from tests.servers.django.world import shop_on
from tests.tools.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


@pytest.fixture(scope="session")
def project() -> Iterator[Path]:
    """The shop, for tests that change nothing in it."""
    with filled() as made:
        yield made


@pytest.fixture
def own(project: Path) -> Iterator[Path]:
    """A shop of a test's own."""
    with copied(project) as made:
        yield made


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """PostgreSQL."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def stocked(server: Postgres, project: Path) -> str:
    """The name of a database with a filled shop, to make others of."""
    name = server.database()
    manage(project, "migrate", "--verbosity=0", **shop_on(server, name))
    return name
