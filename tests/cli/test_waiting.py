"""`ostiary status` counts the calls that wait for a person."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.cli.waiting import count_waiting
from ostiary.store.state import open_state
from tests.cli.asking import Asking
from tests.cli.pseudo_terminal import START_S, PseudoTerminal
from tests.cli.test_status_page import environment


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    yield made
    made.store.close()


def test_only_what_is_pending_and_in_time_is_counted(asking: Asking) -> None:
    assert count_waiting(asking.state) == 0
    first, second, _ = asking.ask("a"), asking.ask("b"), asking.ask("c")
    asking.ask("d", lasts=0)

    assert count_waiting(asking.state) == 3
    asking.resolve(first, "approve")
    assert count_waiting(asking.state) == 2
    asking.resolve(second, "deny")
    assert count_waiting(asking.state) == 1


def test_what_cannot_be_counted_is_not_nought(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.database.write_bytes(b"not a database" * 100)

    assert count_waiting(state) is None


def test_status_says_how_many_wait(asking: Asking) -> None:
    asking.ask("a")
    asking.ask("b")
    command = [sys.executable, "-m", "ostiary", "status", "--state-dir", str(asking.state.path)]
    env = environment(asking.state.path.parent)

    def said(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], env=env, capture_output=True, text=True, timeout=START_S, check=False
        )
        return done.stdout

    assert json.loads(said("--format", "json"))["waiting"] == 2
    with PseudoTerminal([*command, "--watch"], env, 80, 24) as terminal:
        terminal.until(lambda: terminal.shows("2 approvals wait for a person"), START_S)
        asking.ask("c")
        terminal.until(lambda: terminal.shows("3 approvals wait for a person"))
