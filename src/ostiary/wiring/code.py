"""The built-in server for code that calls tools: servers behind gates, engines, the tools of code mode."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
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
from ostiary.servers.code.paused import PausedRuns
from ostiary.servers.code.server import make_server
from ostiary.servers.code.servers_file import MAX_BYTES, ServerEntry, read_servers
from ostiary.servers.code.workshop import Choice, Workshop
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.servers.runs import run_id
from ostiary.store.paused import PausedTable
from ostiary.wiring.code_custom import CodeExtras
from ostiary.wiring.code_secrets import open_secrets
from ostiary.wiring.engine import EngineUpstream, trouble
from ostiary.wiring.inner import InnerServer
from ostiary.wiring.premises import Premises, several
from ostiary.wiring.python import make_engine


class Chosen:
    """Monty where it can run the code, else CPython; decided before any of it runs."""

    def __init__(
        self, runner: MontyRunner, monty: Engine, cpython: Engine, online: Engine | None = None
    ) -> None:
        """`online` is CPython for runs that have a way out."""
        self._runner = runner
        self._monty = monty
        self._cpython = cpython
        self._online = online

    async def __call__(self, request: RunRequest) -> Choice:
        """The engine for some code, and the mistakes in its calls."""
        if request.requirements or "# /// script" in request.code:
            return Choice(self._by_network(request))
        if request.secrecy is not None and request.secrecy.needs_network:  # Monty has none
            return Choice(self._by_network(request))
        await self._monty.ready()
        found = await self._runner.check(request.code, request.owner, request.tools)
        engine = self._monty if found.needs_cpython is None else self._by_network(request)
        doubts = tuple(one for one in found.mistakes if one not in found.certain)
        return Choice(engine, found.certain, doubts)

    def _by_network(self, request: RunRequest) -> Engine:
        has_way = request.secrecy is not None and request.secrecy.outward is not None
        return self._online if has_way and self._online is not None else self._cpython


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
    now = datetime.fromtimestamp(premises.store.clock.now() / 1e6, UTC)
    secrets = open_secrets(options, environ, [entry.name for entry in entries], walls, now)
    online = None
    if secrets.online is not None:
        online = make_engine(
            PythonOptions(isolation=options.isolation),
            environ,
            walls,
            cache,
            premises.store.clock.now,
            secrets.online,
        )
    inner = [InnerServer(premises, entry, environ) for entry in entries]
    engines = (monty, cpython) if online is None else (monty, cpython, online)
    choose = Chosen(runner, monty, cpython, online)
    workshop = Workshop(inner, engines, choose, VERSION, secrets.vault)
    store = premises.store
    table = PausedTable(premises.state, store.keys.approvals, store.clock.now)
    workshop.paused = PausedRuns(table, premises.asking.source.standing, store.clock.now)
    monty.on_paused = workshop.paused.keep
    extras = CodeExtras(premises, own, workshop, options, environ)
    made = make_server(workshop, version=VERSION, more=extras.tools, extra=extras.listed)
    extras.serve(made)
    server = BuiltinUpstream(made)

    async def release() -> None:
        await extras.close()
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
