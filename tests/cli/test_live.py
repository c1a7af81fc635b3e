"""The plumbing of live pages, with a page that is read anew once an hour: only events can move it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.pseudo_terminal import LEAVE_PAGE, START_S, PseudoTerminal

PAGE = """
import os
from rich.text import Text
from ostiary.cli.live import Leave, run
from ostiary.cli.keys import ANY

class Page:
    every = 3600.0
    def __init__(self):
        self.reads, self.keys = 0, []
    def refresh(self):
        self.reads += 1
    def draw(self, width, height):
        return Text(f"{width}x{height} reads {self.reads} keys {' '.join(self.keys)} end")
    def actions(self):
        own = {"x": self.leave, "b": self.fail}
        return own if "/" not in self.keys else {ANY: self.type, "enter": self.leave}
    def leave(self, key):
        raise Leave
    def fail(self, key):
        raise ValueError("an action that fails")
    def type(self, key):
        self.keys.append(key)

page = Page()
if TYPING:
    page.keys.append("/")
run(page, os.environ)
print("left")
"""


@contextmanager
def shown(tmp_path: Path, *, typing: bool = False) -> Iterator[PseudoTerminal]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "PYTHONUTF8": "1"}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    command = [sys.executable, "-c", PAGE.replace("TYPING", str(typing))]
    with PseudoTerminal(command, environment, 80, 24) as terminal:
        terminal.until(lambda: terminal.shows("80x24 reads 1"), START_S)
        yield terminal


def test_a_new_size_is_drawn_at_once_and_not_at_the_next_reading(tmp_path: Path) -> None:
    with shown(tmp_path) as terminal:
        terminal.resize(100, 30)

        terminal.until(lambda: terminal.shows("100x30 reads 1"))


@pytest.mark.parametrize("key", [b"x", b"q"])
def test_an_action_ends_the_page_and_so_does_q(tmp_path: Path, key: bytes) -> None:
    with shown(tmp_path) as terminal:
        terminal.type(key)

        assert terminal.ended() == 0
        assert terminal.output.rstrip().endswith("left")


def test_a_page_that_takes_text_gets_every_key_even_q(tmp_path: Path) -> None:
    with shown(tmp_path, typing=True) as terminal:
        for at, key in enumerate((b"q", b"x", " ñ".encode(), b"\x1b[A"), start=2):
            terminal.type(key)
            terminal.until(lambda read=at: terminal.shows(f"reads {read}"))
        assert terminal.shows("keys / q x space ñ up end")

        terminal.type(b"\r")

        assert terminal.ended() == 0


def test_a_key_whose_bytes_come_one_by_one_is_one_key(tmp_path: Path) -> None:
    with shown(tmp_path, typing=True) as terminal:
        for byte in b"\x1b[5~":
            terminal.type(bytes([byte]))

        terminal.until(lambda: terminal.shows("keys / page up end"))


def test_an_action_that_fails_leaves_a_terminal_that_can_be_read(tmp_path: Path) -> None:
    with shown(tmp_path) as terminal:
        terminal.type(b"b")

        assert terminal.ended() == 1
        assert terminal.settings() == terminal.before
        assert "an action that fails" in terminal.output.partition(LEAVE_PAGE)[2]


def test_a_page_ends_when_its_terminal_goes_away(tmp_path: Path) -> None:
    with shown(tmp_path) as terminal:
        terminal.hang_up()

        assert terminal.process.wait(START_S) in {0, 1, 129, 120}
