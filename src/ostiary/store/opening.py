"""Opening a store: create, migrate, claim a name, rebuild the counters, bury the dead."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack
from typing import Final

import msgspec

from ostiary.audit.chain import Head, Row, body_of, genesis, read_body, row_hash
from ostiary.audit.record import Record
from ostiary.errors import GatewayFault
from ostiary.store import instances
from ostiary.store.approvals import ApprovalTable, prune
from ostiary.store.clock import Anchor, BootClock, Clock
from ostiary.store.connection import Durability, connect, database_fault
from ostiary.store.handles import HandleTable
from ostiary.store.keys import load_keys
from ostiary.store.migrate import migrate
from ostiary.store.rows import insert, save_anchor
from ostiary.store.sqlite import SNAPSHOT_ROWS, SqliteStore
from ostiary.store.state import StateDir
from ostiary.store.upkeep import Intervals, Upkeep
from ostiary.store.view import View

CRASH: Final = "crash"


def open_store(
    state: StateDir,
    *,
    durability: Durability = "process",
    clock: Clock | None = None,
    intervals: Intervals | None = None,
    snapshot_rows: int = SNAPSHOT_ROWS,
) -> SqliteStore:
    """Open the journal of `state` for writing. Close it with `SqliteStore.close`.

    Raises GatewayFault when the database is damaged, locked for too long, written by a newer
    version or on a disk that refuses; CallerFault for unusable keys.
    """
    clock = clock or BootClock()
    keys = load_keys(state)
    with instances.setup_lock(state), ExitStack() as undo:
        try:
            # 1. A database of this version, and a name that nobody else writes under.
            connection = connect(state.database, durability)
            undo.callback(connection.close)
            migrate(connection)
            instance = instances.claim(state)
            undo.callback(instance.close)
            # 2. Time goes on from where it last stood.
            clock.resume(_stored_anchor(connection))
            # 3. Counters: the newest snapshot and every row after it.
            view = View()
            view.load(connection, keys.audit)
            snapshot_seq = view.seq
            view.catch_up(connection)
            if view.at > clock.now():
                clock.resume(Anchor("", 0, view.at))
            # 4. Calls of dead processes have an unknown outcome; this process is on the list.
            _enter(connection, view, instance, state, clock)
            # 5. Handles and approvals that are over are forgotten.
            handles = _forget(connection, state, clock)
            connection.execute("PRAGMA busy_timeout = 0")
        except sqlite3.Error as error:
            raise database_fault(state.database, error) from error
        except OSError as error:
            raise GatewayFault(
                f"cannot use `{state.database}`: {(error.strerror or 'failed').lower()}"
            ) from error
        store = SqliteStore(
            state,
            connection,
            view=view,
            instance=instance,
            keys=keys,
            clock=clock,
            handles=handles,
            approvals=ApprovalTable(keys.approvals, keys.audit),
            durability=durability,
            snapshot_rows=snapshot_rows,
            snapshot_seq=snapshot_seq,
        )
        store.upkeep = Upkeep(store, intervals or Intervals())
        undo.pop_all()
    store.upkeep.start()
    return store


def _forget(connection: sqlite3.Connection, state: StateDir, clock: Clock) -> HandleTable:
    """Drop handles and approvals that have been over for long; the table of those that are left."""
    handles = HandleTable(state, clock.now)
    handles.open(connection)
    prune(connection, clock.now())
    return handles


def _stored_anchor(connection: sqlite3.Connection) -> Anchor | None:
    row = connection.execute("SELECT boot_id, boot, wall FROM clock").fetchone()
    return None if row is None else Anchor(*row)


def _enter(
    connection: sqlite3.Connection, view: View, instance: instances.Instance, state: StateDir, clock: Clock
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        view.catch_up(connection)
        rows = _unknown(connection, view, instance, state, clock.now())
        insert(connection, rows)
        row = (instance.id, os.getpid(), clock.now())
        connection.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?, NULL)", row)
        save_anchor(connection, clock)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    view.catch_up(connection)


def _unknown(
    connection: sqlite3.Connection, view: View, instance: instances.Instance, state: StateDir, now: int
) -> list[Row]:
    """An outcome `unknown` for each call whose process is gone.

    A call of a live process is left alone. What these calls reserved stays counted, and their
    slots are held until the lease ends (P4.4).
    """
    alive = instances.live(state) - {instance.id}
    rows: list[Row] = []
    head = view.heads.get(instance.id) or Head(0, genesis(instance.id))
    for call, (writer, seq) in view.open.items():
        if writer in alive:
            continue
        outcome = _outcome_of(_intent(connection, seq), now)
        body = body_of(outcome)
        digest = row_hash(head.hash, body)
        number = view.seq + len(rows) + 1
        said = (call, now, "outcome", outcome.tool, outcome.decision)
        rows.append(Row(number, instance.id, head.rows + 1, head.hash, digest, *said, body.decode()))
        head = Head(head.rows + 1, digest)
    return rows


def _intent(connection: sqlite3.Connection, seq: int) -> Record:
    row = connection.execute("SELECT body FROM records WHERE seq = ?", (seq,)).fetchone()
    try:
        return read_body(row[0] if row is not None else "")
    except msgspec.MsgspecError as error:
        raise GatewayFault(f"row {seq} of the journal cannot be read", hint="run audit verify") from error


def _outcome_of(intent: Record, now: int) -> Record:
    return Record(
        id=intent.id,
        ts=now,
        kind="outcome",
        principal=intent.principal,
        grant=intent.grant,
        server=intent.server,
        method=intent.method,
        tool=intent.tool,
        decision=intent.decision,
        revision=intent.revision,
        status="unknown",
        note=CRASH,
    )
