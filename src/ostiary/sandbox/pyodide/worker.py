"""One process in WebAssembly behind walls: a job in, bytes and an answer out, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.cpython import protocol
from ostiary.sandbox.isolation.cells import Cells
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.pyodide.advice import advice
from ostiary.sandbox.pyodide.channels import Channels
from ostiary.sandbox.pyodide.frames import Frame, why_broken, word
from ostiary.sandbox.pyodide.process import WorkerProcess
from ostiary.sandbox.record import Fault
from ostiary.sandbox.runner import Ended, Job, Tap

_PIECE: Final = 1 << 16
_LAST_WORDS: Final = 64
"""Pieces that are read after the end: more than a pipe can hold."""
_GRACE: Final = 1.0
"""Seconds that a worker has to go, once it said that it would or stopped talking."""
_LOOK_S: Final = 0.1
"""How often CPU time is looked at."""
_RELEASE_TRIES: Final = 200
_RELEASE_PAUSE: Final = 0.01


class PyodideWorker:
    """Implements `sandbox.runner.Worker`. Belongs to the event loop that made it."""

    def __init__(
        self,
        process: WorkerProcess,
        ends: Channels,
        *,
        cells: Cells,
        limits: Limits,
        notes: tuple[str, ...] = (),
        packages: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`notes` go into every reply; `packages` is what `advice.advice` is told of."""
        self._process = process
        self._ends = ends
        self._cells = cells
        self._limits = limits
        self._notes = notes
        self._packages = packages
        self._loop = asyncio.get_running_loop()
        self._reader = protocol.Reader(limits.artifact_bytes)
        self._tap: Tap | None = None
        self._frame: asyncio.Future[Frame | None] = self._loop.create_future()
        self._why = ""
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self.on_gone: Callable[[], object] = lambda: None
        self.on_closed: Callable[[], object] = lambda: None
        self._loop.add_reader(ends.stdout, self._printed, ends.stdout)
        self._loop.add_reader(ends.stderr, self._printed, ends.stderr)
        self._loop.add_reader(ends.replies, self._replied)

    async def ready(self, check: str, seconds: float) -> None:
        """Wait until it can take a job, and set its bounds. Raises GatewayFault: then close it."""
        try:
            async with asyncio.timeout(seconds):
                frame = await self._next_frame()
        except TimeoutError as error:
            raise GatewayFault(f"a worker was not ready within {seconds:g} s") from error
        if frame is None:
            raise GatewayFault(f"a worker did not start: {self._why or await self._how_it_ended()}")
        try:
            said = word(frame[0])
        except protocol.BrokenError as error:
            raise GatewayFault(f"a worker sent {error}") from error
        if said.broken is not None:
            raise GatewayFault(f"a worker did not start: {said.broken}")
        if said.ready != check:
            raise GatewayFault("a worker failed its self-test")
        unbounded = self._process.bound(self._limits)
        self._notes += (unbounded,) if unbounded else ()

    @property
    def pid(self) -> int:
        """The process on the host whose end is the worker's."""
        return self._process.started.pid

    def adopt(self, limits: Limits) -> None:
        """Take the bounds of the job's own, where they are not fixed since its start."""
        self._limits = limits
        self._reader = protocol.Reader(limits.artifact_bytes)

    @property
    def gone(self) -> bool:
        """Whether it stopped talking: no job can be given to it any more."""
        return self._frame.done()

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run one job. Cancelling this kills the worker. Everything written comes before it returns."""
        for one in job.files:
            if not protocol.is_clean(one.name):
                raise CallerFault(f"file name `{one.name[:80]}` is no relative path without `..`")
        before = self._process.cpu_ms()
        watch = self._watch_cpu(before)
        self._tap = tap
        try:
            await self._write(protocol.job_message(job, self._limits, {}))
            result = await self._answered()
        except BaseException:
            self.kill()
            raise
        finally:
            watch()
            self._drain()
            self._tap = None
        used = self._process.cpu_ms()
        return msgspec.structs.replace(
            result,
            notes=(*result.notes, *self._notes),
            cpu_ms=None if used is None or before is None else round(used - before, 3),
            max_rss_kb=self._process.max_rss_kb(),
        )

    def _watch_cpu(self, before: float | None) -> Callable[[], None]:
        """Kill when it used too much CPU time. Returns what ends the watch."""
        timer: list[asyncio.TimerHandle] = []

        def look() -> None:
            used = self._process.cpu_ms()
            if used is not None and used - (before or 0.0) > self._limits.cpu_ms:
                self._process.kill_over_cpu()
            else:
                timer[:] = [self._loop.call_later(_LOOK_S, look)]

        def stop() -> None:
            timer[0].cancel()

        timer.append(self._loop.call_later(_LOOK_S, look))
        return stop

    def kill(self) -> None:
        """SIGKILL for it and all that it started, from outside. Idempotent; does not wait."""
        self._process.kill()

    async def close(self) -> None:
        """Kill, wait until nothing of it is left, release everything."""
        if self._closing is None:
            self._closing = self._loop.create_future()
            try:
                await asyncio.shield(asyncio.gather(self._close()))
            finally:
                self._closing.set_result(None)
        else:
            await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.kill()
        await asyncio.to_thread(self._process.started.wait)
        self._drain()
        self._closed = True
        for descriptor in (self._ends.stdout, self._ends.stderr, self._ends.replies):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._ends.jobs)
        if not self._frame.done():  # a run that is still waiting learns of the end
            self._frame.set_result(None)
        self._ends.close()
        self.on_closed()
        for _ in range(_RELEASE_TRIES):
            if await asyncio.to_thread(self._cells.give_back, self._process.cell):
                return
            await asyncio.sleep(_RELEASE_PAUSE)
        raise GatewayFault("something of a worker is still running after it was killed")

    async def _answered(self) -> Ended:
        """The answer, if it came and is one; else how the process ended."""
        frame = await self._next_frame()
        if frame is None:
            return await self._end(leaving=False)
        self._why = why_broken(frame[0])
        if self._why:
            return await self._end(leaving=False)
        try:
            told = protocol.answer(*frame, self._limits)
        except protocol.BrokenError as error:
            self._why = f"it sent {error}"
            self.kill()
            return await self._end(leaving=False)
        notes = (*protocol.notes_of(told), *advice(told.fault, self._packages))
        if not told.leaving:
            return Ended(
                how="returned",
                value=told.value,
                fault=told.fault,
                artifacts=told.artifacts,
                notes=notes,
            )
        end = await self._end(leaving=True)
        return msgspec.structs.replace(end, artifacts=told.artifacts, notes=notes)

    async def _end(self, *, leaving: bool) -> Ended:
        """Wait for the end of a worker that has nothing more to say; force it after a moment."""
        wait = self._loop.run_in_executor(None, self._process.started.wait)
        done, _ = await asyncio.wait({wait}, timeout=_GRACE)
        if not done:
            self.kill()
            await wait
        end = self._process.ended(leaving=leaving)
        if self._why:
            fault = Fault("worker", "WorkerBroke", f"the interpreter broke: {self._why}")
            end = msgspec.structs.replace(end, how="lost", exit_code=None, signal=None, fault=fault)
        return end

    async def _how_it_ended(self) -> str:
        end = await self._end(leaving=False)
        how = {"exited": f"with status {end.exit_code}", "signalled": f"by signal {end.signal}"}
        return f"it ended without a word, {how.get(end.how, 'for want of memory')}"

    async def _next_frame(self) -> Frame | None:
        """The next frame, or None when no more will come."""
        frame = await asyncio.shield(self._frame)
        if frame is not None:
            self._frame = self._loop.create_future()
            self._reader = protocol.Reader(self._limits.artifact_bytes)
            if not self._closed:
                self._loop.add_reader(self._ends.replies, self._replied)
        return frame

    async def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left and not self.gone and not self._closed:
            try:
                left = left[os.write(self._ends.jobs, left) :]
            except BlockingIOError:
                await self._writable()
            except BrokenPipeError:
                return

    async def _writable(self) -> None:
        free = self._loop.create_future()
        self._loop.add_writer(self._ends.jobs, lambda: free.done() or free.set_result(None))
        try:
            await asyncio.wait({free, self._frame}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._loop.remove_writer(self._ends.jobs)

    def _printed(self, descriptor: int) -> bool:
        """Hand on what there is; whether there may be more."""
        if self._closed:  # the number may be somebody else's by now
            return False
        try:
            data = os.read(descriptor, _PIECE)
        except OSError:
            return False
        if not data:
            self._loop.remove_reader(descriptor)
        elif self._tap is not None:
            (self._tap.stdout if descriptor == self._ends.stdout else self._tap.stderr)(data)
        return bool(data)

    def _drain(self) -> None:
        """What was printed before the answer is in the pipes by now."""
        for descriptor in (self._ends.stdout, self._ends.stderr):
            for _ in range(_LAST_WORDS):
                if not self._printed(descriptor):
                    break

    def _replied(self) -> None:
        if self._frame.done():  # one that nobody asked for: it waits in the pipe
            self._loop.remove_reader(self._ends.replies)
            return
        try:
            data = os.read(self._ends.replies, MIB)
            frame = self._reader.feed(data) if data else None
        except BlockingIOError:
            return
        except protocol.BrokenError as error:
            self._why, data, frame = f"it sent {error}", b"", None
            self.kill()
        if frame is not None:
            self._frame.set_result(frame)
        elif not data:
            self._loop.remove_reader(self._ends.replies)
            self._frame.set_result(None)
            with contextlib.suppress(OSError):
                self.on_gone()
