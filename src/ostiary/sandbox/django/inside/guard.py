"""Read-only and rollback: guard rails around code that means well.

They stand in the process that runs the code, so code that wants to can go round them. What cannot be
gone round is a database role without the right to write, or a file that the walls show read-only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from ostiary.sandbox.django.inside.reach import module

T = TypeVar("T")

_BEGINS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*([A-Za-z]+)?", re.DOTALL)
_READS = frozenset(
    {
        "begin", "close", "declare", "explain", "fetch", "pragma", "release", "rollback", "savepoint",
        "select", "show", "start", "table", "values", "with",
    }
)  # fmt: skip
_SESSION_IS_READ_ONLY = {
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}
_SQLITE = "django.db.backends.sqlite3"


class ReadOnlyError(Exception):
    """A write was refused, because this shell is read-only."""

    __module__ = "ostiary"


class Guard:
    """One of the modes `""`, `read-only` and `rollback`, put up once before the first fork."""

    def __init__(self, mode: str) -> None:
        self._mode = mode

    def install(self) -> None:
        """From now on every connection, in whatever thread, is a guarded one. None may be open."""
        if self._mode == "read-only":
            _open_files_read_only()
            created = module("django.db.backends.signals").connection_created
            created.connect(_guard, weak=False, dispatch_uid="ostiary.read-only")

    def around(self, call: Callable[[], T]) -> T:
        """What `call` returns; in rollback mode nothing that it wrote by Django's connections stays."""
        return _undone(call) if self._mode == "rollback" else call()


def _open_files_read_only() -> None:
    """Have SQLite open its files for reading only: no statement of code then writes to them."""
    connections = module("django.db").connections
    changed: dict[str, Any] = {}
    for alias in list(connections):
        told = dict(connections.settings[alias])
        name = str(told.get("NAME") or "")
        if told.get("ENGINE") == _SQLITE and name and not name.startswith((":memory:", "file:")):
            told["NAME"] = f"file:{quote(name)}?mode=ro"
        changed[alias] = told
        with contextlib.suppress(AttributeError):  # no connection was asked for yet
            del connections[alias]
    connections.__dict__["settings"] = changed


def _guard(connection: Any, **_: Any) -> None:
    statement = _SESSION_IS_READ_ONLY.get(connection.vendor)
    if statement is not None:
        with connection.connection.cursor() as cursor:
            cursor.execute(statement)
    if _refuse not in connection.execute_wrappers:
        connection.execute_wrappers.append(_refuse)


def _refuse(execute: Callable[..., T], sql: Any, parameters: Any, many: Any, context: Any) -> T:
    text = sql if isinstance(sql, str) else str(sql)
    found = _BEGINS.match(text)
    word = (found[1] or "") if found else ""
    writes = word.lower() not in _READS or (word.lower() == "pragma" and "=" in text)
    if writes and text.strip():
        raise ReadOnlyError(
            f"this shell is read-only: {word.upper() or 'a statement of that kind'} is refused. "
            "This is a guard rail; the boundary is a database role without the right to write"
        )
    return execute(sql, parameters, many, context)


def _undone(call: Callable[[], T]) -> T:
    transaction, connections = module("django.db.transaction"), module("django.db").connections
    aliases = list(connections)
    with contextlib.ExitStack() as opened:
        for alias in aliases:
            opened.enter_context(transaction.atomic(using=alias))
        try:
            return call()
        finally:
            for alias in aliases:
                transaction.set_rollback(True, using=alias)


def tidy() -> None:
    """Before a run: no list of old queries, and no connection that has broken."""
    django_db = module("django.db")
    django_db.reset_queries()
    for connection in django_db.connections.all(initialized_only=True):
        if connection.connection is not None and connection.errors_occurred:
            if connection.in_atomic_block or connection.is_usable():
                connection.errors_occurred = False
            else:
                connection.close()


def disconnect() -> None:
    """Before a fork: nothing may be shared that two processes would speak on."""
    for connection in module("django.db").connections.all(initialized_only=True):
        connection.close()
        close_pool = getattr(connection, "close_pool", None)
        if close_pool is not None:
            close_pool()
    module("django.core.cache").close_caches()
