"""The tables of handles: written with the journal, bounded, and read back after a restart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ostiary.calls.journal import Committed, NotStored
from ostiary.store import handles
from ostiary.store.sqlite import SqliteStore
from tests.store.writing import SECOND, World, intent

DAY = 24 * 3600 * SECOND


def keep(store: SqliteStore, key: bytes, *, owner: str = "alice", kind: str = "task", days: int = 1) -> None:
    now = store.clock.now()
    store.handles.put(key, kind, owner, now, now + days * DAY, b"body of " + key)


def test_what_is_kept_is_read_at_once_and_after_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path / "s")
    with world.store() as store:
        keep(store, b"a")
        assert store.handles.get(b"a") == b"body of a"
        store.commit([])
        assert store.handles.get(b"a") == b"body of a"
        assert not store.waiting
        keep(store, b"b")  # written at the end, with nothing else
    with world.store() as store:
        assert [store.handles.get(key) for key in (b"a", b"b", b"c")] == [b"body of a", b"body of b", None]
        store.handles.drop(b"a")
        assert store.handles.get(b"a") is None
    with world.store() as store:
        assert store.handles.get(b"a") is None


def test_what_is_over_is_not_known_and_is_removed_at_the_next_start(tmp_path: Path) -> None:
    world = World(tmp_path / "s")
    with world.store() as store:
        keep(store, b"a", days=1)
        keep(store, b"b", days=3)
        store.commit([])
        world.times.pass_(2 * 24 * 3600)
        assert (store.handles.get(b"a"), store.handles.get(b"b")) == (None, b"body of b")
    with world.store():
        assert world.sql("SELECT key FROM handles") == [(b"b",)]


def test_the_oldest_rows_of_a_grant_make_room_and_those_of_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "KEPT", 20)
    world = World(tmp_path / "s")
    with world.store() as store:
        keep(store, b"bob's", owner="bob")
        for number in range(50):
            world.times.pass_(1)
            keep(store, b"%02d" % number)
            keep(store, b"always the same")
            store.commit([])
        assert store.handles.get(b"bob's") is not None
        assert store.handles.get(b"00") is None
        assert store.handles.get(b"49") is not None
        ((number,),) = world.sql("SELECT count(*) FROM handles WHERE owner = 'alice'")
        assert 10 < number <= 20


def test_a_transaction_that_fails_loses_no_handle_and_stores_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s")
    with world.store() as store:
        keep(store, b"a")

        def fails(_connection: sqlite3.Connection) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(store.handles, "_write_rows", fails)
            (reply,) = store.commit([intent("c1")])
            assert isinstance(reply, NotStored)
        assert store.waiting
        assert store.commit([intent("c1")]) == [Committed()]
        assert world.sql("SELECT key FROM handles") == [(b"a",)]


def test_events_that_came_after_their_ring_made_room_are_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "KEPT_SESSIONS", 5)
    world = World(tmp_path / "s")
    with world.store() as store:
        for number in range(8):
            world.times.pass_(1)
            keep(store, b"r%d" % number, kind="ring")
            store.commit([])
        for ring in (b"r0", b"r1"):
            assert store.handles.get(ring) is None
            store.handles.add_event(ring, 0, 1, b"e")
        store.commit([])
        store.handles.drop(b"r0")
        store.commit([])
        assert world.sql("SELECT ring FROM events") == [(b"r1",)]
    with world.store():
        assert world.sql("SELECT ring FROM events") == []


def test_the_events_of_a_ring_go_with_it(tmp_path: Path) -> None:
    world = World(tmp_path / "s")
    with world.store() as store:
        for ring in (b"r", b"q"):
            keep(store, ring, kind="ring")
            for number in range(1, 8):
                store.handles.add_event(ring, number % 5, number, b"e%d" % number)
            assert [number for number, _ in store.handles.events(ring)] == [3, 4, 5, 6, 7]
        store.commit([])
        assert store.handles.events(b"r")[-1] == (7, b"e7")
        store.handles.drop(b"r")
        store.commit([])
        assert (store.handles.events(b"r"), len(store.handles.events(b"q"))) == ([], 5)
