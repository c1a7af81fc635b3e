"""What runs beside the writer: syncing, watching the disk and the neighbours, checkpoints.

A thread with a connection of its own. Every quarter of a second it copies the write-ahead log
into the database, which syncs the log first, so a row that a checkpoint names is on the disk.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ostiary.audit.chain import Head
from ostiary.errors import GatewayFault
from ostiary.store import instances
from ostiary.store.clock import Clock
from ostiary.store.connection import PAGE_BYTES, connect, meaning
from ostiary.store.keys import Keys
from ostiary.store.state import StateDir
from ostiary.store.view import View

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often, in seconds, and how much. Tests shrink them.

    `min_free` is the disk space in bytes under which nothing is allowed any more, `restart` the
    size of the write-ahead log from which the writer starts it over.
    """

    sync: float = 0.25
    look: float = 1.0
    checkpoint: float = 60.0
    checkpoint_rows: int = 10_000
    min_free: int = 64 * MEBIBYTE
    restart: int = 8 * MEBIBYTE


class Owner(Protocol):
    """What the thread needs of its store."""

    state: StateDir
    keys: Keys
    clock: Clock
    instance: instances.Instance
    view: View
    alone: bool


class Upkeep:
    """The thread. `trouble` says why nothing may be allowed; `restart_wanted` asks the writer.

    `sync_trouble` is why the last copy, or the last checkpoint, did not work: rows are written,
    but are not yet proof against a power cut or an editor.
    """

    def __init__(self, owner: Owner, intervals: Intervals) -> None:
        self.trouble = ""
        self.sync_trouble = ""
        self.restart_wanted = False
        self._owner = owner
        self._every = intervals
        self._stopped = threading.Event()
        self._file = _identity(owner.state.database)
        self._signed_at = time.monotonic()
        self._signed_rows = _rows(owner.view.heads)
        self._thread = threading.Thread(target=self._run, name="ostiary-upkeep", daemon=True)
        self.look()

    def start(self) -> None:
        """Begin to run beside the writer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the step that is running."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """See who else lives, how much disk is left, and that the file is still ours."""
        owner = self._owner
        try:
            owner.alone = instances.live(owner.state) <= {owner.instance.id}
        except OSError:
            owner.alone = False  # not known, so taken for shared
        self.trouble = self._trouble()

    def _trouble(self) -> str:
        try:
            status = os.statvfs(self._owner.state.path)
            if _identity(self._owner.state.database) != self._file:
                return "the database file was removed or replaced"
        except OSError as error:
            return f"the state directory cannot be read: {(error.strerror or 'failed').lower()}"
        if status.f_bavail * status.f_frsize < self._every.min_free:
            return f"less than {self._every.min_free // MEBIBYTE} MB of disk are free"
        return ""

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        looked = time.monotonic()
        while not self._stopped.wait(self._every.sync):
            try:
                connection = connection or connect(self._owner.state.database)
                self._step(connection)
                self.sync_trouble = ""
            except sqlite3.Error as error:
                self.sync_trouble = meaning(error)
            except (GatewayFault, OSError) as error:
                self.sync_trouble = str(error)
            if time.monotonic() - looked >= self._every.look:
                looked = time.monotonic()
                self._owner.clock.discipline()
                self.look()
        if connection is not None:
            connection.close()

    def _step(self, connection: sqlite3.Connection) -> None:
        # 1. Note where the chains end, 2. sync everything up to there, 3. only then sign it.
        heads = dict(self._owner.view.heads)
        if self.sync(connection) and self._is_due(heads):
            self._sign(connection, heads)

    def sync(self, connection: sqlite3.Connection) -> bool:
        """Copy the log into the database; whether all committed rows are now synced."""
        busy, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages * PAGE_BYTES > self._every.restart:
            self.restart_wanted = True
        return not busy

    def _is_due(self, heads: dict[str, Head]) -> bool:
        added = _rows(heads) - self._signed_rows
        elapsed = time.monotonic() - self._signed_at
        return added >= self._every.checkpoint_rows or (added > 0 and elapsed >= self._every.checkpoint)

    def _sign(self, connection: sqlite3.Connection, heads: dict[str, Head]) -> None:
        # Loaded when first needed: signing costs a start-up more than all else in this package.
        from ostiary.store import checkpoints  # noqa: PLC0415 - see above

        owner = self._owner
        checkpoints.write(connection, owner.keys.checkpoint, heads, owner.clock.now())
        self._signed_at = time.monotonic()
        self._signed_rows = _rows(heads)

    def last_words(self, connection: sqlite3.Connection) -> None:
        """At the end, on the writer's connection: sync, sign what is there, tidy the log."""
        heads = dict(self._owner.view.heads)
        if self.sync(connection) and heads:
            self._sign(connection, heads)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _rows(heads: dict[str, Head]) -> int:
    return sum(head.rows for head in heads.values())


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
