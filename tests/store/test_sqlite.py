"""The transaction: reserve, record, commit, or nothing at all."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored, Reply
from ostiary.store.connection import connect
from ostiary.store.sqlite import LockBusyError
from ostiary.store.upkeep import Intervals
from tests.store.writing import QUIET, SECOND, Times, World, denial, intent, outcome, runs, together

OK = Committed()


class Failing:
    """A connection whose chosen statement fails, before or after it has done its work."""

    def __init__(self, real: sqlite3.Connection, statement: str, code: int, *, after: bool = False) -> None:
        self.real, self.statement, self.code, self.after = real, statement, code, after

    def execute(self, sql: str, *values: Any) -> Any:
        if sql != self.statement:
            return self.real.execute(sql, *values)
        if self.after:
            self.real.execute(sql, *values)
        error = sqlite3.OperationalError("injected")
        error.sqlite_errorcode = self.code
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def full(reply: Reply) -> bool:
    return isinstance(reply, Exceeded)


def test_what_an_intent_reserved_stands_in_its_row(state_dir: Path) -> None:
    """P4.5: the intent record carries the reservations."""
    world = World(state_dir)
    with world.store() as store:
        now = store.clock.now()

        assert store.commit([intent("a", runs(), together())]) == [OK]

    assert world.bodies()[0]["reservations"] == [
        ["runs", "1", now, "sliding", 60, ""],
        ["together", "1", now, "slot", 600, ""],
    ]


def test_entries_of_one_transaction_see_the_reservations_before_them(state_dir: Path) -> None:
    """P2.15: the fourth of three permitted calls is denied, and its denial is the row written."""
    world = World(state_dir)
    with world.store() as store:
        replies = store.commit([intent(name, runs()) for name in "abcd"])

    assert replies[:3] == [OK] * 3
    assert full(replies[3])
    assert [body["kind"] for body in world.bodies()] == ["intent"] * 3 + ["denial"]


def test_a_call_over_one_limit_takes_nothing_from_another(state_dir: Path) -> None:
    """P2.15: all or none per call."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", together())])
        assert full(store.commit([intent("b", runs(ceiling=1), together())])[0])

        assert store.commit([intent("c", runs(ceiling=1))]) == [OK]


def test_a_place_in_the_order_writes_no_row(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        assert store.commit([None, intent("a"), None]) == [OK, OK, OK]

    assert len(world.bodies()) == 1


def test_an_outcome_frees_the_slot_and_keeps_the_window(state_dir: Path) -> None:
    """P4.4: a slot ends with its call; the call still counts."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs(ceiling=1), together())])
        assert full(store.commit([intent("b", together())])[0])
        store.commit([outcome("a", together())])

        assert store.commit([intent("c", together())]) == [OK]
        assert full(store.commit([intent("d", runs(ceiling=1))])[0])
    assert world.bodies()[2]["refunds"][0][0] == "together"


def test_a_refund_after_the_window_frees_nothing_in_the_next(state_dir: Path) -> None:
    """P4.4: a slow failure must not take from the next window's count."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("slow", runs(ceiling=1))])
        world.times.pass_(61)
        store.commit([intent("next", runs(ceiling=1))])

        store.commit([outcome("slow", runs(ceiling=1), status="not_sent")])

        assert full(store.commit([intent("more", runs(ceiling=1))])[0])


def test_nothing_is_returned_twice(state_dir: Path) -> None:
    """P4.4: a second outcome of the same call has nothing left to give back."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs(ceiling=2)), intent("b", runs(ceiling=2))])

        store.commit([outcome("a", runs(), status="unknown"), outcome("a", runs(), status="not_sent")])

        assert store.commit([intent("c", runs(ceiling=2))]) == [OK]
        assert full(store.commit([intent("d", runs(ceiling=2))])[0])


def test_a_late_answer_frees_the_slot_of_an_unknown_call(state_dir: Path) -> None:
    """P4.4: a slot with unknown outcome is held until the upstream answers."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", together())])
        store.commit([outcome("a", status="unknown")])
        assert full(store.commit([intent("b", together())])[0])

        store.commit([outcome("a", together())])

        assert store.commit([intent("c", together())]) == [OK]
    assert [b["kind"] for b in world.bodies() if b["id"] == "a"] == ["intent", "outcome", "outcome"]


@pytest.mark.parametrize("snapshot", ["closed", "lost", "forged"])
def test_counters_survive_a_restart_with_and_without_a_snapshot(state_dir: Path, snapshot: str) -> None:
    """P4.5: counters are rebuilt from records."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs()), intent("b", runs(), together())])
        store.commit([outcome("a", runs(), status="not_sent")])
    if snapshot == "lost":
        world.sql("DELETE FROM snapshots")
    if snapshot == "forged":
        world.sql("UPDATE snapshots SET state = zeroblob(9)")

    with world.store() as store:
        assert full(store.commit([intent("c", together())])[0])
        assert store.commit([intent("d", runs()), intent("e", runs())]) == [OK, OK]
        assert full(store.commit([intent("f", runs())])[0])


def test_a_snapshot_is_kept_every_so_many_rows_and_old_ones_go(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store(snapshot_rows=10) as store:
        for number in range(45):
            store.commit([intent(f"a{number}", runs(ceiling=100))])

        kept = world.sql("SELECT seq FROM snapshots ORDER BY seq")

    assert kept == [(30,), (40,)]


def test_a_full_disk_denies_the_whole_batch_and_reserves_nothing(state_dir: Path) -> None:
    """P2.15: what cannot be recorded is not forwarded; the quota is as before."""
    world = World(state_dir)
    with world.store() as store:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        big = Entry(denial("big" * 4000))

        replies = store.commit([intent("a", runs(ceiling=1)), *[big] * 20])

        assert {type(reply) for reply in replies} == {NotStored}
        assert (store.healthy, store.trouble) == (False, "the disk is full")
        store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
        assert store.commit([intent("b", runs(ceiling=1))]) == [OK]
        assert store.healthy
    assert [body["id"] for body in world.bodies()] == ["b"]


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
def test_a_failing_disk_undoes_reservations_and_refunds(state_dir: Path, statement: str) -> None:
    """P2.15, P4.4: memory says what the rows say, whatever failed."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs(ceiling=2), together())])
        real = store._connection
        vars(store)["_connection"] = Failing(real, statement, sqlite3.SQLITE_IOERR)

        replies = store.commit([outcome("a", runs(), together()), intent("b", runs(ceiling=2))])

        assert replies == [NotStored("the disk reported an input/output error")] * 2
        store._connection = real
        assert full(store.commit([intent("c", together())])[0])
        assert store.commit([intent("d", runs(ceiling=2))]) == [OK]
        assert full(store.commit([intent("e", runs(ceiling=2))])[0])
        # The outcome is sent once more, and works.
        assert store.commit([outcome("a", runs(), together())]) == [OK]
        assert store.commit([intent("f", runs(ceiling=2), together())]) == [OK]


def test_a_commit_that_failed_after_reaching_the_disk_still_counts(state_dir: Path) -> None:
    """P4.5: counters never fall below the rows, even when the error came too late."""
    world = World(state_dir)
    with world.store() as store:
        real = store._connection
        vars(store)["_connection"] = Failing(real, "COMMIT", sqlite3.SQLITE_IOERR, after=True)
        assert isinstance(store.commit([intent("a", runs(ceiling=1))])[0], NotStored)
        store._connection = real

        assert full(store.commit([intent("b", runs(ceiling=1))])[0])
    assert [body["id"] for body in world.bodies()] == ["a", "b"]


def test_a_lock_held_by_another_process_denies_after_a_bounded_wait(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        other = sqlite3.connect(world.folder / "ostiary.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(LockBusyError):
            store.commit([intent("a", runs(ceiling=1))], wait_ms=0)
        replies = store.commit([intent("a", runs(ceiling=1))], wait_ms=20)

        assert replies == [NotStored("another process holds the database lock")]
        other.execute("ROLLBACK")
        other.close()
        assert store.commit([intent("b", runs(ceiling=1))]) == [OK]


def test_little_disk_space_stops_allowing_but_not_recording(state_dir: Path) -> None:
    world = World(state_dir)
    free = shutil.disk_usage(state_dir).free
    with world.store(intervals=Intervals(sync=3600, min_free=free * 2)) as store:
        replies = store.commit([intent("a", runs()), Entry(denial("b")), outcome("c")])

        assert not store.healthy
    assert isinstance(replies[0], NotStored)
    assert replies[1:] == [OK, OK]
    assert [body["kind"] for body in world.bodies()] == ["denial", "outcome"]


def test_a_database_file_that_was_removed_stops_allowing(state_dir: Path) -> None:
    """P2.15: rows in a file that has no name are on no record."""
    world = World(state_dir)
    with world.store() as store:
        (state_dir / "ostiary.db").rename(state_dir / "away.db")
        (state_dir / "ostiary.db").write_bytes(b"")
        assert store.upkeep is not None
        store.upkeep.look()

        assert isinstance(store.commit([intent("a")])[0], NotStored)
        assert store.trouble == "the database file was removed or replaced"


def test_a_record_that_cannot_be_written_denies_only_itself(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        replies = store.commit([intent("a\ud800", runs(ceiling=1)), intent("b", runs(ceiling=1))])

    assert isinstance(replies[0], NotStored)
    assert replies[1] == OK


@pytest.mark.parametrize("this_boot", ["boot-1", "boot-2"])
def test_a_clock_set_back_between_runs_reopens_no_window(state_dir: Path, this_boot: str) -> None:
    """P4.1, P4.5: neither after a restart of the process nor of the machine."""
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent("a", runs(ceiling=1))])
    world.times = Times(
        wall=world.times.wall - 7200 * SECOND, boot=world.times.boot + SECOND, this_boot=this_boot
    )

    with world.store() as store:
        assert full(store.commit([intent("b", runs(ceiling=1))])[0])
        world.times.pass_(61)
        assert store.commit([intent("c", runs(ceiling=1))]) == [OK]


def test_a_clock_set_back_after_a_crash_reopens_no_window(state_dir: Path) -> None:
    """P4.5: the rows alone say how late it was."""
    world = World(state_dir)
    with world.store() as store:
        world.times.pass_(3600)
        store.commit([intent("a", runs(ceiling=1))])
        shutil.copytree(state_dir, state_dir.parent / "crashed")
    crashed = World(state_dir.parent / "crashed", Times(this_boot="boot-2"))

    with crashed.store() as store:
        assert full(store.commit([intent("b", runs(ceiling=1))])[0])
        crashed.times.pass_(59)
        assert full(store.commit([intent("c", runs(ceiling=1))])[0])
        crashed.times.pass_(2)
        assert store.commit([intent("d", runs(ceiling=1))]) == [OK]


def test_two_stores_on_one_file_spend_one_quota(state_dir: Path) -> None:
    """P4.5: exact under processes; each sees the rows of the other."""
    world = World(state_dir)
    with world.store() as one, world.store() as other:
        granted = 0
        for number in range(20):
            for store in (one, other):
                granted += store.commit([intent(f"{number}", runs(ceiling=7))])[0] == OK

    assert granted == 7


def test_a_process_whose_clock_is_behind_counts_from_the_latest_row(state_dir: Path) -> None:
    """P4.1: two clocks that differ must not let a window be spent twice."""
    world = World(state_dir)
    behind = Times()
    with world.store() as ahead, world.store(clock=behind.clock()) as late:
        world.times.pass_(30)
        ahead.commit([intent("a", runs(ceiling=1))])
        late.commit([intent("b", runs(ceiling=1, key="other"))])
        world.times.pass_(59)

        assert full(ahead.commit([intent("c", runs(ceiling=1, key="other"))])[0])
    times = [body["reservations"][0][2] for body in world.bodies() if "reservations" in body]
    assert times == sorted(times)


def test_a_store_that_believes_itself_alone_finds_out_before_it_reserves(state_dir: Path) -> None:
    """P4.5: rows of another process are counted even if its start went unnoticed."""
    world = World(state_dir)
    with world.store() as one:
        one.commit([intent("a", runs(ceiling=2))])
        with world.store() as other:
            assert one.alone
            other.commit([intent("b", runs(ceiling=2))])

            assert full(one.commit([intent("c", runs(ceiling=2))])[0])
            assert not one.alone


def test_a_closed_store_stores_nothing(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.close()

        assert store.commit([intent("a")]) == [NotStored("the store is closed")]


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
def test_the_durability_level_sets_how_a_commit_is_synced(
    state_dir: Path, durability: str, level: int
) -> None:
    with World(state_dir).store(durability=durability, intervals=QUIET) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert store._connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)


def test_a_long_log_is_started_over_by_the_writer(state_dir: Path) -> None:
    """Readers and copying alone would let it grow for as long as there is load."""
    world = World(state_dir)
    with world.store(intervals=Intervals(sync=3600, min_free=0, restart=1)) as store:
        store.commit([intent(f"a{number}") for number in range(50)])
        side = connect(state_dir / "ostiary.db")
        assert store.upkeep is not None
        store.upkeep._step(side)
        assert store.needs_thread
        size = (state_dir / "ostiary.db-wal").stat().st_size

        for number in range(3):
            store.commit([intent(f"b{number}")])

        assert not store.needs_thread
        assert (state_dir / "ostiary.db-wal").stat().st_size == size
        side.close()


def test_a_damaged_checkpoint_does_not_stop_the_upkeep(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store():
        pass
    world.sql("INSERT INTO checkpoints VALUES (1, 1, 'x', x'00')")

    with world.store(intervals=Intervals(sync=0.005, checkpoint=0.005, min_free=0)) as store:
        assert store.upkeep is not None
        store.commit([intent("a")])
        while not store.upkeep.sync_trouble:
            pass

        assert store.upkeep.sync_trouble == "the newest checkpoint cannot be read"
        assert store.commit([intent("b")], wait_ms=250) == [OK]
