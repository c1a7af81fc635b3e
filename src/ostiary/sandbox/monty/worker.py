"""One interpreter: code goes in, calls of tools come out, its end comes from outside."""

from __future__ import annotations

import asyncio
import keyword
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec
import pydantic_monty as pm

from ostiary.errors import CallerFault
from ostiary.sandbox.inner import TOOL_ERROR, InnerCalls, NoSuchTool, TooManyCalls, told
from ostiary.sandbox.limits import MAX_WALL_MS, Limits
from ostiary.sandbox.monty import faults, values
from ostiary.sandbox.monty.process import MontyProcess
from ostiary.sandbox.monty.state import VERSION, State, packed, piece_of, unpacked
from ostiary.sandbox.record import Fault, Paused
from ostiary.sandbox.request import Resumption
from ostiary.sandbox.runner import Ended, Job, Tap
from ostiary.sandbox.toolbox import ToolFault, ToolHeld

_KILLED: Final = Ended(how="signalled", signal=int(signal.SIGKILL))
_AWAIT: Final = b"await"
_SLEEPS: Final = ("system.sleep", "system.async_sleep")
_BAD_CALL: Final = -32_602

T = TypeVar("T")

Take = Callable[[str], Awaitable[MontyProcess]]
"""A process for the code of an owner."""
Free = Callable[[MontyProcess], Awaitable[None]]


class _StoppedError(Exception):
    """The run ends here, and `how` says how."""

    def __init__(self, how: Ended) -> None:
        super().__init__(how.how)
        self.how = how


class MontyWorker:
    """A `Worker`: for one job, or for those of a session. `take` and `free` are its runner's.

    Its process is chosen when the first job comes, since only then it is known whose it is.
    """

    def __init__(self, limits: Limits, take: Take, free: Free) -> None:
        self._limits = limits
        self._take = take
        self._free = free
        self._process: MontyProcess | None = None
        self._session: Any = None
        self._killed = False
        self._closing: asyncio.Future[None] | None = None
        self._names: list[str] = []
        self._inner = InnerCalls(None, 0)
        self._source = b""
        self._waiting: asyncio.Timeout | None = None
        self._at: pm.AsyncFunctionSnapshot | None = None
        self._awaited: dict[int, Any] = {}
        self._due: dict[int, float] = {}

    # --- one job ----------------------------------------------------------------------------------

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run one job. Cancelling this kills the worker. Everything written comes before it returns."""
        for name in job.outputs:
            if not _is_name(name):
                raise CallerFault(f"`{name[:80]}` is no name of a variable, so it cannot be read back")
        printed = _Printed(tap)
        process = None
        try:
            process = await self._begin(job)
            ended = await self._run(job, printed)
        except _StoppedError as stopped:
            ended = stopped.how
        except BaseException:
            self.kill()
            raise
        finally:
            printed.drain()
        if ended.how != "returned":
            self.kill()
        used = process.cpu_used() if process is not None else None
        return msgspec.structs.replace(ended, cpu_ms=used, tool_calls=tuple(self._inner.ended))

    async def _begin(self, job: Job) -> MontyProcess:
        if self._process is None:
            self._process = await self._take(job.owner)
            self._session = self._process.checkout(self._limits)
            if self._killed:  # while there was none to kill
                self._process.kill()
                raise _StoppedError(_KILLED)
            await self._session.__aenter__()
        return self._process

    async def _run(self, job: Job, printed: _Printed) -> Ended:
        try:
            if job.resumes is None:
                at = await self._feed(job, printed)
            else:
                at = await self._go_on(job, printed)
            while not isinstance(at, pm.MontyComplete):
                at = await self._step(at)
            value = values.shown(at.output)
            outputs, notes = await self._read_back(job.outputs)
            return Ended(how="returned", value=value, outputs=outputs, notes=notes)
        except (pm.MontyRuntimeError, pm.MontySyntaxError) as error:
            return faults.ended(error, self._name_of)
        except pm.MontyCrashedError as error:
            return self._crashed(error)

    async def _feed(self, job: Job, printed: _Printed) -> pm.AsyncSnapshot:
        self._inner = InnerCalls(job.tools, self._limits.inner_calls)
        if job.tools is not None and TOOL_ERROR in job.code:  # a class from outside cannot be caught in there
            self._names.append("<tools>")
            await self._session.feed_run(f"{TOOL_ERROR} = RuntimeError")
        self._names.append(job.name)
        self._source = job.code.encode("utf-8", "replace")
        given: dict[str, Any] = msgspec.json.decode(job.context)
        inputs = {name: value for name, value in given.items() if _is_name(name)}
        return await self._session.feed_start(self._source.decode(), inputs=inputs, print_callback=printed)

    async def _go_on(self, job: Job, printed: _Printed) -> pm.AsyncSnapshot:
        resumption = job.resumes
        if resumption is None:
            raise CallerFault("there is nothing to go on with")
        state = unpacked(resumption.state)
        self._inner = InnerCalls(job.tools, self._limits.inner_calls, state.calls)
        self._source = job.code.encode("utf-8", "replace")
        try:
            at = await self._session.load_snapshot(state.dump, print_callback=printed)
        except pm.MontyRuntimeError as error:
            raise CallerFault("the paused run does not read", hint="run its code again") from error
        if not isinstance(at, pm.AsyncFunctionSnapshot):
            raise CallerFault("the paused run waits for no tool", hint="run its code again")
        self._names = [state.name] * (piece_of(at.position.filename) + 1)
        self._inner.ended.extend(resumption.calls)
        if resumption.again:
            self._inner.count -= 1  # it is counted when it is made
            return await self._call(at, again=True)
        self._inner.note(state.waits, resumption.error or "")
        if resumption.error is not None:
            return await self._answer(at, _raised(resumption.error, resumption.code), awaited=state.awaited)
        return await self._answer(at, {"return_value": resumption.result}, awaited=state.awaited)

    async def _step(self, at: Any) -> pm.AsyncSnapshot:
        """Answer what the code waits for; what it waits for next."""
        if isinstance(at, pm.AsyncNameLookupSnapshot):
            if at.object_id is None and self._inner.knows(at.variable_name):
                return await at.resume(value=_stand_in(at.variable_name))
            return await at.resume()
        if isinstance(at, pm.AsyncFutureSnapshot):
            return await at.resume(await self._ready(at.pending_call_ids))
        if at.is_os_function:
            return await self._of_the_system(at)
        return await self._call(at)

    async def _of_the_system(self, at: pm.AsyncFunctionSnapshot) -> pm.AsyncSnapshot:
        """Sleep is all that there is of a system."""
        if at.function_name not in _SLEEPS:
            return await at.resume_auto()
        seconds = min(max(float(at.args[0]), 0.0), MAX_WALL_MS / 1000)
        if at.function_name == _SLEEPS[0]:
            await self._unless_killed(asyncio.sleep(seconds))
            return await at.resume({"return_value": None})
        self._due[at.call_id] = asyncio.get_running_loop().time() + seconds
        return await at.resume({"future": ...})

    async def _ready(self, waiting: list[int]) -> dict[int, Any]:
        """The answers of what is awaited: those that are there, else the next sleep that is over."""
        ready = {one: self._awaited.pop(one) for one in waiting if one in self._awaited}
        due = [(self._due[one], one) for one in waiting if one in self._due]
        if ready or not due:
            return ready
        when, first = min(due)
        await self._unless_killed(asyncio.sleep(when - asyncio.get_running_loop().time()))
        del self._due[first]
        return {first: {"return_value": None}}

    async def _call(self, at: pm.AsyncFunctionSnapshot, *, again: bool = False) -> pm.AsyncSnapshot:
        """Make a call. One that was made before and is `again` may be of a tool that is no longer there."""
        name, positional, named = str(at.function_name), at.args, at.kwargs
        awaited = self._is_awaited(at)
        if values.size([positional, named]) is None:
            text = f"the arguments of {name} have more than {values.MAX_JSON} characters, or lie too deep"
            return await self._answer(at, _raised(text, _BAD_CALL), awaited=awaited)
        if self._inner.knows(name) and values.as_json([positional, named]) is None:
            text = f"the arguments of {name} are not JSON"
            return await self._answer(at, _raised(text, _BAD_CALL), awaited=awaited)
        try:
            result = await self._asked(at, name, positional, named)
        except NoSuchTool as error:
            if again:
                return await self._answer(at, _raised(str(error), _BAD_CALL), awaited=awaited)
            return await at.resume({"exc_type": "NameError", "message": str(error)})
        except ToolFault as fault:
            return await self._answer(at, _raised(fault.message, fault.code), awaited=awaited)
        except ToolHeld as held:
            raise _StoppedError(self._paused(at, held)) from held
        except TooManyCalls as error:
            raise _StoppedError(Ended(how="lost", fault=error.fault())) from error
        return await self._answer(at, {"return_value": result}, awaited=awaited)

    async def _asked(
        self, at: pm.AsyncFunctionSnapshot, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        """The result of a call, unless the worker is killed while it is made."""
        self._at = at
        try:
            return (await self._unless_killed(self._inner.call(name, positional, named))).value
        finally:
            self._at = None

    async def _unless_killed(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to; it is cancelled, and the run ends, when the worker is killed meanwhile."""
        if self._killed:
            work.close()
            raise _StoppedError(_KILLED)
        waiting = asyncio.timeout(None)
        try:
            async with waiting as self._waiting:
                return await work
        except TimeoutError as error:
            if not waiting.expired():
                raise
            raise _StoppedError(_KILLED) from error
        finally:
            self._waiting = None

    async def _answer(self, at: pm.AsyncFunctionSnapshot, answer: Any, *, awaited: bool) -> pm.AsyncSnapshot:
        """Go on with the answer, for an awaited call as something to await."""
        if not awaited:
            return await at.resume(answer)
        self._awaited[at.call_id] = answer
        return await at.resume({"future": ...})

    def _is_awaited(self, at: pm.AsyncFunctionSnapshot) -> bool:
        """Whether the code awaits this call on the spot: `await mcp_Time_now()` works as well."""
        here = at.position
        if here.filename != f"<python-input-{len(self._names) - 1}>":
            return False
        return self._source[: here.start].rstrip().endswith(_AWAIT)

    def _name_of(self, number: int) -> str:
        return self._names[number] if number < len(self._names) else "<code>"

    def _crashed(self, error: pm.MontyCrashedError) -> Ended:
        if self._killed:
            return _KILLED
        if self._process is not None and self._process.oom():
            return Ended(how="oom")
        return Ended(
            how="lost", fault=Fault("worker", "WorkerLost", f"the interpreter is gone: {error}"[:1000])
        )

    async def _read_back(self, names: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
        """The globals by these names as JSON, and why some are not there."""
        outputs: dict[str, str] = {}
        notes: list[str] = []
        room = values.MAX_JSON
        for name in names:
            at = await self._session.feed_start(name, skip_type_check=True)
            self._names.append("<outputs>")
            if not isinstance(at, pm.MontyComplete):
                notes.append(f"the output `{name}` was not set")
                try:
                    while not isinstance(at, pm.MontyComplete):
                        at = await at.resume()  # a NameError, and the interpreter is free again
                except pm.MontyRuntimeError:
                    continue
            text = values.as_json(at.output, room)
            if text is None:
                notes.append(f"the output `{name}` is not JSON, or too large")
            else:
                room -= len(text)
                outputs[name] = text
        return outputs, tuple(notes)

    # --- pauses -----------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """The run as bytes, while it waits for a call: `Resumption.state`, at most `MAX_STATE` of them.

        For whoever implements a toolbox and wants more than ToolHeld does. The bytes say what the
        interpreter does next: whoever keeps them outside this process puts an HMAC of its own on them,
        and goes on with none whose HMAC it has not checked. Raises CallerFault when nothing waits.
        """
        if self._at is None:
            raise CallerFault("the run cannot be paused: it waits for no call")
        return self._state(self._at)

    async def resume(self, state: bytes, answer: Any, job: Job, tap: Tap) -> Ended:
        """Go on from `dump` in a fresh worker, with `answer` as the result of the call it waited for.

        The same as `run` with a job that `resumes`, and what is said there of bytes from outside holds.
        """
        resumes = Resumption(state=state, result=answer)
        return await self.run(msgspec.structs.replace(job, resumes=resumes), tap)

    def _state(self, at: pm.AsyncFunctionSnapshot) -> bytes:
        waits, awaited = self._inner.latest, self._is_awaited(at)
        return packed(State(VERSION, self._inner.count, waits, self._names[-1], awaited, at.dump()))

    def _paused(self, at: pm.AsyncFunctionSnapshot, held: ToolHeld) -> Ended:
        try:
            state = self._state(at)
        except CallerFault as fault:
            return Ended(how="lost", fault=Fault("limit", "StateLimit", fault.message))
        paused = Paused(
            state=state,
            name=self._inner.latest,
            ticket=held.ticket,
            message=held.message,
            calls=self._inner.count,
        )
        return Ended(how="paused", paused=paused)

    # --- its end ----------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL for it, from outside, also while it waits for a tool. Idempotent; does not wait."""
        if self._closing is not None:
            return
        self._killed = True
        if self._process is not None:
            self._process.kill()
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """End the session, and its process unless that can serve its owner again."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = asyncio.get_running_loop().create_future()
        try:
            process, self._process = self._process, None
            if process is None:
                return
            process.leaving = asyncio.get_running_loop().create_future()
            try:
                await self._session.__aexit__(None, None, None)
            except (pm.MontyError, RuntimeError):
                process.broken = True
            freed, process.leaving = process.leaving, None
            try:
                await self._free(process)
            finally:
                freed.set_result(None)
        finally:
            self._closing.set_result(None)


class _Printed:
    """What the code prints: it comes on a thread of Monty's and is taken on the loop's."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[tuple[str, str]] = deque()

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        self._pieces.append((stream, text))
        self._loop.call_soon_threadsafe(self.drain)

    def drain(self) -> None:
        """Hand on what has come."""
        while self._pieces:
            stream, text = self._pieces.popleft()
            take = self._tap.stderr if stream == "stderr" else self._tap.stdout
            take(text.encode("utf-8", "backslashreplace"))


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _raised(message: str, code: int) -> Any:
    return {"exc_type": "RuntimeError", "message": told(message, code)}


def _stand_in(name: str) -> Callable[[], None]:
    """What a name stands for that is a tool: Monty calls by the name of it."""

    def function() -> None: ...

    function.__name__ = function.__qualname__ = name
    return function
