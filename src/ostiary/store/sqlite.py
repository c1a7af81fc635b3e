"""The transaction that everything waits for: reserve, record, commit.

One writing connection for each process. `commit` may be called from the event loop or from a
writer thread, but never from both at once; `store.tick` keeps that order.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ostiary.approvals.step import Redeemed, Step, Stepped
from ostiary.audit.chain import Head, Row, genesis, row_hash
from ostiary.audit.record import Record
from ostiary.calls.journal import Committed, Entry, Exceeded, NotStored, Reply
from ostiary.errors import GatewayFault
from ostiary.policy.decision import Charge
from ostiary.quotas.ledger import SECOND, Reservation
from ostiary.store.approvals import ApprovalTable
from ostiary.store.clock import Clock
from ostiary.store.connection import Durability, is_busy, meaning
from ostiary.store.handles import HandleTable
from ostiary.store.instances import Instance
from ostiary.store.keys import Keys
from ostiary.store.rows import insert, save_anchor, written_as
from ostiary.store.state import StateDir
from ostiary.store.upkeep import Upkeep
from ostiary.store.view import View

BUSY_MS: Final = 250
"""How long a transaction waits for another process before its calls are denied."""
SNAPSHOT_ROWS: Final = 20_000

UNWRITABLE: Final = "the record cannot be written as text"

_STEP_S: Final = 0.0005
_COMMITTED: Final = Committed()


class LockBusyError(Exception):
    """Another process holds the lock, and this caller may not wait. Nothing was changed."""


class _Batch:
    """What one transaction adds, and what to undo if it fails."""

    __slots__ = ("answers", "held", "rows", "taken")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.answers: list[Reply] = []
        self.taken: list[tuple[Reservation, ...]] = []
        # Before each change: the call and what it held. Outcomes also name what they gave back.
        self.held: list[tuple[str, tuple[Reservation, ...] | None, tuple[Reservation, ...]]] = []


class SqliteStore:
    """The journal, its counters and its chain, on one SQLite file.

    `healthy` is False from a failed transaction until the next that works, and while the disk
    is nearly full or the file was replaced; `trouble` then says why. `alone` is False while
    another live process shares the store. `needs_thread` says that the next transaction has
    something slow to do. Made by `store.opening.open_store`.
    """

    def __init__(  # noqa: PLR0913 - put together in one place, `open_store`
        self,
        state: StateDir,
        connection: sqlite3.Connection,
        *,
        view: View,
        instance: Instance,
        keys: Keys,
        clock: Clock,
        handles: HandleTable,
        approvals: ApprovalTable,
        durability: Durability,
        snapshot_rows: int = SNAPSHOT_ROWS,
        snapshot_seq: int = 0,
    ) -> None:
        self.state = state
        self.keys = keys
        self.clock = clock
        self.handles = handles
        self.approvals = approvals
        self.durability: Durability = durability
        self.instance = instance
        self.view = view
        self.alone = False
        self._connection = connection
        self._snapshot_rows = snapshot_rows
        self._snapshot_seq = snapshot_seq
        self._stale = True
        self._failed = ""
        self._closed = False
        self._held: dict[str, tuple[Reservation, ...]] = {}
        self.upkeep: Upkeep | None = None

    @property
    def trouble(self) -> str:
        """Why nothing is allowed at present, or empty."""
        return self._failed or (self.upkeep.trouble if self.upkeep else "")

    @property
    def healthy(self) -> bool:
        """Whether calls can be recorded, and so allowed."""
        return not self.trouble

    @property
    def waiting(self) -> bool:
        """Whether something besides entries is to be written."""
        return self.handles.waiting

    @property
    def needs_thread(self) -> bool:
        """Whether the next transaction has work that would hold up an event loop."""
        if self.view.seq - self._snapshot_seq >= self._snapshot_rows:
            return True
        return self.upkeep is not None and self.upkeep.restart_wanted

    def commit(self, entries: Sequence[Entry | None], *, wait_ms: int = BUSY_MS) -> list[Reply]:
        """Write `entries` in order in one transaction, and answer each.

        Reservations of an entry are all made or none, and seen by the entries after it. When
        the transaction fails everything is undone and every entry is answered NotStored.
        Raises LockBusyError, with nothing changed, if `wait_ms` is 0 and another process is writing.
        """
        if self._closed:
            return [NotStored("the store is closed") for _ in entries]
        batch = _Batch()
        committed = False
        unchecked = self.alone and not self._stale
        synced = self.durability == "process" and any(e is not None and e.step is not None for e in entries)
        try:
            if synced:  # approvals and their use survive power loss, too
                self._connection.execute("PRAGMA synchronous = FULL")
            self._transact(entries, batch, wait_ms)
            committed = True
        except sqlite3.IntegrityError as error:
            # A row number clashed: another process wrote since. Undone below, then anew.
            if not unchecked:
                return self._fail(entries, error)
        except (sqlite3.Error, GatewayFault) as error:
            return self._fail(entries, error)
        finally:
            if not committed:
                self._undo(batch)
            if synced:
                self._relax()
        if not committed:
            self._stale, self.alone = True, False
            return self.commit(entries, wait_ms=wait_ms)
        self._failed = ""
        return batch.answers

    def _transact(self, entries: Sequence[Entry | None], batch: _Batch, wait_ms: int) -> None:
        if self.upkeep is not None and self.upkeep.restart_wanted and wait_ms:
            self._restart_log()
        # 1. Take the write lock.
        self._begin(wait_ms)
        # 2. Count what other processes wrote. A process that is alone finds out by a clash.
        if self._stale or not self.alone:
            self.view.catch_up(self._connection)
        # 3. Now and then, keep a snapshot of the counters at this row.
        if wait_ms and self.view.seq - self._snapshot_seq >= self._snapshot_rows:
            self._save_snapshot()
        # 4. Reserve and write, in the order of arrival, at one time that never goes back.
        self.view.at = at = max(self.clock.now(), self.view.at)
        refused = self.upkeep.trouble if self.upkeep is not None else ""
        for entry in entries:
            batch.answers.append(self._enter(entry, at, batch, refused))
        insert(self._connection, batch.rows)
        kept = self.handles.waiting
        if kept:
            self.handles.write(self._connection)
        # 5. Durable from here on.
        self._connection.execute("COMMIT")
        # 6. Memory now knows these rows.
        self.approvals.written()
        if kept:
            self.handles.written()
        self._stale = False
        self._advance(batch.rows)

    def _relax(self) -> None:
        """Go back to syncing in the background. Where that fails, every commit is synced: safe, and slow."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _begin(self, wait_ms: int) -> None:
        deadline = 0.0
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                if not wait_ms:
                    raise LockBusyError from error
                now = time.monotonic()
                deadline = deadline or now + wait_ms / 1_000
                if now >= deadline:
                    raise
                time.sleep(_STEP_S)
            else:
                return

    def _enter(self, entry: Entry | None, at: int, batch: _Batch, refused: str) -> Reply:
        """Reserve for one entry and add its row; the answer to give if the commit works."""
        if entry is None:
            return _COMMITTED
        record, answer = entry.record, _COMMITTED
        if refused and record.kind == "intent":
            return NotStored(refused)
        if entry.step is not None:
            return self._stepped(entry, entry.step, at, batch)
        taken: tuple[Reservation, ...] = ()
        given: tuple[Reservation, ...] = ()
        if entry.charges:
            result = self.view.ledger.reserve(entry.charges, at)
            if isinstance(result, Exceeded):
                if entry.denied is None:
                    return result
                record, answer = entry.denied(result), result
            elif result:
                taken = result
                record = msgspec.structs.replace(record, reservations=taken)
        elif entry.returns:
            given = self._due(record.id, entry.returns)
            if given:
                record = msgspec.structs.replace(record, refunds=given)
        return self._written(record, answer, taken, given, batch)

    def _written(
        self,
        record: Record,
        answer: Reply,
        taken: tuple[Reservation, ...],
        given: tuple[Reservation, ...],
        batch: _Batch,
    ) -> Reply:
        """Add the row of an entry; NotStored, with nothing reserved, if it cannot be written."""
        written = written_as(record)
        if written is None:
            self.view.ledger.give_back(taken)
            return NotStored(UNWRITABLE)
        self._note(record, taken, given, batch)
        self._add_row(record, *written, batch)
        return answer

    def _stepped(self, entry: Entry, step: Step, at: int, batch: _Batch) -> Reply:
        """A step about an approval, and its row.

        Limits come first: what they refuse is not asked about, and leaves an approval unused
        (P2.13, P2.15). Only a redeemed call keeps what was reserved.
        """
        taken = self.view.ledger.reserve(entry.charges, at)
        if isinstance(taken, Exceeded):
            record = entry.record if entry.denied is None else entry.denied(taken)
            return self._written(record, taken, (), (), batch)
        if written_as(entry.record) is None:  # before anything is used up that the row would have to show
            self.view.ledger.give_back(taken)
            return NotStored(UNWRITABLE)
        answer = self.approvals.taken(self._connection, step, at)
        if isinstance(answer, Redeemed):
            record = msgspec.structs.replace(entry.record, reservations=taken, approval=answer.id)
            return self._written(record, answer, taken, (), batch)
        self.view.ledger.give_back(taken)
        if isinstance(answer, Stepped):
            return self._written(entry.record, answer, (), (), batch)
        if entry.unredeemed is None:
            return answer
        return self._written(entry.unredeemed(answer), answer, (), (), batch)

    def _add_row(self, record: Record, body: bytes, text: str, batch: _Batch) -> None:
        writer = self.instance.id
        if batch.rows:
            last = batch.rows[-1]
            seq, wseq, prev = last.seq + 1, last.wseq + 1, last.hash
        else:
            head = self.view.heads.get(writer)
            count, prev = head or (0, genesis(writer))
            seq, wseq = self.view.seq + 1, count + 1
        digest = row_hash(prev, body)
        said = (record.id, record.ts, record.kind, record.tool, record.decision)
        batch.rows.append(Row(seq, writer, wseq, prev, digest, *said, text))

    def _due(self, call: str, returns: tuple[Charge, ...]) -> tuple[Reservation, ...]:
        """What a call still holds of the charges it gives back: nothing is returned twice."""
        keys = {charge.key for charge in returns}
        return tuple(one for one in self._held.get(call, ()) if one.key in keys)

    def _note(
        self, record: Record, taken: tuple[Reservation, ...], given: tuple[Reservation, ...], batch: _Batch
    ) -> None:
        """Remember what a call holds until its outcome is known."""
        if taken:
            batch.taken.append(taken)
            batch.held.append((record.id, self._held.get(record.id), ()))
            self._held[record.id] = self._held.get(record.id, ()) + taken
        elif record.kind == "outcome" and (held := self._held.get(record.id)) is not None:
            batch.held.append((record.id, held, given))
            self.view.ledger.give_back(given)
            rest = tuple(one for one in held if one not in given)
            if rest and record.status == "unknown":
                self._held[record.id] = rest
            else:
                del self._held[record.id]

    def _undo(self, batch: _Batch) -> None:
        """Take everything back that the transaction did, in memory and in the database."""
        self.handles.undone()
        self.approvals.undone()
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                self._failed = meaning(error)
        for taken in reversed(batch.taken):
            self.view.ledger.give_back(taken)
        for call, held, given in reversed(batch.held):
            self.view.ledger.apply(given)
            if held is None:
                self._held.pop(call, None)
            else:
                self._held[call] = held

    def _fail(self, entries: Sequence[Entry | None], error: sqlite3.Error | GatewayFault) -> list[Reply]:
        # The commit may have reached the disk before it failed: read what is really there.
        self._stale = True
        self._failed = meaning(error) if isinstance(error, sqlite3.Error) else error.message
        return [NotStored(self._failed) for _ in entries]

    def _advance(self, rows: list[Row]) -> None:
        if not rows:
            return
        view = self.view
        for row in rows:
            if row.kind == "intent":
                view.open[row.id] = (row.writer, row.seq)
            elif row.kind == "outcome":
                view.open.pop(row.id, None)
        last = rows[-1]
        view.seq = last.seq
        view.heads[last.writer] = Head(last.wseq, last.hash)

    def _save_snapshot(self) -> None:
        now = max(self.clock.now(), self.view.at)
        self.view.save(self._connection, self.keys.audit, now)
        self._snapshot_seq = self.view.seq
        save_anchor(self._connection, self.clock)
        for call, held in list(self._held.items()):
            if all(one.at + one.seconds * SECOND <= now for one in held):
                del self._held[call]

    def _restart_log(self) -> None:
        """Let the write-ahead log start over, if no reader is in the way."""
        self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        if self.upkeep is not None:
            self.upkeep.restart_wanted = False

    def close(self) -> None:
        """Keep a snapshot, sign a checkpoint, and free the name of this process.

        Whatever fails is left for the next start to make good: no row depends on it.
        """
        if self._closed:
            return
        self._closed = True
        if self.upkeep is not None:
            self.upkeep.stop()
        try:
            self._close_database()
        except (sqlite3.Error, GatewayFault) as error:
            self._failed = meaning(error) if isinstance(error, sqlite3.Error) else error.message
        finally:
            self.handles.close()
            self._connection.close()
            self.instance.close()

    def _close_database(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._begin(BUSY_MS)
        try:
            self.view.catch_up(self._connection)
            self._save_snapshot()
            self.handles.write(self._connection)
            ended = "UPDATE instances SET ended = ? WHERE id = ?"
            self._connection.execute(ended, (self.clock.now(), self.instance.id))
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if self.upkeep is not None:
            self.upkeep.last_words(self._connection)
