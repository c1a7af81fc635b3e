"""The page about the emergency stop, typed into a terminal: what comes back is what it shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.docs.console import agrees, run, typed
from tests.docs.markdown import ROOT

PAGE = ROOT / "docs/how-to/emergency-stop.md"
SPACES = re.compile(r" +")
SINCE = re.compile(r"(Z\s+)\S+")


def plain(text: str) -> str:
    """Without the widths of columns, which follow the longest name, and without who typed it."""
    return "\n".join(SPACES.sub(" ", SINCE.sub(r"\1WHO", line)).rstrip() for line in text.split("\n"))


def test_following_the_page_shows_what_it_says(tmp_path: Path) -> None:
    """P2.5."""
    kept = {name: value for name, value in os.environ.items() if name in {"LANG", "LC_ALL", "PYTHONPATH"}}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = kept | {"HOME": str(tmp_path), "PATH": path, "PYTHONUTF8": "1"}
    steps = list(typed(PAGE))

    assert len(steps) > 8
    for step in steps:
        came = run(step.command, tmp_path, environment)
        assert agrees(plain(step.shown), plain(came)), f"{step.page}:{step.line}: {step.command}\n{came}"
