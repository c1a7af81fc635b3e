"""How the command line speaks: one line, back-ticks, a hint apart, 80 columns, no colour."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    (),
    ("proxy",),
    ("demo",),
    ("status",),
    ("policy",),
    ("policy", "check"),
    ("policy", "explain"),
    ("policy", "test"),
    ("policy", "convert"),
    ("policy", "fmt"),
    ("policy", "schema"),
    ("audit",),
    ("audit", "tail"),
    ("audit", "show"),
    ("audit", "verify"),
    ("audit", "export"),
]


KEPT = {"PATH", "LANG", "PYTHONPATH"}


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    return {**kept, "HOME": str(home), "COLUMNS": "80", "PYTHONUTF8": "1"}


def ostiary(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ostiary", *arguments],
        cwd=cwd, env=environment(cwd),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "ostiary")
def test_help_fits_a_terminal_and_is_plain_text(words: tuple[str, ...], tmp_path: Path) -> None:
    done = ostiary(*words, "--help", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    assert "\x1b" not in done.stdout
    assert not set("╭│╰") & set(done.stdout)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("polcy",), "unknown command `polcy`", "did you mean `policy`"),
        (("policy", "chek"), "unknown command `chek`", "did you mean `check`"),
        (("policy", "explain", "--tol", "x"), "unknown option `--tol`", "did you mean `--tool`"),
        (("policy", "explain"), "missing option `--tool`", "see --help"),
        (("audit", "tail", "--format", "xml"), "`xml` is not one of `text`, `json`", "see --help"),
        (("audit", "tail", "-n", "0"), "`-n` / `--lines`", "see --help"),
        (("proxy", "--lissten", "x"), "unknown option `--lissten`", "did you mean `--listen`"),
        (("proxy", "--pins", "loose", "--", "true"), "--pins: invalid choice: `loose`", "proxy --help"),
        (("proxy", "server", "--", "true"), "unexpected argument `server`", "after `--`"),
    ],
)
def test_a_mistyped_command_line_is_answered_with_the_near_match(
    words: tuple[str, ...], message: str, hint: str, tmp_path: Path
) -> None:
    done = ostiary(*words, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    said, _, hinted = done.stderr.rstrip("\n").partition("\n\nhint: ")
    assert said.startswith("error: ")
    assert message in said
    assert "\n" not in said
    assert not said.endswith(".")
    assert hint in hinted


@pytest.mark.parametrize("words", [(), ("policy",), ("audit",)], ids=["ostiary", "policy", "audit"])
def test_no_command_at_all_shows_the_help_and_is_not_success(words: tuple[str, ...], tmp_path: Path) -> None:
    done = ostiary(*words, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Commands:" in done.stderr


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path: Path) -> None:
    """141, as a shell shows for any program whose reader left; 0 would say that all was told."""
    line = f"set -o pipefail; {sys.executable} -m ostiary policy schema | true"

    ended = [
        subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=20, check=False)
        for _ in range(2)
    ]

    assert {one.returncode for one in ended} <= {0, 141}  # 0 when all fitted into the pipe in time
    assert [one.stderr for one in ended] == [b"", b""]
