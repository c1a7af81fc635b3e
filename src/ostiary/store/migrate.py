"""The schema: numbered SQL files, forward only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from ostiary.errors import GatewayFault


@cache
def scripts() -> list[str]:
    """The SQL of every step, the first one first."""
    folder = files("ostiary.store") / "sql"
    named = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    for number, (name, _) in enumerate(named, start=1):
        if not name.startswith(f"{number:04d}_"):
            raise GatewayFault(f"the installed schema steps are not numbered without a hole: `{name}`")
    return [entry.read_text("utf-8") for _, entry in named]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database up to date in one transaction, or leave it as it was.

    Raises GatewayFault when it was written by a newer version, sqlite3.Error when it cannot be
    read or written.
    """
    steps = scripts()
    if check_version(connection, len(steps)) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = check_version(connection, len(steps))
        for script in steps[done:]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def check_version(connection: sqlite3.Connection, known: int | None = None) -> int:
    """The schema step of the database. Raises GatewayFault when this version is too old for it."""
    known = len(scripts()) if known is None else known
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > known:
        raise GatewayFault(
            f"the database has schema {version}, this version knows {known}",
            hint="upgrade ostiary, or use another --state-dir",
        )
    return int(version)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
