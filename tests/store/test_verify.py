"""What an editor of the database cannot hide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ostiary.audit.chain import Checkpoint, checkpoint_body, genesis, row_hash
from ostiary.errors import CallerFault, GatewayFault
from ostiary.store.checkpoints import export_newest, public_key, sign
from ostiary.store.connection import connect
from ostiary.store.query import Reader
from ostiary.store.state import open_state
from ostiary.store.upkeep import Intervals
from ostiary.store.verify import MAX_PROBLEMS, Report, verify
from tests.store.writing import World, intent, outcome


def written(state_dir: Path, calls: int = 4) -> World:
    """Two writers, closed, so that a checkpoint covers every row."""
    world = World(state_dir)
    with world.store() as one, world.store() as other:
        for number in range(calls):
            one.commit([intent(f"a{number}")])
            other.commit([intent(f"b{number}")])
            one.commit([outcome(f"a{number}")])
            other.commit([outcome(f"b{number}")])
    return world


def kinds(report: Report) -> set[str]:
    return {problem.kind for problem in report.problems}


def anchor(world: World) -> bytes:
    seed = (world.folder / "keys" / "checkpoint.ed25519").read_bytes()
    reader = Reader(world.state)
    try:
        exported = export_newest(reader.connection, public_key(seed))
    finally:
        reader.close()
    assert exported is not None
    return exported


def edit_unseen(world: World) -> None:
    """Edit a body and the column that repeats it."""
    world.sql("UPDATE records SET body = replace(body, 'a1', 'a9'), id = 'a9' WHERE seq = 5")


def rechain(world: World) -> None:
    """Recompute every number and hash, as somebody would who knows how."""
    heads: dict[str, tuple[int, bytes]] = {}
    rows = world.sql("SELECT seq, writer, body FROM records ORDER BY seq")
    for number, (seq, writer, body) in enumerate(rows, start=1):
        count, prev = heads.get(writer, (0, genesis(writer)))
        digest = row_hash(prev, body.encode())
        heads[writer] = (count + 1, digest)
        statement = "UPDATE records SET seq = ?, wseq = ?, prev = ?, hash = ? WHERE seq = ?"
        world.sql(statement, number, count + 1, prev, digest, seq)


def test_an_untouched_journal_is_whole_and_covered(state_dir: Path) -> None:
    world = written(state_dir)

    report = verify(world.state)

    assert (report.ok, report.rows, report.chains) == (True, 16, {"w1": 8, "w2": 8})
    assert report.checkpoints >= 1
    assert (report.unanchored_rows, report.unanchored_since, report.anchored) == (0, None, False)
    assert not report.complete()
    assert verify(world.state, anchor=anchor(world)).complete()


TAMPERING: dict[str, tuple[Callable[[World], object], set[str]]] = {
    "a body edited": (
        lambda w: w.sql("UPDATE records SET body = replace(body, 'a1', 'a9') WHERE seq = 5"), {"edited"},
    ),
    "a column edited": (lambda w: w.sql("UPDATE records SET decision = 'deny' WHERE seq = 5"), {"column"}),
    "a row removed": (lambda w: w.sql("DELETE FROM records WHERE seq = 5"), {"gap", "order"}),
    "the first row removed": (lambda w: w.sql("DELETE FROM records WHERE seq = 1"), {"order"}),
    "the tail cut off": (lambda w: w.sql("DELETE FROM records WHERE seq > 13"), {"truncated"}),
    "everything removed": (lambda w: w.sql("DELETE FROM records"), {"truncated"}),
    "a row repeated": (
        lambda w: w.sql(
            "INSERT INTO records SELECT 17, writer, wseq, prev, hash, id, ts, kind, tool, decision, body "
            "FROM records WHERE seq = 5"
        ),
        {"order"},
    ),
    "a body of another type": (
        lambda w: w.sql("UPDATE records SET body = x'00ff' WHERE seq = 5"), {"edited", "unreadable"},
    ),
    "text that is not text": (
        lambda w: w.sql("UPDATE records SET body = cast(x'ff7b' AS TEXT) WHERE seq = 5"),
        {"edited", "unreadable"},
    ),
    "a checkpoint edited": (
        lambda w: w.sql("UPDATE checkpoints SET body = replace(body, 'w1', 'w3')"),
        {"signature"},
    ),
    "an edit that was chained anew": (
        lambda w: (edit_unseen(w), rechain(w)),
        {"mismatch"},
    ),
    "a row removed and chained anew": (
        lambda w: (w.sql("DELETE FROM records WHERE seq = 5"), rechain(w)), {"truncated"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found(state_dir: Path, name: str) -> None:
    world = written(state_dir)
    tamper, expected = TAMPERING[name]

    tamper(world)

    report = verify(world.state)
    assert not report.ok
    assert expected <= kinds(report)


def test_two_rows_that_changed_places_are_found(state_dir: Path) -> None:
    world = written(state_dir)
    world.sql("UPDATE records SET seq = -1 WHERE seq = 1")
    world.sql("UPDATE records SET seq = 1 WHERE seq = 3")
    world.sql("UPDATE records SET seq = 3 WHERE seq = -1")

    assert "order" in kinds(verify(world.state))


def test_a_checkpoint_forged_with_another_key_is_found(state_dir: Path) -> None:
    world = written(state_dir)
    world.sql("DELETE FROM records WHERE seq > 13")
    ((number,),) = world.sql("SELECT max(number) FROM checkpoints")
    body = checkpoint_body(Checkpoint(number=number, ts=1, chains={}))
    forged = (body.decode(), sign(b"f" * 32, body), number)
    world.sql("UPDATE checkpoints SET body = ?, signature = ? WHERE number = ?", *forged)

    assert "signature" in kinds(verify(world.state))


def test_removing_the_tail_and_its_checkpoint_is_found_only_with_an_anchor(state_dir: Path) -> None:
    world = written(state_dir)
    kept = anchor(world)
    ((newest,),) = world.sql("SELECT max(number) FROM checkpoints")
    world.sql("DELETE FROM checkpoints WHERE number >= ?", newest - 1)
    world.sql("DELETE FROM records WHERE seq > 13")

    without, against = verify(world.state), verify(world.state, anchor=kept)

    assert without.ok
    assert without.unanchored_rows > 0
    assert kinds(against) == {"truncated"}


def test_even_the_holder_of_the_key_cannot_rewrite_what_an_anchor_covers(state_dir: Path) -> None:
    world = written(state_dir)
    kept = anchor(world)
    edit_unseen(world)
    rechain(world)
    world.sql("DELETE FROM checkpoints")
    world.sql("DELETE FROM snapshots")
    with world.store() as store:  # signs what is there now
        store.commit([intent("z")])

    assert verify(world.state).ok
    assert "mismatch" in kinds(verify(world.state, anchor=kept))


def test_an_anchor_of_another_store_is_a_finding_and_a_damaged_one_a_fault(state_dir: Path) -> None:
    world = written(state_dir)
    other = written(state_dir.parent / "other", calls=5)

    assert {"signature", "truncated"} <= kinds(verify(world.state, anchor=anchor(other)))
    for content in (b"", b"{}", anchor(world).replace(b"w1", b"w3"), b"\xff"):
        with pytest.raises(CallerFault, match="anchor is not"):
            verify(world.state, anchor=content)


def test_rows_after_the_newest_checkpoint_are_reported_as_unanchored(state_dir: Path) -> None:
    world = written(state_dir)
    kept = anchor(world)
    with world.store() as store:
        store.commit([intent("late")])

        during = verify(world.state)

    assert (during.ok, during.unanchored_rows, during.unanchored_since) == (True, 1, 1)
    assert verify(world.state).unanchored_rows == 0
    after = verify(world.state, anchor=kept)
    assert (after.ok, after.complete()) == (True, False)


def test_problems_are_bounded(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store() as store:
        store.commit([intent(str(number)) for number in range(MAX_PROBLEMS + 20)])
    world.sql("UPDATE records SET tool = 'y'")

    report = verify(world.state)

    assert len(report.problems) == MAX_PROBLEMS
    assert report.rows >= MAX_PROBLEMS + 20


def test_a_checkpoint_is_signed_while_running_over_what_is_synced(state_dir: Path) -> None:
    world = World(state_dir)
    with world.store(intervals=Intervals(sync=0.005, checkpoint=0.005, min_free=0)) as store:
        store.commit([intent("a")])
        while not (rows := world.sql("SELECT body FROM checkpoints")):
            pass
        report = verify(world.state)

    assert '"w1":[1,' in rows[0][0]
    assert (report.ok, report.unanchored_rows) == (True, 0)


def test_a_checkpoint_of_a_process_that_is_behind_takes_nothing_back(state_dir: Path) -> None:
    """Each process signs what it has seen; the other's chain may have been signed further."""
    world = World(state_dir)
    connection = None
    with world.store() as one, world.store() as other:
        connection = connect(world.state.database)
        one.commit([intent("a")])
        assert one.upkeep is not None
        assert other.upkeep is not None
        one.upkeep._step(connection)
        one.upkeep._sign(connection, dict(one.view.heads))
        other.upkeep._sign(connection, {**other.view.heads, "w9": one.view.heads["w1"]._replace(rows=0)})
        connection.close()

    assert verify(world.state).ok


def test_verifying_without_a_journal_or_a_key_says_so(state_dir: Path) -> None:
    with pytest.raises(GatewayFault, match="no journal at"):
        verify(open_state(state_dir))
    world = written(state_dir)
    seed = (state_dir / "keys" / "checkpoint.ed25519").read_bytes()
    (state_dir / "keys" / "checkpoint.ed25519").unlink()

    with pytest.raises(CallerFault, match=r"checkpoint\.ed25519"):
        verify(world.state)
    assert verify(world.state, key=public_key(seed)).ok
    assert hashlib.sha256(seed).digest() != public_key(seed)
