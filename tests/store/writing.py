"""Words that store tests share: entries, a clock that is told the time, a store that is closed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ostiary.audit.record import Record
from ostiary.calls.journal import Entry, Exceeded
from ostiary.policy.decision import Charge
from ostiary.policy.model import Window
from ostiary.store.clock import BootClock
from ostiary.store.opening import open_store
from ostiary.store.sqlite import SqliteStore
from ostiary.store.state import StateDir, open_state
from ostiary.store.upkeep import Intervals

SECOND = 1_000_000
# Nothing in the background happens by itself within a test.
QUIET = Intervals(sync=3600, min_free=0)


@dataclass
class Times:
    """The two sources of time, in microseconds, moved by hand."""

    wall: int = 1_700_000_000 * SECOND
    boot: int = 100 * SECOND
    this_boot: str = "boot-1"

    def clock(self) -> BootClock:
        return BootClock(wall=lambda: self.wall, boot=lambda: self.boot, this_boot=self.this_boot)

    def pass_(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.boot += int(seconds * SECOND)


@dataclass
class World:
    """One state directory and its times."""

    folder: Path
    times: Times = field(default_factory=Times)

    @property
    def state(self) -> StateDir:
        return open_state(self.folder)

    @contextmanager
    def store(self, **options: Any) -> Generator[SqliteStore, None, None]:
        options.setdefault("clock", self.times.clock())
        options.setdefault("intervals", QUIET)
        store = open_store(self.state, **options)
        try:
            yield store
        finally:
            store.close()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read or tamper, as somebody with an editor would."""
        connection = sqlite3.connect(self.folder / "ostiary.db", isolation_level=None)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for (body,) in self.sql("SELECT body FROM records ORDER BY seq")]


def runs(ceiling: int = 3, seconds: int = 60, key: str = "runs", amount: str = "1") -> Charge:
    return Charge(key, "/tools/x/limits/0", Decimal(amount), Decimal(ceiling), Window(seconds))


def together(ceiling: int = 1, lease: int = 600) -> Charge:
    return Charge("together", "/tools/x/limits/1", Decimal(1), Decimal(ceiling), None, lease_seconds=lease)


def denial(call: str) -> Record:
    return Record(id=call, ts=1, kind="denial", tool="x", decision="deny", rules=("/tools/x/limits/0",))


def intent(call: str, *charges: Charge, grant: str = "local") -> Entry:
    def denied(exceeded: Exceeded) -> Record:
        return denial(call)

    record = Record(id=call, ts=1, kind="intent", tool="x", decision="allow", grant=grant)
    return Entry(record, charges, denied)


def outcome(call: str, *returns: Charge, status: Any = "ok") -> Entry:
    return Entry(Record(id=call, ts=2, kind="outcome", tool="x", status=status), returns=returns)
