"""Whether another connection has committed to the database since this was asked last.

What other processes decide (a stop, an approval) is found by asking, a few times a second. Asking
costs microseconds; only when the answer is yes is a table read again. There is no wake-up that
could be missed.

Source: SQLite, PRAGMA data_version.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from ostiary.errors import GatewayFault
from ostiary.store.connection import connect_to_read, database_fault

EVERY: Final = 0.1
"""Seconds between two times of asking. An effect that must come within a second leaves room for others."""


class Notice:
    """A read-only connection that is asked for news. One thread uses it.

    The first answer is yes, and so is the first after a failure: whoever asks has to read then.
    Commits of other connections of the same process count as well.
    """

    __slots__ = ("_connection", "_path", "_version")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None

    def news(self) -> sqlite3.Connection | None:
        """The connection to read with if there may be news, else None.

        Ask before reading: what is committed while you read is then news the next time. Raises
        GatewayFault when the database cannot be read; never waits for a lock.
        """
        try:
            if self._connection is None:
                self._connection = connect_to_read(self._path)
                self._connection.execute("PRAGMA busy_timeout = 0")
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            self.failed()
            raise database_fault(self._path, error) from error
        except GatewayFault:
            self.failed()
            raise
        if version == self._version:
            return None
        self._version = version
        return self._connection

    def failed(self) -> None:
        """What was read after the last news was not of use: begin anew."""
        self.close()

    def close(self) -> None:
        """Close the connection; asking again opens another one."""
        connection, self._connection = self._connection, None
        self._version = None
        if connection is not None:
            connection.close()
