"""The command line entered in this process: for what a test needs beside the commands it is about."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from ostiary.cli.entry import main


def entered(*words: str, cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What a process with these words, this folder and exactly this environment would do.

    Half a second cheaper, which is what the imports take. It shows nothing about how a process
    starts, ends or is piped, so what a test claims about a command is still asked of a process.
    """
    told, complained, typed = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(3))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(told), redirect_stderr(complained):
        patch.setattr(sys, "argv", ["ostiary", *words])
        patch.setattr(sys, "stdin", typed)
        for name in set(os.environ) - set(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            main()
    status = ended.value.code
    assert isinstance(status, int)
    return subprocess.CompletedProcess(words, status, _text(told), _text(complained))


def _text(stream: TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
