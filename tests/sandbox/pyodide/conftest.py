"""What every test of a worker starts from. It takes some seconds to make, so it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.pyodide.prepared import Prepared, node, prepared


@pytest.fixture(scope="session")
def here() -> Prepared:
    return prepared(node())


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that the users of workers can reach: pytest closes its own to them."""
    with tempfile.TemporaryDirectory(prefix="ostiary-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
