"""Driver processes of the official clients, one of each kind for every test worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.driver import Drivers


@pytest.fixture(scope="session")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()
