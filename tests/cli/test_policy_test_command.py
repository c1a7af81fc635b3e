"""`policy test` and the tests that a gate runs: statuses, files of every odd kind, the unsafe switch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

POLICY = '{"version": "1", "default": "deny", "tools": {"echo": {}}}'
PASSING = "tests:\n  - {name: echo is there, tool: echo, expect: allow}\n"
FAILING = PASSING + "  - {name: rm is there, tool: rm, expect: allow}\n"
TOOLS = '{"tools": [{"name": "other", "inputSchema": {}}]}'


def ostiary(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OSTIARY_")}
    environment |= {"HOME": str(cwd), "OSTIARY_STATE_DIR": str(cwd / "state"), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-m", "ostiary", *arguments],
        cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.json").write_text(POLICY)
    (tmp_path / "p.tests.yaml").write_text(PASSING)
    return tmp_path


def test_passing_tests_are_0_and_failing_ones_1(folder: Path) -> None:
    passed = ostiary("policy", "test", "p.json", cwd=folder)
    (folder / "p.tests.yaml").write_text(FAILING)
    failed = ostiary("policy", "test", "-p", "p.json", cwd=folder)

    assert (passed.returncode, passed.stdout.split("\n")[0], passed.stderr) == (
        0,
        "2 tests passed"[0:0] + "1 test passed",
        "",
    )
    assert failed.returncode == 1
    assert (
        "p.tests.yaml:3:5: failed: `rm is there`\n  expected allow\n  came deny by `(default deny)`"
        in failed.stdout
    )
    assert "1 of 2 tests failed" in failed.stdout


def test_the_answer_as_data(folder: Path) -> None:
    (folder / "p.tests.yaml").write_text(FAILING)

    found = json.loads(ostiary("policy", "test", "p.json", "--format", "json", cwd=folder).stdout)

    assert (found["v"], found["ok"], found["tests"], len(found["failures"])) == (1, False, 2, 1)


def test_a_named_tests_file_and_a_tool_list_beside_it(folder: Path) -> None:
    """P2.8: with a tool list a tool that the server does not have is denied."""
    (folder / "more").mkdir()
    (folder / "more" / "t.json").write_text(TOOLS)
    (folder / "more" / "x.yaml").write_text("tools: t.json\n" + PASSING)

    by_file = ostiary("policy", "test", "p.json", "--tests", "more/x.yaml", cwd=folder)
    by_option = ostiary("policy", "test", "p.json", "--tools", "more/t.json", cwd=folder)

    for done in (by_file, by_option):
        assert done.returncode == 1
        assert "`(unknown tool)`" in done.stdout
        assert "not checked" not in done.stdout


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _folder(path: Path) -> None:
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def _large(path: Path) -> None:
    path.write_text(PASSING + "#" * 1_048_576)


def _unknown_key(path: Path) -> None:
    path.write_text(PASSING.replace("expect", "expekt"))


def _empty(path: Path) -> None:
    path.write_text("tests: []\n")


def _twice(path: Path) -> None:
    path.write_text(PASSING)
    path.with_suffix(".json").write_text("{}")


ODD = [_fifo, _loop, _dangling, _folder, _unreadable, _large, _unknown_key, _empty, _twice]


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__.strip("_"))
def test_a_tests_file_that_cannot_be_used_is_never_taken_for_none(make, folder: Path) -> None:
    """Fail closed: neither the command nor the gate passes over it, and neither waits for it."""
    (folder / "p.tests.yaml").unlink()
    make(folder / "p.tests.yaml")

    tested = ostiary("policy", "test", "p.json", cwd=folder)
    started = ostiary("proxy", "-p", "p.json", "--", "true", cwd=folder)

    for done in (tested, started):
        assert done.returncode == 2
        assert done.stdout == ""
        assert "p.tests.yaml" in done.stderr
        assert "Traceback" not in done.stderr
    assert "the policy was not activated" in started.stderr


def test_a_tool_list_that_is_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "t.json")
    (folder / "p.tests.yaml").write_text("tools: t.json\n" + PASSING)

    done = ostiary("policy", "test", "p.json", cwd=folder)

    assert done.returncode == 2
    assert "t.json`: not a regular file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("policy", "test"), "which policy"),
        (("policy", "test", "nope.json"), "cannot read policy `nope.json`"),
        (("policy", "test", "bare.json"), "there are no tests beside `bare.json`"),
        (("policy", "test", "bad.json", "--tests", "p.tests.yaml"), "unknown key `defualt`"),
    ],
)
def test_what_cannot_run_says_why_with_2(arguments: tuple[str, ...], words: str, folder: Path) -> None:
    (folder / "bare.json").write_text(POLICY)
    (folder / "bad.json").write_text(POLICY.replace("default", "defualt"))

    done = ostiary(*arguments, cwd=folder)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_check_says_how_many_tests_there_are_and_runs_none(folder: Path) -> None:
    (folder / "p.tests.yaml").write_text(FAILING)

    done = ostiary("policy", "check", "p.json", cwd=folder)
    found = json.loads(ostiary("policy", "check", "p.json", "--format", "json", cwd=folder).stdout)

    assert done.returncode == 0
    assert "2 tests in p.tests.yaml, not run here" in done.stdout
    assert found["tests"] == {"file": "p.tests.yaml", "count": 2}


def test_check_says_what_is_wrong_with_the_tests(folder: Path) -> None:
    _unknown_key(folder / "p.tests.yaml")

    done = ostiary("policy", "check", "p.json", cwd=folder)

    assert done.returncode == 1
    assert "p.tests.yaml:2:39: error: unknown key `expekt`" in done.stderr


def test_check_says_whose_policy_a_test_cannot_be_about(folder: Path) -> None:
    """P8.3: a gate would not start with these tests, so a check does not call them fine."""
    (folder / "p.json").write_text(
        '{"version": "1", "servers": {"a": {"default": "deny"}, "b": {"default": "deny"}}}'
    )

    done = ostiary("policy", "check", "p.json", cwd=folder)

    assert done.returncode == 1
    assert "p.tests.yaml:2:5: error: the key `server` is missing: the policy has several" in done.stderr


def test_a_gate_does_not_start_with_a_failing_test_unless_told_to(folder: Path) -> None:
    """P8.2: the message names the failing tests; the switch is shown and recorded."""
    (folder / "p.tests.yaml").write_text(FAILING)

    refused = ostiary("proxy", "-p", "p.json", "--", "true", cwd=folder)
    started = ostiary("proxy", "-p", "p.json", "--unsafe-skip-tests", "--", "true", cwd=folder)
    records = ostiary("audit", "export", cwd=folder)

    assert refused.returncode == 2
    assert "the policy was not activated: 1 of 2 tests failed" in refused.stderr
    assert "p.tests.yaml:3:5: failed: `rm is there`" in refused.stderr
    assert started.returncode == 0
    assert "[--unsafe-skip-tests: the tests of the policy are not run]" in started.stderr
    assert "--unsafe-skip-tests" in records.stdout


def test_a_gate_starts_when_every_test_passes(folder: Path) -> None:
    """P8.2."""
    done = ostiary("proxy", "-p", "p.json", "--", "true", cwd=folder)

    assert done.returncode == 0
    assert "unsafe" not in done.stderr


def test_a_policy_that_passes_no_test_is_answered_with_the_first_of_them(folder: Path) -> None:
    matrix = "tests:\n  - {name: 'rm ${n}', tool: rm, args: {n: '${n}'}, expect: allow, matrix: {n: [%s]}}\n"
    (folder / "p.tests.yaml").write_text(matrix % ", ".join(map(str, range(500))))

    done = ostiary("proxy", "-p", "p.json", "--", "true", cwd=folder)

    assert done.returncode == 2
    assert "500 of 500 tests failed" in done.stderr
    assert "and 480 more" in done.stderr
    assert done.stderr.count("failed: `rm ") == 20
