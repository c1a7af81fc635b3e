"""Reading the journal: the last rows, one call, everything. Never writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ostiary.audit.chain import Row, read_body
from ostiary.audit.record import Record
from ostiary.errors import GatewayFault
from ostiary.store.connection import connect_to_read, database_fault
from ostiary.store.migrate import check_version
from ostiary.store.state import StateDir

COLUMNS: Final = "seq, writer, wseq, prev, hash, id, ts, kind, tool, decision, body"
PART: Final = 1_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; an empty field asks nothing. `since` is in microseconds since the epoch."""

    tool: str = ""
    decision: str = ""
    grant: str = ""
    kind: str = ""
    since: int = 0


EVERYTHING: Final = Filter()


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A row as it is in the journal. `record` is None when the body cannot be read."""

    row: Row
    record: Record | None

    def line(self) -> bytes:
        """One line of JSON: the chain fields, then the body as it was hashed."""
        chain = {
            "v": 1,
            "seq": self.row.seq,
            "writer": self.row.writer,
            "wseq": self.row.wseq,
            "prev": self.row.prev.hex(),
            "hash": self.row.hash.hex(),
        }
        if self.record is None:
            return msgspec.json.encode({**chain, "unreadable": self.row.body}) + b"\n"
        return msgspec.json.encode({**chain, "record": msgspec.Raw(self.row.body.encode())}) + b"\n"


class Reader:
    """A read-only connection to the journal of a state directory.

    Raises GatewayFault when there is none, or it is damaged or of a newer version.
    """

    def __init__(self, state: StateDir) -> None:
        self._path = state.database
        if not self._path.exists():
            raise GatewayFault(f"no journal at `{self._path}`", hint="nothing was recorded there yet")
        self.connection = connect_to_read(self._path)
        try:
            check_version(self.connection)
        except (GatewayFault, sqlite3.Error):
            self.connection.close()
            raise

    def tail(self, limit: int, after: int | None = None, only: Filter = EVERYTHING) -> list[StoredRecord]:
        """The last `limit` rows, oldest first; with `after`, the first ones beyond that `seq`."""
        clause, values = _where(only)
        if after is None:
            sql = f"SELECT {COLUMNS} FROM records WHERE {clause} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - values are bound
            return [_stored(row) for row in reversed(self._all(sql, (*values, limit)))]
        sql = f"SELECT {COLUMNS} FROM records WHERE {clause} AND seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - values are bound
        return [_stored(row) for row in self._all(sql, (*values, after, limit))]

    def show(self, call: str) -> list[StoredRecord]:
        """Every row of one call, oldest first. Reads the whole table: there is no index."""
        sql = f"SELECT {COLUMNS} FROM records WHERE id = ? ORDER BY seq"  # noqa: S608 - values are bound
        return [_stored(row) for row in self._all(sql, (call,))]

    def export(self, only: Filter = EVERYTHING) -> Iterator[bytes]:
        """Every row that passes, oldest first, as lines of JSON. Holds no long read lock."""
        after = 0
        while part := self.tail(PART, after, only):
            yield from (stored.line() for stored in part)
            after = part[-1].row.seq

    def last_seq(self) -> int:
        """The number of the newest row, 0 when there is none."""
        return int(self._all("SELECT coalesce(max(seq), 0) FROM records", ())[0][0])

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _all(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            return self.connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise database_fault(self._path, error) from error


def _where(only: Filter) -> tuple[str, tuple[object, ...]]:
    conditions = ["1"]
    values: list[object] = []
    for column, value in (("tool", only.tool), ("decision", only.decision), ("kind", only.kind)):
        if value:
            conditions.append(f"{column} = ?")
            values.append(value)
    if only.grant:
        conditions.append("CASE WHEN json_valid(body) THEN json_extract(body, '$.grant') END = ?")
        values.append(only.grant)
    if only.since:
        conditions.append("ts >= ?")
        values.append(only.since)
    return " AND ".join(conditions), tuple(values)


def _stored(values: tuple[Any, ...]) -> StoredRecord:
    row = Row._make(values)
    try:
        return StoredRecord(row, read_body(row.body))
    except (msgspec.MsgspecError, UnicodeError):
        return StoredRecord(row, None)
