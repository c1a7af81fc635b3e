"""Setting and lifting an emergency stop: the row and its record, in one synced transaction.

This must work while gates are busy and while none runs, and it must be quick, so it opens no whole
store: it takes a writer's name, adds two rows and leaves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal

from ostiary.audit.record import Record
from ostiary.calls.stop import Scope, Stop
from ostiary.errors import GatewayFault
from ostiary.store import instances
from ostiary.store.aside import add_record, begin, now_of, rollback
from ostiary.store.connection import connect, database_fault
from ostiary.store.keys import load_keys
from ostiary.store.migrate import migrate
from ostiary.store.state import StateDir
from ostiary.store.stops import in_force
from ostiary.store.view import View

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
            begin(connection)
            undo.callback(rollback, connection)
            before = _of(connection, scope)
            if (before is not None) == (action == "on"):
                return before, before
            at = now_of(connection)
            number = _add(connection, at, action, scope, who, reason)
            view.catch_up(connection)
            number = number if before is None else before.number  # a lift names what it lifts
            record = _record(mint(lambda: at), at, action, number, scope, who, reason)
            add_record(connection, view, instance.id, record)
            after = _of(connection, scope)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise database_fault(state.database, error) from error
        return before, after


def _of(connection: sqlite3.Connection, scope: Scope) -> Stop | None:
    return next((stop for stop in in_force(connection) if stop.scope == scope), None)


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
