"""Stops are set and lifted whole, kept, recorded and found again (P2.5)."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.audit.record import Record
from ostiary.calls.journal import Committed, Entry
from ostiary.calls.stop import Scope, Stop
from ostiary.errors import CallerFault, GatewayFault
from ostiary.proxy.mint import Mint
from ostiary.store import approvers, aside, migrate
from ostiary.store.connection import Durability, connect
from ostiary.store.lifting import authorise_lift
from ostiary.store.opening import open_store
from ostiary.store.query import Reader
from ostiary.store.state import StateDir, open_state
from ostiary.store.stops import StopBoard, stops_of
from ostiary.store.switching import Action, switch
from ostiary.store.verify import verify

ALL = Scope("all")
ALICE = Scope("grant", "alice")
FILES = Scope("server", "files")


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return open_state(tmp_path / "state")


def press(state: StateDir, action: Action, scope: Scope, reason: str = "") -> tuple[Stop | None, Stop | None]:
    return switch(state, action, scope, who="user:ada", reason=reason, mint=lambda clock: Mint(clock)())


def scopes(state: StateDir) -> list[Scope]:
    return [stop.scope for stop in stops_of(state)]


def records(state: StateDir) -> list[Record]:
    reader = Reader(state)
    try:
        return [row.record for row in reader.tail(1_000) if row.record is not None]
    finally:
        reader.close()


def row(number: int) -> Entry:
    return Entry(Record(id=f"ev_{number}", ts=1, kind="event"))


def test_a_stop_is_in_force_until_exactly_it_is_lifted(state: StateDir) -> None:
    for scope in (ALL, ALICE, FILES):
        press(state, "on", scope)
    assert scopes(state) == [ALL, ALICE, FILES]

    press(state, "off", ALL)
    assert scopes(state) == [ALICE, FILES]
    press(state, "off", Scope("grant", "bob"))
    assert scopes(state) == [ALICE, FILES]
    press(state, "off", ALICE)
    assert scopes(state) == [FILES]


def test_a_stop_that_is_set_again_keeps_its_time_and_reason_and_writes_nothing(state: StateDir) -> None:
    _, first = press(state, "on", ALICE, "a leak")

    before, now = press(state, "on", ALICE, "something else")

    assert first is not None
    assert before == now == first
    assert first.reason == "a leak"
    assert len(records(state)) == 1


def test_lifting_what_is_not_in_force_writes_nothing(state: StateDir) -> None:
    assert press(state, "off", ALL) == (None, None)
    assert records(state) == []


def test_each_change_is_on_record_in_an_unbroken_chain(state: StateDir) -> None:
    press(state, "on", ALICE, "a leak")
    press(state, "on", FILES)
    press(state, "off", ALICE, "mended")

    made = [
        (one.method, one.principal, one.grant, one.server, one.reasons, one.note) for one in records(state)
    ]

    assert made == [
        ("stop-on", "user:ada", "alice", "", ("a leak",), "stop 1: grant `alice`"),
        ("stop-on", "user:ada", "", "files", (), "stop 2: server `files`"),
        ("stop-off", "user:ada", "alice", "", ("mended",), "stop 1: grant `alice`"),
    ]
    assert verify(state).problems == ()


def test_rows_are_neither_edited_nor_removed(state: StateDir) -> None:
    press(state, "on", ALL)
    connection = connect(state.database)

    for sql in ("UPDATE stops SET action = 'off'", "DELETE FROM stops"):
        with pytest.raises(sqlite3.IntegrityError, match="only added"):
            connection.execute(sql)
    connection.close()
    assert scopes(state) == [ALL]


def test_a_gate_that_takes_itself_for_alone_goes_on_after_a_stop(state: StateDir) -> None:
    """Its next transaction finds the row of the stop where it would have written its own."""
    store = open_store(state)
    try:
        assert store.commit([row(1)]) == [Committed()]
        press(state, "on", ALL)
        store.alone = True

        assert store.commit([row(2), row(3)]) == [Committed(), Committed()]
    finally:
        store.close()

    assert [one.method or one.id for one in records(state)] == ["ev_1", "stop-on", "ev_2", "ev_3"]
    assert verify(state).problems == ()


def test_a_stop_gets_a_word_in_while_a_gate_writes_without_a_pause(state: StateDir) -> None:
    store = open_store(state)
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            store.commit([row(number := number + 1)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        _, now = press(state, "on", ALL)
    finally:
        over.set()
        writer.join()
        store.close()

    assert now is not None
    assert scopes(state) == [ALL]
    assert verify(state).problems == ()


def test_a_stop_is_synced_whatever_the_gates_do(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watched(path: Path, durability: Durability) -> sqlite3.Connection:
        made = connect(path, durability)
        asked.append({1: "NORMAL", 2: "FULL"}[made.execute("PRAGMA synchronous").fetchone()[0]])
        return made

    monkeypatch.setattr(aside, "connect", watched)
    press(state, "on", ALL)

    assert asked == ["FULL"]


def test_what_fails_half_way_leaves_neither_row_nor_record(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(state, "on", FILES)

    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("no")

    with monkeypatch.context() as patched:
        patched.setattr(aside, "insert", broken)
        with pytest.raises(GatewayFault):
            press(state, "on", ALL)

    assert scopes(state) == [FILES]
    assert len(records(state)) == 1
    press(state, "on", ALL)  # nothing is left locked


def test_a_board_tells_of_a_change_once(state: StateDir) -> None:
    press(state, "on", ALICE)
    board = StopBoard(state)

    assert [stop.scope for stop in board.look() or ()] == [ALICE]
    assert board.look() is None
    press(state, "off", ALICE)
    assert board.look() == ()
    assert board.look() is None
    board.close()


def test_stops_that_cannot_be_read_are_a_fault_until_they_can(state: StateDir) -> None:
    press(state, "on", ALICE)
    board = StopBoard(state)
    connection = connect(state.database)
    connection.execute("ALTER TABLE stops RENAME TO elsewhere")

    for _ in range(2):
        with pytest.raises(GatewayFault, match="cannot use"):
            board.look()

    connection.execute("ALTER TABLE elsewhere RENAME TO stops")
    connection.close()
    assert [stop.scope for stop in board.look() or ()] == [ALICE]
    board.close()


def test_a_state_directory_of_an_earlier_version_has_no_stops(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        earlier = migrate.scripts()[:3]
        patched.setattr(migrate, "scripts", lambda: earlier)
        open_store(state).close()

    assert stops_of(state) == ()
    press(state, "on", ALL)
    assert scopes(state) == [ALL]


def test_lifting_needs_no_key_until_an_approver_is_registered_and_then_theirs(
    state: StateDir, tmp_path: Path
) -> None:
    def never() -> Ed25519PrivateKey:
        raise AssertionError("nobody is to be asked")

    assert authorise_lift(state, never) == ""
    key = approvers.make_key(tmp_path / "key", "")
    approvers.enrol(state, "user:ann", key, 1, None)

    assert authorise_lift(state, lambda: key) == "user:ann"
    with pytest.raises(CallerFault, match="no registered approver"):
        authorise_lift(state, Ed25519PrivateKey.generate)


SCOPES = st.sampled_from([ALL, ALICE, Scope("grant", "bob"), FILES, Scope("server", "alice")])


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["on", "off"]), SCOPES), max_size=12))
def test_what_is_in_force_is_what_was_set_and_not_lifted(
    steps: list[tuple[Action, Scope]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = open_state(tmp_path_factory.mktemp("some") / "state")
    expected: dict[Scope, None] = {}

    for action, scope in steps:
        before, now = press(state, action, scope)
        assert (before is not None) == (scope in expected)
        if action == "on":
            expected[scope] = None
        else:
            expected.pop(scope, None)
        assert (now is not None) == (scope in expected)

    assert set(scopes(state)) == set(expected)
