"""Tools that clients of code mode have stored, each in versions that are written once.

Reading takes any connection; writing takes one of its own, and may wait for others: not on an event loop.
Neither asks who may do it but for whom a name belongs to: see `servers.code.custom_tools`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.policy.twins import fold
from ostiary.store.aside import transaction
from ostiary.store.state import StateDir

MAX_OF_OWNER: Final = 100
"""Names of one owner, those of removed tools included."""
MAX_PUBLIC: Final = 500
MAX_ALL: Final = 1_000
MAX_VERSIONS: Final = 100
MAX_OWNER_BYTES: Final = 16 << 20
"""Of all versions of one owner together."""
MAX_PUBLIC_BYTES: Final = 4 << 20
"""Of the definitions of all public tools: every client is sent them, and a gate reads no list without end."""
MAX_OWNER_PUBLIC: Final = 1 << 20
"""Of those of one owner."""

_NEWEST: Final = (
    "SELECT t.owner, v.name, v.version, v.at, v.digest, v.body, '' FROM custom_tools t"
    " JOIN custom_tool_versions v ON v.name = t.name AND v.version = t.newest ORDER BY v.name"
)
_ONE: Final = (
    "SELECT t.owner, v.name, v.version, v.at, v.digest, v.body, v.script FROM custom_tools t"
    " JOIN custom_tool_versions v ON v.name = t.name WHERE v.name = ? AND v.version = ?"
)
_BYTES: Final = (
    "SELECT coalesce(sum(length(v.body) + length(v.script)), 0) FROM custom_tools t"
    " JOIN custom_tool_versions v ON v.name = t.name WHERE t.owner = ?"
)
_PUBLIC: Final = (
    "SELECT count(*), coalesce(sum(length(v.body)), 0),"
    " coalesce(sum(length(v.body)) FILTER (WHERE t.owner = ?), 0) FROM custom_tools t"
    " JOIN custom_tool_versions v ON v.name = t.name AND v.version = t.newest"
    " WHERE v.name <> ? AND json_extract(v.body, '$.public')"
)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool is, without its code.

    `input_schema` takes no arguments that it does not name. `sample` is what it is tested with.
    `public`: other owners may call it. `code_public`: they may read its code as well.
    """

    description: str
    input_schema: dict[str, Any]
    defaults: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    sample: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    outputs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    public: bool = False
    code_public: bool = False


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a tool. `at` is in microseconds since 1970.

    `script` is empty where it was not asked for.
    """

    owner: str
    name: str
    number: int
    at: int
    digest: str
    definition: Definition
    script: str = ""


class Stamp(msgspec.Struct, frozen=True):
    """A version without what it says."""

    version: int
    at: int
    digest: str


def changes(connection: sqlite3.Connection) -> int:
    """A number that grows with every change."""
    row = connection.execute("SELECT number FROM code_changes").fetchone()
    return int(row[0]) if row is not None else 0


def changed(connection: sqlite3.Connection) -> None:
    """Let everybody know that something has changed, inside a transaction."""
    connection.execute("UPDATE code_changes SET number = number + 1")


def newest(connection: sqlite3.Connection) -> list[Version]:
    """The newest version of every tool, without its script. Raises sqlite3.Error, GatewayFault."""
    return [_version(row) for row in connection.execute(_NEWEST)]


def find(connection: sqlite3.Connection, name: str, number: int) -> Version | None:
    """One version with its script."""
    row = connection.execute(_ONE, (name, number)).fetchone()
    return None if row is None else _version(row)


def history(connection: sqlite3.Connection, name: str) -> list[Stamp]:
    """The versions of a tool, the newest first."""
    sql = "SELECT version, at, digest FROM custom_tool_versions WHERE name = ? ORDER BY version DESC"
    return [Stamp(*row) for row in connection.execute(sql, (name,))]


def digest_of(name: str, definition: Definition, script: str) -> str:
    """What stands for a version: equal exactly when everything of it is."""
    text = msgspec.json.encode([name, definition, script], order="deterministic")
    return hashlib.sha256(text).hexdigest()


def claim(connection: sqlite3.Connection, owner: str, name: str, *, new: bool) -> None:
    """Whether `owner` may write a version of `name`. Raises CallerFault where not."""
    row = connection.execute(
        "SELECT name, owner, newest FROM custom_tools WHERE folded = ?", (fold(name),)
    ).fetchone()
    if not new:
        if row is None or row[0] != name or row[1] != owner or not row[2]:
            raise CallerFault(f"you have no custom tool `{name[:80]}`", hint="createCustomTool makes one")
        return
    if row is None:
        return
    if row[1] != owner:
        raise CallerFault(f"the name `{name[:80]}` is taken", hint="choose another")
    if row[2]:
        raise CallerFault(f"`{row[0]}` is there already", hint="updateCustomTool makes a new version of it")
    if row[0] != name:
        raise CallerFault(f"a tool that was removed was called `{row[0]}`", hint="use that spelling")


def save(  # noqa: PLR0913 - each part of a version by its name
    state: StateDir,
    owner: str,
    name: str,
    definition: Definition,
    script: str,
    *,
    at: int,
    new: bool,
    after: int = 0,
) -> Version:
    """Write the first version of a tool, or one more.

    `after` is the version that it was made from, 0 for none: with a newer one it would take back what that
    changed. Raises CallerFault for what may not be written, and GatewayFault where nothing can be.
    """
    body = msgspec.json.encode(definition).decode()
    digest = digest_of(name, definition, script)
    with transaction(state) as connection:
        claim(connection, owner, name, new=new)
        _still_newest(connection, name, after)
        _room(connection, owner, name, len(body) + len(script))
        if definition.public:
            _public_room(connection, owner, name, len(body))
        row = connection.execute("SELECT last FROM custom_tools WHERE name = ?", (name,)).fetchone()
        number = int(row[0]) + 1 if row is not None else 1
        connection.execute(
            "INSERT INTO custom_tools VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " newest = excluded.newest, last = excluded.last",
            (name, fold(name), owner, number, number),
        )
        connection.execute(
            "INSERT INTO custom_tool_versions VALUES (?, ?, ?, ?, ?, ?)",
            (name, number, at, digest, body, script),
        )
        changed(connection)
    return Version(
        owner=owner, name=name, number=number, at=at, digest=digest, definition=definition, script=script
    )


def _still_newest(connection: sqlite3.Connection, name: str, after: int) -> None:
    """Raises CallerFault where version `after` of a tool is not its newest any more."""
    row = connection.execute("SELECT newest FROM custom_tools WHERE name = ?", (name,)).fetchone()
    if after and row is not None and row[0] != after:
        raise CallerFault(
            f"not saved: `{name}` has version {row[0]} by now, and this was made from version {after}",
            hint="look at that one with getCustomToolDetails, then update it",
        )


def remove(connection: sqlite3.Connection, name: str, owner: str | None) -> bool:
    """Remove a tool with its versions, inside a transaction; False where there is none.

    Of `owner`: the name stays theirs. With None, for an operator, the name is free as well.
    """
    row = connection.execute("SELECT owner, newest FROM custom_tools WHERE name = ?", (name,)).fetchone()
    if row is None or (owner is not None and (row[0] != owner or not row[1])):
        return False
    connection.execute("DELETE FROM custom_tool_versions WHERE name = ?", (name,))
    if owner is None:
        connection.execute("DELETE FROM custom_tools WHERE name = ?", (name,))
    else:
        connection.execute("UPDATE custom_tools SET newest = 0 WHERE name = ?", (name,))
    changed(connection)
    return True


def remove_own(state: StateDir, name: str, owner: str) -> bool:
    """Remove a tool of `owner`. Raises GatewayFault where nothing can be written."""
    with transaction(state) as connection:
        return remove(connection, name, owner)


def _public_room(connection: sqlite3.Connection, owner: str, name: str, size: int) -> None:
    """Raises CallerFault where everybody's list would be too long."""
    number, every, own = connection.execute(_PUBLIC, (owner, name)).fetchone()
    if number >= MAX_PUBLIC:
        raise CallerFault(
            f"there are {number} public tools, and {MAX_PUBLIC} is the most", hint="remove one first"
        )
    for taken, most, whose in ((own, MAX_OWNER_PUBLIC, "your"), (every, MAX_PUBLIC_BYTES, "all")):
        if taken + size > most:
            raise CallerFault(
                f"the definitions of {whose} public tools would take over {most} bytes",
                hint="shorten descriptions and schemas, or make it private",
            )


def _room(connection: sqlite3.Connection, owner: str, name: str, size: int) -> None:
    """Raises CallerFault where a bound would be passed."""

    def count(sql: str, *values: object) -> int:
        return int(connection.execute(sql, values).fetchone()[0])

    others = "SELECT count(*) FROM custom_tools WHERE name <> ?"
    bounds = (
        (count(f"{others} AND owner = ?", name, owner), MAX_OF_OWNER, "tools of yours"),
        (count(others, name), MAX_ALL, "custom tools"),
        (
            count("SELECT count(*) FROM custom_tool_versions WHERE name = ?", name),
            MAX_VERSIONS,
            "versions of this tool",
        ),
    )
    for number, most, what in bounds:
        if number >= most:
            raise CallerFault(f"there are {number} {what}, and {most} is the most", hint="remove one first")
    if count(_BYTES, owner) + size > MAX_OWNER_BYTES:
        raise CallerFault(f"your tools would take over {MAX_OWNER_BYTES} bytes", hint="remove one first")


def _version(row: tuple[Any, ...]) -> Version:
    owner, name, number, at, digest, body, script = row
    try:
        definition = msgspec.json.decode(body, type=Definition)
    except msgspec.MsgspecError as error:
        raise GatewayFault(f"the custom tool `{name}` cannot be read", hint="remove it") from error
    return Version(
        owner=owner, name=name, number=number, at=at, digest=digest, definition=definition, script=script
    )
