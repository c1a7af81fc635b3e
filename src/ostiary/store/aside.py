"""Writing beside the gates: a connection of one's own, a short transaction, a record of it.

For what must work while gates are busy and while none runs, from a command or from a thread of a gate.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from ostiary.audit.chain import Head, Row, body_of, genesis, row_hash
from ostiary.audit.record import Record
from ostiary.store import instances
from ostiary.store.clock import Anchor, BootClock
from ostiary.store.connection import connect, database_fault, is_busy
from ostiary.store.keys import load_keys
from ostiary.store.migrate import migrate
from ostiary.store.rows import insert
from ostiary.store.state import StateDir
from ostiary.store.view import View

WAIT_S: Final = 10.0
"""Seconds that are spent on getting a word in between the transactions of busy gates."""
_STEP_S: Final = 0.0005

Mint = Callable[[Callable[[], int]], str]
"""Makes the id of a record from a clock."""


class Event(NamedTuple):
    """What a command did: `who` is `user:` and a name."""

    who: str
    method: str
    note: str
    grant: str = ""
    reason: str = ""


@contextmanager
def transaction(state: StateDir) -> Generator[sqlite3.Connection]:
    """The write lock of the database; committed and on the disk when the body has ended well.

    Raises GatewayFault where the database cannot be written, is full or locked for too long.
    """
    with ExitStack() as undo:
        try:
            connection = connect(state.database, "power")
            undo.callback(connection.close)
            begin(connection)
            undo.callback(rollback, connection)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise database_fault(state.database, error) from error


@contextmanager
def recording(state: StateDir) -> Generator[tuple[sqlite3.Connection, Callable[[Record], None]]]:
    """For commands: a transaction, and what adds a record to it.

    It takes a writer's name and no whole store, so that it is quick. Raises GatewayFault when it could
    not be done, and then nothing was.
    """
    keys = load_keys(state)
    with ExitStack() as undo:
        try:
            connection = connect(state.database, "power")
            undo.callback(connection.close)
            connection.execute("PRAGMA busy_timeout = 5000")
            migrate(connection)
            instance = instances.claim(state)
            undo.callback(instance.close)
            view = View()
            view.load(connection, keys.audit)
            view.catch_up(connection)  # most of it before the lock is taken
            begin(connection)
            undo.callback(rollback, connection)

            def add(record: Record) -> None:
                view.catch_up(connection)
                add_record(connection, view, instance.id, record)

            yield connection, add
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise database_fault(state.database, error) from error


@contextmanager
def recorded(state: StateDir, mint: Mint) -> Generator[tuple[sqlite3.Connection, Callable[[Event], int]]]:
    """As `recording`, with what adds the record of an event, and tells its time."""
    with recording(state) as (connection, write):

        def add(event: Event) -> int:
            at = now_of(connection)
            write(_record(mint(lambda: at), at, event))
            return at

        yield connection, add


def _record(call: str, at: int, event: Event) -> Record:
    return Record(
        id=call,
        ts=at,
        kind="event",
        principal=event.who,
        grant=event.grant,
        method=event.method,
        reasons=(event.reason,) if event.reason else (),
        note=event.note,
    )


def now_of(connection: sqlite3.Connection) -> int:
    """The time on the clock that all processes of this state directory share."""
    clock = BootClock()
    row = connection.execute("SELECT boot_id, boot, wall FROM clock").fetchone()
    clock.resume(None if row is None else Anchor(*row))
    return clock.now()


def begin(connection: sqlite3.Connection) -> None:
    """Take the write lock, asking so often that a gate which writes all the time cannot keep it."""
    connection.execute("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_STEP_S)
        else:
            return


def rollback(connection: sqlite3.Connection) -> None:
    """Undo what was not committed."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def add_record(connection: sqlite3.Connection, view: View, writer: str, record: Record) -> None:
    """Add the record to the chain of this process."""
    head = view.heads.get(writer) or Head(0, genesis(writer))
    body = body_of(record)
    digest = row_hash(head.hash, body)
    said = (record.id, record.ts, record.kind, record.tool, record.decision)
    row = Row(view.seq + 1, writer, head.rows + 1, head.hash, digest, *said, body.decode())
    insert(connection, [row])
