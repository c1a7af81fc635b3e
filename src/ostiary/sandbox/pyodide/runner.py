"""Hands out workers, and keeps some ready."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault, OstiaryError
from ostiary.sandbox.isolation.box import Bind, Box
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.root import Root, build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import DEFAULT_LIMITS, Limits
from ostiary.sandbox.pyodide import fetch, launch
from ostiary.sandbox.pyodide.advice import packages_of
from ostiary.sandbox.pyodide.channels import Channels, channels
from ostiary.sandbox.pyodide.prepare import Found
from ostiary.sandbox.pyodide.process import WorkerProcess
from ostiary.sandbox.pyodide.worker import PyodideWorker
from ostiary.sandbox.record import IsolationReport
from ostiary.sandbox.runner import Environment

_FROM_SNAPSHOT: Final = 20.0
_PLAIN: Final = 60.0
"""Seconds that a start may take on a busy machine; on an idle one it is half a second, or four."""
_ROUNDS_OF_A_SPARE: Final = 8
"""Nobody waits for the start of a spare, so it has time to rehearse."""
_FEWEST_TASKS: Final = 48
"""Threads of the runtime and the processes that wall it off."""


class PyodideRunner:
    """Implements `sandbox.runner.Runner` with a prepared Pyodide.

    `spares` workers are kept ready for runs with the bounds in `limits` and no packages; every
    other run starts its own. With none kept, each run waits for the start of its worker.
    """

    name = "pyodide"
    grace_ms = 0

    def __init__(
        self, walls: Walls, cache: Path, found: Found, *, spares: int = 1, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.version = f"{fetch.VERSION} (Python {fetch.PYTHON}, {found.runtime.named()})"
        self._walls = walls
        self._cache = cache
        self._found = found
        self._wanted = spares
        self._limits = limits
        self._spares: list[PyodideWorker] = []
        self._workers: set[PyodideWorker] = set()
        self._filling: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._awaited = False
        self._root: Root | None = None
        self._closed = False
        self._on_trouble: Callable[[str], object] = lambda _: None
        self._packages: dict[str, str] = {}
        self._starting: set[asyncio.Future[tuple[WorkerProcess, Channels]]] = set()
        # A box dies with the thread that started it: this one stays as long as the runner.
        self._starter = concurrent.futures.ThreadPoolExecutor(1, "pyodide-start")

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Build the root, and try the snapshot with a worker; without a good one load the long way.

        Raises OstiaryError when no worker can be started either way.
        """
        self._on_trouble = on_trouble
        program = Path(self._found.runtime.path)
        self._packages = await asyncio.to_thread(packages_of, Path(self._found.place))
        self._root = await asyncio.to_thread(build_root, self._cache, Path(sys.executable), (program,))
        try:
            first = await self._ready(self._limits, Environment())
        except GatewayFault as error:
            if not self._found.snapshot:
                raise
            note = f"the memory snapshot is not used: {error.message}"
            on_trouble(note)
            self._found = msgspec.structs.replace(self._found, snapshot="", note=note)
            first = await self._ready(self._limits, Environment())
        if self._wanted:
            self._keep(first)
            self._fill()
        else:
            await first.close()

    @property
    def spares(self) -> tuple[PyodideWorker, ...]:
        """The workers that wait for a run."""
        return tuple(self._spares)

    def isolation(self) -> IsolationReport:
        """Behind which walls its workers run."""
        return self._walls.report

    async def worker(self, limits: Limits, environment: Environment) -> PyodideWorker:
        """A fresh worker: a spare where one fits and is ready. Raises OstiaryError when none can be made."""
        if self._root is None or self._closed:
            raise GatewayFault("the engine `pyodide` is not running")
        if environment.folder is None and _shape(limits) == _shape(self._limits):
            await self._coming()
            while self._spares:
                spare = self._spares.pop(0)
                spare.on_gone = lambda: None
                self._fill()
                if not spare.gone:
                    spare.adopt(limits)
                    return spare
                await spare.close()
        return await self._ready(limits, environment)

    async def _coming(self) -> None:
        """Wait for the spare that is being started, which is sooner there than another one would be.

        One at a time: whoever else comes meanwhile starts a worker of its own.
        """
        if self._spares or self._awaited or self._filling is None:
            return
        self._awaited = True
        try:
            while not (self._spares or self._filling.done()):
                self._arrived.clear()
                arrived = asyncio.get_running_loop().create_task(self._arrived.wait())
                try:
                    await asyncio.wait({arrived, self._filling}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    arrived.cancel()
        finally:
            self._awaited = False

    async def close(self) -> None:
        """End everything, and wait for it."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait({self._filling})
        self._spares.clear()
        if self._starting:  # what nobody waits for any more is handed over by `_unwanted`
            await asyncio.wait(self._starting)
        await asyncio.gather(*(worker.close() for worker in tuple(self._workers)))
        await asyncio.to_thread(self._starter.shutdown)

    async def _ready(self, limits: Limits, environment: Environment, rounds: int = 1) -> PyodideWorker:
        """Start a worker and wait until it can take a job."""
        notes = (f"loaded without a memory snapshot: {self._found.note}",) if not self._found.snapshot else ()
        loop = asyncio.get_running_loop()
        started = loop.run_in_executor(self._starter, self._spawn, limits, environment, rounds)
        self._starting.add(started)
        started.add_done_callback(self._starting.discard)
        try:
            process, ends = await asyncio.shield(started)
        except asyncio.CancelledError:
            started.add_done_callback(self._unwanted)
            raise
        worker = PyodideWorker(
            process, ends, cells=self._walls.cells, limits=limits, notes=notes, packages=self._packages
        )
        self._workers.add(worker)
        worker.on_closed = lambda: self._workers.discard(worker)
        try:
            await worker.ready(self._found.check, _FROM_SNAPSHOT if self._found.snapshot else _PLAIN)
        except BaseException:
            await worker.close()
            raise
        return worker

    def _unwanted(self, started: asyncio.Future[tuple[WorkerProcess, Channels]]) -> None:
        """Nobody waits for this one any more."""
        if not started.cancelled() and started.exception() is None:
            process, ends = started.result()
            worker = PyodideWorker(process, ends, cells=self._walls.cells, limits=self._limits)
            self._workers.add(worker)
            worker.kill()

    def _spawn(self, limits: Limits, environment: Environment, rounds: int) -> tuple[WorkerProcess, Channels]:
        """Runs in the thread that stays."""
        if self._root is None:
            raise GatewayFault("the engine `pyodide` is not running")
        cell = self._walls.cells.take()
        try:
            if cell.group is not None:
                tasks = max(limits.processes, _FEWEST_TASKS)
                cell.group.set(memory=limits.memory + launch.OVERHEAD, processes=tasks)
            ours, theirs = channels(cell.uid)
            try:
                start = self._start(limits, environment, theirs.replies, rounds)
                box = self._box(self._root, limits, environment, start, cell)
                process = self._walls.start(
                    box, stdin=theirs.jobs, stdout=theirs.stdout, stderr=theirs.stderr
                )
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
        except BaseException:
            self._walls.cells.give_back(cell)
            raise
        return WorkerProcess(process, cell), ours

    def _start(self, limits: Limits, environment: Environment, replies: int, rounds: int) -> launch.Start:
        """What the worker is told; where there is no box, by the paths of the host."""
        walled, folder = self._walls.walled, environment.folder or ""
        place = launch.PLACE if walled else self._found.place
        return launch.Start(
            place=place,
            replies=replies,
            snapshot=f"{place}/{self._found.snapshot}" if self._found.snapshot else "",
            packages=launch.PACKAGES if walled and folder else folder,
            rounds=rounds,
            limits=limits,
        )

    def _box(
        self, root: Root, limits: Limits, environment: Environment, start: launch.Start, cell: Cell
    ) -> Box:
        binds = [Bind(self._found.place, launch.PLACE)]
        if environment.folder is not None:
            binds.append(Bind(environment.folder, launch.PACKAGES))
        return Box(
            command=launch.command(self._found.runtime, root.programs[0], start),
            root=root,
            binds=tuple(binds),
            environment=launch.environment(self._found.runtime),
            pass_fds=(start.replies,),
            # Threads only: the runtime has no business starting programs, and no socket of any kind.
            seccomp=self._walls.filter(processes=False, sockets="none"),
            cell=cell,
            file_bytes=limits.file_bytes,
        )

    def _keep(self, worker: PyodideWorker) -> None:
        self._spares.append(worker)
        self._arrived.set()
        worker.on_gone = lambda: self._lost(worker)

    def _lost(self, worker: PyodideWorker) -> None:
        """A spare has died on its own: start another. Whoever closes the runner clears up after it."""
        if worker in self._spares and not self._closed:
            self._spares.remove(worker)
            self._on_trouble("a ready worker of the engine `pyodide` died; another one is started")
            self._fill()

    def _fill(self) -> None:
        """See to it that there are as many spares as wanted, one start at a time."""
        if self._closed or (self._filling is not None and not self._filling.done()):
            return
        loop = asyncio.get_running_loop()
        self._filling = loop.create_task(self._filled())

    async def _filled(self) -> None:
        while len(self._spares) < self._wanted and not self._closed:
            try:
                self._keep(await self._ready(self._limits, Environment(), _ROUNDS_OF_A_SPARE))
            except OstiaryError as error:
                self._on_trouble(f"no worker of the engine `pyodide` could be made ready: {error.message}")
                return


def _shape(limits: Limits) -> tuple[int, int, int]:
    """What is fixed when a worker starts."""
    return limits.memory, limits.file_bytes, limits.processes
