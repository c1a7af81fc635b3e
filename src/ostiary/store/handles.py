"""What the gate remembers of handles, in the tables `handles` and `events`.

Writing is queued and joins the next transaction of the journal; reading sees what is queued.
Rows are bounded for each grant and kind: the oldest go.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ostiary.errors import GatewayFault
from ostiary.store.connection import connect_to_read
from ostiary.store.state import StateDir

KEPT: Final = 10_000
"""Rows of one kind that each grant may have; of sessions `KEPT_SESSIONS`."""
KEPT_SESSIONS: Final = 1_000
MAX_QUEUED: Final = 20_000

_ROOM: Final = 10
"""One in so many rows goes when there are too many, so that making room is rare."""

_PUT: Final = (
    "INSERT INTO handles VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
    " kind = excluded.kind, owner = excluded.owner, at = excluded.at,"
    " until = excluded.until, body = excluded.body"
)
_EVENTS: Final = "SELECT slot, number, key FROM events WHERE ring = ?"
_NUMBER: Final = "SELECT count(*) FROM handles WHERE kind = ? AND owner = ?"
_TRIM: Final = (
    "DELETE FROM handles WHERE key IN"
    " (SELECT key FROM handles WHERE kind = ? AND owner = ? ORDER BY at LIMIT ?)"
)


class HandleRow(NamedTuple):
    """One remembered thing. `at` and `until` are microseconds since the epoch."""

    key: bytes
    kind: str
    owner: str
    at: int
    until: int
    body: bytes


_Rows = dict[bytes, HandleRow | None]
_Events = dict[tuple[bytes, int], tuple[int, bytes]]


class HandleTable:
    """Reads and queues rows.

    `wake` is called when something waits to be written, `hurrying` when it should be at once.
    """

    def __init__(self, state: StateDir, now: Callable[[], int]) -> None:
        self.wake: Callable[[], object] = _nobody
        self.hurrying: Callable[[], object] = _nobody
        self._state = state
        self._now = now
        self._lock = threading.Lock()
        self._rows: _Rows = {}
        self._events: _Events = {}
        self._taken: tuple[_Rows, _Events] = ({}, {})
        self._counts: dict[tuple[str, str], int] = {}
        self._reading: sqlite3.Connection | None = None

    @property
    def waiting(self) -> bool:
        """Whether something is queued."""
        return bool(self._rows or self._events)

    # From the gate.

    def put(self, key: bytes, kind: str, owner: str, at: int, until: int, body: bytes) -> None:
        """Keep a row, in place of one with the same key."""
        self._queue(key, HandleRow(key, kind, owner, at, until, body))

    def drop(self, key: bytes) -> None:
        """Forget the row `key`; with a ring go its events."""
        with self._lock:
            for place in [place for place in self._events if place[0] == key]:
                del self._events[place]
        self._queue(key, None)

    def add_event(self, ring: bytes, slot: int, number: int, key: bytes) -> None:
        """Keep an event id in its place of the ring."""
        with self._lock:
            if len(self._events) < MAX_QUEUED:
                self._events[ring, slot] = (number, key)
        self.wake()

    def get(self, key: bytes) -> bytes | None:
        """The body of the row `key`, unless it is over. None too where the database cannot be read."""
        with self._lock:
            for rows in (self._rows, self._taken[0]):
                if key in rows:
                    row = rows[key]
                    return row.body if row is not None and row.until > self._now() else None
        found = self._select("SELECT body FROM handles WHERE key = ? AND until > ?", key, self._now())
        return bytes(found[0][0]) if found else None

    def events(self, ring: bytes) -> list[tuple[int, bytes]]:
        """Number and key of the event ids that are kept in a ring, oldest first."""
        found: dict[int, tuple[int, bytes]] = {
            slot: (number, key) for slot, number, key in self._select(_EVENTS, ring)
        }
        with self._lock:
            for queued in (self._taken[1], self._events):
                found |= {slot: event for (of, slot), event in queued.items() if of == ring}
        return sorted(found.values())

    def hurry(self) -> None:
        """Have what is queued written before this returns, where nobody has to wait for that."""
        self.hurrying()

    def close(self) -> None:
        """Close the connection for reading."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    # From the writer, inside its transaction.

    def open(self, connection: sqlite3.Connection) -> None:
        """Remove what is over, and count the rest."""
        connection.execute("DELETE FROM handles WHERE until < ?", (self._now(),))
        connection.execute("DELETE FROM events WHERE ring NOT IN (SELECT key FROM handles)")
        rows = connection.execute("SELECT kind, owner, count(*) FROM handles GROUP BY kind, owner")
        self._counts = {(kind, owner): number for kind, owner, number in rows}

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what is queued; `written` or `undone` follows."""
        with self._lock:
            self._taken = (self._rows, self._events)
            self._rows, self._events = {}, {}
        self._write_rows(connection)

    def _write_rows(self, connection: sqlite3.Connection) -> None:
        rows, events = self._taken
        for key, row in rows.items():
            if row is None:
                connection.execute("DELETE FROM handles WHERE key = ?", (key,))
                connection.execute("DELETE FROM events WHERE ring = ?", (key,))  # its row may be gone
            else:
                connection.execute(_PUT, row)
                self._count(connection, row)
        connection.executemany(
            "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)",
            [(ring, slot, number, key) for (ring, slot), (number, key) in events.items()],
        )

    def written(self) -> None:
        """The transaction worked."""
        with self._lock:
            self._taken = ({}, {})

    def undone(self) -> None:
        """The transaction failed: everything waits again, what came later first."""
        with self._lock:
            rows, events = self._taken
            self._rows = rows | self._rows
            self._events = events | self._events
            self._taken = ({}, {})

    # Inside.

    def _queue(self, key: bytes, row: HandleRow | None) -> None:
        with self._lock:
            if len(self._rows) < MAX_QUEUED or key in self._rows:
                self._rows[key] = row
        self.wake()

    def _count(self, connection: sqlite3.Connection, row: HandleRow) -> None:
        """Make room when a grant has too many rows of a kind. A replaced row counts twice until then."""
        of = (row.kind, row.owner)
        most = KEPT_SESSIONS if row.kind in ("ring", "session") else KEPT
        self._counts[of] = number = self._counts.get(of, 0) + 1
        if number > most:
            (number,) = connection.execute(_NUMBER, of).fetchone()
            gone = max(0, number - most + most // _ROOM) if number > most else 0
            connection.execute(_TRIM, (*of, gone))
            self._counts[of] = number - gone

    def _select(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            if self._reading is None:
                self._reading = connect_to_read(self._state.database)
                self._reading.execute("PRAGMA busy_timeout = 0")
            return self._reading.execute(sql, values).fetchall()
        except (sqlite3.Error, GatewayFault):
            return []  # what cannot be looked up is not known


def _nobody() -> None:
    """Without a journal to wake, what is queued waits for the next transaction."""
