"""Looking up approvals from a running gate, on a connection of its own that never waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from ostiary.approvals.request import Standing
from ostiary.errors import GatewayFault
from ostiary.store import approvals
from ostiary.store.connection import connect_to_read
from ostiary.store.state import StateDir

Found = TypeVar("Found")


class Asked:
    """Implements `proxy.approvals.room.Source`."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._connection: sqlite3.Connection | None = None

    def standing(self, request_id: str) -> Standing | None:
        """How a request stands; None where that cannot be found out."""
        return self._try(lambda connection: approvals.find(connection, request_id), None)

    def open_of(self, server: str, owner: str) -> Sequence[Standing]:
        """What a grant has open on a server; nothing where that cannot be found out."""
        return self._try(lambda connection: approvals.open_of(connection, server, owner), [])

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, look: Callable[[sqlite3.Connection], Found], otherwise: Found) -> Found:
        try:
            if self._connection is None:
                self._connection = connect_to_read(self._state.database)
                self._connection.execute("PRAGMA busy_timeout = 0")
            return look(self._connection)
        except (sqlite3.Error, GatewayFault):
            return otherwise
