"""SQLite connections, and what its errors mean."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from ostiary.errors import GatewayFault

Durability = Literal["process", "power"]
"""`process`: what was committed survives the death of the process; power loss can take the last
quarter of a second. `power`: synced to the disk before anything is forwarded."""

PAGE_BYTES: Final = 4096

_MEANINGS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "another process holds the database lock",
    sqlite3.SQLITE_LOCKED: "another connection holds the database lock",
    sqlite3.SQLITE_IOERR: "the disk reported an input/output error",
    sqlite3.SQLITE_READONLY: "the database cannot be written",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_PERM: "access to the database is not permitted",
}


def connect(path: Path, durability: Durability = "process") -> sqlite3.Connection:
    """Open for writing, creating the file (0600) if needed.

    Raises sqlite3.Error, and GatewayFault on a file system that cannot keep a write-ahead log.
    The caller sees to it that one thread uses it at a time.
    """
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    with ExitStack() as undo:
        undo.callback(connection.close)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise GatewayFault(f"`{path}` cannot have a write-ahead log beside it", hint="use a local disk")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA trusted_schema = OFF")
        undo.pop_all()
        return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open for reading only. Raises GatewayFault when that is impossible."""
    with ExitStack() as undo:
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                timeout=5.0,
                isolation_level=None,
                uri=True,
                check_same_thread=False,
            )
            undo.callback(connection.close)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise database_fault(path, error) from error
        undo.pop_all()
        return connection


def code_of(error: sqlite3.Error) -> int:
    """The primary result code, or 0 for an error that SQLite did not raise."""
    code: object = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF if isinstance(code, int) else 0


def is_busy(error: sqlite3.Error) -> bool:
    """Whether someone else holds the lock."""
    return code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def meaning(error: sqlite3.Error) -> str:
    """The error in words for an operator."""
    return _MEANINGS.get(code_of(error)) or f"the database failed: {error}"


def database_fault(path: Path, error: sqlite3.Error) -> GatewayFault:
    """The fault that ends a command which cannot use its database."""
    damaged = code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    hint = "move it away to start anew, or restore a backup" if damaged else None
    return GatewayFault(f"cannot use `{path}`: {meaning(error)}", hint=hint)
