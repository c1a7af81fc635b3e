"""Runs commands and scripts in containers that are there already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from ostiary.errors import CallerFault, OstiaryError
from ostiary.sandbox.containers.client import Refused
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.couriers import Courier
from ostiary.sandbox.containers.execs import Doubt, Exec, Program, State, code_of
from ostiary.sandbox.containers.faults import EngineFault
from ostiary.sandbox.containers.inside.ending import MARK
from ostiary.sandbox.containers.killing import Killer, new_mark, runs_here
from ostiary.sandbox.containers.names import check_command
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Fault, IsolationReport
from ostiary.sandbox.request import Command
from ostiary.sandbox.runner import Ended, Environment, Job, Tap, Worker

_KILLED: Final = 128
"""Exit codes from here on are those of signals; gVisor has no other for a container that has ended."""
_LOOKS, _LOOK_S = 20, 0.1
_STREAMS_S: Final = 2
"""How long the engine may take to pass on the last words of what was ended."""
_ROUNDS: Final = 40
_ENDING_S: Final = 20
"""How long a command may hold its place after its end was asked for."""
_UNKNOWN: Final = "the engine did not say whether the command began: it may run in the container"
_IDLE_S: Final = 600
_MOST_COURIERS: Final = 32


class ContainerRunner:
    """Implements `Runner`: each job names its container in `Job.command`.

    `name` is `docker` or `podman` once it has started. The facade has found the container for its owner
    (`Containers.find`) before it makes a request; nothing is checked again here.

    How a job ends: `exited` with the exit code (127 and 126 for what is not there or cannot be
    executed, as shells have them), `signalled` for a script that a signal ended, `lost` with a
    note when the container or the engine went away. A job that was stopped has ended in the
    container as well, or a note says that it may not have.
    """

    def __init__(self, containers: Containers) -> None:
        self.name = "docker"
        self.version = ""
        self.grace_ms = 0
        self.containers = containers
        self.killer = Killer(containers.client)
        self._couriers: dict[tuple[str, str], Courier] = {}
        self._starting: dict[tuple[str, str], asyncio.Lock] = {}
        self._used: dict[tuple[str, str], float] = {}
        self._tidying: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self, on_trouble: Callable[[str], object]) -> None:
        """Reach the engine. Raises EngineFault."""
        await self.containers.open()
        self.name, self.version, _ = await self.containers.client.described()
        self._tidy()

    def isolation(self) -> IsolationReport:
        """What is known of containers in general: each is walled off as it was made."""
        return IsolationReport(
            "best-effort", ("containers that were not created here have the walls of their makers",)
        )

    async def worker(self, limits: Limits, environment: Environment) -> Worker:
        """For one job; nothing is started before it."""
        return ContainerWorker(self)

    async def close(self) -> None:
        """End every process of ours in every container, and close `containers` as well."""
        if self._tidying is not None:
            self._tidying.cancel()
        await asyncio.gather(*(courier.close() for courier in tuple(self._couriers.values())))
        if self._closing:
            await asyncio.wait(self._closing)
        await self.containers.close()

    async def courier(self, container: str, user: str) -> Courier:
        """The courier of a container and user. Raises as `Courier.start`."""
        key = (container, user)
        async with self._starting.setdefault(key, asyncio.Lock()):
            found = self._couriers.get(key)
            if found is None or found.gone:
                found = self._new(key)
                await found.start()
                self._couriers[key] = found
            self._used[key] = asyncio.get_running_loop().time()
            return found

    def _new(self, key: tuple[str, str]) -> Courier:
        client, ours = self.containers.client, self.containers.made_here(key[0])
        return Courier(client, self.killer, *key, ours=ours, on_end=lambda: self._forget(key))

    def _forget(self, key: tuple[str, str]) -> None:
        found = self._couriers.get(key)
        if found is not None and found.gone:
            del self._couriers[key]
            self._used.pop(key, None)
            self._end(found)

    def _end(self, courier: Courier) -> None:
        task = asyncio.get_running_loop().create_task(courier.close())
        self._closing.add(task)  # awaited in `close`
        task.add_done_callback(self._closing.discard)

    def _tidy(self) -> None:
        """End couriers that nobody uses, the oldest of too many first."""
        now = asyncio.get_running_loop().time()
        by_use = sorted(self._used, key=self._used.__getitem__)
        for place, key in enumerate(by_use):
            courier = self._couriers.get(key)
            spare = len(by_use) - place > _MOST_COURIERS
            if courier is not None and courier.idle and (spare or now - self._used[key] > _IDLE_S):
                courier.gone = True
                self._forget(key)
        self._tidying = asyncio.get_running_loop().call_later(_IDLE_S / 10, self._tidy)


class ContainerWorker:
    """Implements `Worker`: one command or one script."""

    def __init__(self, runner: ContainerRunner) -> None:
        self._runner = runner
        self._stopped = asyncio.Event()
        self._running: asyncio.Future[Ended] | None = None
        self._note = ""

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run it. Raises CallerFault for what cannot be run, EngineFault, NotRunning, UnknownContainer."""
        command = job.command
        if command is None:
            raise CallerFault("this runs commands and scripts in containers, and no container was named")
        check_command(command)
        self._runner.containers.use(command.container)
        work = self._script(job, command, tap) if command.script else self._command(job, command, tap)
        self._running = asyncio.get_running_loop().create_task(work)  # awaited here or in `close`
        try:
            return await asyncio.shield(self._running)
        except asyncio.CancelledError:
            self.kill()
            raise

    def kill(self) -> None:
        """See `Worker.kill`."""
        self._stopped.set()

    async def close(self) -> None:
        """See `Worker.close`."""
        self.kill()
        if self._running is not None:
            await asyncio.wait({self._running})
            if not self._running.cancelled():
                self._running.exception()  # whoever ran it was told

    # --- a script ---------------------------------------------------------------------------------

    async def _script(self, job: Job, command: Command, tap: Tap) -> Ended:
        # Nothing of the script is there before its courier has started.
        starting = asyncio.get_running_loop().create_task(
            self._runner.courier(command.container, command.user)
        )
        if not await self._started(starting, lambda: 0):
            return Ended(how="lost")
        courier = starting.result()
        if self._stopped.is_set():
            return Ended(how="lost")
        return await courier.run(job, new_mark(), tap, self._stopped)

    async def _started(self, starting: asyncio.Task[Any], patience: Callable[[], float]) -> bool:
        """Whether it has started, or cannot: not, when it was to be stopped and needs more seconds still."""
        stopped = asyncio.get_running_loop().create_task(self._stopped.wait())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                await asyncio.wait({starting}, timeout=patience())
            return starting.done()
        finally:
            starting.cancel()
            stopped.cancel()
            await asyncio.wait({starting, stopped})

    # --- a command --------------------------------------------------------------------------------

    async def _command(self, job: Job, command: Command, tap: Tap) -> Ended:
        mark = new_mark()
        wanted = Program(
            container=command.container,
            argv=command.argv,
            env=(*command.env, f"{MARK}={mark}"),
            workdir=command.workdir,
            user=command.user,
            stdin=bool(job.stdin) and not command.detach,
            detach=command.detach,
        )
        one = Exec(self._runner.containers.client, wanted)
        try:
            # Before it has an id nothing can begin; after that it may have, and is ended once that is known.
            starting = asyncio.get_running_loop().create_task(one.start())
            if not await self._started(starting, lambda: _ENDING_S if one.id else 0):
                return Ended(how="lost", notes=(_UNKNOWN,) if one.id else ())
            try:
                starting.result()
            except Refused as refusal:
                return _not_started(refusal, tap)
            if command.detach:
                return Ended(how="exited", exit_code=0)
            return await self._attended(one, job, mark, tap)
        finally:
            await one.close()

    async def _attended(self, one: Exec, job: Job, mark: str, tap: Tap) -> Ended:
        loop = asyncio.get_running_loop()
        doubt = Doubt(tap)
        pumping = loop.create_task(one.pump(doubt))
        feeding = loop.create_task(one.feed(job.stdin)) if one.program.stdin else None
        ending = loop.create_task(self._ended(one, pumping))
        stopping = loop.create_task(self._stop(one, mark, pumping))
        leaving = loop.create_task(one.gone())
        try:
            await asyncio.wait({ending, stopping, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                await asyncio.wait({ending}, timeout=_STREAMS_S)
            if self._stopped.is_set():
                await asyncio.wait({stopping})
                await asyncio.wait({ending}, timeout=_STREAMS_S)
            if not ending.done():
                return self._lost(
                    "the container has ended" if leaving.done() else "nothing says how it ended"
                )
            state = ending.result()
        except (Refused, EngineFault, OSError, ValueError) as fault:
            return self._lost(fault.message if isinstance(fault, OstiaryError) else str(fault))
        finally:
            tasks = {task for task in (pumping, feeding, ending, stopping, leaving) if task is not None}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        kind, _, _ = await self._runner.containers.client.described()
        code = doubt.settle(state, pids_last=kind == "docker")
        return await self._exited(one, code)

    @staticmethod
    async def _ended(one: Exec, pumping: asyncio.Task[None]) -> State:
        await pumping
        return await one.ended()

    async def _stop(self, one: Exec, mark: str, pumping: asyncio.Task[None]) -> None:
        """Once it is to be stopped: end it until the engine agrees that it has ended.

        It may not have begun yet when it is looked for the first time.
        """
        await self._stopped.wait()
        program = one.program
        ours = self._runner.containers.made_here(program.container)
        until = asyncio.get_running_loop().time() + _ENDING_S
        for _ in range(_ROUNDS):
            note = await self._runner.killer.end(program.container, mark, program.user, ours=ours)
            if note:
                self._note = note
                break
            await asyncio.wait({pumping}, timeout=0.05)
            if pumping.done() or asyncio.get_running_loop().time() > until:
                break
        await asyncio.wait({pumping}, timeout=_STREAMS_S)
        if not pumping.done() and not self._note and await _runs(one):  # what ends it there may lie
            self._note = await self._runner.killer.give_up(program.container, ours=ours)
        await one.close()

    async def _exited(self, one: Exec, code: int) -> Ended:
        notes = (self._note,) if self._note else ()
        if code >= _KILLED and not self._stopped.is_set():
            state = await self._container(one.program.container)
            if not state.get("Running"):
                return self._lost("the container has ended")
            if state.get("OOMKilled"):
                notes = (*notes, "the engine says that the container has run out of memory")
        return Ended(how="exited", exit_code=code, notes=notes)

    async def _container(self, container: str) -> Mapping[str, Any]:
        """The state of a container in which something was killed; its own end shows a little later."""
        client = self._runner.containers.client
        state: dict[str, Any] = {}
        for look in range(_LOOKS):
            try:
                inspected = await client.call(lambda api: api.inspect_container(container))
            except (Refused, EngineFault):
                return {}
            state = inspected["State"]
            if not state.get("Running") or (look and runs_here(container, int(state.get("Pid") or 0))):
                break
            await asyncio.sleep(_LOOK_S)
        return state

    def _lost(self, why: str) -> Ended:
        text = f"the container or the engine went away while the command ran: {why}"
        notes = (self._note,) if self._note else (text,)
        return Ended(how="lost", fault=Fault("worker", "ContainerLost", text), notes=notes)


async def _runs(one: Exec) -> bool:
    """Whether the engine says that a command still runs."""
    try:
        return (await one.state()).running
    except (Refused, EngineFault, OSError, ValueError):
        return False  # it is gone, with its container or its engine


def _not_started(refusal: Refused, tap: Tap) -> Ended:
    """The engine's own words, as what the program would have said. Raises EngineFault for other troubles."""
    if not any(words in refusal.message for words in ("unable to find", "OCI", "exec", "chdir")):
        raise EngineFault(f"the engine refuses: {refusal.message}") from refusal
    tap.stderr(refusal.message.encode() + b"\n")
    return Ended(how="exited", exit_code=code_of(refusal.message))
