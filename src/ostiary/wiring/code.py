"""The built-in server for code that calls tools: servers behind gates, engines, the tools of code mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from ostiary import VERSION
from ostiary.builtin import CodeOptions, PythonOptions
from ostiary.errors import CallerFault
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.monty.runner import MontyRunner
from ostiary.sandbox.request import RunRequest
from ostiary.servers.code.server import make_server
from ostiary.servers.code.servers_file import MAX_BYTES, ServerEntry, read_servers
from ostiary.servers.code.workshop import Workshop
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.servers.runs import run_id
from ostiary.wiring.engine import EngineUpstream, trouble
from ostiary.wiring.inner import InnerServer
from ostiary.wiring.premises import Premises, several
from ostiary.wiring.python import make_engine


class Chosen:
    """Monty where it can run the code, else CPython; decided before any of it runs."""

    def __init__(self, runner: MontyRunner, monty: Engine, cpython: Engine) -> None:
        self._runner = runner
        self._monty = monty
        self._cpython = cpython

    async def __call__(self, request: RunRequest) -> Engine:
        """The engine for some code."""
        if request.requirements or "# /// script" in request.code:
            return self._cpython
        await self._monty.ready()
        reason = await self._runner.parses(request.code, request.owner, request.tools)
        return self._monty if reason is None else self._cpython


def start_code(options: CodeOptions, environ: Mapping[str, str], premises: Premises) -> EngineUpstream:
    """Read the file of servers, decide about the walls, and serve.

    Raises OstiaryError for a file that is not understood, and where the isolation cannot be had.
    """
    entries = _entries(options.servers, environ)
    own = premises.options.server or options.name
    if own in {entry.name for entry in entries}:
        raise CallerFault(
            f"{options.servers}: `{own}` is the name of the server that runs the code",
            hint="call the other server something else: policies and records tell servers apart by name",
        )
    if premises.options.policy is not None:
        several(premises.options, premises.options.policy)
    if options.cache_dir is not None:
        environ = {**environ, "OSTIARY_CACHE_DIR": str(Path(options.cache_dir).absolute())}
    walls = Walls.decide(options.isolation, probe(environ))
    cache = cache_folder(environ)
    runner = MontyRunner(walls, cache)
    monty = Engine(runner, clock=premises.store.clock.now, mint=run_id, on_trouble=trouble)
    cpython = make_engine(
        PythonOptions(isolation=options.isolation), environ, walls, cache, premises.store.clock.now
    )
    inner = [InnerServer(premises, entry, environ) for entry in entries]
    engines = (monty, cpython)
    workshop = Workshop(inner, engines, Chosen(runner, monty, cpython), VERSION)
    server = BuiltinUpstream(make_server(workshop, version=VERSION))

    async def release() -> None:
        await workshop.close()
        await asyncio.gather(*(one.close() for one in inner))
        walls.cells.close()

    return EngineUpstream(server, engines, release)


def _entries(path: Path, environ: Mapping[str, str]) -> tuple[ServerEntry, ...]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CallerFault(f"--servers: cannot read `{path}`: {reason}") from error
    return read_servers(content, str(path), environ)
