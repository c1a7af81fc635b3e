"""What code mode keeps in the database of the gate: stored tools, and requests for servers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from ostiary.errors import GatewayFault
from ostiary.store import custom_tools, server_requests
from ostiary.store.connection import connect_to_read, database_fault
from ostiary.store.custom_tools import Definition, Stamp, Version
from ostiary.store.notice import Notice
from ostiary.store.server_requests import ServerRequest
from ostiary.store.state import StateDir

Found = TypeVar("Found")


class CodeShelf:
    """Reads take no time worth mentioning and belong on the event loop; `save`, `remove` and `file` do not.

    Each of them raises GatewayFault where the database cannot be used.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._notice = Notice(state.database)
        self._seen = -1
        self._reading: sqlite3.Connection | None = None

    def news(self) -> bool:
        """Whether anything has changed since this was asked last; the first time it has."""
        connection = self._notice.news()
        if connection is None:
            return False
        try:
            number = custom_tools.changes(connection)
        except sqlite3.Error as error:
            self._notice.failed()
            raise database_fault(self._state.database, error) from error
        if number == self._seen:
            return False
        self._seen = number
        return True

    def forget(self) -> None:
        """What was read after the last news was not of use: the next look has news."""
        self._seen = -1
        self._notice.failed()

    def newest(self) -> list[Version]:
        """The newest version of every tool, without its script."""
        return self._read(custom_tools.newest)

    def find(self, name: str, number: int) -> Version | None:
        """One version, whole."""
        return self._read(lambda connection: custom_tools.find(connection, name, number))

    def history(self, name: str) -> list[Stamp]:
        """The versions of a tool, the newest first."""
        return self._read(lambda connection: custom_tools.history(connection, name))

    def claim(self, owner: str, name: str, *, new: bool) -> None:
        """Whether `owner` may write a version of `name`. Raises CallerFault where not."""
        self._read(lambda connection: custom_tools.claim(connection, owner, name, new=new))

    def approved(self) -> list[ServerRequest]:
        """The servers that an operator has agreed to."""
        return self._read(lambda connection: server_requests.listed(connection, "approved"))

    def save(
        self,
        owner: str,
        name: str,
        definition: Definition,
        script: str,
        *,
        at: int,
        new: bool,
        after: int = 0,
    ) -> Version:
        """See `custom_tools.save`."""
        with self._private():
            return custom_tools.save(
                self._state, owner, name, definition, script, at=at, new=new, after=after
            )

    def remove(self, owner: str, name: str) -> bool:
        """See `custom_tools.remove_own`."""
        with self._private():
            return custom_tools.remove_own(self._state, name, owner)

    def file(
        self, owner: str, name: str, url: str, headers: Mapping[str, str], reason: str, *, at: int
    ) -> tuple[ServerRequest, bool]:
        """See `server_requests.file`."""
        with self._private():
            return server_requests.file(self._state, owner, name, url, headers, reason, at=at)

    def close(self) -> None:
        """Close what reads."""
        self._notice.close()
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _read(self, read: Callable[[sqlite3.Connection], Found]) -> Found:
        with self._private():
            if self._reading is None:
                self._reading = connect_to_read(self._state.database)
                self._reading.execute("PRAGMA busy_timeout = 0")
            try:
                return read(self._reading)
            except sqlite3.Error as error:
                raise database_fault(self._state.database, error) from error

    @contextmanager
    def _private(self) -> Generator[None]:
        """Clients are told what is the matter, and not where the database is."""
        try:
            yield
        except GatewayFault as fault:
            said = fault.message.replace(f"`{self._state.database}`", "the store")
            raise GatewayFault(said) from fault
