"""`ostiary hook`, typed, and started as Claude Code starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ostiary.cli import hook_run
from ostiary.cli.hook_files import program
from tests.cli.entered import entered
from tests.cli.test_messages import environment, ostiary
from tests.cli.test_start import HEAVY, SCRIPT

SETTINGS = ".claude/settings.json"


def installed(folder: Path, name: str = SETTINGS) -> str:
    """The command in the settings."""
    document = json.loads((folder / name).read_text())
    [group] = document["hooks"]["PreToolUse"]
    [hook] = group["hooks"]
    assert (group["matcher"], hook["type"]) == ("mcp__.*", "command")
    return hook["command"]


def event(folder: Path, tool: str = "mcp__it__x", **more: Any) -> bytes:
    fields = {"session_id": "s", "hook_event_name": "PreToolUse", "tool_name": tool, "tool_input": {}}
    return json.dumps({**fields, "cwd": str(folder), **more}).encode()


def started(folder: Path, given: bytes, command: str = "", **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command as Claude Code does: by a shell, with the event on standard input."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **more.pop("environment", {})}
    return subprocess.run(
        ["/bin/sh", "-c", command or installed(folder)],
        input=given, cwd=folder, env=environment, timeout=30, check=False, **{"capture_output": True, **more},
    )  # fmt: skip


def decision(done: subprocess.CompletedProcess[bytes]) -> tuple[str, str]:
    said = json.loads(done.stdout)["hookSpecificOutput"]
    assert said["hookEventName"] == "PreToolUse"
    return said["permissionDecision"], said["permissionDecisionReason"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder in which the hook is installed."""
    done = entered("hook", "install", cwd=tmp_path, environment=environment(tmp_path))
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_process_installs_what_the_tests_below_begin_with(place: Path) -> None:
    """They enter the command in their own process; here both are compared, and what is written."""
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    for path in files:
        path.unlink()
    done = ostiary("hook", "install", cwd=place)

    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == files


def test_the_settings_name_this_program_by_its_path(place: Path) -> None:
    state = place / ".local/state/ostiary"

    assert installed(place) == f"{sys.executable} -EP -m ostiary hook run --state-dir {state} || exit 2"


def test_a_second_time_nothing_is_written(place: Path) -> None:
    before = (place / SETTINGS).stat()
    done = ostiary("hook", "install", cwd=place)

    assert "as it was" in done.stdout
    assert (place / SETTINGS).stat().st_mtime_ns == before.st_mtime_ns


def test_removing_it_leaves_what_was_there_and_no_file_that_was_not(place: Path) -> None:
    done = ostiary("hook", "remove", cwd=place)
    again = ostiary("hook", "remove", cwd=place)

    assert (done.returncode, (place / SETTINGS).exists()) == (0, False)
    assert (again.returncode, again.stdout) == (1, "")


def test_settings_of_a_person_come_back_byte_for_byte_with_their_mode(tmp_path: Path) -> None:
    path = tmp_path / SETTINGS
    path.parent.mkdir()
    text = b'\xef\xbb\xbf{\n    "model": "m",\n    "hooks": { "PreToolUse": [ ] }\n}'
    path.write_bytes(text)
    path.chmod(0o640)
    assert ostiary("hook", "install", cwd=tmp_path).returncode == 0
    assert b"hook run" in path.read_bytes()
    assert ostiary("hook", "remove", cwd=tmp_path).returncode == 0

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (text, 0o640)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / ".claude").mkdir()
    (tmp_path / SETTINGS).symlink_to(tmp_path / "real.json")
    assert ostiary("hook", "install", cwd=tmp_path).returncode == 0

    assert (tmp_path / SETTINGS).is_symlink()
    assert "hook run" in (tmp_path / "real.json").read_text()


def test_a_project_gets_it_in_the_file_that_is_not_shared(tmp_path: Path) -> None:
    assert ostiary("hook", "install", "--project", cwd=tmp_path).returncode == 0

    assert installed(tmp_path, ".claude/settings.local.json")
    assert not (tmp_path / SETTINGS).exists()


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"hooks": 3}', '{"a": 1, "a": 2}', '{"hooks": {"PreToolUse": 1}}']
)
def test_settings_that_cannot_be_read_are_left_alone_and_named_with_the_place(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / SETTINGS
    path.parent.mkdir()
    path.write_text(text)
    for word in ("install", "remove"):
        done = ostiary("hook", word, cwd=tmp_path)

        assert (done.returncode, done.stdout) == (2, "")
        assert f"{path}:1:" in done.stderr
    assert path.read_text() == text


def test_hooks_that_are_switched_off_are_told(tmp_path: Path) -> None:
    path = tmp_path / SETTINGS
    path.parent.mkdir()
    path.write_text('{"disableAllHooks": true}')

    assert "disableAllHooks" in ostiary("hook", "install", cwd=tmp_path).stderr


def test_two_installations_at_once_leave_one_hook(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=ostiary, args=("hook", "install"), kwargs={"cwd": tmp_path}) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert installed(tmp_path)


def test_an_unknown_server_is_a_question_with_the_reason(place: Path) -> None:
    (place / ".mcp.json").write_text('{"mcpServers": {"it": {"command": "npx", "args": ["never-seen"]}}}')
    done = started(place, event(place))

    assert (done.returncode, done.stderr) == (0, b"")
    assert decision(done)[0] == "ask"
    assert "never-seen" in decision(done)[1]


def test_a_server_that_was_looked_at_needs_no_question(place: Path) -> None:
    server = str(Path(__file__).parent / "listing_server.py")
    entry = {"command": sys.executable, "args": [server, str(place / "offered.json")]}
    (place / ".mcp.json").write_text(json.dumps({"mcpServers": {"it": entry}}))
    (place / "offered.json").write_text(json.dumps([{"name": "read_file", "description": "Read a file"}]))
    assert decision(started(place, event(place, "mcp__it__read_file")))[0] == "ask"
    looked = ostiary("precheck", "it", "--configured", "--connect", "--unsafe-no-isolation", cwd=place)
    assert looked.returncode == 0, looked.stderr
    done = started(place, event(place, "mcp__it__read_file"))

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert decision(started(place, event(place, "mcp__it__other")))[0] == "ask"


@pytest.mark.parametrize(
    "given", [b"", b"{", b"null", b"\xff" * 100, b"[" * 100_000, b'{"tool_name": "mcp__a__b"}']
)
def test_broken_input_is_a_question(place: Path, given: bytes) -> None:
    assert decision(started(place, given))[0] == "ask"


def test_a_broken_memory_is_a_question_and_is_not_touched(place: Path) -> None:
    (place / ".mcp.json").write_text('{"mcpServers": {"it": {"command": "npx", "args": ["a"]}}}')
    memory = place / ".local/state/ostiary/prechecks.json"
    memory.write_bytes(b"{")
    memory.chmod(0o600)
    done = started(place, event(place))

    assert decision(done)[0] == "ask"
    assert "cannot be relied on" in decision(done)[1]
    assert memory.read_bytes() == b"{"


def test_where_nothing_can_be_said_the_call_is_blocked(place: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = started(place, event(place), stdout=full, stderr=subprocess.PIPE, capture_output=False)

    assert done.returncode == 2
    assert b"no configuration" in done.stderr


def test_where_the_program_is_gone_the_call_is_blocked(place: Path) -> None:
    done = started(place, event(place), installed(place).replace(sys.executable, "/nowhere/python"))

    assert done.returncode == 2


def test_neither_the_folder_nor_a_variable_can_stand_in_for_the_program(place: Path) -> None:
    (place / "ostiary").mkdir()
    (place / "ostiary/__init__.py").write_text("raise SystemExit(0)")
    (place / "ostiary/__main__.py").write_text("raise SystemExit(0)")
    done = started(place, event(place), environment={"PYTHONPATH": str(place)})

    assert decision(done)[0] == "ask"


def test_an_answer_that_takes_too_long_is_a_question(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as never, os.fdopen(writing, "w"):
        monkeypatch.setattr(hook_run, "SECONDS", 0.5)
        monkeypatch.setattr(sys, "stdin", never)

        assert hook_run.main([]) == 0
    assert "could not look within" in capsys.readouterr().out


def test_an_unknown_option_is_a_question(place: Path) -> None:
    assert (
        decision(started(place, event(place), installed(place).replace("--state-dir", "--oops")))[0] == "ask"
    )


def test_it_loads_no_framework_and_judges_nothing_anew(place: Path) -> None:
    """What makes it slow to start: the command framework, patterns, the rules of the classifier."""
    told = place / "modules.json"
    (place / ".mcp.json").write_text('{"mcpServers": {"it": {"command": "npx", "args": ["never-seen"]}}}')
    script = SCRIPT.replace('name.partition(".")[0]', "name")
    subprocess.run(
        [sys.executable, "-c", script, str(told), "hook", "run", "--state-dir", str(place / "state")],
        input=event(place), capture_output=True, timeout=20, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(place)},
    )  # fmt: skip
    loaded = set(json.loads(told.read_text()))

    assert "ostiary.scan.hooked" in loaded
    assert loaded & (HEAVY | {"re2", "yaml", "sqlite3", "ostiary.registry.classify.rules"}) == set()


def test_a_packed_program_is_named_by_its_own_path(tmp_path: Path) -> None:
    packed = tmp_path / "ostiary.pex"
    packed.touch()

    assert program({"PEX": str(packed)}) == (str(packed),)
    assert program({"PEX": "relative.pex"})[0] == sys.executable


def test_a_search_that_no_alarm_interrupts_ends_with_the_process() -> None:
    script = """
import re
from ostiary.cli import hook_run
hook_run.CPU_SECONDS = 1
hook_run.bound()
re.match("(a+)+$", "a" * 60 + "b")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)

    assert done.returncode == -signal.SIGXCPU


def test_a_variable_with_no_whole_path_makes_no_program_of_a_folder_a_gate(place: Path) -> None:
    program = place / "evil"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    servers = {"it": {"command": "./evil", "args": ["proxy"]}}
    (place / ".claude.json").write_text(json.dumps({"mcpServers": servers}))

    assert decision(started(place, event(place), environment={"PEX": "evil"}))[0] == "ask"
