"""Rows into their tables, inside the running transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from ostiary.audit.chain import Row
from ostiary.store.clock import Clock

_INSERT: Final = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def insert(connection: sqlite3.Connection, rows: list[Row]) -> None:
    """Add rows of the journal."""
    connection.executemany(_INSERT, rows)


def save_anchor(connection: sqlite3.Connection, clock: Clock) -> None:
    """Store where the clock stands."""
    anchor = clock.anchor()
    connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)", tuple(anchor))
