"""The page about scans, typed into a terminal: what comes back is what it shows."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import agrees, run, typed
from tests.docs.markdown import ROOT
from tests.docs.test_tutorial import checkout
from tests.needs import needs_bubblewrap, needs_environment


@pytest.fixture(name="folder")
def open_folder() -> Iterator[Path]:
    """A folder that others may enter, too: under root what is behind walls is another user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.service
@pytest.mark.timeout(180)
def test_following_the_page_shows_what_it_says(folder: Path) -> None:
    needs_environment("servers", "mcp-server-git")
    environment = checkout(folder)
    environment["PATH"] = f"{Path(sys.executable).parent}:{needs_bubblewrap()}"
    steps = list(typed(ROOT / "docs/how-to/scan-a-server.md"))

    assert len(steps) >= 5
    for step in steps:
        came = run(step.command, folder, environment)
        assert agrees(step.shown, came), f"{step.page}:{step.line}: {step.command}\n{came}"
