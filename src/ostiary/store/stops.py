"""The emergency stops in force, as the table `stops` has them (P2.5)."""

from __future__ import annotations

import sqlite3
from typing import Final, cast

from ostiary.calls.stop import Kind, Scope, Stop
from ostiary.errors import GatewayFault
from ostiary.store.connection import database_fault
from ostiary.store.notice import Notice
from ostiary.store.query import Reader
from ostiary.store.state import StateDir

_IN_FORCE: Final = (
    "SELECT number, kind, name, at, who, reason FROM stops WHERE action = 'on'"
    " AND number IN (SELECT max(number) FROM stops GROUP BY kind, name) ORDER BY number"
)
_HAS_TABLE: Final = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'stops'"


def in_force(connection: sqlite3.Connection) -> tuple[Stop, ...]:
    """The stops in force, oldest first. Raises sqlite3.Error."""
    rows = connection.execute(_IN_FORCE).fetchall()
    return tuple(
        Stop(int(number), Scope(cast("Kind", kind), name), int(at), who, reason)
        for number, kind, name, at, who, reason in rows
    )


def stops_of(state: StateDir) -> tuple[Stop, ...]:
    """The stops in force of a state directory, for commands that only look.

    None where there is no database, or one of a version that had no stops yet. Raises GatewayFault
    when they cannot be read.
    """
    if not state.database.exists():
        return ()
    reader = Reader(state)
    try:
        (known,) = reader.connection.execute(_HAS_TABLE).fetchone()
        return in_force(reader.connection) if known else ()
    except sqlite3.Error as error:
        raise database_fault(state.database, error) from error
    finally:
        reader.close()


class StopBoard:
    """Where a gate looks for stops, a few times a second."""

    __slots__ = ("_notice", "_state")

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._notice = Notice(state.database)

    def look(self) -> tuple[Stop, ...] | None:
        """The stops in force; None when nothing can have changed since the last look.

        Raises GatewayFault when they cannot be read. The look after that reads them anew.
        """
        connection = self._notice.news()
        if connection is None:
            return None
        try:
            return in_force(connection)
        except (sqlite3.Error, ValueError, TypeError) as error:
            self._notice.failed()
            if isinstance(error, sqlite3.Error):
                raise database_fault(self._state.database, error) from error
            raise GatewayFault("a row of the stops cannot be read", hint="run audit verify") from error

    def close(self) -> None:
        """Close the connection."""
        self._notice.close()
