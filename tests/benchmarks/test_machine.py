from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.machine import MissingError, running


def test_program_that_ends_at_once_is_left_out_with_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such module')"]

    with (
        pytest.raises(MissingError, match=r"ended with 1:\nno such module"),
        running(command, 9, 0, tmp_path / "log"),
    ):
        pass


def test_program_that_does_not_listen_is_left_out_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "STARTS_WITHIN", 0.1)
    command = ["sleep", "30"]

    with (
        pytest.raises(MissingError, match=r"did not listen within 0 s$"),
        running(command, 9, 0, tmp_path / "log"),
    ):
        pass
