"""One set of warm interpreters for each file of tests and each level of isolation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.cpython.world import LEVELS, Sandbox, sandbox, stock


@pytest.fixture(scope="module", params=LEVELS)
def any_level(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Without walls and behind them: what code sees of its interpreter is the same."""
    with sandbox(stock(request.param)) as made:
        yield made


@pytest.fixture(scope="module")
def walled() -> Iterator[Sandbox]:
    """Behind walls."""
    with sandbox(stock("strict")) as made:
        yield made
