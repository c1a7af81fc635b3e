"""The two sides: one engine without walls, one behind them, for all attempts of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.escapes.tier import Tier, tier


@pytest.fixture(scope="session")
def bare() -> Iterator[Tier]:
    """Without walls."""
    with tier("none") as made:
        yield made


@pytest.fixture(scope="session")
def walled() -> Iterator[Tier]:
    """Behind all walls that there are."""
    with tier("strict") as made:
        yield made
