"""One server, looked up, asked, judged and remembered."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ostiary.errors import CallerFault, GatewayFault, UpstreamFault
from ostiary.proxy import pin_file
from ostiary.registry import shelf
from ostiary.registry.launch import of_command
from ostiary.registry.records import read_record, write_record
from ostiary.registry.subject import typed
from ostiary.scan.scanned import Target
from ostiary.store.prechecks import Memory, read_memory
from ostiary.store.state import StateDir, open_state
from ostiary.wiring.prechecking import Answer, Question, Reach, precheck
from tests.registry.shelved import DELETE, READ, TIME, defined, shelve

SERVER = str(Path(__file__).parents[1] / "cli/listing_server.py")
OPEN = Reach(unsafe_no_isolation=True, seconds=30)


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "records").mkdir()
    return shelve(tmp_path / "records", monkeypatch)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return open_state(tmp_path / "state")


def looked(state: StateDir, text: str, **more: Any) -> Answer:
    question = Question(subject=shelf.resolved(typed(text)), **more)
    return precheck(question, state, os.environ, lambda _name: None)


def asked(state: StateDir, folder: Path, *tools: dict[str, Any]) -> Answer:
    """Look at a server that is started here and offers these tools."""
    (folder / "offered.json").write_text(json.dumps(tools))
    command = (sys.executable, SERVER, str(folder / "offered.json"))
    target = Target(name="it", command=command)
    question = Question(subject=of_command(command, {}, str(folder)), target=target, reach=OPEN)
    return precheck(question, state, os.environ, lambda _name: None)


def codes(answer: Answer) -> list[str]:
    return [reason.code for reason in answer.verdict.reasons]


def test_a_recorded_package_is_judged_by_its_record_and_remembered(state: StateDir) -> None:
    first, second = (looked(state, "mcp-server-time==2025.9.25") for _ in range(2))

    assert [each.verdict.action for each in (first, second)] == ["proceed", "proceed"]
    assert (first.case.since, len(second.case.since)) == ("", 10)
    assert second.case.changes == ()
    assert set(read_memory(state.path).entries) == {"pypi:mcp-server-time"}


def test_a_look_at_a_package_without_record_is_not_remembered(state: StateDir) -> None:
    answer = looked(state, "never-seen")

    assert (answer.verdict.action, codes(answer)) == ("ask-first", ["unknown"])
    assert read_memory(state.path) == Memory()


def test_a_close_name_is_told(state: StateDir) -> None:
    assert codes(looked(state, "npm:poisoned-mpc")) == ["unknown", "near-name"]


def test_what_changed_since_the_last_look_is_told_by_its_risk(state: StateDir, records: Path) -> None:
    looked(state, "mcp-server-time")
    path = records / "pypi__mcp-server-time.json"
    record = read_record(path.read_bytes())
    grown = {**TIME, "description": "Get the time\u200b", "annotations": {"destructiveHint": True}}
    (fresh,) = defined([grown])
    tool = msgspec.structs.replace(record.tools[0], definition=msgspec.Raw(fresh.raw), digest=fresh.digest)
    path.write_bytes(write_record(msgspec.structs.replace(record, tools=(tool,))))
    answer = looked(state, "mcp-server-time")

    assert answer.verdict.action == "ask-first"
    assert "changed-high" in codes(answer)
    assert answer.case.changes[0].risk == "high"


def test_a_record_with_a_classification_that_was_made_milder_is_judged_anew(
    state: StateDir, records: Path
) -> None:
    path = records / "npm__modelcontextprotocol__server-filesystem.json"
    milder = path.read_text().replace("Destructive", "Read")
    path.write_text(re.sub(r'"(Critical|High)"', '"Low"', milder))
    answer = looked(state, "@modelcontextprotocol/server-filesystem")

    assert answer.verdict.tools == ("delete_file",)


def test_a_record_with_another_definition_is_an_error_and_nothing_is_remembered(
    state: StateDir, records: Path
) -> None:
    path = records / "pypi__mcp-server-time.json"
    path.write_text(path.read_text().replace("Get the current", "Get any"))

    with pytest.raises(GatewayFault, match="cannot be relied on"):
        looked(state, "mcp-server-time")
    assert read_memory(state.path) == Memory()


def test_a_server_that_is_asked_is_judged_by_what_it_says_now(state: StateDir, tmp_path: Path) -> None:
    first = asked(state, tmp_path, READ)
    second = asked(state, tmp_path, READ, DELETE)
    answer = precheck(
        Question(subject=second.subject), state, os.environ, lambda _name: None
    )  # what was seen is known without asking again

    assert (first.known.source, first.verdict.action) == ("connected", "proceed")
    assert [change.kind for change in second.case.changes] == ["tool-added"]
    assert second.verdict.tools == ("delete_file",)
    assert (answer.known.source, answer.verdict.tools) == ("seen", ("delete_file",))


def test_a_server_that_does_not_answer_is_an_error_and_what_was_known_stays(
    state: StateDir, tmp_path: Path
) -> None:
    subject = asked(state, tmp_path, READ).subject
    target = Target(name="it", command=(sys.executable, "-c", "raise SystemExit(3)"))

    with pytest.raises(UpstreamFault, match="could not be asked"):
        precheck(Question(subject=subject, target=target, reach=OPEN), state, os.environ, lambda _name: None)
    assert read_memory(state.path).entries[subject.key].tools[0].name == "read_file"


def test_what_a_person_pinned_is_known_and_compared_with(state: StateDir) -> None:
    pin_file.write(pin_file.pin_path(state, "mine"), pin_file.pin_file("mine", 0, defined([READ])))
    known = looked(state, "never-seen", pins=("other", "mine"))
    changed = looked(state, "mcp-server-time", pins=("mine",))

    assert (known.known.source, known.verdict.action) == ("pins", "proceed")
    assert {change.kind for change in changed.case.changes} == {"tool-added", "tool-removed"}
    assert changed.case.since == "1970-01-01"


def test_a_broken_pin_file_is_an_error(state: StateDir) -> None:
    (state.pins / "mine.json").write_text("{")

    with pytest.raises(CallerFault, match="pin file"):
        looked(state, "mcp-server-time", pins=("mine",))


def test_a_broken_memory_is_moved_aside_and_told(state: StateDir) -> None:
    path = state.path / "prechecks.json"
    path.write_bytes(b'{"v": 1, "entries"')
    path.chmod(0o600)
    answer = looked(state, "mcp-server-time")

    assert answer.verdict.action == "proceed"
    assert "prechecks.broken-1.json" in answer.notes[0]
    assert (state.path / "prechecks.broken-1.json").read_bytes() == b'{"v": 1, "entries"'


def test_two_prechecks_at_once_are_both_remembered(state: StateDir) -> None:
    names = ["mcp-server-time", "npm:poisoned-mcp", "@modelcontextprotocol/server-filesystem"]
    threads = [threading.Thread(target=looked, args=(state, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read_memory(state.path).entries) == 3


def test_the_memory_holds_no_secret_of_a_command_or_url(state: StateDir, tmp_path: Path) -> None:
    (tmp_path / "offered.json").write_text(json.dumps([READ]))
    command = (sys.executable, SERVER, str(tmp_path / "offered.json"), "--token=hunter2")
    target = Target(name="it", command=command, environment={"TOKEN": "hunter2"})
    subject = of_command(command, target.environment, "/")
    precheck(Question(subject=subject, target=target, reach=OPEN), state, os.environ, lambda _name: None)

    assert b"hunter2" not in (state.path / "prechecks.json").read_bytes()
    assert b"read_file" in (state.path / "prechecks.json").read_bytes()
