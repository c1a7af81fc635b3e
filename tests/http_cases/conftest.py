"""One gate process for all tests of a worker: what it refuses must not change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http_cases.world import GateProcess, running_gate


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateProcess]:
    with running_gate(tmp_path_factory.mktemp("gate")) as running:
        yield running
