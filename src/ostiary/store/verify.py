"""Proof that nobody edited, removed, moved or added a row.

The chain alone shows an edit by someone who did not recompute what follows it. A checkpoint
shows one by someone who did, but does not hold the checkpoint key. A checkpoint kept elsewhere
(an anchor) shows one even by the holder of the key. What is younger than the newest of these is
called the unanchored tail.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ostiary.audit.chain import (
    Checkpoint,
    Problem,
    Row,
    Walk,
    compare,
    follows,
    inspect,
    read_checkpoint,
)
from ostiary.store.checkpoints import digest_of, is_signed, public_key, read_anchor
from ostiary.store.connection import database_fault
from ostiary.store.keys import CHECKPOINT
from ostiary.store.query import COLUMNS, PART, Reader
from ostiary.store.state import StateDir, read_private

MAX_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    `problems` are the first `MAX_PROBLEMS`; `ok` says that there are none. `chains` maps each
    writer to its rows. `unanchored_since` is the time of the first row that neither the anchor
    (if one was given) nor, without one, a checkpoint covers; None when all are covered.
    """

    ok: bool
    rows: int
    chains: dict[str, int]
    checkpoints: int
    newest_checkpoint: int | None
    anchored: bool
    unanchored_rows: int
    unanchored_since: int | None
    problems: tuple[Problem, ...]

    def complete(self) -> bool:
        """What `--strict` asks: nothing is wrong and an anchor covers every row."""
        return self.ok and self.anchored and self.unanchored_rows == 0


def verify(state: StateDir, *, anchor: bytes | None = None, key: bytes | None = None) -> Report:
    """Check the whole journal.

    `anchor` is an exported checkpoint that was kept elsewhere; `key` the public checkpoint key,
    by default that of the state directory. Raises CallerFault for an anchor that is not one,
    GatewayFault when the journal cannot be read at all.
    """
    pinned, pinned_key = read_anchor(anchor) if anchor is not None else (None, None)
    reader = Reader(state)
    try:
        # What is judged is one moment, whatever is written meanwhile.
        reader.connection.text_factory = _lenient
        reader.connection.execute("BEGIN")
        return _verify(reader.connection, state, pinned, pinned_key, key)
    except sqlite3.Error as error:
        raise database_fault(state.database, error) from error
    finally:
        reader.close()


def _verify(
    connection: sqlite3.Connection,
    state: StateDir,
    pinned: Checkpoint | None,
    pinned_key: bytes | None,
    key: bytes | None,
) -> Report:
    found = _Found()
    # 1. Checkpoints: signed with our key, and none takes back what an earlier one said.
    stored = connection.execute("SELECT body, signature FROM checkpoints ORDER BY number").fetchall()
    if key is None and (stored or pinned):
        key = public_key(read_private(state.keys / CHECKPOINT))
    checkpoints = list(_checkpoints(stored, key or b"", found))
    named = [(f"checkpoint {one.number}", one) for one in checkpoints]
    if pinned is not None:
        if pinned_key != key:
            found.add(Problem("signature", "the anchor was signed with another key than this store has"))
        named.append(("the anchor", pinned))
    # 2. Rows: each has its hash, and follows its writer's row before it.
    newest = pinned or (checkpoints[-1] if checkpoints else None)
    covered = {writer: head[0] for writer, head in newest.chains.items()} if newest else {}
    walk = Walk(expected={(writer, head[0]) for _, one in named for writer, head in one.chains.items()})
    for problem in inspect(_rows(connection), walk, covered):
        found.add(problem)
    # 3. Every checkpoint finds the rows it named, with the hashes it named.
    for name, one in named:
        for problem in compare(one, walk, name):
            found.add(problem)
    beyond = sum(max(0, head.rows - covered.get(writer, 0)) for writer, head in walk.heads.items())
    return Report(
        ok=not found.problems,
        rows=walk.rows,
        chains={writer: head.rows for writer, head in walk.heads.items()},
        checkpoints=len(checkpoints),
        newest_checkpoint=checkpoints[-1].ts if checkpoints else None,
        anchored=pinned is not None,
        unanchored_rows=beyond,
        unanchored_since=walk.first_after,
        problems=tuple(found.problems),
    )


class _Found:
    """Problems, as many as a person can use."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, problem: Problem) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def _checkpoints(stored: list[tuple[object, object]], key: bytes, found: _Found) -> Iterator[Checkpoint]:
    earlier: Checkpoint | None = None
    digest = ""
    for number, (body, signature) in enumerate(stored, start=1):
        if not isinstance(body, str) or not isinstance(signature, bytes):
            found.add(Problem("unreadable", f"checkpoint {number} is not a checkpoint"))
            continue
        if not is_signed(key, body.encode(), signature):
            found.add(Problem("signature", f"checkpoint {number} is not signed with the key of this store"))
            continue
        try:
            checkpoint = read_checkpoint(body)
        except msgspec.MsgspecError:
            found.add(Problem("unreadable", f"checkpoint {number} is not a checkpoint"))
            continue
        for problem in follows(earlier, digest, checkpoint):
            found.add(problem)
        earlier, digest = checkpoint, digest_of(body)
        yield checkpoint


def _rows(connection: sqlite3.Connection) -> Iterator[Row]:
    cursor = connection.execute(f"SELECT {COLUMNS} FROM records ORDER BY seq")  # noqa: S608 - constants
    while part := cursor.fetchmany(PART):
        for values in part:
            yield _typed(values)


def _typed(values: tuple[object, ...]) -> Row:
    """A row of the types that the schema promises; what someone put there instead is no match."""
    seq, writer, wseq, prev, digest, call, ts, kind, tool, decision, body = values
    return Row(
        _number(seq),
        str(writer),
        _number(wseq),
        prev if isinstance(prev, bytes) else b"",
        digest if isinstance(digest, bytes) else b"",
        str(call),
        _number(ts),
        str(kind),
        str(tool),
        str(decision),
        body if isinstance(body, str) else repr(body),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "replace")
