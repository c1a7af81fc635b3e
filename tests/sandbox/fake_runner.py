"""A runner without processes: what its workers do is written by the test, as a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ostiary.sandbox.engine import Bounds, Engine
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Fault, IsolationReport, Value
from ostiary.sandbox.runner import Ended, Environment, Job, Tap

Play = Callable[["FakeWorker", Job, Tap], Awaitable[Ended]]


async def echo(worker: FakeWorker, job: Job, tap: Tap) -> Ended:
    """The code is what is printed; a few words of it do something else."""
    word, _, rest = job.code.partition(" ")
    match word:
        case "wait":
            tap.stdout(b"waiting")
            await worker.ended.wait()
            return Ended(how="signalled", signal=9)
        case "exit":
            return Ended(how="exited", exit_code=int(rest))
        case "raise":
            return Ended(how="returned", fault=Fault("exception", "ValueError", rest))
        case "flood":
            while not worker.ended.is_set():
                tap.stdout(b"x" * 1000)
                await asyncio.sleep(0)
            return Ended(how="signalled", signal=9)
        case _:
            tap.stdout(job.code.encode())
            return Ended(how="returned", value=Value(job.name))


class FakeWorker:
    def __init__(self, runner: FakeRunner, environment: Environment) -> None:
        self._runner = runner
        self.environment = environment
        self.ended = asyncio.Event()
        self.jobs: list[Job] = []

    async def run(self, job: Job, tap: Tap) -> Ended:
        self.jobs.append(job)
        self._runner.running += 1
        self._runner.most = max(self._runner.most, self._runner.running)
        try:
            return await self._runner.play(self, job, tap)
        finally:
            self._runner.running -= 1

    def kill(self) -> None:
        self.ended.set()

    async def close(self) -> None:
        self.kill()
        await asyncio.sleep(0)
        self._runner.open.discard(self)


class FakeRunner:
    name = "fake"
    grace_ms = 0
    version = "1.0"

    def __init__(self, play: Play = echo) -> None:
        self.play = play
        self.open: set[FakeWorker] = set()
        self.made: list[FakeWorker] = []
        self.running = 0
        self.most = 0

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        return

    def isolation(self) -> IsolationReport:
        return IsolationReport("none", ("it is a fake",))

    async def worker(self, limits: Limits, environment: Environment) -> FakeWorker:
        await asyncio.sleep(0)
        worker = FakeWorker(self, environment)
        self.open.add(worker)
        self.made.append(worker)
        return worker

    async def close(self) -> None:
        assert not self.open


def made_engine(runner: FakeRunner, bounds: Bounds | None = None, **more) -> Engine:
    """An engine on `runner`; its ids are r1, r2, … and its clock stands still."""
    count = iter(range(1, 1_000_000))
    return Engine(
        runner, clock=lambda: 1_700_000_000_000_000, mint=lambda: f"r{next(count)}", bounds=bounds, **more
    )


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine, for at most five seconds, and insist that it leaves no task behind."""

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await scene()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    asyncio.run(bounded())


async def until(true: Callable[[], object]) -> None:
    """Let others go on until `true()` holds; bounded by `play`."""
    while not true():
        await asyncio.sleep(0)
