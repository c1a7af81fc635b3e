"""Setting and lifting an emergency stop: the row and its record, in one synced transaction.

This must work while gates are busy and while none runs, and it must be quick.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from ostiary.audit.record import Record
from ostiary.calls.stop import Scope, Stop
from ostiary.errors import GatewayFault
from ostiary.store.aside import Mint, now_of, recording
from ostiary.store.state import StateDir
from ostiary.store.stops import in_force

Action = Literal["on", "off"]


def switch(
    state: StateDir, action: Action, scope: Scope, *, who: str, reason: str, mint: Mint
) -> tuple[Stop | None, Stop | None]:
    """Set or lift the stop of `scope`; what was in force before, and what is now.

    Nothing is written where that is the same: a stop that is set again keeps its time and its
    reason. `who` is `user:` and a name. When this returns, what changed is on the disk. `mint`
    makes the id of the record from a clock. Raises GatewayFault when it could not be done, and
    then nothing was.
    """
    with recording(state) as (connection, add):
        before = _of(connection, scope)
        if (before is not None) == (action == "on"):
            return before, before
        at = now_of(connection)
        number = _add(connection, at, action, scope, who, reason)
        number = number if before is None else before.number  # a lift names what it lifts
        add(_record(mint(lambda: at), at, action, number, scope, who, reason))
        return before, _of(connection, scope)


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
