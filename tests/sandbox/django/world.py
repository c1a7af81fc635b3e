"""The shop, an engine on it, and the loop that it runs on: for tests that are not coroutines themselves."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from ostiary.sandbox.django.runner import DjangoRunner
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Level, Walls
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Fault, RunRecord, Value
from ostiary.sandbox.request import RunRequest
from tests.needs import missing, needs_program
from tests.tools.postgres import Postgres

T = TypeVar("T")
WAIT_S = 5
RUN_S = 15
"""A run is bounded by its own limits; this is for a machine that does much else at the same time."""

OPEN_S = 60
"""A project loads in half a second; its interpreter's file system is copied once, which takes longer."""

USER = 23_456
"""Whose project it is where root runs the tests: root's own projects are run by a user who cannot write."""

GRACE_MS = 5_000
"""For code that ends by itself when its time is up: whoever is late is killed, and its names are gone."""

QUICK = Limits(wall_ms=10_000)
SOURCE = Path(__file__).parent / "project"


def manage(project: Path, *words: str, python: str = sys.executable, **more: str) -> str:
    """What a command of manage.py prints."""
    environ = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", **more}
    told = subprocess.run(
        [python, "manage.py", *words],
        cwd=project,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def own(folder: Path) -> None:
    """Give everything below to the user of the project, where that takes root."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)


@contextmanager
def _place() -> Iterator[Path]:
    """An empty folder that every user can reach, unlike those of pytest."""
    place = Path(tempfile.mkdtemp(prefix="ostiary-shop-"))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def filled(*, database: bool = True) -> Iterator[Path]:
    """A shop with books in its database."""
    with _place() as place:
        project = place / "shop"
        shutil.copytree(SOURCE, project, ignore=shutil.ignore_patterns("__pycache__"))
        if database:
            manage(project, "migrate", "--verbosity=0")
        own(project)
        yield project


@contextmanager
def copied(template: Path) -> Iterator[Path]:
    """The same once more."""
    with _place() as place:
        project = shutil.copytree(template, place / "shop")
        own(project)
        yield project


GRANTS = (
    "GRANT CONNECT ON DATABASE {database} TO reader",
    "GRANT USAGE ON SCHEMA public TO reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
)
"""What the how-to says; `reader` is a role that may log in, and nothing else."""


def stock_of(server: Postgres, project: Path) -> dict[str, str]:
    """A database with the shop in it: the variables that lead there, for its owner."""
    for role in ("keeper", "reader"):
        made = f"CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN"
        server.sql(f"DO $$ BEGIN {made} END $$")
    name = server.database(owner="keeper")
    found = {
        "BOOKSHOP_DB_NAME": name,
        "BOOKSHOP_DB_HOST": server.host,
        "BOOKSHOP_DB_PORT": str(server.port),
        "BOOKSHOP_DB_USER": "keeper",
    }
    manage(project, "migrate", "--verbosity=0", "--settings=bookshop.postgresql", **found)
    server.sql(*(one.format(database=name) for one in GRANTS), database=name)
    return found


def family(but: Collection[int] = ()) -> set[int]:
    """The processes below this one that have not ended, without `but` and what is below those.

    An engine or a database for all tests may be below this one, and starts and ends what it likes.
    """
    found: set[int] = set()
    left = [os.getpid()]
    while left:
        pid = left.pop()
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                below = {int(word) for word in task.read_text().split()}.difference(but)
                left += below
                found |= {one for one in below if _lives(one)}
    return found


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False  # it has ended since it was listed


def until(holds: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < deadline, what
        os.sched_yield()


def walls_for(level: Level) -> tuple[Walls, Path]:
    """Walls of that level, and the folder of what is built once; skips where this machine has none."""
    environ = {"PATH": os.environ["PATH"]}
    if level == "strict":
        environ["PATH"] = f"{needs_program('bwrap').parent}:{environ['PATH']}"
    found = probe(environ)
    if level == "strict" and found.lacking():
        missing(f"strict isolation: {found.lacking()[0].sentence()}")
    return Walls.decide(level, found), cache_folder(environ)


class Told:
    """A record whose value and fault are read as if they were there: where they are not, the test fails."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.status = record.status
        self.stdout = record.stdout
        self.stderr = record.stderr
        self.notes = record.notes
        self.session_lost = record.session_lost
        self.isolation = record.isolation

    @property
    def result(self) -> Value:
        """The value."""
        assert self.record.result is not None, self.record
        return self.record.result

    @property
    def json(self) -> str:
        """Its JSON text."""
        assert self.result.json is not None, self.record
        return self.result.json

    @property
    def error(self) -> Fault:
        """The fault."""
        assert self.record.error is not None, self.record
        return self.record.error


class Shells:
    """An engine on a project, and the loop it runs on."""

    def __init__(
        self, engine: Engine, runner: DjangoRunner, loop: asyncio.AbstractEventLoop, *, bounded: bool
    ) -> None:
        self.engine = engine
        self.runner = runner
        self.project = runner.settings.project
        self.troubles: list[str] = []
        self.bounded = bounded
        self._loop = loop

    def needs_processes(self) -> None:
        """Code starts programs only where a cgroup bounds them; skips elsewhere."""
        if not self.bounded:
            missing("cgroups, without which code starts no programs")

    def do(self, work: Coroutine[Any, Any, T], wait_s: float = RUN_S) -> T:
        """The result of a coroutine that runs on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(wait_s)

    def run(self, code: str, *, owner: str = "ana", limits: Limits = QUICK, **more: Any) -> Told:
        """The record of some code."""
        return Told(self.do(self.engine.run(RunRequest(code=code, owner=owner, limits=limits, **more))))

    def close(self, session: str, owner: str = "ana") -> bool:
        """Close a session; whether there was one."""

        async def close() -> bool:
            return self.engine.close_session(owner, session)

        return self.do(close())

    def ask(self, do: str, *, session: str = "", **fields: Any) -> Told:
        """The record of a question."""
        return self.run("", session=session, ask={"do": do, **fields})


@contextmanager
def shells(
    project: Path,
    level: Level = "strict",
    *,
    settings: str = "bookshop.settings",
    bounds: Bounds | None = None,
    environ: dict[str, str] | None = None,
    warm: int = 1,
    **more: Any,
) -> Iterator[Shells]:
    """An engine on the project that is closed afterwards."""
    walls, cache = walls_for(level)
    told = DjangoSettings(settings=settings, project=project, isolation=level, **more)
    loop = uvloop.new_event_loop() if level == "strict" else asyncio.new_event_loop()  # both kinds are tried
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    count = itertools.count()
    troubles: list[str] = []
    try:
        runner = DjangoRunner(told, walls, cache, environ or {}, warm=warm)
        engine = Engine(
            runner,
            clock=lambda: time.time_ns() // 1000,
            mint=lambda: f"run_{next(count)}",
            bounds=bounds,
            on_trouble=troubles.append,
        )
        made = Shells(engine, runner, loop, bounded=walls.bounded or not walls.filtered)
        made.troubles = troubles
        try:
            made.do(engine.open(), OPEN_S)
            yield made
        finally:
            made.do(engine.close(), OPEN_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()
        walls.cells.close()
