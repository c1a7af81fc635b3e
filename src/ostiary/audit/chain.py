"""The hash chain over records and the checkpoints that pin it. Pure.

Each writer has a chain of its own: the hash of a row is SHA-256 over the hash of the writer's
row before it and the row's body, and the first row starts from a value that names the writer.
A checkpoint names how long every known chain is and where it ends; who signs it, and with what,
is the store's business. `inspect` walks rows in the order they were written and says what is
wrong with them; it trusts nothing but the hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

from ostiary.audit.record import Record

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Record)


class Head(NamedTuple):
    """Where a chain ends: how many rows it has, and the hash of the last."""

    rows: int
    hash: bytes


class Row(NamedTuple):
    """One stored row. `seq` counts all rows of the store, `wseq` those of its writer."""

    seq: int
    writer: str
    wseq: int
    prev: bytes
    hash: bytes
    id: str
    ts: int
    kind: str
    tool: str
    decision: str
    body: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How long every known chain was, and where it ended, at some time.

    `chains` maps a writer to [count, head in hex]. `previous` is the digest of the checkpoint
    before this one (empty for the first), `number` counts from 1, `ts` is in microseconds.
    """

    v: int = 1
    number: int
    ts: int
    chains: dict[str, tuple[int, str]]
    previous: str = ""


ProblemKind = Literal[
    "edited",
    "column",
    "order",
    "gap",
    "truncated",
    "mismatch",
    "signature",
    "shrunk",
    "unreadable",
    "reused",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the log.

    `edited`: a body does not have the hash beside it. `column`: a search column differs from
    the body. `order`: a row does not follow its writer's row before it (removed, inserted or
    swapped). `gap`: a row number is missing. `truncated`: a checkpoint knows more rows than
    there are. `mismatch`: a checkpoint knows another row at this place. `signature`: a
    checkpoint is not signed with the expected key. `shrunk`: a checkpoint takes back what an
    earlier one said, or one between is missing. `unreadable`: not a record or a checkpoint.
    `reused`: two calls passed by one approval.
    """

    kind: ProblemKind
    message: str
    seq: int | None = None
    writer: str = ""
    wseq: int | None = None


def genesis(writer: str) -> bytes:
    """What the first row of a writer's chain follows."""
    return sha256(b"ostiary audit chain 1\n" + writer.encode()).digest()


def body_of(record: Record) -> bytes:
    """The canonical bytes of a record: JSON, fields in declared order, defaults left out."""
    return _encoder.encode(record)


def read_body(body: str | bytes) -> Record:
    """Read a record back. Raises `msgspec.DecodeError`."""
    return _decoder.decode(body)


def row_hash(prev: bytes, body: bytes) -> bytes:
    """The hash of a row whose body is `body` and whose predecessor has hash `prev`."""
    return sha256(prev + body).digest()


def checkpoint_body(checkpoint: Checkpoint) -> bytes:
    """The bytes that are signed, and whose SHA-256 the next checkpoint names."""
    return msgspec.json.encode(checkpoint, order="sorted")


def read_checkpoint(body: str | bytes) -> Checkpoint:
    """Read a checkpoint back. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(body, type=Checkpoint)


@dataclass(slots=True)
class Walk:
    """What walking all rows found, filled in by `inspect` as it goes."""

    rows: int = 0
    heads: dict[str, Head] = field(default_factory=dict[str, Head])
    expected: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    found: dict[tuple[str, int], bytes] = field(default_factory=dict[tuple[str, int], bytes])
    first_after: int | None = None
    approvals: dict[str, int] = field(default_factory=dict[str, int])


def inspect(rows: Iterable[Row], walk: Walk, covered: Mapping[str, int]) -> Iterator[Problem]:
    """Check every row, in the order of `seq`, against its own hash and its chain.

    `walk.expected` names places (writer, wseq) whose hash is wanted in `walk.found`, for the
    checkpoints. `covered` says up to which count each chain is pinned; the time of the first
    row beyond it ends up in `walk.first_after`.
    """
    last_seq: int | None = None
    for row in rows:
        walk.rows += 1
        # 1. Row numbers leave nothing out.
        if last_seq is not None and row.seq != last_seq + 1:
            message = f"row {last_seq + 1} to {row.seq - 1} missing"
            yield Problem("gap", message, row.seq, row.writer, row.wseq)
        last_seq = row.seq
        # 2. The row follows its writer's row before it, by number and by hash.
        head = walk.heads.get(row.writer) or Head(0, genesis(row.writer))
        if row.wseq != head.rows + 1 or row.prev != head.hash:
            message = f"row {row.seq} does not follow row {head.rows} of writer `{row.writer}`"
            yield Problem("order", message, row.seq, row.writer, row.wseq)
        # 3. The body has the hash beside it.
        computed = row_hash(row.prev, row.body.encode(errors="surrogatepass"))
        if computed != row.hash:
            yield Problem("edited", f"row {row.seq} was edited", row.seq, row.writer, row.wseq)
        # 4. The search columns say what the body says, and no approval was used before.
        yield from _contents(row, walk)
        # 5. Go on from the computed hash, so that one edit is not hidden by the stored one.
        walk.heads[row.writer] = Head(row.wseq, computed)
        place = (row.writer, row.wseq)
        if place in walk.expected:
            walk.found[place] = computed
        if walk.first_after is None and row.wseq > covered.get(row.writer, 0):
            walk.first_after = row.ts


def _contents(row: Row, walk: Walk) -> Iterator[Problem]:
    try:
        record = read_body(row.body)
    except msgspec.DecodeError:
        yield Problem("unreadable", f"row {row.seq} is not a record", row.seq, row.writer, row.wseq)
        return
    said = (record.id, record.ts, record.kind, record.tool, record.decision)
    if said != (row.id, row.ts, row.kind, row.tool, row.decision):
        message = f"row {row.seq} is listed under other words than its body has"
        yield Problem("column", message, row.seq, row.writer, row.wseq)
    if record.kind == "intent" and record.approval:
        first = walk.approvals.setdefault(record.approval, row.seq)
        if first != row.seq:
            message = f"row {row.seq} lets a call pass by an approval that row {first} has used"
            yield Problem("reused", message, row.seq, row.writer, row.wseq)


def compare(checkpoint: Checkpoint, walk: Walk, name: str) -> Iterator[Problem]:
    """Check one checkpoint against the rows: every chain reaches it, with the same hash."""
    for writer, (count, head) in sorted(checkpoint.chains.items()):
        if count == 0:
            continue
        found = walk.found.get((writer, count))
        if found is None:
            there = walk.heads.get(writer, Head(0, b"")).rows
            message = f"{name} knows {count} rows of writer `{writer}`, there are {there}"
            yield Problem("truncated", message, None, writer, count)
        elif found.hex() != head:
            message = f"{name} knows another row {count} of writer `{writer}`"
            yield Problem("mismatch", message, None, writer, count)


def follows(earlier: Checkpoint | None, digest: str, later: Checkpoint) -> Iterator[Problem]:
    """Check that a checkpoint takes nothing back; `digest` is that of `earlier`'s bytes."""
    number = earlier.number if earlier else 0
    if later.number != number + 1 or later.previous != digest:
        yield Problem("shrunk", f"checkpoint {later.number} does not follow checkpoint {number}")
    for writer, (count, _) in (earlier.chains if earlier else {}).items():
        if later.chains.get(writer, (0, ""))[0] < count:
            message = f"checkpoint {later.number} knows fewer rows of writer `{writer}` than {number}"
            yield Problem("shrunk", message, None, writer)
