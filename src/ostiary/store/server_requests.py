"""Servers that clients of code mode asked for, and what an operator said to it.

Reading takes any connection; writing takes one of its own, and may wait for others: not on an event loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.store.aside import transaction
from ostiary.store.custom_tools import changed
from ostiary.store.state import StateDir

State = Literal["pending", "approved", "rejected"]

MAX_OF_OWNER: Final = 20
MAX_ALL: Final = 500
_COLUMNS: Final = "number, owner, name, url, headers, reason, state, at, decided, who, note"
_SELECT: Final = f"SELECT {_COLUMNS} FROM server_requests"  # noqa: S608 - a constant


class ServerRequest(msgspec.Struct, frozen=True):
    """One request. `at` and `decided` are in microseconds since 1970; `decided` is 0 while it is pending.

    `headers` are templates such as `Bearer ${TOKEN}`: names of variables, never their values.
    """

    number: int
    owner: str
    name: str
    url: str
    headers: Mapping[str, str]
    reason: str
    state: State
    at: int
    decided: int
    who: str
    note: str


def listed(connection: sqlite3.Connection, state: State | None = None) -> list[ServerRequest]:
    """All requests, or those in one state, the oldest first."""
    if state is None:
        return [_read(row) for row in connection.execute(f"{_SELECT} ORDER BY number")]
    return [_read(row) for row in connection.execute(f"{_SELECT} WHERE state = ? ORDER BY number", (state,))]


def find(connection: sqlite3.Connection, number: int) -> ServerRequest | None:
    """One request by its number."""
    row = connection.execute(f"{_SELECT} WHERE number = ?", (number,)).fetchone()
    return None if row is None else _read(row)


def file(
    state: StateDir, owner: str, name: str, url: str, headers: Mapping[str, str], reason: str, *, at: int
) -> tuple[ServerRequest, bool]:
    """File a request, or find the same one as it stands; whether it is new.

    Raises CallerFault where there are too many, and GatewayFault where nothing can be written.
    """
    written = msgspec.json.encode(headers, order="sorted").decode()
    same = f"{_SELECT} WHERE owner = ? AND name = ? AND url = ? AND headers = ?"
    with transaction(state) as connection:
        row = connection.execute(same, (owner, name, url, written)).fetchone()
        if row is not None:
            return _read(row), False
        _room(connection, owner)
        sql = (
            "INSERT INTO server_requests (owner, name, url, headers, reason, state, at)"
            " VALUES (?, ?, ?, ?, ?, 'pending', ?)"
        )
        connection.execute(sql, (owner, name, url, written, reason, at))
        row = connection.execute(same, (owner, name, url, written)).fetchone()
        changed(connection)
        return _read(row), True


def decide(
    connection: sqlite3.Connection, number: int, state: State, *, who: str, note: str, at: int
) -> ServerRequest:
    """Write what an operator said, inside a transaction. The last word counts. Raises CallerFault."""
    before = find(connection, number)
    if before is None:
        raise CallerFault(f"there is no request {number}", hint="`ostiary code servers requests` lists them")
    if state == "approved":
        for other in listed(connection, "approved"):
            if other.number != number and other.name == before.name:
                raise CallerFault(
                    f"request {other.number} is approved by the name `{other.name}`",
                    hint="reject that one first",
                )
    connection.execute(
        "UPDATE server_requests SET state = ?, decided = ?, who = ?, note = ? WHERE number = ?",
        (state, at, who, note, number),
    )
    changed(connection)
    return msgspec.structs.replace(before, state=state, decided=at, who=who, note=note)


def _room(connection: sqlite3.Connection, owner: str) -> None:
    """Raises CallerFault for too many. Of those that are over the oldest that were rejected make room."""
    own = "SELECT count(*) FROM server_requests WHERE owner = ? AND state = 'pending'"
    (waiting,) = connection.execute(own, (owner,)).fetchone()
    if waiting >= MAX_OF_OWNER:
        raise CallerFault(
            f"{waiting} requests of yours wait", hint="an operator has to decide some of them first"
        )
    oldest = "SELECT number FROM server_requests WHERE state = 'rejected' ORDER BY number LIMIT ?"
    (every,) = connection.execute("SELECT count(*) FROM server_requests").fetchone()
    if every >= MAX_ALL:
        gone = connection.execute(oldest, (every - MAX_ALL + 1,)).fetchall()
        if len(gone) < every - MAX_ALL + 1:
            raise CallerFault(f"there are {every} requests, and {MAX_ALL} is the most")
        connection.executemany("DELETE FROM server_requests WHERE number = ?", gone)


def _read(row: tuple[Any, ...]) -> ServerRequest:
    try:
        headers = msgspec.json.decode(row[4], type=dict[str, str])
        number, owner, name, url, _, reason, state, at, decided, who, note = row
        return ServerRequest(number, owner, name, url, headers, reason, state, at, decided, who, note)
    except (msgspec.MsgspecError, ValueError) as error:
        raise GatewayFault(f"request {row[0]} cannot be read") from error
