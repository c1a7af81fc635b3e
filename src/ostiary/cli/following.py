"""Reading the journal while gates write it: short looks, no lock that is kept, no write."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from ostiary.cli.overview import Overview
from ostiary.errors import OstiaryError
from ostiary.store.instances import describe_all
from ostiary.store.query import Reader, StoredRecord
from ostiary.store.state import find_state

FIRST_ROWS: Final = 20_000
"""How far back the first look goes: a fraction of a second of work."""
PART: Final = 2_000
MAX_PARTS: Final = 10
"""Parts read in one look. What is further behind than that is passed over, and said to be."""


class Following:
    """What a state directory shows, look by look.

    The journal is opened anew for each look: it may not be there yet, be replaced or be gone.
    `problem` says why the last look saw nothing new.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0
        self.gates: list[dict[str, str]] = []
        self.overview = Overview()
        self.last_seq = 0
        self.problem = ""
        self._file: tuple[int, int] | None = None

    def look(self) -> None:
        """Read what is new. Raises nothing that the state directory can cause."""
        self.now = time.time_ns() // 1_000
        self.problem = ""
        try:
            state = find_state(self.path)
            self.gates = describe_all(state)
            if state.database.exists():
                self._read(Reader(state), state.database)
            else:
                self._anew(None)
                self.problem = "nothing was recorded yet"
        except OstiaryError as error:
            self.problem = error.message
        except OSError as error:
            self.problem = f"cannot read `{self.path}`: {(error.strerror or 'failed').lower()}"
        self.overview.forget(self.now)

    def _read(self, reader: Reader, database: Path) -> None:
        try:
            status = database.stat()
            last = reader.last_seq()
            if self._file != (status.st_dev, status.st_ino) or last < self.last_seq:
                self._anew((status.st_dev, status.st_ino))
            if last - self.last_seq > (PART * MAX_PARTS if self.last_seq else FIRST_ROWS):
                self._begin(reader.tail(FIRST_ROWS))
                return
            for _ in range(MAX_PARTS):
                rows = reader.tail(PART, self.last_seq)
                self._take(rows)
                if len(rows) < PART:
                    return
        finally:
            reader.close()

    def _begin(self, rows: list[StoredRecord]) -> None:
        """Start with the newest rows only, and remember since when."""
        self._anew(self._file)
        self._take(rows)
        self.overview.begins = rows[0].row.ts if rows else None

    def _take(self, rows: list[StoredRecord]) -> None:
        self.overview.add(stored.record for stored in rows if stored.record is not None)
        if rows:
            self.last_seq = rows[-1].row.seq

    def _anew(self, file: tuple[int, int] | None) -> None:
        self._file = file
        self.overview = Overview()
        self.last_seq = 0
