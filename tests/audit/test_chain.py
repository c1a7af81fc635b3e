"""The chain and what walking it finds, on rows made by hand."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from ostiary.audit.chain import (
    Checkpoint,
    Row,
    Walk,
    body_of,
    checkpoint_body,
    compare,
    follows,
    genesis,
    inspect,
    read_body,
    read_checkpoint,
    row_hash,
)
from ostiary.audit.record import Record


def record(number: int, note: str = "") -> Record:
    return Record(id=f"ev_{number}", ts=number, kind="event", tool="t", note=note)


def chained(writers: str = "aabba", rechain: Callable[[int, Record], Record] = lambda _, r: r) -> list[Row]:
    """Rows of several writers, each with its own chain."""
    heads: dict[str, tuple[int, bytes]] = {}
    rows: list[Row] = []
    for seq, writer in enumerate(writers, start=1):
        count, prev = heads.get(writer, (0, genesis(writer)))
        body = body_of(rechain(seq, record(seq)))
        digest = row_hash(prev, body)
        heads[writer] = (count + 1, digest)
        rows.append(
            Row(seq, writer, count + 1, prev, digest, f"ev_{seq}", seq, "event", "t", "", body.decode())
        )
    return rows


def kinds(rows: list[Row]) -> list[str]:
    return [problem.kind for problem in inspect(rows, Walk(), {})]


def checkpoint_of(rows: list[Row], number: int = 1) -> Checkpoint:
    walk = Walk()
    assert not list(inspect(rows, walk, {}))
    return Checkpoint(number=number, ts=9, chains={w: (h.rows, h.hash.hex()) for w, h in walk.heads.items()})


def against(checkpoint: Checkpoint, rows: list[Row]) -> list[str]:
    walk = Walk(expected={(writer, head[0]) for writer, head in checkpoint.chains.items()})
    list(inspect(rows, walk, {}))
    return [problem.kind for problem in compare(checkpoint, walk, "checkpoint")]


def test_the_hash_of_a_row_is_sha256_over_the_hash_before_it_and_the_body() -> None:
    rows = chained("aa")

    assert rows[0].hash == sha256(genesis("a") + rows[0].body.encode()).digest()
    assert rows[1].prev == rows[0].hash
    assert genesis("a") != genesis("b")


def test_untouched_rows_have_no_problem() -> None:
    assert kinds(chained()) == []


def test_a_record_reads_back_from_its_body_and_its_bytes_never_vary() -> None:
    full = Record(
        id="ev_1", ts=1, kind="intent", reservations=(("k", "1", 5, "sliding", 60, ""),), rules=("/a",)
    )

    assert read_body(body_of(full)) == full
    assert body_of(read_body(body_of(full))) == body_of(full)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: rows.__setitem__(1, rows[1]._replace(body=rows[2].body, id="ev_3", ts=3)), "edited"),
        (lambda rows: rows.__setitem__(1, rows[1]._replace(hash=b"\0" * 32)), "edited"),
        (lambda rows: rows.__setitem__(1, rows[1]._replace(tool="other")), "column"),
        (lambda rows: rows.__setitem__(1, rows[1]._replace(decision="allow")), "column"),
        (lambda rows: rows.pop(1), "gap"),
        (lambda rows: rows.pop(0), "order"),
        (lambda rows: rows.insert(0, rows.pop(1)._replace(seq=0)), "order"),
        (lambda rows: rows.insert(2, rows[1]._replace(seq=3)), "order"),
        (lambda rows: rows.__setitem__(4, rows[4]._replace(writer="b")), "order"),
        (lambda rows: rows.__setitem__(1, rows[1]._replace(body="{}")), "unreadable"),
    ],
    ids=["body edited", "hash edited", "tool column", "decision column", "removed inside", "first removed",
         "two swapped", "one repeated", "given to another writer", "body replaced"],
)  # fmt: skip
def test_a_change_to_a_row_is_found(change: Callable[[list[Row]], object], expected: str) -> None:
    rows = chained()

    change(rows)

    assert expected in kinds(rows)


def test_rows_removed_with_their_numbers_closed_up_are_found_by_the_chain() -> None:
    rows = chained("aaaa")
    del rows[1]

    assert kinds([row._replace(seq=number) for number, row in enumerate(rows, 1)]) == ["order"]


def test_a_truncated_tail_is_found_only_by_a_checkpoint() -> None:
    rows = chained()
    checkpoint = checkpoint_of(rows)

    assert kinds(rows[:-1]) == []
    assert against(checkpoint, rows[:-1]) == ["truncated"]
    assert against(checkpoint, rows) == []


def test_a_log_rewritten_with_a_valid_chain_is_found_only_by_a_checkpoint() -> None:
    checkpoint = checkpoint_of(chained())
    rewritten = chained(rechain=lambda seq, r: record(seq, "changed") if seq == 2 else r)

    assert kinds(rewritten) == []
    assert against(checkpoint, rewritten) == ["mismatch"]


def test_a_checkpoint_reads_back_and_its_bytes_never_vary() -> None:
    one = Checkpoint(number=1, ts=2, chains={"w2": (1, "00"), "w1": (2, "11")})

    assert read_checkpoint(checkpoint_body(one)) == one
    assert checkpoint_body(one) == checkpoint_body(
        Checkpoint(number=1, ts=2, chains={"w1": (2, "11"), "w2": (1, "00")})
    )


@pytest.mark.parametrize(
    "later",
    [
        Checkpoint(number=3, ts=1, chains={"a": (5, "00")}, previous="d"),
        Checkpoint(number=2, ts=1, chains={"a": (5, "00")}, previous="x"),
        Checkpoint(number=2, ts=1, chains={"a": (4, "00")}, previous="d"),
        Checkpoint(number=2, ts=1, chains={}, previous="d"),
    ],
    ids=["one between is missing", "follows another", "fewer rows", "a chain is gone"],
)
def test_a_checkpoint_that_takes_back_what_was_said_is_found(later: Checkpoint) -> None:
    earlier = Checkpoint(number=1, ts=1, chains={"a": (5, "00")})

    assert [problem.kind for problem in follows(earlier, "d", later)] == ["shrunk"]
