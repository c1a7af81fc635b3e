"""A prepared Pyodide for tests, made once per program and kept beside the environments."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Level, Walls
from ostiary.sandbox.limits import DEFAULT_LIMITS, Limits
from ostiary.sandbox.pyodide.javascript import Runtime, find_runtime
from ostiary.sandbox.pyodide.prepare import Found, find_pyodide, prepare_pyodide
from ostiary.sandbox.pyodide.runner import PyodideRunner
from ostiary.sandbox.pyodide.worker import PyodideWorker
from ostiary.sandbox.runner import Ended, Environment, Job
from tests.needs import ROOT, missing, needs_node, needs_program
from tests.tools.pyodide import ARCHIVE

WAIT = 5
"""Seconds: a test waits for nothing longer, but for a runtime that starts or works on a busy machine."""
STARTS = 50
RUNS = 20


_NO_PACKAGES = Environment()


class Prepared(NamedTuple):
    cache: Path
    found: Found


class Printed:
    """Keeps what a worker prints."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""

    def stdout(self, data: bytes) -> None:
        self.out += data

    def stderr(self, data: bytes) -> None:
        self.err += data


def needs_archive() -> Path:
    path = ROOT / ".venvs/pyodide" / ARCHIVE
    if not path.exists():
        missing("Pyodide's package is not fetched; run `make .venvs/pyodide/stamp`")
    return path


def needs_deno() -> Path:
    found = shutil.which("deno") or shutil.which("deno", path=str(Path(sys.executable).parent))
    if found is None:
        missing("program `deno` is not on PATH")
    return Path(found)


def node() -> Runtime:
    return find_runtime({}, str(needs_node()))


def prepared(runtime: Runtime) -> Prepared:
    """Prepare for `runtime`, or take what an earlier test has prepared."""
    archive = needs_archive()
    cache = Path(f"/var/tmp/ostiary-tests-{os.geteuid()}")  # workers with users of their own reach it
    cache.mkdir(mode=0o755, exist_ok=True)
    with _alone(archive.parent):
        found = find_pyodide(cache, runtime)
        if found is None or not found.snapshot:
            found = prepare_pyodide(cache, runtime, environ={}, archive=archive)
    return Prepared(cache, found)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: it takes all of the machine."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def walls(level: Level, cache: Path) -> Walls:
    path = os.environ.get("PATH", os.defpath)
    if level != "none":
        path = f"{needs_program('bwrap').parent}:{path}"
    found = probe({"PATH": path, "OSTIARY_CACHE_DIR": str(cache)})
    if level == "strict" and found.lacking():
        missing("; ".join(layer.sentence() for layer in found.lacking()))
    return Walls.decide(level, found)


@contextlib.asynccontextmanager
async def running(
    here: Prepared, level: Level = "strict", *, spares: int = 0, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[PyodideRunner]:
    """A runner that has started; at the end nothing of it is left."""
    runner = PyodideRunner(walls(level, here.cache), here.cache, here.found, spares=spares, limits=limits)
    troubles: list[str] = []
    try:
        await asyncio.wait_for(runner.start(troubles.append), STARTS)
        yield runner
        assert troubles == []
    finally:
        await asyncio.wait_for(runner.close(), STARTS)


@contextlib.asynccontextmanager
async def working(
    runner: PyodideRunner, limits: Limits = DEFAULT_LIMITS, environment: Environment = _NO_PACKAGES
) -> AsyncIterator[PyodideWorker]:
    worker = await asyncio.wait_for(runner.worker(limits, environment), STARTS)
    try:
        yield worker
    finally:
        await asyncio.wait_for(worker.close(), STARTS)


async def run(worker: PyodideWorker, code: str, **more: Any) -> tuple[Ended, Printed]:
    printed = Printed()
    return await asyncio.wait_for(worker.run(Job(code=code, **more), printed), RUNS), printed


async def run_alone(
    runner: PyodideRunner, code: str, limits: Limits = DEFAULT_LIMITS, **more: Any
) -> tuple[Ended, Printed]:
    """In a worker of its own."""
    async with working(runner, limits) as worker:
        return await run(worker, code, **more)
