"""What every test of a worker starts from. It takes some seconds to make, so it is kept."""

from __future__ import annotations

import pytest

from tests.sandbox.pyodide.prepared import Prepared, node, prepared


@pytest.fixture(scope="session")
def here() -> Prepared:
    return prepared(node())
