"""Rows into their tables, inside the running transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from ostiary.audit.chain import Row, body_of
from ostiary.audit.record import Record
from ostiary.store.clock import Clock

_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def written_as(record: Record) -> tuple[bytes, str] | None:
    """The body of a record as bytes and as text; None where it is none, such as half a surrogate pair."""
    try:
        body = body_of(record)
        return body, body.decode()
    except (UnicodeError, TypeError, msgspec.MsgspecError):
        return None


def insert(connection: sqlite3.Connection, rows: list[Row]) -> None:
    """Add rows of the journal."""
    connection.executemany(_INSERT, rows)


def save_anchor(connection: sqlite3.Connection, clock: Clock) -> None:
    """Store where the clock stands."""
    anchor = clock.anchor()
    connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", tuple(anchor))
