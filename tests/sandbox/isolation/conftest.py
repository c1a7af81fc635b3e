"""What every test of a real box starts from. It takes a second to build, so it is built once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.isolation.standing import Standing, stand


@pytest.fixture(scope="session")
def standing() -> Iterator[Standing]:
    with stand() as here:
        yield here
