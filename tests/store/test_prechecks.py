"""The memory of earlier prechecks: whole, private, bounded, and never lost in silence."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
import pytest

from ostiary.errors import GatewayFault
from ostiary.registry.classification import Category, Sensitivity, Severity
from ostiary.registry.verdict import Fact
from ostiary.store import prechecks
from ostiary.store.prechecks import (
    BrokenMemory,
    Memory,
    Seen,
    SeenTool,
    read_memory,
    remember,
    set_aside,
    turn,
)
from ostiary.store.state import StateDir, open_state

FACT = Fact("a", Category.READ, Sensitivity.PUBLIC, Severity.LOW)


def tool(name: str = "a", definition: bytes = b'{"name":"a"}') -> SeenTool:
    return SeenTool(name, "sha256:0", FACT, msgspec.Raw(definition))


def seen(at: int = 1, *tools: SeenTool) -> Seen:
    return Seen(at=at, version="1", source="connected", action="proceed", tools=tools)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return open_state(tmp_path / "state")


def test_what_was_remembered_is_read_back(state: StateDir) -> None:
    remember(state, Memory(), "npm:a", seen(1, tool()))
    remember(state, read_memory(state.path), "npm:b", seen(2))
    memory = read_memory(state.path)

    assert memory.entries == {"npm:b": seen(2), "npm:a": seen(1, tool())}
    assert (state.path / "prechecks.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_remembered_before_the_first_look(state: StateDir) -> None:
    assert read_memory(state.path) == Memory()


def test_the_servers_looked_at_longest_ago_are_forgotten_first(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prechecks, "MAX_ENTRIES", 3)
    for at in (5, 1, 4, 3):
        remember(state, read_memory(state.path), f"npm:{at}", seen(at))

    assert set(read_memory(state.path).entries) == {"npm:3", "npm:4", "npm:5"}


def test_the_file_never_grows_over_what_is_read_back(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prechecks, "MAX_BYTES", 3_000)
    for at in range(20):
        remember(state, read_memory(state.path), f"npm:{at}", seen(at, tool(), tool("b"), tool("c")))
    memory = read_memory(state.path)

    assert "npm:19" in memory.entries
    assert 1 < len(memory.entries) < 20


def test_of_a_huge_server_digests_are_kept_where_definitions_do_not_fit() -> None:
    big = b'{"name":"' + b"x" * 300_000 + b'"}'
    kept = prechecks.kept_of(
        seen(1, tool("a", big), tool("b", big), *[tool(str(each)) for each in range(1_000)])
    )

    assert [bytes(each.definition)[:4] for each in kept.tools[:3]] == [b'{"na', b"null", b"null"]
    assert (len(kept.tools), kept.whole) == (1_000, False)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"v": 2, "entries": {}}', b'{"v": 1, "entries": {"a": 3}}', b"\xff",
        b"[" * 100_000, b'{"v": 1, "entries": {"a": {"at": 1, "tools": [{"name": "a"}]}}}',
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_moved_aside_whole(state: StateDir, content: bytes) -> None:
    path = state.path / "prechecks.json"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(BrokenMemory) as broken:
        read_memory(state.path)
    kept = [set_aside(state)]
    path.write_bytes(b"another")
    kept.append(set_aside(state))

    assert broken.value.movable
    assert [each.read_bytes() for each in kept] == [content, b"another"]
    assert not path.exists()


def test_a_huge_file_is_not_read_to_its_end(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prechecks, "MAX_BYTES", 10)
    (state.path / "prechecks.json").write_bytes(b"x" * 100)
    (state.path / "prechecks.json").chmod(0o600)

    with pytest.raises(BrokenMemory, match="more than 10 bytes"):
        read_memory(state.path)


def test_a_file_that_others_can_write_is_not_believed(state: StateDir) -> None:
    (state.path / "prechecks.json").write_bytes(b'{"v": 1}')
    (state.path / "prechecks.json").chmod(0o666)

    with pytest.raises(BrokenMemory, match="others can") as broken:
        read_memory(state.path)
    assert not broken.value.movable


def test_a_pipe_in_its_place_is_not_waited_for(state: StateDir) -> None:
    os.mkfifo(state.path / "prechecks.json", 0o600)

    with pytest.raises(BrokenMemory, match="no regular file"):
        read_memory(state.path)


def test_two_commands_at_once_both_remember(state: StateDir) -> None:
    """Each thread has its own descriptor, as each process would."""

    def look(name: str) -> None:
        for at in range(10):
            with turn(state):
                remember(state, read_memory(state.path), f"{name}:{at}", seen(at))

    threads = [threading.Thread(target=look, args=(name,)) for name in ("npm", "pypi")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read_memory(state.path).entries) == 20


def test_a_command_does_not_wait_for_another_for_ever(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prechecks, "WAIT_S", 0.05)

    with turn(state), pytest.raises(GatewayFault, match="another precheck"), turn(state):
        pass
