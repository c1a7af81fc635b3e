"""`ostiary code`, as it is typed: what is printed where, and with which status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ostiary.store import custom_tools, server_requests
from ostiary.store.custom_tools import Definition
from ostiary.store.opening import open_store
from ostiary.store.state import StateDir, open_state
from ostiary.store.verify import verify

Done = subprocess.CompletedProcess[str]


def ostiary(*words: str, state: StateDir) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "ostiary", "code", *words, "--state-dir", str(state.path)],
        capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ),
    )  # fmt: skip


def as_json(*words: str, state: StateDir) -> Any:
    return json.loads(ostiary(*words, "--format", "json", state=state).stdout)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A state folder with a tool of two versions and a request."""
    state = open_state(tmp_path / "state")
    open_store(state).close()
    definition = Definition(description="says \x1b[31mred", input_schema={"type": "object"})
    for new, script in ((True, "1"), (False, "print('\x1b[2J')")):
        custom_tools.save(state, "ann", "report", definition, script, at=1_700_000_000_000_000, new=new)
    headers = {"Authorization": "Bearer ${TICKETS}"}
    url = "https://tools.example.org/mcp"
    server_requests.file(state, "ann", "Tickets", url, headers, "to read", at=1)
    return state


def test_tools_are_listed_and_shown_without_what_a_terminal_would_obey(state: StateDir) -> None:
    listed = ostiary("tools", "list", state=state)
    shown = ostiary("tools", "show", "custom_report", state=state)
    older = as_json("tools", "show", "report", "--version", "1", state=state)

    assert listed.stdout.splitlines()[1].split()[:4] == ["custom_report", "ann", "2", "its"]
    assert "print('" in shown.stdout
    assert "\x1b" not in listed.stdout + shown.stdout
    assert (older["tool"]["script"], len(older["tool"]["versions"])) == ("1", 2)
    assert ostiary("tools", "show", "gone", state=state).returncode == 2
    assert ostiary("tools", "show", "report", "--version", "7", state=state).returncode == 2


def test_code_is_shown_in_the_lines_that_python_sees(state: StateDir) -> None:
    # Python ends a line at a line feed or a carriage return only: to it each of these is one comment.
    comments = [
        f"# x{end}raise SystemExit"
        for end in ("\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
    ]
    script = "\n".join([*comments, "first = 1\rsecond = 2\r\nthird = 3"])
    definition = Definition(description="d", input_schema={"type": "object"})
    custom_tools.save(state, "ann", "report", definition, script, at=1, new=False)

    shown = ostiary("tools", "show", "report", state=state).stdout.splitlines()

    assert [line for line in shown if "raise SystemExit" in line] == [
        line for line in shown if line.startswith("# x")
    ]
    assert len([line for line in shown if line.startswith("# x")]) == len(comments)
    assert shown[-3:] == ["first = 1", "second = 2", "third = 3"]


def test_removing_a_tool_is_on_record(state: StateDir) -> None:
    assert ostiary("tools", "remove", "report", state=state).returncode == 0
    assert ostiary("tools", "remove", "report", state=state).returncode == 1
    assert as_json("tools", "list", state=state) == {"v": 1, "tools": []}
    assert ostiary("tools", "list", state=state).stdout == "no custom tool is stored\n"
    assert events(state) == [("custom-tool-removed", "custom_report")]
    assert verify(state).ok


def test_a_request_shows_where_it_leads_and_what_would_be_sent(state: StateDir) -> None:
    listed = ostiary("servers", "requests", state=state).stdout

    for part in ("https://tools.example.org/mcp", "Authorization: Bearer ${TICKETS}", "ann", "to read"):
        assert part in listed
    assert ostiary("servers", "approve", "1", state=state).returncode == 0
    assert ostiary("servers", "requests", state=state).stdout == "no request waits\n"
    assert ostiary("servers", "reject", "1", "--note", "too\nmuch", state=state).returncode == 0
    (one,) = as_json("servers", "requests", "--all", state=state)["requests"]
    assert (one["state"], one["note"]) == ("rejected", "too much")
    assert [kind for kind, _ in events(state)] == ["server-approved", "server-rejected"]


def test_deciding_about_what_was_not_asked_changes_and_records_nothing(state: StateDir) -> None:
    done = ostiary("servers", "approve", "7", state=state)

    assert done.returncode == 2
    assert "there is no request 7" in done.stderr
    assert events(state) == []


def test_where_approvers_are_registered_a_server_is_approved_with_a_key_only(state: StateDir) -> None:
    key = state.path.parent / "ann.key"
    words = ["init", "--as", "user:ann", "--key", str(key), "--unsafe-no-passphrase"]
    subprocess.run(
        [sys.executable, "-m", "ostiary", "approvals", *words, "--state-dir", str(state.path)],
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip

    without = ostiary("servers", "approve", "1", state=state)
    with_key = ostiary("servers", "approve", "1", "--key", str(key), state=state)

    assert without.returncode == 2
    assert with_key.returncode == 0
    (one,) = as_json("servers", "requests", "--all", state=state)["requests"]
    assert (one["state"], one["who"]) == ("approved", "user:ann")


def test_a_state_directory_without_a_database_has_nothing(tmp_path: Path) -> None:
    state = open_state(tmp_path / "empty")

    assert ostiary("tools", "list", state=state).stdout == "no custom tool is stored\n"
    assert ostiary("servers", "requests", state=state).stdout == "no request waits\n"


def events(state: StateDir) -> list[tuple[str, str]]:
    command = [sys.executable, "-m", "ostiary", "audit", "tail", "-n", "100", "--format", "json"]
    told = subprocess.run(
        [*command, "--state-dir", str(state.path)], capture_output=True, text=True, timeout=30, check=True
    )
    rows = [json.loads(line)["record"] for line in told.stdout.splitlines()]
    kinds = ("custom-tool-removed", "server-approved", "server-rejected")
    return [(row["method"], row.get("note", "")) for row in rows if row["method"] in kinds]
