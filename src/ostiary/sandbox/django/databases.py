"""What a project's databases need of the walls.

Settings are files that code can write to: what they name is shown to code only where a server of
databases is there, and not for being named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault

_SOCKET_OF_POSTGRESQL: Final = "/var/run/postgresql"
_PORT_OF_POSTGRESQL: Final = "5432"
_OF_MYSQL: Final = re.compile(r"(mysql|mariadb)[\w.-]*\.sock")
_POSTGRESQL: Final = ("postgresql", "postgis")
_SQLITE: Final = ("sqlite3", "spatialite")


class Database(msgspec.Struct, frozen=True):
    """One of DATABASES, as the project has it."""

    alias: str
    engine: str
    name: str
    host: str
    port: str

    @property
    def kind(self) -> str:
        """The last part of its engine: `postgresql`, `sqlite3`."""
        return self.engine.rpartition(".")[2]


def folders(databases: tuple[Database, ...], visible: tuple[Path, ...], *, network: bool) -> tuple[str, ...]:
    """The folders of sockets that code has to reach, as the project names them.

    Only those in which a socket is that is called as PostgreSQL and MySQL call theirs. `visible` are the
    folders that code sees: none of these is found, by whatever way it is named, since a link in one could
    lead elsewhere later. Raises CallerFault for a database that cannot be reached
    behind the walls: by TCP without `network`, or a file of SQLite that code does not see.
    """
    found: list[str] = []
    for one in databases:
        if one.kind in _SQLITE:
            _check_file(one, visible)
        elif one.host.startswith("/"):
            folder = _folder_of(one)
            ways = () if folder is None else (folder, folder.resolve())
            if not any(way.is_relative_to(seen) for way in ways for seen in visible):
                found += map(str, ways[:1])
        elif not one.host and one.kind in _POSTGRESQL and Path(_SOCKET_OF_POSTGRESQL).is_dir():
            found.append(_SOCKET_OF_POSTGRESQL)
        elif one.host and not network:
            where = f"{one.host}:{one.port}" if one.port else one.host
            raise CallerFault(
                f"the database `{one.alias}` is at {where}, and code has no network",
                hint="allow it with --network, or let HOST be the folder of the server's unix socket",
            )
    return tuple(dict.fromkeys(found))


def _folder_of(one: Database) -> Path | None:
    """The folder that its socket is in, if it is there."""
    socket = Path(one.host)
    if not _OF_MYSQL.fullmatch(socket.name):
        socket /= f".s.PGSQL.{one.port or _PORT_OF_POSTGRESQL}"
    try:
        return socket.parent if socket.is_socket() else None
    except OSError:  # not for us to look at
        return None


def _check_file(one: Database, visible: tuple[Path, ...]) -> None:
    if not one.name or one.name.startswith((":memory:", "file:")):
        return
    path = Path(one.name)
    if path.is_absolute() and not any(path.is_relative_to(folder) for folder in visible):
        raise CallerFault(
            f"the database `{one.alias}` is {path}, outside of what code sees",
            hint="keep it below the project folder, or name a project folder that holds both",
        )
