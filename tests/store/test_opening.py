"""Starting on what others left: the dead, the damaged, the newer."""

from __future__ import annotations

import hmac
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ostiary.calls.journal import Committed, Exceeded
from ostiary.errors import GatewayFault
from ostiary.store import instances
from ostiary.store.migrate import scripts
from ostiary.store.opening import open_store
from ostiary.store.state import open_state
from ostiary.store.verify import verify
from tests.store.writing import World, intent, outcome, runs, together


def crash(world: World, into: Path) -> World:
    """The state directory as it would be found if every process died at this moment."""
    shutil.copytree(world.folder, into)
    return World(into, world.times)


def outcomes(world: World) -> list[tuple[str, str, str]]:
    return [
        (body["id"], body["status"], body.get("note", ""))
        for body in world.bodies()
        if body["kind"] == "outcome"
    ]


def test_calls_of_a_dead_process_become_unknown_and_stay_counted(state_dir: Path) -> None:
    """P4.4: an unknown outcome is counted, and its slot is held until the lease ends."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs(ceiling=1), together()), intent("b")])
        store.commit([outcome("b")])
        dead = crash(world, state_dir.parent / "dead")

    with dead.store() as store:
        assert outcomes(dead) == [("b", "ok", ""), ("a", "unknown", "crash")]
        assert isinstance(store.commit([intent("c", runs(ceiling=1))])[0], Exceeded)
        assert isinstance(store.commit([intent("d", together())])[0], Exceeded)
        dead.times.pass_(600)
        assert store.commit([intent("e", together())]) == [Committed()]
    assert verify(dead.state).ok


@pytest.mark.parametrize("damage", ["DELETE FROM records WHERE id = 'a'", "UPDATE records SET body = 'x'"])
def test_an_open_call_whose_row_was_removed_or_edited_is_named_at_the_start(
    state_dir: Path, damage: str
) -> None:
    """A snapshot still knows the call: the start fails with a sentence, not with a traceback."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a")])
    with closing(sqlite3.connect(state_dir / "ostiary.db")) as database, database:
        database.execute(damage)
        database.execute("INSERT INTO records SELECT 9, 'w1', 9, x'', x'', 'z', 1, 'event', '', '', ''")
        database.execute("UPDATE snapshots SET seq = 9")

    with pytest.raises(GatewayFault, match="row 1 of the journal cannot be read"):
        open_store(world.state)


def test_a_snapshot_that_cannot_be_understood_is_passed_over(state_dir: Path) -> None:
    """P4.5: the rows decide. It may have been written by another version with the same key."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs(ceiling=1)), outcome("a")])
        key = store.keys.audit
    other = b"\x93\x01\x02\x03"
    with closing(sqlite3.connect(state_dir / "ostiary.db")) as database, database:
        database.execute(
            "UPDATE snapshots SET state = ?, mac = ?", (other, hmac.digest(key, other, "sha256"))
        )

    with world.store() as store:
        assert isinstance(store.commit([intent("b", runs(ceiling=1))])[0], Exceeded)


def test_calls_of_a_live_process_are_left_alone(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("running")])
        with world.store():
            assert outcomes(world) == []
        store.commit([outcome("running")])

    assert outcomes(world) == [("running", "ok", "")]


def test_an_outcome_is_marked_unknown_only_once(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a")])
    for _ in range(3):
        with world.store():
            pass

    assert outcomes(world) == [("a", "unknown", "crash")]


def test_a_process_goes_on_with_the_chain_of_one_that_ended(state_dir: Path) -> None:
    """Chains do not grow in number with every start."""
    world = World(state_dir)
    for number in range(4):
        with world.store() as store, world.store() as other:
            store.commit([intent(f"a{number}")])
            other.commit([intent(f"b{number}")])

    report = verify(world.state)
    assert report.ok
    assert sorted(report.chains) == ["w1", "w2"]


def test_a_running_process_describes_itself_and_is_gone_when_closed(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.instance.describe({"listen": "127.0.0.1:8787"})

        (described,) = instances.describe_all(world.state)

        assert described["listen"] == "127.0.0.1:8787"
        assert described["id"] == "w1"
        assert described["pid"].isdecimal()
    assert instances.describe_all(world.state) == []


def test_two_instances_know_that_they_are_not_alone(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as one:
        assert one.alone
        with world.store() as other:
            assert not other.alone
            assert one.upkeep is not None
            one.upkeep.look()
            assert not one.alone
        one.upkeep.look()
        assert one.alone


def test_a_database_of_a_newer_version_is_refused(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store():
        pass
    world.sql("PRAGMA user_version = 99")

    with (
        pytest.raises(GatewayFault, match=f"has schema 99, this version knows {len(scripts())}"),
        world.store(),
    ):
        pass
    assert instances.live(world.state) == set()


def test_a_file_that_is_no_database_is_named_and_left_alone(state_dir: Path) -> None:
    (state_dir / "ostiary.db").write_bytes(b"not a database, " * 400)

    with pytest.raises(GatewayFault, match=r"ostiary\.db`: the file is not a database") as caught:
        open_store(open_state(state_dir))

    assert caught.value.hint is not None
    assert (state_dir / "ostiary.db").read_bytes().startswith(b"not a database")


def test_a_row_that_cannot_be_understood_stops_the_start(state_dir: Path) -> None:
    """P4.5: counters that leave a row out would let too much through."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs())])
    world.sql("DELETE FROM snapshots")
    world.sql("""UPDATE records SET body = replace(body, '"1"', '"x"')""")

    with pytest.raises(GatewayFault, match="row 1 of the journal cannot be read"), world.store():
        pass


def test_a_database_that_cannot_be_written_is_named(state_dir: Path) -> None:
    (state_dir / "ostiary.db").mkdir()

    with (
        pytest.raises(GatewayFault, match=r"ostiary\.db`: the database cannot be opened"),
        World(state_dir).store(),
    ):
        pass


def test_a_failed_migration_leaves_the_database_as_it_was(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [*scripts(), "CREATE TABLE extra (a);\nCREATE TABLE records (a);\n"]
    world = World(state_dir)
    with world.store():
        pass
    monkeypatch.setattr("ostiary.store.migrate.scripts", lambda: broken)

    with pytest.raises(GatewayFault, match="already exists"), world.store():
        pass

    assert world.sql("PRAGMA user_version") == [(len(scripts()),)]
    with pytest.raises(sqlite3.OperationalError):
        world.sql("SELECT * FROM extra")


def test_the_description_is_written_whole(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        text = (state_dir / "instances" / f"{store.instance.id}.json").read_text()

        assert json.loads(text)["v"] == 1
        assert (state_dir / "instances").stat().st_mode & 0o777 == 0o700
