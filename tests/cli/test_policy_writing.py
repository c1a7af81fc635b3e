"""`policy convert` and `policy fmt` as commands: files, streams, statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UNTIDY = 'default:   deny  # nothing else\nversion: "1"\n'
TIDY = 'version: "1"\ndefault: deny  # nothing else\n'
SHORT = "# ours\ntools:\n  run:\n    rules:\n      - rate_limit: 10/minute\n"


def ostiary(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OSTIARY_")}
    return subprocess.run(
        [sys.executable, "-m", "ostiary", "policy", *arguments],
        cwd=cwd, env={**environment, "HOME": str(cwd), "PYTHONUTF8": "1"}, input=stdin,
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


def test_fmt_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(UNTIDY)
    file.chmod(0o640)

    done = ostiary("fmt", "p.yaml", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert file.read_text() == TIDY
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["p.yaml"]


def test_fmt_leaves_a_tidy_file_untouched(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(TIDY)
    before = file.stat()

    assert ostiary("fmt", "p.yaml", cwd=tmp_path).returncode == 0
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_fmt_writes_through_a_symlink_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "p.yaml"
    real.write_text(UNTIDY)
    link = tmp_path / "link.yaml"
    link.symlink_to("real/p.yaml")

    assert ostiary("fmt", "link.yaml", cwd=tmp_path).returncode == 0
    assert link.is_symlink()
    assert real.read_text() == TIDY


def test_fmt_check_and_diff_write_nothing_and_say_what_would_change(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(UNTIDY)
    (tmp_path / "q.yaml").write_text(TIDY)

    checked = ostiary("fmt", "--check", "p.yaml", "q.yaml", cwd=tmp_path)
    shown = ostiary("fmt", "--diff", "p.yaml", "q.yaml", cwd=tmp_path)

    assert (checked.returncode, checked.stdout, checked.stderr) == (1, "", "p.yaml: would be formatted\n")
    assert shown.returncode == 0
    assert "+default: deny  # nothing else\n" in shown.stdout
    assert "q.yaml" not in shown.stdout
    assert (tmp_path / "p.yaml").read_text() == UNTIDY
    assert ostiary("fmt", "--check", "q.yaml", cwd=tmp_path).returncode == 0


def test_fmt_reads_and_writes_standard_streams(tmp_path: Path) -> None:
    done = ostiary("fmt", "-", cwd=tmp_path, stdin=UNTIDY)
    in_json = ostiary("fmt", "-", cwd=tmp_path, stdin='{"default": "deny", "version": "1"}')

    assert (done.returncode, done.stdout) == (0, TIDY)
    assert in_json.stdout == '{\n  "version": "1",\n  "default": "deny"\n}\n'
    assert ostiary("fmt", "-", "-", cwd=tmp_path).returncode == 2


def test_fmt_refuses_an_invalid_file_with_its_diagnostics_and_formats_the_others(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text('version: "1"\ndefault: deny\ntolls: {}\n')
    (tmp_path / "p.yaml").write_text(UNTIDY)

    done = ostiary("fmt", "bad.yaml", "p.yaml", cwd=tmp_path)

    assert done.returncode == 2
    assert "bad.yaml:3:1: error: unknown key `tolls`" in done.stderr
    assert "did you mean `tools`" in done.stderr
    assert (tmp_path / "bad.yaml").read_text().endswith("tolls: {}\n")
    assert (tmp_path / "p.yaml").read_text() == TIDY


def _make(kind: str, path: Path) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize("command", ["fmt", "convert"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fifo", "not a regular file"),
        ("loop", "symbolic links"),
        ("folder", "is a directory"),
        ("none", "no such"),
    ],
)
def test_what_is_no_file_is_refused_at_once(command: str, kind: str, words: str, tmp_path: Path) -> None:
    _make(kind, tmp_path / "p.yaml")

    done = ostiary(command, "p.yaml", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_convert_prints_the_document_and_reports_apart(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SHORT)

    done = ostiary("convert", "s.yaml", cwd=tmp_path)
    in_json = ostiary("convert", "-", "--to", "json", cwd=tmp_path, stdin=SHORT)

    assert done.returncode == 0
    assert "      - {counter: rate_60, window: minute, max: 10}\n" in done.stdout
    assert "s.yaml:1:1: note: a comment is not carried over" in done.stderr
    assert json.loads(in_json.stdout)["default"] == "deny"
    assert "<stdin>:2:1: note: " in in_json.stderr


def test_convert_writes_a_file_in_the_syntax_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SHORT)

    done = ostiary("convert", "s.yaml", "-o", "p.json", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads((tmp_path / "p.json").read_text())["version"] == "1"
    assert ostiary("check", "p.json", cwd=tmp_path).returncode == 0


def test_convert_refuses_what_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SHORT.replace("rate_limit", "rate_limits"))

    done = ostiary("convert", "s.yaml", "-o", "p.json", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "s.yaml:5:9: error: unknown key `rate_limits`" in done.stderr
    assert not (tmp_path / "p.json").exists()
