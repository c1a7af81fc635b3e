"""One child: jobs go in, what it writes and answers comes out, and its end comes from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.cpython import calling, protocol
from ostiary.sandbox.cpython.turn import Turn
from ostiary.sandbox.cpython.waiting import readable
from ostiary.sandbox.cpython.zygote import Lines
from ostiary.sandbox.inner import MAX_RESULT, InnerCalls, TooManyCalls
from ostiary.sandbox.isolation.group import Group
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Fault
from ostiary.sandbox.runner import Ended, Job, Tap

_ADDRESSES: Final = 128 << 20
"""Beyond its memory, of a process that no cgroup bounds: what an interpreter maps and never touches."""

_OPEN_FILES: Final = 256
"""Of a process that no cgroup bounds."""

_CALL: Final = MAX_RESULT
"""Bytes of the arguments of a tool at most."""

_LOOK_S: Final = 0.25
_END_S: Final = 10.0
_LEAVE_S: Final = 2.0
"""How long a worker may take to end that said it would."""


class Child(NamedTuple):
    """A child that is ready: its lines, its init as the host numbers it, and what bounds it.

    Where `group` is None no cgroup bounds it: its own resource limits have to. `folder` is where it
    works when it has no walls. `listener` is what its code can connect to, if it has a way out.
    """

    lines: Lines
    pid: int
    pidfd: int
    walled: bool
    group: Group | None
    folder: str = ""
    listener: socket.socket | None = None

    def kill(self) -> None:
        """SIGKILL for all of it."""
        with contextlib.suppress(ProcessLookupError):
            if self.walled:  # the first process of its namespace: everything goes with it
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            else:
                self._kill_tree()

    def _kill_tree(self) -> None:
        """Without a namespace: its init ends the rest, once the process of the code has ended."""
        try:
            listing = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
            children = [int(pid) for pid in listing.split()]
        except OSError:
            children = []
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not children:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


class CPythonWorker:
    """A `Worker`: for one job, or for those of a session. `freed` is awaited when nothing of it is left."""

    def __init__(self, child: Child, limits: Limits, freed: Callable[[], Awaitable[None]]) -> None:
        self._child = child
        self._limits = limits
        self._freed = freed
        self._killed = False
        self._over_cpu = False
        self._stayed = False
        self._inner = InnerCalls(None, 0)
        self._numbers = calling.Numbers()
        self._end_watch: Callable[[], object] = lambda: None
        self._closing: asyncio.Future[None] | None = None

    # --- one job ----------------------------------------------------------------------------------

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run one job. Cancelling this kills the worker. Everything written comes before it returns."""
        listener = self._child.listener
        outward = job.secrecy.outward if job.secrecy is not None else None
        if outward is None or listener is None:
            return await self._run(job, tap)
        async with outward(listener):
            return await self._run(job, tap)

    async def _run(self, job: Job, tap: Tap) -> Ended:
        sent = self._message(job)
        self._inner = InnerCalls(job.tools, self._limits.inner_calls)
        most = self._limits.artifact_bytes if job.tools is None else max(_CALL, self._limits.artifact_bytes)
        turn = Turn(self._child.lines, protocol.Reader(most), tap)
        group = self._child.group
        before = (group.oom_kills(), group.cpu_ms()) if group is not None else (0, None)
        self._watch_cpu()
        try:
            turn.begin(sent)
            message = await self._heard(turn)
            answer = None if message is None else self._answer(*message)
        except protocol.BrokenError as error:
            self.kill()
            await self._gone(turn)
            return self._with_calls(
                Ended(how="lost", fault=Fault("worker", "BrokenAnswer", f"the worker sent {error}"))
            )
        except TooManyCalls as error:
            self.kill()
            await self._gone(turn)
            return self._with_calls(Ended(how="lost", fault=error.fault()))
        except BaseException:
            self.kill()
            turn.drain()
            raise
        finally:
            self._end_watch()
            turn.end()
        if answer is not None and not answer.leaving:
            turn.drain()
            self._watch_cpu()  # in a session processes go on between its runs, for as much time again
            return self._with_calls(self._returned(answer, before, job))
        await self._gone(turn)
        return self._with_calls(self._ended(answer, before))

    async def _heard(self, turn: Turn) -> tuple[bytes, bytes] | None:
        """What the child answers at last, None at its end; its calls of tools until then are made."""
        while (message := await turn.over) is not None:
            call = self._numbers.read(*message)
            if call is None:
                break
            answer = await calling.answered(self._inner, call, turn.on_end)
            turn.again(answer or b"")
        return message

    def _with_calls(self, ended: Ended) -> Ended:
        calls = tuple(self._inner.ended)
        return msgspec.structs.replace(ended, tool_calls=calls) if calls else ended

    def _message(self, job: Job) -> bytes:
        """What the child is sent. Raises CallerFault."""
        for one in job.files:
            if not protocol.is_clean(one.name):
                raise CallerFault(f"file name `{one.name[:80]}` is no relative path without `..`")
        return protocol.job_message(job, self._limits, self._resource_limits(), calling.described(job))

    def _answer(self, text: bytes, body: bytes) -> protocol.Answer:
        """What it answers. Raises BrokenError."""
        return protocol.answer(text, body, self._limits)

    def _resource_limits(self) -> dict[str, int]:
        limits = self._limits
        bounds = {"CORE": 0, "FSIZE": limits.file_bytes, "CPU": -(-limits.cpu_ms // 1000)}
        if self._child.group is None:
            bounds["AS"] = limits.memory + _ADDRESSES
            if self._child.walled:  # threads count, and each socket holds memory of the kernel's
                bounds |= {"NPROC": limits.processes, "NOFILE": _OPEN_FILES}
        return bounds

    def _cpu_now(self) -> float | None:
        """Milliseconds of CPU that its processes have used; None where nobody bounds them."""
        if self._child.group is not None:
            return self._child.group.cpu_ms()
        return _cpu_of(self._child.pid) if self._child.walled else None

    def _watch_cpu(self) -> None:
        """From now on kill when all processes together used too much CPU; in place of an earlier watch."""
        self._end_watch()
        before, loop = self._cpu_now(), asyncio.get_running_loop()
        if before is None:
            return
        timer: list[asyncio.TimerHandle] = []

        def look() -> None:
            if (self._cpu_now() or 0.0) - before > self._limits.cpu_ms:
                self._over_cpu = True
                self.kill()
            else:
                timer[:] = [loop.call_later(_LOOK_S, look)]

        def end() -> None:
            timer[0].cancel()

        timer.append(loop.call_later(_LOOK_S, look))
        self._end_watch = end

    def _returned(self, answer: protocol.Answer, before: tuple[int, float | None], job: Job) -> Ended:
        notes = protocol.notes_of(answer)
        outputs = {name: answer.outputs[name] for name in job.outputs if name in answer.outputs}
        if answer.fault is None:
            lost = (name for name in job.outputs if name not in outputs)
            notes += tuple(f"the output `{name}` was not set, is not JSON, or is too large" for name in lost)
        if self._oom(before[0]):
            notes += ("a process that the code started was ended: it needed too much memory",)
        return Ended(
            how="returned",
            value=answer.value,
            fault=answer.fault,
            artifacts=answer.artifacts,
            cpu_ms=self._cpu(before[1], answer.cpu_ms),
            max_rss_kb=answer.max_rss_kb,
            notes=notes,
            outputs=outputs,
        )

    def _ended(self, answer: protocol.Answer | None, before: tuple[int, float | None]) -> Ended:
        """The process of the code ended; how is what its init said, or what is known of its init."""
        ended = Ended(
            how="signalled" if self._killed else "lost",
            signal=signal.SIGKILL if self._killed else None,
            artifacts=() if answer is None else answer.artifacts,
            notes=protocol.notes_of(answer),
        )
        if self._stayed:
            told = Fault("worker", "BrokenAnswer", "the worker said that it was leaving, and stayed")
            ended = msgspec.structs.replace(ended, how="lost", signal=None, fault=told)
        cpu_ms: float | None = None
        word = None if self._stayed else self._last_word()  # a killed one may say it or not
        if word is not None:
            status, microseconds, memory = word
            cpu_ms = microseconds / 1000
            ended = msgspec.structs.replace(ended, max_rss_kb=memory, how="exited", signal=None)
            if os.WIFSIGNALED(status):
                ended = msgspec.structs.replace(ended, how="signalled", signal=os.WTERMSIG(status))
            else:
                ended = msgspec.structs.replace(ended, exit_code=os.WEXITSTATUS(status))
        if self._over_cpu:
            ended = msgspec.structs.replace(ended, how="signalled", signal=int(signal.SIGXCPU))
        elif ended.signal in {signal.SIGKILL, None} and ended.how != "exited" and self._oom(before[0]):
            ended = msgspec.structs.replace(ended, how="oom", signal=None)
        return msgspec.structs.replace(ended, cpu_ms=self._cpu(before[1], cpu_ms))

    def _last_word(self) -> tuple[int, int, int] | None:
        """What its init said at the end; None if it could not say it any more."""
        try:
            word = self._child.lines.status.recv(64)
        except OSError:
            return None
        return protocol.ENDED.unpack(word) if len(word) == protocol.ENDED.size else None

    def _oom(self, before: int) -> bool:
        group = self._child.group
        return group is not None and group.oom_kills() > before

    def _cpu(self, before: float | None, told: float | None) -> float | None:
        group = self._child.group
        now = group.cpu_ms() if group is not None else None
        return told if now is None or before is None else round(now - before, 3)

    # --- its end ----------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL for it and all that it started, from outside. Idempotent; does not wait."""
        if self._closing is None:
            self._killed = True
            self._child.kill()

    async def _gone(self, turn: Turn) -> None:
        """Wait until its init is gone, and with it all; keep what was written and said until then."""
        try:
            async with asyncio.timeout(_LEAVE_S):
                await readable(self._child.pidfd)
        except TimeoutError:  # it said that it ends, and does not
            self._stayed = not self._killed
            self.kill()
            async with asyncio.timeout(_END_S):
                await readable(self._child.pidfd)
        turn.drain()

    async def close(self) -> None:
        """Kill, wait until nothing of it is left, release everything."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self.kill()
        self._end_watch()
        self._closing = asyncio.get_running_loop().create_future()
        try:
            await self._freed()
        finally:
            self._closing.set_result(None)


def _cpu_of(init: int) -> float | None:
    """Milliseconds that the process of the code has used: its limit is one that it can raise."""
    used = 0
    try:
        for pid in Path(f"/proc/{init}/task/{init}/children").read_text("ascii").split():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
    except OSError:  # it is ending
        return None
    return used * 1000 / os.sysconf("SC_CLK_TCK")
