"""The one queue: accepts runs, gives each a worker, bounds it, ends it, keeps its record.

A run goes through `_stages`, top to bottom: its packages, its session's turn, a free place, a worker,
the code. It can be stopped in each of them, and its record says so. Owners share the places and the
queue (`turns`), and a place is free again only when nothing of the run before is left. Everything is
bound to its owner, and exists for nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ostiary.errors import OstiaryError
from ostiary.sandbox import verdict
from ostiary.sandbox.bounds import Bounds
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.kept import kept_to_itself
from ostiary.sandbox.pausing import OnPaused, as_it_is, begun, kept
from ostiary.sandbox.places import Places
from ostiary.sandbox.record import Fault, RunRecord, Usage
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.resolving import Resolve, Unresolved, nothing_to_resolve
from ostiary.sandbox.run import Run, Underway
from ostiary.sandbox.runner import Ended, Environment, Job, Renewing, Runner, Worker
from ostiary.sandbox.sessions import Past, Session, Sessions, SessionView
from ostiary.sandbox.shelf import Shelf
from ostiary.sandbox.turns import Busy, check_room
from ostiary.sandbox.verdict import Verdict

GOES_ON = ("returned", "expired")
"""How runs end after which the worker of a session takes the next."""

OnProgress = Callable[[Underway], object]


class Engine:
    """Runs code for owners through one runner.

    `clock` gives microseconds since 1970, for records; `mint` gives run ids that nobody can guess.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        clock: Callable[[], int],
        mint: Callable[[], str],
        bounds: Bounds | None = None,
        resolve: Resolve = nothing_to_resolve,
        on_trouble: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.on_paused: OnPaused = as_it_is
        self.runner = runner
        self.bounds = bounds = bounds or Bounds()
        self._clock = clock
        self._mint = mint
        self._resolve = resolve
        self._on_trouble = on_trouble
        self._places = Places(bounds.at_once)
        self._runs: dict[str, Run] = {}
        self._shelf = Shelf(bounds.keep_s, bounds.keep_runs, bounds.keep_bytes, self._now)
        self._sessions = Sessions(bounds.max_sessions, bounds.session_idle_s, self._now)
        self._chores = Chores(on_trouble)
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False
        self._opened: asyncio.Event | None = None
        self._unready: OstiaryError | None = None

    async def open(self) -> None:
        """Make the runner ready; runs wait for it, and fail when it cannot be. Raises OstiaryError then."""
        self._opened = asyncio.Event()
        try:
            await self.runner.start(self._on_trouble)
        except OstiaryError as fault:
            self._unready = fault
            raise
        finally:
            self._opened.set()
        self._sweep()

    async def ready(self) -> None:
        """Wait until the runner is. Raises OstiaryError when it cannot be."""
        if self._opened is not None:
            await self._opened.wait()
        if self._unready is not None:
            raise self._unready

    # --- what owners do ---------------------------------------------------------------------------

    async def run(self, request: RunRequest, *, progress: OnProgress | None = None) -> RunRecord:
        """Run it and wait for its record. Cancelling this kills the run. Raises Busy.

        `progress` is told where the run stands every few seconds.
        """
        run = self._accept(request)
        task = self._begin(run)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=self.bounds.progress_s if progress else None)
                if progress is not None and not task.done():
                    progress(run.view(self._now()))
        except BaseException:
            run.stop("cancelled")
            raise
        return task.result()

    def start(self, request: RunRequest) -> str:
        """Run it in the background; its id. Raises Busy."""
        run = self._accept(request)
        self._begin(run)
        return run.run_id

    def status(self, owner: str, run_id: str) -> Underway | RunRecord | None:
        """Where a run stands, or its record; None if `owner` has no such run."""
        run = self._runs.get(run_id)
        if run is not None:
            return run.view(self._now()) if run.request.owner == owner else None
        return self._shelf.get(owner, run_id)

    def record(self, owner: str, run_id: str) -> RunRecord | None:
        """The record of a finished run; None if `owner` has no such run."""
        return self._shelf.get(owner, run_id)

    def records(self, owner: str) -> tuple[RunRecord, ...]:
        """All that is kept of `owner`'s runs, the oldest first."""
        return self._shelf.of(owner)

    def underway(self, owner: str) -> tuple[Underway, ...]:
        """The runs of `owner` that have not ended."""
        now = self._now()
        return tuple(run.view(now) for run in self._runs.values() if run.request.owner == owner)

    def cancel(self, owner: str, run_id: str) -> bool:
        """Kill a run. Whether `owner` has one under way by that id."""
        run = self._runs.get(run_id)
        if run is None or run.request.owner != owner:
            return False
        run.stop("cancelled")
        return True

    def end(self, covers: Callable[[str], bool]) -> None:
        """Kill every run of the owners that `covers` says, also those that nobody waits for."""
        for run in self._runs.values():
            if covers(run.request.owner):
                run.stop("cancelled")

    async def ended(self, owner: str, run_id: str) -> RunRecord | None:
        """Wait until a run has ended; its record, or None if `owner` has no such run."""
        run = self._runs.get(run_id)
        if run is not None and run.request.owner == owner and run.task is not None:
            await asyncio.wait({run.task})
        return self._shelf.get(owner, run_id)

    def sessions(self, owner: str) -> tuple[SessionView, ...]:
        """What sessions `owner` has open."""
        return self._sessions.of(owner)

    def history(self, owner: str, name: str) -> tuple[Past, ...] | None:
        """The runs of a session, the oldest first; None if `owner` has no such session."""
        session = self._sessions.find(owner, name)
        return None if session is None else tuple(session.history)

    def close_session(self, owner: str, name: str) -> bool:
        """End a session and what runs in it. Whether `owner` had one by that name."""
        session = self._sessions.find(owner, name)
        if session is None:
            return False
        for run in self._runs.values():
            if run.request.owner == owner and run.request.session == name:
                run.stop("cancelled")
        self._sessions.drop(session)
        if session.idle:
            self._end(session)
        return True

    async def drain(self) -> None:
        """Accept nothing more, and wait until all runs have ended."""
        self._closed = True
        while tasks := {run.task for run in self._runs.values() if run.task is not None}:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Kill every run, close every session, and wait until nothing is left."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for run in self._runs.values():
            run.stop("cancelled")
        await self.drain()
        for session in self._sessions:
            self._sessions.drop(session)
            self._end(session)
        await self._chores.finish()
        await self.runner.close()

    # --- one run ----------------------------------------------------------------------------------

    def _accept(self, request: RunRequest) -> Run:
        if self._closed:
            raise Busy("the server is stopping and takes no more runs")
        underway = ((one.request.owner, one.pending) for one in self._runs.values())
        check_room(request.owner, underway, self.bounds)
        run = Run(begun(request) or self._mint(), request, self._now())
        if run.run_id in self._runs:
            raise Busy(f"the run {run.run_id} goes on already")
        self._runs[run.run_id] = run
        return run

    def _begin(self, run: Run) -> asyncio.Task[RunRecord]:
        run.task = self._chores.start(self._perform(run))
        return run.task

    async def _perform(self, run: Run) -> RunRecord:
        """The run from acceptance to its record, which is kept whatever becomes of it."""
        try:
            record = await self._stages(run)
            if record.paused is not None:
                record = await kept(self.on_paused, run.request, record)
        except asyncio.CancelledError:
            if run.stopped is None:
                raise
            # It was stopped before it had a worker, and by the engine itself.
            record = self._record(run, verdict.of_stop(run.stopped, run.request.limits))
        except Unresolved as fault:
            told = Fault("package", "PackageFault", verdict.in_words(fault))
            record = self._record(run, Verdict("install_error", told))
        except OstiaryError as fault:
            record = self._record(
                run, Verdict("killed", Fault("worker", type(fault).__name__, verdict.in_words(fault)))
            )
        finally:
            run.over()
            del self._runs[run.run_id]
        self._shelf.put(record)
        return record

    async def _stages(self, run: Run) -> RunRecord:
        request = run.request
        run.entered = True
        if run.stopped is not None:
            raise asyncio.CancelledError
        await self.ready()
        try:
            environment = await self._resolve(request.code, request.requirements, request.owner)
        except OstiaryError as fault:
            raise Unresolved(fault.message, hint=fault.hint) from fault
        if not request.session:
            return await self._in_place(run, None, environment)
        session, evicted = self._sessions.join(request.owner, request.session)
        if evicted is not None:
            self._end(evicted)
        session.waiting += 1
        try:
            async with session.turn:
                return await self._in_place(run, session, environment)
        finally:
            session.waiting -= 1
            session.used = self._now()
            if self._sessions.find(session.owner, session.name) is not session and session.idle:
                self._end(session)  # it was closed meanwhile

    async def _in_place(self, run: Run, session: Session | None, environment: Environment) -> RunRecord:
        owner = run.request.owner
        await self._places.take(owner)
        run.placed()
        run.started, run.began = self._clock(), self._now()
        try:
            worker = await self._worker(run, session, environment)
        except BaseException:
            self._places.free(owner)
            raise
        lives_on = False
        try:
            ended = await self._execute(run, worker, session.next_name() if session else "<cell 1>")
            lives_on = session is not None and ended.how in GOES_ON and run.stopped is None
        finally:
            if lives_on:
                self._places.free(owner)
            else:
                if session is not None:
                    session.lose()
                self._chores.start(self._dispose(worker, owner))
        found = verdict.of(ended, run.stopped, run.request.limits)
        if session is None:
            return self._record(run, found, ended, environment.packages)
        session.remember(run.run_id, run.request.code, found.status)
        record = self._record(run, found, ended, session.environment.packages)
        return msgspec.structs.replace(record, session_lost=not lives_on)

    async def _worker(self, run: Run, session: Session | None, environment: Environment) -> Worker:
        if session is None:
            return await self.runner.worker(run.request.limits, environment)
        if session.worker is not None:
            if environment.folder in (None, session.environment.folder):
                if isinstance(session.worker, Renewing):
                    await session.worker.renew()
                return session.worker
            raise Unresolved(
                f"session `{session.name}` keeps the packages it began with",
                hint="start another session for others",
            )
        worker = await self.runner.worker(run.request.limits, environment)
        session.begin(worker, environment)
        return worker

    async def _execute(self, run: Run, worker: Worker, name: str) -> Ended:
        """Run the code, for as long as it may take and no longer."""
        request = run.request
        job = Job(
            code=request.code,
            context=msgspec.json.encode(request.context),
            name=name,
            files=request.files,
            stdin=request.stdin,
            command=request.command,
            ask=request.ask,
            tools=request.tools,
            outputs=request.outputs,
            resumes=request.resumes,
            owner=request.owner,
            wall_ms=request.limits.wall_ms,
            secrecy=request.secrecy,
        )
        run.given(worker)
        patience = (request.limits.wall_ms + self.runner.grace_ms) / 1000
        alarm = asyncio.get_running_loop().call_later(patience, run.stop, "timeout")
        try:
            return await kept_to_itself(worker, job, run.capture)
        finally:
            alarm.cancel()
            run.over()

    def _record(
        self, run: Run, found: Verdict, ended: Ended | None = None, packages: tuple[str, ...] = ()
    ) -> RunRecord:
        out, err = run.capture.streams()
        ended = ended or Ended(how="lost")
        wall_ms = (self._now() - run.began) * 1000 if run.began else 0.0
        return RunRecord(
            run_id=run.run_id,
            owner=run.request.owner,
            engine=self.runner.name,
            version=self.runner.version,
            status=found.status,
            started=run.started or self._clock(),
            isolation=self.runner.isolation(),
            limits=run.request.limits,
            session=run.request.session,
            exit_code=ended.exit_code,
            signal=ended.signal,
            stdout=out,
            stderr=err,
            result=ended.value,
            error=found.fault,
            artifacts=ended.artifacts,
            usage=Usage(round(wall_ms, 3), ended.cpu_ms, ended.max_rss_kb),
            packages=packages,
            notes=ended.notes,
            outputs=ended.outputs,
            tool_calls=ended.tool_calls,
            paused=ended.paused,
        )

    # --- endings ----------------------------------------------------------------------------------

    async def _dispose(self, worker: Worker, place_of: str | None = None) -> None:
        """Wait until nothing of a worker is left; only then is its place free."""
        try:
            await worker.close()
        finally:
            if place_of is not None:
                self._places.free(place_of)

    def _end(self, session: Session) -> None:
        worker = session.lose()
        if worker is not None:
            worker.kill()
            self._chores.start(self._dispose(worker))

    def _sweep(self) -> None:
        """Close what nobody uses, now and then."""
        for session in self._sessions.stale():
            self._end(session)
        self._shelf.sweep()
        pause = min(60.0, self.bounds.session_idle_s / 4)
        self._sweeping = asyncio.get_running_loop().call_later(pause, self._sweep)

    @staticmethod
    def _now() -> float:
        """Seconds of the loop's clock, for how long things take."""
        return asyncio.get_running_loop().time()
