"""Keeps interpreters of Monty warm, and hands out workers that use them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.isolation.root import Root, build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import DEFAULT_LIMITS, Limits
from ostiary.sandbox.monty.check import Checked, Checker
from ostiary.sandbox.monty.process import MontyProcess
from ostiary.sandbox.monty.state import VERSION
from ostiary.sandbox.record import IsolationReport
from ostiary.sandbox.runner import Environment
from ostiary.sandbox.toolbox import Toolbox

if TYPE_CHECKING:
    from ostiary.sandbox.monty.worker import MontyWorker

_MOST_RUNS: Final = 1_000
"""After so many sessions a process is ended, whatever it may have gathered."""


class MontyRunner:
    """Implements `sandbox.runner.Runner` with Monty. `warm` fresh processes are kept, `most` are had.

    A worker is one interpreter for one run or one session, and nothing of it is left when that ends. Its
    process may serve the same owner again; it never serves two. The extra `code` brings Monty.
    """

    name = "monty"
    grace_ms = 0

    def __init__(self, walls: Walls, cache: Path, *, warm: int = 2, most: int = 16) -> None:
        self.version = VERSION
        self._walls = walls
        self._cache = cache
        self._warm = warm
        self._most = most
        self._root: Root | None = None
        self._fresh: list[MontyProcess] = []
        self._used: list[MontyProcess] = []
        self._all: set[MontyProcess] = set()
        self._filling = False
        self._closing = False
        self._checker = Checker()
        self._on_trouble: Callable[[str], object] = lambda _: None
        self._chores = Chores(self._trouble)
        # What a thread starts in a box dies with it: this one stays as long as the runner.
        self._keeper = ThreadPoolExecutor(1, "ostiary-monty")

    def _trouble(self, text: str) -> None:
        self._on_trouble(text)

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Warm up. Raises OstiaryError when Monty is not installed or its program cannot be started."""
        self._on_trouble = on_trouble
        program = await asyncio.to_thread(_program)
        self._root = await asyncio.to_thread(build_root, self._cache, Path(sys.executable), (program,))
        for _ in range(self._warm):
            self._fresh.append(await self._open())

    def isolation(self) -> IsolationReport:
        """Behind which walls its workers run."""
        return self._walls.report

    async def worker(self, limits: Limits, environment: Environment) -> MontyWorker:
        """A fresh worker. Raises GatewayFault for packages: Monty has no use for them."""
        from ostiary.sandbox.monty.worker import MontyWorker  # noqa: PLC0415 - a tenth of a second

        if environment.folder is not None:
            raise GatewayFault("the engine `monty` has no packages")
        return MontyWorker(limits, self._take, self._free)

    async def check(
        self, code: str, owner: str, tools: Toolbox | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> Checked:
        """Whether Monty can run `code`, and what is wrong with its calls of tools. No tool is called."""
        process = await self._take(owner)
        try:
            return await self._checker.check(process, code, tools, limits)
        finally:
            await self._free(process)

    async def parses(self, code: str, owner: str, tools: Toolbox | None = None) -> str | None:
        """Why `code` needs CPython, or None where Monty can run it."""
        return (await self.check(code, owner, tools)).needs_cpython

    async def close(self) -> None:
        """End everything, and wait for it. The cells themselves are closed by whoever made the walls."""
        self._closing = True
        await self._chores.finish()
        await asyncio.gather(*(self._end(process) for process in list(self._all)))
        self._keeper.shutdown()

    # --- processes --------------------------------------------------------------------------------

    async def _take(self, owner: str) -> MontyProcess:
        if not any(one.owner == owner for one in self._used):
            for one in self._all:
                if one.owner == owner and one.leaving is not None and one.alive:
                    await asyncio.wait({one.leaving})
                    break
        for process in reversed(self._used):
            if process.owner == owner:
                self._used.remove(process)
                if process.alive:
                    return process
                self._chores.start(self._end(process))
                break
        process = await self._next()
        process.owner = owner
        self._fill()
        return process

    async def _next(self) -> MontyProcess:
        while self._fresh:
            process = self._fresh.pop(0)
            if process.alive:
                return process
            self._on_trouble("a warm interpreter of Monty had ended; another is started")
            self._chores.start(self._end(process))
        if len(self._all) >= self._most and self._used:
            await self._end(self._used.pop(0))
        return await self._open()

    async def _open(self) -> MontyProcess:
        if self._root is None or self._closing or len(self._all) >= self._most:
            raise GatewayFault(f"no further interpreter can be made: there are {len(self._all)} already")
        process = MontyProcess(self._walls, self._root, self._keeper)
        self._all.add(process)
        try:
            await process.start()
        except BaseException:
            await self._end(process)
            raise
        return process

    async def _free(self, process: MontyProcess) -> None:
        """What becomes of a process: its owner may have it again, or it ends."""
        if self._closing or not process.alive or process.served >= _MOST_RUNS:
            await self._end(process)
        else:
            self._used.append(process)

    async def _end(self, process: MontyProcess) -> None:
        self._all.discard(process)
        await process.close()

    def _fill(self) -> None:
        if not (self._filling or self._closing) and len(self._fresh) < self._warm:
            self._filling = True
            self._chores.start(self._refill())

    async def _refill(self) -> None:
        try:
            while len(self._fresh) < self._warm and len(self._all) < self._most and not self._closing:
                self._fresh.append(await self._open())
        finally:
            self._filling = False


def _program() -> Path:
    try:
        from pydantic_monty import __version__  # noqa: PLC0415 - a tenth of a second
        from pydantic_monty._binary import find_monty_binary  # noqa: PLC0415 - it has no public name
    except ImportError as error:
        raise CallerFault(
            "the engine `monty` is not installed", hint='pip install "ostiary[code]", or use another engine'
        ) from error
    if __version__ != VERSION:
        raise CallerFault(
            f"pydantic-monty {__version__} is installed, and this needs {VERSION}",
            hint='pip install "ostiary[code]" brings the right one',
        )
    try:
        return Path(find_monty_binary())
    except FileNotFoundError as error:
        raise GatewayFault(f"pydantic-monty has no program: {error}") from error
