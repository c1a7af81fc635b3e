"""What a project's databases need of the walls."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault

_SOCKET_OF_POSTGRESQL: Final = "/var/run/postgresql"
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

    `visible` are the folders that code sees. Raises CallerFault for a database that cannot be reached
    behind the walls: by TCP without `network`, or a file of SQLite that code does not see.
    """
    found: list[str] = []
    for one in databases:
        if one.kind in _SQLITE:
            _check_file(one, visible)
        elif one.host.startswith("/"):
            found.append(str(Path(one.host).parent) if one.kind == "mysql" else one.host)
        elif not one.host and one.kind in {"postgresql", "postgis"}:
            found.append(_SOCKET_OF_POSTGRESQL)
        elif one.host and not network:
            where = f"{one.host}:{one.port}" if one.port else one.host
            raise CallerFault(
                f"the database `{one.alias}` is at {where}, and code has no network",
                hint="allow it with --network, or let HOST be the folder of the server's unix socket",
            )
    return tuple(one for one in dict.fromkeys(found) if Path(one).is_dir())


def _check_file(one: Database, visible: tuple[Path, ...]) -> None:
    if not one.name or one.name.startswith((":memory:", "file:")):
        return
    path = Path(one.name)
    if path.is_absolute() and not any(path.is_relative_to(folder) for folder in visible):
        raise CallerFault(
            f"the database `{one.alias}` is {path}, outside of what code sees",
            hint="keep it below the project folder, or name a project folder that holds both",
        )
