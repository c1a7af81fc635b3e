"""The interpreter that has the project's packages: asked once what it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation.bubblewrap import Identity

OLDEST: Final = (3, 11)

_ASK: Final = (
    "import json, site, sys, sysconfig; print(json.dumps({'version': sys.version_info[:2],"
    " 'executable': sys.executable, 'prefix': sys.prefix, 'base_prefix': sys.base_prefix,"
    " 'exec_prefix': sys.exec_prefix, 'base_exec_prefix': sys.base_exec_prefix, 'path': sys.path,"
    " 'library': sysconfig.get_path('stdlib'), 'packages': site.getsitepackages()}))"
)
_TIMEOUT: Final = 30


class Python(msgspec.Struct, frozen=True):
    """An interpreter by its own account. `path` is where it imports from, `packages` where pip installs."""

    version: tuple[int, int]
    executable: str
    prefix: str
    base_prefix: str
    exec_prefix: str
    base_exec_prefix: str
    path: tuple[str, ...]
    library: str
    packages: tuple[str, ...]

    @property
    def added(self) -> tuple[str, ...]:
        """Of `path`, the folders that are there and not the standard library."""
        own = (self.library, str(Path(self.library, "lib-dynload")))
        return tuple(one for one in self.path if one not in own and Path(one).is_dir())

    @property
    def facts(self) -> dict[str, str]:
        """What `sys` says of it, by the names that it has there."""
        return {
            "executable": self.executable,
            "prefix": self.prefix,
            "base_prefix": self.base_prefix,
            "exec_prefix": self.exec_prefix,
            "base_exec_prefix": self.base_exec_prefix,
        }


def _owner_of(python: Path) -> Identity:
    uid = python.parent.stat().st_uid if os.geteuid() == 0 else 0
    return {"user": uid, "group": uid, "extra_groups": []} if uid else {}


def program_of(python: Python) -> Path:
    """The program that the environment stands on. Raises CallerFault for root, if it is somebody else's."""
    program = Path(python.executable).resolve()
    owner = program.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise CallerFault(
            f"root does not run {program}: it belongs to user {owner}",
            hint="start ostiary as that user, or name an interpreter of the system's with --python",
        )
    return program


def ask(python: Path) -> Python:
    """Start it once and ask. Takes some 50 ms. Raises CallerFault for one that cannot be used.

    Outside of the walls, so root asks as whoever owns the environment: who can change what is run.
    """
    try:
        who = _owner_of(python)
        told = subprocess.run(  # noqa: S603 - the operator's own interpreter
            [str(python), "-I", "-c", _ASK],
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
            cwd="/",
            **who,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CallerFault(
            f"cannot run the interpreter {python}: {error}", hint="name that of the project with --python"
        ) from error
    try:
        found = msgspec.json.decode(told.stdout, type=Python)
    except msgspec.MsgspecError as error:
        raise GatewayFault(f"{python} did not say what it is: {error}") from error
    if found.version < OLDEST:
        version, oldest = (".".join(map(str, one)) for one in (found.version, OLDEST))
        raise CallerFault(
            f"{python} is Python {version}, and Django shells need {oldest}", hint="see --python"
        )
    return found
