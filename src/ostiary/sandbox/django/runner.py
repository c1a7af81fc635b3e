"""Keeps a Django project warm, and hands out children of it. See `ostiary.sandbox.django`."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.sandbox.cpython.zygote import Stock
from ostiary.sandbox.django import databases, interpreter
from ostiary.sandbox.django.pool import Pool
from ostiary.sandbox.django.project import Project, check_sealed, checked, environment_of, user_of
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.django.veil import Secrets
from ostiary.sandbox.django.warm import Facts
from ostiary.sandbox.django.worker import DjangoChild, DjangoWorker
from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import IsolationReport
from ostiary.sandbox.runner import Environment

_NAMES: Final = "passwd: files\ngroup: files\nhosts: files dns\n"


class DjangoRunner:
    """Implements `sandbox.runner.Runner`. `environ` is what `settings.environment` is looked up in.

    `version` is `Django 5.2.8 (Python 3.11)` once it has started, and empty before. `cache` is the
    folder of `isolation.cache.cache_folder`. `warm` projects are kept loaded, beside those of the
    sessions; there are `most` in all.

    Raises CallerFault for settings that cannot be used.
    """

    name = "django"
    grace_ms = 1_000

    def __init__(
        self,
        settings: DjangoSettings,
        walls: Walls,
        cache: Path,
        environ: Mapping[str, str],
        *,
        warm: int = 1,
        most: int = 16,
    ) -> None:
        self.version = ""
        self.settings = checked(settings)
        self._walls = walls
        self._cache = cache
        self._environment = environment_of(self.settings, environ)
        self._warm = warm
        self._most = most
        self._pool: Pool | None = None
        self._etc = ""
        self._known: tuple[str, ...] | None = None
        self._secrets = Secrets(())

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Load the project. Raises OstiaryError, with Django's own words where it does not load."""
        told = self.settings
        python = await asyncio.to_thread(interpreter.ask, Path(told.python or sys.executable))
        root = await asyncio.to_thread(build_root, self._cache, interpreter.program_of(python))
        if told.network and self._walls.walled:
            self._etc = _names_of_hosts(Path(root.path))
        project = Project(
            told=told, python=python, files=root.path, environment=self._environment, etc=self._etc
        )
        if self._walls.walled:
            check_sealed(project)
        owner = user_of(told.project)
        pool = self._pool = Pool(Stock(self._walls, root), project, owner, warm=self._warm, most=self._most)
        await pool.start(on_trouble)
        facts = self._facts(pool)
        closed = self._walls.walled or self._walls.filtered
        if closed:
            sockets = databases.folders(facts.databases, project.visible, network=told.network)
            if sockets and self._walls.walled:
                pool.project = msgspec.structs.replace(project, sockets=sockets)
                pool.retire()
                await pool.reopen()
                facts = self._facts(pool)
        self.version = f"Django {facts.django} (Python {'.'.join(map(str, python.version))})"
        if os.geteuid() == 0 and owner is None and project.writable:
            on_trouble(
                f"{project.folder} belongs to root: its shells run as another user, who cannot write there"
                " (chown it to a user of its own)"
            )
        if facts.threads > 1:
            on_trouble(
                f"the project starts threads when it loads ({facts.threads - 1}): shells do not have them"
            )

    @staticmethod
    def _facts(pool: Pool) -> Facts:
        if pool.facts is None:
            raise GatewayFault("the project was loaded and said nothing")
        return pool.facts

    def isolation(self) -> IsolationReport:
        """Behind which walls its workers run."""
        return self._walls.report

    def sealed(self) -> tuple[Path, ...]:
        """The folders of the project that code cannot write to, though it may to the others."""
        return self._pool.project.sealed() if self._pool is not None else ()

    async def worker(self, limits: Limits, environment: Environment) -> DjangoWorker:
        """A fresh child of the project as its files are now. Raises OstiaryError when none can be made."""
        return DjangoWorker(await self._child(limits), partial(self._child, limits), self._hidden)

    async def _child(self, limits: Limits) -> DjangoChild:
        if self._pool is None:
            raise GatewayFault("the engine `django` is not running")
        return await self._pool.child(limits)

    def _hidden(self) -> Secrets:
        """What is masked: the secrets of the project as it was loaded last."""
        facts = self._pool.facts if self._pool is not None else None
        if facts is not None and facts.secrets != self._known:
            self._known = facts.secrets
            self._secrets = Secrets(facts.secrets)
        return self._secrets

    async def close(self) -> None:
        """End everything, and wait for it."""
        if self._pool is not None:
            await self._pool.close()
        if self._etc:
            await asyncio.to_thread(shutil.rmtree, self._etc, ignore_errors=True)


def _names_of_hosts(root: Path) -> str:
    """A folder for /etc that has the root's files, and how this host finds others."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-etc-"))
    shutil.copytree(root / "etc", folder, dirs_exist_ok=True)
    for name in ("hosts", "resolv.conf", "services"):
        source = Path("/etc", name)
        if source.is_file():
            (folder / name).unlink(missing_ok=True)
            shutil.copyfile(source, folder / name)
    (folder / "nsswitch.conf").unlink(missing_ok=True)
    (folder / "nsswitch.conf").write_text(_NAMES)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o444)
    folder.chmod(0o755)
    return str(folder)
