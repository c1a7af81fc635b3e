"""The pages about pins and the first policy, typed into a terminal: what comes back is what they show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.console import agrees, run, typed
from tests.docs.markdown import ROOT
from tests.docs.test_tutorial import checkout
from tests.needs import needs_environment


@pytest.mark.service
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", ["pin-tools", "start-a-policy", "check-before-connecting"])
def test_following_the_page_shows_what_it_says(page: str, tmp_path: Path) -> None:
    needs_environment("servers", "mcp-server-time")
    environment = checkout(tmp_path)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    steps = list(typed(ROOT / f"docs/how-to/{page}.md"))

    assert len(steps) >= 5
    for step in steps:
        came = run(step.command, tmp_path, environment)
        assert agrees(step.shown, came), f"{step.page}:{step.line}: {step.command}\n{came}"
