"""Paused runs, in the table `paused`: sealed, and taken out once by whoever goes on with one.

Pauses are rare and their states large, so they have a connection of their own for each step, and nothing
here is to be called on an event loop.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ostiary.errors import CallerFault
from ostiary.store.connection import connect, connect_to_read, database_fault
from ostiary.store.state import StateDir

MAX_RUNS: Final = 16
"""Paused runs that each owner may have."""
MAX_SEALED: Final = 8 << 20
"""Bytes of one: while it is written nobody else writes, and calls wait for that."""
MAX_BYTES: Final = 64 << 20
"""Bytes of all states of one owner."""
_NONCE: Final = 12
_PURPOSE: Final = b"ostiary paused runs, version 1"


class PausedTable:
    """Keeps sealed states. `key` is the store's for approvals, from which one of its own is derived.

    `now` gives microseconds since 1970.
    """

    def __init__(self, state: StateDir, key: bytes, now: Callable[[], int]) -> None:
        self._state = state
        self._cipher = AESGCM(hmac.digest(key, _PURPOSE, "sha256"))
        self._now = now

    def keep(self, owner: str, run_id: str, until: int, content: bytes) -> None:
        """Keep a run until that time, in microseconds. Raises CallerFault for more than an owner may have."""
        if len(content) > MAX_SEALED:
            raise CallerFault(
                f"the run cannot be paused: it holds {len(content)} bytes, and {MAX_SEALED} is the most",
                hint="let the code keep less in its variables while it waits",
            )
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, content, _bound(owner, run_id))
        with self._writing() as connection:
            connection.execute("DELETE FROM paused WHERE until < ?", (self._now(),))
            number, size = connection.execute(
                "SELECT count(*), coalesce(sum(length(sealed)), 0) FROM paused WHERE owner = ?", (owner,)
            ).fetchone()
            if number >= MAX_RUNS or size + len(sealed) > MAX_BYTES:
                raise CallerFault(
                    f"the run cannot be paused: {number} runs wait for approval already, with {size} bytes",
                    hint=f"{MAX_RUNS} runs and {MAX_BYTES} bytes are the most; have some answered first",
                )
            connection.execute("INSERT INTO paused VALUES (?, ?, ?, ?)", (run_id, owner, until, sealed))

    def look(self, owner: str, run_id: str) -> bytes | None:
        """What is kept of a run; None where `owner` has none. Raises CallerFault for one that was changed."""
        with self._using(connect_to_read) as connection:
            return self._opened(connection, owner, run_id)

    def take(self, owner: str, run_id: str) -> bytes | None:
        """The same, and it is gone: of all who take it one has it."""
        with self._writing() as connection:
            content = self._opened(connection, owner, run_id)
            if content is not None:
                connection.execute("DELETE FROM paused WHERE id = ? AND owner = ?", (run_id, owner))
            return content

    def _opened(self, connection: sqlite3.Connection, owner: str, run_id: str) -> bytes | None:
        row = connection.execute(
            "SELECT sealed FROM paused WHERE id = ? AND owner = ? AND until > ?", (run_id, owner, self._now())
        ).fetchone()
        if row is None:
            return None
        sealed = row[0] if isinstance(row[0], bytes) else b""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(owner, run_id))
        except (InvalidTag, ValueError) as error:
            raise CallerFault(
                f"the paused run {run_id} was changed in the store and is not gone on with",
                hint="run its code again",
            ) from error

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """A transaction that is alone. Raises OstiaryError where the database cannot be used."""
        with self._using(partial(connect, durability="power")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _using(self, way: Callable[[Path], sqlite3.Connection]) -> Generator[sqlite3.Connection]:
        connection: sqlite3.Connection | None = None
        try:
            connection = way(self._state.database)
            yield connection
        except sqlite3.Error as error:
            raise database_fault(self._state.database, error) from error
        finally:
            if connection is not None:
                connection.close()  # which undoes what was not committed


def _bound(owner: str, run_id: str) -> bytes:
    """To whom and to what a state belongs. A grant's name and an id have no NUL."""
    return b"\0".join((owner.encode(), run_id.encode()))
