"""One version, wherever it is told."""

from __future__ import annotations

import tomllib

from ostiary import VERSION
from tests.needs import ROOT


def test_the_package_tells_the_version_that_it_is_built_as() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert project["project"]["version"] == VERSION
