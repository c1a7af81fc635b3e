"""One child: jobs go in, what it writes and answers comes out, and its end comes from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.cpython import protocol
from ostiary.sandbox.cpython.waiting import readable
from ostiary.sandbox.cpython.zygote import Lines
from ostiary.sandbox.isolation.group import Group
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Fault
from ostiary.sandbox.runner import Ended, Job, Tap

_PIECE: Final = 1 << 16
_LAST_WORDS: Final = 1 << 20
"""At most so many bytes are read of a stream after the end: more than a pipe holds."""

_ADDRESSES: Final = 128 << 20
"""Beyond its memory, of a process that no cgroup bounds: what an interpreter maps and never touches."""

_OPEN_FILES: Final = 256
"""Of a process that no cgroup bounds."""

_LOOK_S: Final = 0.25
_END_S: Final = 10.0
_LEAVE_S: Final = 2.0
"""How long a worker may take to end that said it would."""


class Child(NamedTuple):
    """A child that is ready: its lines, its init as the host numbers it, and what bounds it.

    Where `group` is None no cgroup bounds it: its own resource limits have to. `folder` is where it
    works when it has no walls.
    """

    lines: Lines
    pid: int
    pidfd: int
    walled: bool
    group: Group | None
    folder: str = ""

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
        self._end_watch: Callable[[], object] = lambda: None
        self._closing: asyncio.Future[None] | None = None

    # --- one job ----------------------------------------------------------------------------------

    async def run(self, job: Job, tap: Tap) -> Ended:
        """Run one job. Cancelling this kills the worker. Everything written comes before it returns."""
        sent = self._message(job)
        turn = Turn(self._child.lines, protocol.Reader(self._limits.artifact_bytes), tap)
        group = self._child.group
        before = (group.oom_kills(), group.cpu_ms()) if group is not None else (0, None)
        self._watch_cpu()
        try:
            turn.begin(sent)
            message = await turn.over
            answer = None if message is None else self._answer(*message)
        except protocol.BrokenError as error:
            self.kill()
            await self._gone(turn)
            return Ended(how="lost", fault=Fault("worker", "BrokenAnswer", f"the worker sent {error}"))
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
            return self._returned(answer, before)
        await self._gone(turn)
        return self._ended(answer, before)

    def _message(self, job: Job) -> bytes:
        """What the child is sent. Raises CallerFault."""
        for one in job.files:
            if not protocol.is_clean(one.name):
                raise CallerFault(f"file name `{one.name[:80]}` is no relative path without `..`")
        return protocol.job_message(job, self._limits, self._resource_limits())

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

    def _returned(self, answer: protocol.Answer, before: tuple[int, float | None]) -> Ended:
        notes = protocol.notes_of(answer)
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


class Turn:
    """The traffic of one job, by callbacks of the loop. `over` is the answer, or None at the worker's end.

    A pipe is read as long as the loop gets round to it: a worker that writes faster than that waits.
    """

    def __init__(self, lines: Lines, reader: protocol.Reader, tap: Tap) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines = lines
        self._reader = reader
        self._unsent = memoryview(b"")
        self._streams = {lines.stdout: tap.stdout, lines.stderr: tap.stderr}
        self.over: asyncio.Future[tuple[bytes, bytes] | None] = self._loop.create_future()

    def begin(self, job: bytes) -> None:
        """Send the job and read from now on."""
        for stream in self._streams:
            self._loop.add_reader(stream, self._write, stream)
        self._loop.add_reader(self._lines.channel.fileno(), self._hear)
        self._loop.add_reader(self._lines.status.fileno(), self._ended)
        self._unsent = memoryview(job)
        self._send()

    def end(self) -> None:
        """Read no more."""
        for descriptor in (*self._streams, self._lines.channel.fileno(), self._lines.status.fileno()):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._lines.channel.fileno())

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._lines.channel.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended; the other lines say how
            self._unsent = memoryview(b"")
        if self._unsent:
            self._loop.add_writer(self._lines.channel.fileno(), self._send)
        else:
            self._loop.remove_writer(self._lines.channel.fileno())

    def _write(self, stream: int) -> None:
        data = _read(stream)
        if data:
            self._streams[stream](data)
        elif data is not None:
            self._loop.remove_reader(stream)

    def _hear(self) -> None:
        try:
            data = self._lines.channel.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # closed: its end is told by the status line
            self._loop.remove_reader(self._lines.channel.fileno())
            return
        try:
            message = self._reader.feed(data)
        except protocol.BrokenError as error:
            self._finish(error)
            return
        if message is not None:
            self._finish(message)

    def _ended(self) -> None:
        self._loop.remove_reader(self._lines.status.fileno())
        self._finish(None)

    def _finish(self, told: tuple[bytes, bytes] | protocol.BrokenError | None) -> None:
        if self.over.done():
            return
        if isinstance(told, protocol.BrokenError):
            self.over.set_exception(told)
        else:
            self.over.set_result(told)

    def drain(self) -> None:
        """Take what is still in the pipes, at most `_LAST_WORDS` of each."""
        for stream, take in self._streams.items():
            left = _LAST_WORDS
            while left > 0 and (data := _read(stream)):
                take(data)
                left -= len(data)


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


def _read(descriptor: int) -> bytes | None:
    """What can be read now; None for nothing yet, empty at the end."""
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None
