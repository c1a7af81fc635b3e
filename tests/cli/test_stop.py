"""`ostiary stop`, as it is typed: what is printed where, and with which status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry
from ostiary.cli.stop import MAX_REASON, cleaned
from ostiary.store.opening import open_store
from ostiary.store.state import open_state

Done = subprocess.CompletedProcess[str]


def ostiary(*words: str, state: Path) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "ostiary", *words, "--state-dir", str(state)],
        capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ),
    )  # fmt: skip


def as_json(*words: str, state: Path) -> Any:
    return json.loads(ostiary(*words, "--format", "json", state=state).stdout)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder in whose records grant `alice` and server `files` stand."""
    path = tmp_path / "state"
    store = open_store(open_state(path))
    store.commit([Entry(Record(id="ev_1", ts=1, kind="denial", grant="alice", server="files"))])
    store.close()
    return path


def test_a_stop_is_set_listed_and_lifted(state: Path) -> None:
    assert ostiary("stop", "list", state=state).returncode == 0
    on = ostiary("stop", "on", "--grant", "alice", "--reason", "a leak", state=state)
    assert (on.returncode, on.stdout, on.stderr) == (0, "stopped grant `alice` (stop 1)\n", "")

    listed = ostiary("stop", "list", state=state)
    [found] = as_json("stop", "list", state=state)["stops"]
    status = ostiary("status", state=state)

    assert listed.returncode == 1
    assert "grant `alice`" in listed.stdout
    assert "a leak" in listed.stdout
    assert {key: found[key] for key in ("stop", "kind", "name", "reason")} == {
        "stop": 1, "kind": "grant", "name": "alice", "reason": "a leak",
    }  # fmt: skip
    assert "! stop 1 of grant `alice` since" in status.stdout
    assert as_json("status", state=state)["stops"] == [found]
    off = ostiary("stop", "off", "--grant", "alice", state=state)
    assert (off.returncode, off.stdout) == (0, "lifted the stop of grant `alice` (stop 1)\n")
    assert ostiary("stop", "list", state=state).stdout == "no stop is in force\n"


def test_what_stays_stopped_is_said_when_something_is_lifted(state: Path) -> None:
    ostiary("stop", "on", "--all", state=state)
    ostiary("stop", "on", "--server", "files", state=state)

    lifted = as_json("stop", "off", "--all", state=state)
    again = ostiary("stop", "off", "--all", state=state)

    assert lifted["changed"] is True
    assert lifted["lifted"]["kind"] == "all"
    assert [one["name"] for one in lifted["stops"]] == ["files"]
    assert again.returncode == 1
    assert again.stdout == "no stop of everything is in force; still stopped: server `files`\n"


def test_a_stop_that_is_in_force_already_is_no_error(state: Path) -> None:
    ostiary("stop", "on", "--all", state=state)

    again = ostiary("stop", "on", "--all", state=state)

    assert again.returncode == 0
    assert again.stdout.startswith("everything is stopped since 2")
    assert as_json("stop", "on", "--all", state=state)["changed"] is False


@pytest.mark.parametrize("words", [(), ("--grant", "a", "--all"), ("--grant", "a", "--server", "b")])
def test_a_stop_of_nothing_or_of_two_things_names_the_choices(words: tuple[str, ...], state: Path) -> None:
    for action in ("on", "off"):
        done = ostiary("stop", action, *words, state=state)

        assert done.returncode == 2
        assert "exactly one of --grant G, --server S and --all" in done.stderr
        assert done.stdout == ""
    assert ostiary("stop", "list", state=state).returncode == 0


def test_a_name_that_is_not_known_is_stopped_with_a_warning_and_the_near_match(state: Path) -> None:
    near = ostiary("stop", "on", "--grant", "alcie", state=state)
    far = ostiary("stop", "on", "--server", "quite-another", state=state)

    assert near.returncode == far.returncode == 0
    warning = "warning: no grant `alcie` is known here; the stop is set all the same"
    assert near.stderr == f"{warning}\n\nhint: did you mean `alice`\n"
    assert "hint" not in far.stderr
    assert len(as_json("stop", "list", state=state)["stops"]) == 2


def test_a_name_becomes_known_by_calls_and_not_by_stopping_it(state: Path) -> None:
    ostiary("stop", "on", "--grant", "bob", state=state)
    ostiary("stop", "off", "--grant", "bob", state=state)

    assert "warning" in ostiary("stop", "on", "--grant", "bob", state=state).stderr


def test_a_name_that_cannot_be_one_is_refused(state: Path) -> None:
    done = ostiary("stop", "on", "--grant", "a b", state=state)

    assert done.returncode == 2
    assert "`a b` is not a name" in done.stderr


def test_lifting_where_an_approver_is_registered_takes_their_key(state: Path, tmp_path: Path) -> None:
    key = tmp_path / "ann.key"
    words = ("approvals", "init", "--as", "user:ann", "--key", str(key), "--unsafe-no-passphrase")
    assert ostiary(*words, state=state).returncode == 0
    ostiary("stop", "on", "--all", state=state)

    without = ostiary("stop", "off", "--all", state=state)
    assert without.returncode == 2
    assert "there is no approver's key" in without.stderr
    assert ostiary("stop", "list", state=state).returncode == 1
    assert ostiary("stop", "on", "--grant", "alice", state=state).returncode == 0  # stopping takes none

    with_it = ostiary("stop", "off", "--all", "--key", str(key), state=state)
    assert with_it.returncode == 0, with_it.stderr
    rows = ostiary("audit", "export", "--kind", "event", state=state).stdout.splitlines()
    records = [json.loads(row)["record"] for row in rows]
    assert [one["principal"] for one in records if one["method"] == "stop-off"] == ["user:ann"]


def test_a_stop_can_be_set_where_nothing_was_yet(tmp_path: Path) -> None:
    assert ostiary("stop", "list", state=tmp_path / "new").returncode == 2
    assert ostiary("stop", "on", "--all", state=tmp_path / "new").returncode == 0
    assert ostiary("stop", "list", state=tmp_path / "new").returncode == 1
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_reason_is_kept_as_one_bounded_line_of_what_can_be_seen(state: Path) -> None:
    assert cleaned("  two\n\tlines\x1b[31m \u202e\u200b and\udc80 more ") == "two lines [31m and more"
    assert len(cleaned("x" * 10_000)) == MAX_REASON
    assert cleaned("x" * MAX_REASON) == "x" * MAX_REASON
    ostiary("stop", "on", "--all", "--reason", "one\x1b]0;title\x07\ntwo [bold]", state=state)

    assert as_json("stop", "list", state=state)["stops"][0]["reason"] == "one ]0;title two [bold]"
    assert "one ]0;title two [bold]" in ostiary("stop", "list", state=state).stdout


def test_a_database_that_cannot_be_used_is_said_and_nothing_claimed(state: Path) -> None:
    (state / "ostiary.db").write_bytes(b"no database" * 1_000)

    for words in (("stop", "on", "--all"), ("stop", "off", "--all"), ("stop", "list")):
        done = ostiary(*words, state=state)
        assert done.returncode == 2, words
        assert "not a database" in done.stderr
        assert done.stdout == ""
