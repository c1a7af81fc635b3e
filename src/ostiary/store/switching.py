"""Setting and lifting an emergency stop: the row and its record, in one synced transaction.

This must work while gates are busy and while none runs, and it must be quick, so it opens no whole
store: it takes a writer's name, adds two rows and leaves.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, Literal

from ostiary.audit.chain import Head, Row, body_of, genesis, row_hash
from ostiary.audit.record import Record
from ostiary.calls.stop import Scope, Stop
from ostiary.errors import GatewayFault
from ostiary.store import instances
from ostiary.store.clock import Anchor, BootClock
from ostiary.store.connection import connect, database_fault, is_busy
from ostiary.store.keys import load_keys
from ostiary.store.migrate import migrate
from ostiary.store.rows import insert
from ostiary.store.state import StateDir
from ostiary.store.stops import in_force
from ostiary.store.view import View

WAIT_S: Final = 10.0
"""Seconds that are spent on getting a word in between the transactions of busy gates."""
_STEP_S: Final = 0.0005

Action = Literal["on", "off"]
Mint = Callable[[Callable[[], int]], str]


def switch(
    state: StateDir, action: Action, scope: Scope, *, who: str, reason: str, mint: Mint
) -> tuple[Stop | None, Stop | None]:
    """Set or lift the stop of `scope`; what was in force before, and what is now.

    Nothing is written where that is the same: a stop that is set again keeps its time and its
    reason. `who` is `user:` and a name. When this returns, what changed is on the disk. `mint`
    makes the id of the record from a clock. Raises GatewayFault when it could not be done, and
    then nothing was.
    """
    keys = load_keys(state)
    with ExitStack() as undo:
        try:
            connection = connect(state.database, "power")
            undo.callback(connection.close)
            connection.execute("PRAGMA busy_timeout = 5000")
            migrate(connection)
            instance = instances.claim(state)
            undo.callback(instance.close)
            view = View()
            view.load(connection, keys.audit)
            view.catch_up(connection)  # most of it before the lock is taken
            _begin(connection)
            undo.callback(_rollback, connection)
            before = _of(connection, scope)
            if (before is not None) == (action == "on"):
                return before, before
            at = _now(connection)
            number = _add(connection, at, action, scope, who, reason)
            view.catch_up(connection)
            number = number if before is None else before.number  # a lift names what it lifts
            record = _record(mint(lambda: at), at, action, number, scope, who, reason)
            _write(connection, view, instance.id, record)
            after = _of(connection, scope)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise database_fault(state.database, error) from error
        return before, after


def _of(connection: sqlite3.Connection, scope: Scope) -> Stop | None:
    return next((stop for stop in in_force(connection) if stop.scope == scope), None)


def _now(connection: sqlite3.Connection) -> int:
    """The time on the clock that all processes of this state directory share."""
    clock = BootClock()
    row = connection.execute("SELECT boot_id, boot, wall FROM clock").fetchone()
    clock.resume(None if row is None else Anchor(*row))
    return clock.now()


def _begin(connection: sqlite3.Connection) -> None:
    """Take the write lock, asking so often that a gate which writes all the time cannot keep it."""
    connection.execute("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_STEP_S)
        else:
            return


def _rollback(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _add(connection: sqlite3.Connection, at: int, action: Action, scope: Scope, who: str, reason: str) -> int:
    sql = "INSERT INTO stops (at, action, kind, name, who, reason) VALUES (?, ?, ?, ?, ?, ?)"
    number = connection.execute(sql, (at, action, scope.kind, scope.name, who, reason)).lastrowid
    if number is None:
        raise GatewayFault("the stop was not written")
    return number


def _record(call: str, at: int, action: Action, number: int, scope: Scope, who: str, reason: str) -> Record:
    return Record(
        id=call,
        ts=at,
        kind="event",
        principal=who,
        grant=scope.name if scope.kind == "grant" else "",
        server=scope.name if scope.kind == "server" else "",
        method=f"stop-{action}",
        reasons=(reason,) if reason else (),
        note=f"stop {number}: {scope}",
    )


def _write(connection: sqlite3.Connection, view: View, writer: str, record: Record) -> None:
    """Add the record to the chain of this process."""
    head = view.heads.get(writer) or Head(0, genesis(writer))
    body = body_of(record)
    digest = row_hash(head.hash, body)
    said = (record.id, record.ts, record.kind, record.tool, record.decision)
    row = Row(view.seq + 1, writer, head.rows + 1, head.hash, digest, *said, body.decode())
    insert(connection, [row])
