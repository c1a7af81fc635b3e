"""Reading the journal."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from ostiary.calls.journal import Entry
from ostiary.errors import GatewayFault
from ostiary.store.query import Filter, Reader
from tests.store.writing import World, denial, intent, outcome


def test_the_last_rows_come_oldest_first_and_following_goes_on_from_there(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent(name) for name in "abc"])
        reader = Reader(world.state)
        last = reader.tail(2)
        store.commit([intent("d")])

        followed = reader.tail(10, after=last[-1].row.seq)

        reader.close()
    assert [one.row.id for one in last] == ["b", "c"]
    assert [one.row.id for one in followed] == ["d"]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (Filter(tool="x"), ["a", "b", "a", "c"]),
        (Filter(tool="y"), []),
        (Filter(decision="deny"), ["c"]),
        (Filter(grant="g2"), ["b"]),
        (Filter(kind="outcome"), ["a"]),
        (Filter(since=2), ["a"]),
        (Filter(decision="allow", grant="local"), ["a"]),
        (Filter(grant="' OR 1 --"), []),
    ],
)
def test_rows_are_filtered(state_dir: Path, only: Filter, expected: list[str]) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a"), intent("b", grant="g2"), outcome("a"), Entry(denial("c"))])
        reader = Reader(world.state)

        found = [one.row.id for one in reader.tail(10, only=only)]

        reader.close()
    assert found == expected


def test_all_rows_of_one_call_are_shown(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a"), intent("b"), outcome("a")])
    reader = Reader(world.state)

    shown = [one.row.kind for one in reader.show("a")]

    assert shown == ["intent", "outcome"]
    assert reader.show("none") == []
    reader.close()


def test_an_export_has_a_line_for_every_row_with_its_chain(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent(f"a{number}") for number in range(2_100)])
        reader = Reader(world.state)

        lines = [json.loads(line) for line in reader.export()]

        reader.close()
    assert [line["seq"] for line in lines] == list(range(1, 2_101))
    assert lines[1]["prev"] == lines[0]["hash"]
    assert lines[5]["record"]["id"] == "a5"


def test_a_row_that_cannot_be_read_is_still_exported(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a")])
        world.sql("UPDATE records SET body = 'garbage'")
        reader = Reader(world.state)

        (line,) = [json.loads(line) for line in reader.export()]

        assert reader.tail(1, only=Filter(grant="x")) == []
        reader.close()
    assert line["unreadable"] == "garbage"


def test_a_reader_cannot_write(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a")])
    reader = Reader(world.state)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.connection.execute("DELETE FROM records")
    reader.close()


def test_without_a_journal_or_with_a_newer_one_the_reader_says_so(state_dir: Path) -> None:
    world = World(state_dir)
    with pytest.raises(GatewayFault, match="no journal at"):
        Reader(world.state)
    with world.store():
        pass
    world.sql("PRAGMA user_version = 99")

    with pytest.raises(GatewayFault, match="has schema 99"):
        Reader(world.state)
