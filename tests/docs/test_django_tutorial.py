"""The tutorial about the Django shell, typed into a terminal: what comes back is what it shows."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from tests.docs.console import agrees, run, typed
from tests.docs.markdown import ROOT
from tests.sandbox.django.world import own
from tests.servers.python.world import walled

TUTORIAL = ROOT / "docs/tutorial/django-shell.md"
SAVED = re.compile(r"this as `([^`]+)`:\n\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def place() -> Iterator[Path]:
    """What a reader has in front of them; where other users may pass, unlike folders of pytest."""
    made = Path(tempfile.mkdtemp(prefix="ostiary-tutorial-"))
    made.chmod(0o755)
    (made / ".venv").symlink_to(sys.prefix)
    (made / "home").mkdir()
    yield made
    rmtree(made)


@pytest.mark.service
@pytest.mark.timeout(180)
def test_following_the_tutorial_shows_what_it_says(place: Path) -> None:
    environment = {**walled(), "HOME": str(place / "home"), "PYTHONUTF8": "1"}
    left = dict(SAVED.findall(TUTORIAL.read_text(encoding="utf-8")))
    assert list(left) == ["shelf/models.py", "books.json", "ask.py"]
    folder = place
    for step in typed(TUTORIAL):
        if step.command.startswith("cd "):
            folder /= step.command.removeprefix("cd ")
            continue
        for name in [one for one in left if (folder / one).parent.is_dir() and folder != place]:
            if name != "shelf/models.py" or (folder / name).exists():
                (folder / name).write_text(left.pop(name), encoding="utf-8")
        came = run(step.command, folder, environment)
        assert agrees(step.shown, came), f"{step.page}:{step.line}: {step.command}\n{came}"
        own(place / "library")
    assert not left
