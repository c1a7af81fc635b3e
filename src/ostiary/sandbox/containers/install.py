"""Packages for a container: by its own manager, or fetched outside and put into it."""

from __future__ import annotations

import asyncio
import io
import os
import re
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.execs import Program, Said, execute
from ostiary.sandbox.containers.faults import EngineFault, InstallRefused, NoManager, NotRunning
from ostiary.sandbox.containers.found import Found, Installed
from ostiary.sandbox.containers.inside.ending import MARK
from ostiary.sandbox.containers.killing import Killer, new_mark
from ostiary.sandbox.containers.names import Manager, check_packages, manager_of
from ostiary.sandbox.containers.programs import program
from ostiary.sandbox.containers.settings import ContainerSettings
from ostiary.sandbox.containers.walls import PACKAGES
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.runner import Environment

BUDGET_S: Final = 180
"""How long one installation may take."""
ENGINE: Final = "container"
"""The name of containers among the engines that packages are resolved for (`Target.engine`)."""
_MOST: Final = 256 << 20
_WORDS: Final = 256 << 10
_NOT_STARTED: Final = (126, 127)

Fetch = Callable[[str, tuple[str, ...], Target], Awaitable[Environment]]
"""Packages of Python from outside: (owner, requirements, the container's Python) to a folder of them.

Raises OstiaryError.
"""

Tell = Callable[[str], object]

_ASK_PYTHON: Final = (
    "import platform,sys;"
    "print(platform.python_version(),platform.machine(),'gnu' if platform.libc_ver()[0]=='glibc' else 'musl')"
)
_TOLD: Final = re.compile(
    r"(3\.[0-9]{1,3}\.[0-9]{1,3}(?:(?:a|b|rc)[0-9]{1,3})?)\+? ([a-z0-9_]{1,16}) (gnu|musl)"
)
_PROBES: Final[tuple[tuple[Manager, tuple[tuple[str, ...], ...]], ...]] = (
    ("npm", (("npm", "--version"),)),
    (
        "pip",
        (("python3", "-m", "pip", "--version"), ("python", "-m", "pip", "--version"), ("pip", "--version")),
    ),
    ("apt-get", (("apt-get", "--version"),)),
    ("apk", (("apk", "--version"),)),
)
_COMMANDS: Final[Mapping[Manager, tuple[tuple[str, ...], ...]]] = {
    "npm": (("npm", "install", "-g", "--no-audit", "--no-fund", "--"),),
    "pip": (),  # after the Python that has it
    "apt-get": (
        ("apt-get", "update", "-q"),
        ("apt-get", "install", "-q", "-y", "--no-install-recommends", "--"),
    ),
    "apk": (("apk", "add", "--no-cache", "--"),),
}
_PIP: Final = ("install", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--")


class Installer:
    """Installs packages in containers of one engine."""

    def __init__(self, client: Client, settings: ContainerSettings, fetch: Fetch | None) -> None:
        self._client = client
        self._settings = settings
        self._fetch = fetch
        self._killer = Killer(client)

    async def install(
        self, owner: str, found: Found, inspected: Mapping[str, Any], packages: Sequence[str], tell: Tell
    ) -> Installed:
        """See `Containers.install`."""
        if not packages:
            raise CallerFault("there are no packages to install")
        if not found.running:
            raise NotRunning(f"container {found.name!r} is not running")
        network = str(inspected["HostConfig"].get("NetworkMode", "")) != "none"
        named = manager_of(found.image)
        if found.ours and named is not None:
            self._refuse(named, network=network)
        try:
            async with asyncio.timeout(BUDGET_S):
                fetch = self._fetch if found.ours and named in (None, "pip") else None
                target = await self._python(found) if fetch is not None else None
                if fetch is not None and target is not None:
                    wanted = check_packages("pip", packages)
                    tell(f"fetching packages for Python {target.python}")
                    supplied = await fetch(owner, wanted, target)
                    return await self._deliver(found, supplied, wanted, tell)
                manager, how = await self._manager(found, named)
                wanted = check_packages(manager, packages)
                if found.ours:
                    self._refuse(manager, network=network)
                tell(f"installing with {manager}")
                return await self._by_manager(found, manager, how, wanted)
        except TimeoutError:
            return Installed(
                manager=named or "",
                packages=tuple(packages),
                exit_code=124,
                stderr=f"the installation took longer than {BUDGET_S} s and was ended",
            )
        except Refused as refusal:
            raise EngineFault(f"the engine refuses: {refusal.message}") from refusal

    def _refuse(self, manager: Manager, *, network: bool) -> None:
        """Raises InstallRefused for what cannot succeed in a container as we make them."""
        if manager in ("apt-get", "apk") and not self._settings.unsafe_writable_root:
            raise InstallRefused(
                f"{manager} needs a root that can be written to, and containers made here are read-only",
                hint="take an image that has the packages; the operator's way is --unsafe-writable-root",
            )
        if not network and not (manager == "pip" and self._fetch is not None):
            raise InstallRefused(
                f"{manager} needs a network, and this container has none",
                hint="take an image that has the packages, or let the operator grant one with --network",
            )

    # --- fetched outside ----------------------------------------------------------------------------

    async def _python(self, found: Found) -> Target | None:
        for python in ("python3", "python"):
            said = Said()
            if await self._run(found, (python, "-c", _ASK_PYTHON), said) == 0:
                return target_of(said.out.decode("utf-8", "replace"))
        return None

    async def _deliver(
        self, found: Found, supplied: Environment, packages: tuple[str, ...], tell: Tell
    ) -> Installed:
        names = supplied.packages or packages
        if supplied.folder is None:
            return Installed(manager="pip", packages=names, exit_code=0)
        folder = supplied.folder
        data = await self._client.work(lambda: _packed(folder))
        tell(f"putting {len(names)} packages into the container")
        for python in ("python3", "python"):
            said = Said(_WORDS)
            argv = (python, "-c", program("unpacker"), f"{PACKAGES}/site")
            code = await self._run(found, argv, said, stdin=data)
            if code not in _NOT_STARTED:
                return _installed("pip", names, code, said)
        raise NoManager(f"there is no Python in container {found.name!r}")

    # --- by what is in the container ----------------------------------------------------------------

    async def _manager(self, found: Found, named: Manager | None) -> tuple[Manager, tuple[str, ...]]:
        order = sorted(_PROBES, key=lambda one: one[0] != named)
        for manager, probes in order:
            for probe in probes:
                if await self._run(found, probe, Said()) == 0:
                    return manager, probe[:-1]
        raise NoManager(
            f"no package manager was found in container {found.name!r}",
            hint="npm, pip, apt-get and apk are known",
        )

    async def _by_manager(
        self, found: Found, manager: Manager, how: tuple[str, ...], packages: tuple[str, ...]
    ) -> Installed:
        said = Said(_WORDS)
        user = ("--user",) if found.ours and not self._settings.unsafe_writable_root else ()
        commands = ((*how, _PIP[0], *user, *_PIP[1:]),) if manager == "pip" else _COMMANDS[manager]
        code = 0
        for command in commands:
            argv = (*command, *packages) if command[-1] == "--" else command
            code = await self._run(found, argv, said, "DEBIAN_FRONTEND=noninteractive")
            if code != 0:
                break
        return _installed(manager, packages, code, said)

    async def _run(
        self, found: Found, argv: tuple[str, ...], said: Said, *env: str, stdin: bytes = b""
    ) -> int:
        """Its exit code; it is ended in the container when this is given up. Raises as `execute`."""
        mark = new_mark()
        wanted = Program(container=found.id, argv=argv, env=(*env, f"{MARK}={mark}"), stdin=bool(stdin))
        try:
            return await execute(self._client, wanted, said, stdin=stdin)
        except asyncio.CancelledError:
            await asyncio.shield(self._killer.end(found.id, mark, "", ours=found.ours))
            raise
        except (OSError, ValueError) as error:
            raise EngineFault(f"the engine went away: {error}") from error


def target_of(told: str) -> Target | None:
    """The Python that a container says it has, for a resolver outside of it. None for anything else."""
    found = _TOLD.fullmatch(told.strip())
    if found is None:
        return None
    version, machine, libc = found.groups()
    return Target(engine=ENGINE, python=version, platform=f"{machine}-unknown-linux-{libc}")


def _installed(manager: Manager, packages: tuple[str, ...], code: int, said: Said) -> Installed:
    out, err = said.out.decode("utf-8", "replace"), said.err.decode("utf-8", "replace")
    return Installed(manager=manager, packages=packages, exit_code=code, stdout=out, stderr=err)


def _packed(folder: str) -> bytes:
    """A folder as a tar: files and folders, nobody's. Raises CallerFault when it is too large."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            entry.size = path.stat().st_size
            entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
            if made.tell() > _MOST:
                raise CallerFault(f"the packages are more than {_MOST >> 20} MB")
    return made.getvalue()
