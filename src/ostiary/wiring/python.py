"""The built-in Python server in the place of an upstream: walls, runner, engine, server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ostiary import VERSION
from ostiary.builtin import PythonOptions
from ostiary.errors import CallerFault
from ostiary.sandbox.cpython.runner import CPythonRunner
from ostiary.sandbox.cpython.zygote import Online, Stock
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.packages.resolve import Packages
from ostiary.sandbox.packages.store import Store
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.packages.wheels import find_wheels
from ostiary.sandbox.runner import Environment, Runner
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.servers.python.server import make_server
from ostiary.servers.runs import run_id, status_of
from ostiary.wiring.engine import EngineUpstream, giving_back, trouble


def start_python(
    options: PythonOptions, environ: Mapping[str, str], clock: Callable[[], int]
) -> EngineUpstream:
    """Decide about the walls, and serve.

    Raises OstiaryError when the isolation or the engine that was asked for cannot be had.
    """
    if options.cache_dir is not None:
        environ = {**environ, "OSTIARY_CACHE_DIR": str(Path(options.cache_dir).absolute())}
    found = probe(environ)
    walls = Walls.decide(options.isolation, found)
    cache = cache_folder(environ)
    engine = make_engine(options, environ, walls, cache, clock)
    server = make_server(
        engine,
        version=VERSION,
        naming=options.naming,
        status=lambda: status_of(engine, found.told),
    )
    return EngineUpstream(BuiltinUpstream(server), (engine,), giving_back(walls))


def make_engine(
    options: PythonOptions,
    environ: Mapping[str, str],
    walls: Walls,
    cache: Path,
    clock: Callable[[], int],
    online: Online | None = None,
) -> Engine:
    """The engine that `options` name, not opened yet; with a way out for its runs where `online` is given.

    Raises OstiaryError where it cannot be had.
    """
    return Engine(
        _runner(options, environ, walls, cache, online),
        clock=clock,
        mint=run_id,
        resolve=Supplied(options.engine, partial(_supply, environ, walls, cache)),
        on_trouble=trouble,
    )


def _runner(
    options: PythonOptions,
    environ: Mapping[str, str],
    walls: Walls,
    cache: Path,
    online: Online | None,
) -> Runner:
    if options.engine == "pyodide":
        return _pyodide(environ, walls, cache)
    root = build_root(cache, Path(sys.executable))
    store = Store(cache / "packages")
    store.folder.mkdir(mode=0o755, exist_ok=True)  # workers see what comes into it later
    wheels = find_wheels(store, Target(engine="cpython", python=root.version))
    stock = Stock(
        walls,
        root,
        packages=str(store.folder),
        wheels=wheels.folder if wheels is not None else None,
        preload=options.preload,
        online=online,
    )
    return CPythonRunner(stock, warm=1 if online is not None else 2)


def _pyodide(environ: Mapping[str, str], walls: Walls, cache: Path) -> Runner:
    from ostiary.sandbox.pyodide.javascript import find_runtime
    from ostiary.sandbox.pyodide.prepare import find_pyodide
    from ostiary.sandbox.pyodide.runner import PyodideRunner

    found = find_pyodide(cache, find_runtime(environ))
    if found is None:
        raise CallerFault(
            "Pyodide is not there yet", hint="fetch it once: ostiary sandbox prepare --engine pyodide"
        )
    return PyodideRunner(walls, cache, found)


def _supply(environ: Mapping[str, str], walls: Walls, cache: Path) -> Packages:
    """What fetches packages; takes a moment, so it is made when the first run asks for some."""
    from ostiary.sandbox.packages.opening import open_supply
    from ostiary.sandbox.packages.target import wasm_target
    from ostiary.sandbox.pyodide.fetch import PYTHON, TAGS

    others = {"pyodide": wasm_target("pyodide", PYTHON, TAGS)}
    return open_supply(environ, walls, cache, Path(sys.executable), others=others).packages()


class Supplied:
    """The packages of runs, as `Engine` asks for them."""

    def __init__(self, engine: str, make: Callable[[], Packages]) -> None:
        self._engine = engine
        self._make = make
        self._packages: Packages | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        """Raises PackageFault. Most runs ask for nothing, and wait for nothing."""
        if not requirements and "# /// script" not in code:
            return Environment()
        async with self._turn:
            if self._packages is None:
                self._packages = await asyncio.to_thread(self._make)
        return await self._packages.resolve(code, requirements, owner, self._engine)
