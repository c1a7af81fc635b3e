"""The couriers in containers, as the host sees them: scripts go in, what they write comes out."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import tarfile
from collections.abc import Callable
from typing import Final

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.execs import Exec, Program
from ostiary.sandbox.containers.faults import EngineFault
from ostiary.sandbox.containers.killing import Killer, new_mark
from ostiary.sandbox.containers.programs import program
from ostiary.sandbox.record import Fault
from ostiary.sandbox.runner import Ended, Job, Tap

_HEAD: Final = struct.Struct(">cII")
_REPORT: Final = struct.Struct(">iiiqq")
_LOST, _ENDED, _UNSETTLED = 0, 1, 2
_PIECE: Final = 32_768
_MOST: Final = 32 << 20
"""Bytes of one script with its files and its stdin."""
_WORDS: Final = 4_096
_READY_S: Final = 15
"""Python starts in 0.1 s; under gVisor on a busy machine it takes a second."""
_STOP_S: Final = 4
_LAST_S: Final = 0.5
_PYTHONS: Final = ("python3", "python")


class Frames:
    """Takes what a courier says apart. The container is nobody's friend: what is not expected is refused."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, int, bytes]]:
        """The kind, the run and the content of each frame that is whole. Raises ValueError."""
        self._held += data
        found: list[tuple[bytes, int, bytes]] = []
        while len(self._held) >= _HEAD.size:
            kind, number, size = _HEAD.unpack_from(self._held)
            if kind not in (b"H", b"O", b"E", b"X") or size > _PIECE:
                raise ValueError("what came from the container is no frame")
            if kind == b"X" and size != _REPORT.size:
                raise ValueError("what came from the container is no report")
            if len(self._held) < _HEAD.size + size:
                break
            found.append((kind, number, bytes(self._held[_HEAD.size : _HEAD.size + size])))
            del self._held[: _HEAD.size + size]
        return found


class Sent:
    """A script that is under way."""

    def __init__(self, number: int, tap: Tap) -> None:
        self.number = number
        self.tap = tap
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def finish(self, ended: Ended) -> None:
        """The first word counts."""
        if not self.ended.done():
            self.ended.set_result(ended)


class NoPython(CallerFault):
    """There is no Python in the container."""


class Courier:
    """One process in a container that runs scripts for one user of it.

    `on_end` is called when it is gone: the next script needs another one.
    """

    def __init__(
        self,
        client: Client,
        killer: Killer,
        container: str,
        user: str,
        *,
        ours: bool,
        on_end: Callable[[], object],
    ) -> None:
        self._client = client
        self._killer = killer
        self.container = container
        self._user = user
        self._ours = ours
        self._on_end = on_end
        self._mark = new_mark()
        self._exec: Exec | None = None
        self._sent: dict[int, Sent] = {}
        self._last = 0
        self._words = bytearray()
        self._pump: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frames = Frames()
        self._why = ""
        self.version = ""
        self.gone = False

    @property
    def idle(self) -> bool:
        """Whether no script is under way."""
        return not self._sent

    async def start(self) -> None:
        """Start it. Raises NoPython, UnknownContainer, NotRunning, EngineFault."""
        for python in _PYTHONS:
            if await self._begin(python):
                return
        raise NoPython(
            "there is no Python in the container: neither `python3` nor `python`",
            hint="take an image that has it, such as `python:3-slim`, or run a command",
        )

    async def _begin(self, python: str) -> bool:
        """Whether there is such a Python."""
        argv = (python, "-c", program("courier"), self._mark)
        one = Exec(self._client, Program(container=self.container, argv=argv, user=self._user, stdin=True))
        self._exec = one
        self._words.clear()
        try:
            await one.start()
        except Refused as refusal:
            await one.close()
            raise EngineFault(f"the engine refuses: {refusal.message}") from refusal
        self._pump = asyncio.get_running_loop().create_task(self._serve(one))  # ended in `close`
        try:
            async with asyncio.timeout(_READY_S):
                await asyncio.wait({self._pump, self._ready}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            await self.close()
            raise EngineFault(f"Python in the container was not ready within {_READY_S} s") from None
        except asyncio.CancelledError:
            await self.close()
            raise
        if self._ready.done():
            return True
        state = await one.ended()
        words = self._words.decode("utf-8", "replace").strip()
        await one.close()
        if state.code in (126, 127) and ("not found" in words or "no such file" in words):
            return False
        raise CallerFault(f"Python in the container did not start: {words or f'exit code {state.code}'}")

    async def run(self, job: Job, mark: str, tap: Tap, stopped: asyncio.Event) -> Ended:
        """Run a script to its end; when `stopped` is set it is ended. Raises CallerFault (too large)."""
        payload = pack(job, mark)
        self._last += 1
        sent = self._sent[self._last] = Sent(self._last, tap)
        stopping = asyncio.get_running_loop().create_task(self._stop(sent, stopped))  # ended below
        try:
            await self._say(b"R", sent.number, payload)
            return await asyncio.shield(sent.ended)
        finally:
            stopping.cancel()
            await asyncio.wait({stopping})
            self._sent.pop(sent.number, None)

    async def _stop(self, sent: Sent, stopped: asyncio.Event) -> None:
        await stopped.wait()
        self._write(b"K", sent.number, b"")  # whether it is read or not: who reads nothing is ended below
        _, unfinished = await asyncio.wait({sent.ended}, timeout=_STOP_S)
        if unfinished:  # it does not answer: it goes, and all that it runs with it
            self._go("the process in the container that runs scripts did not answer, and was ended")

    async def _say(self, kind: bytes, number: int, payload: bytes) -> None:
        """Write, and wait until most of it has been read. That ends when the courier is closed, too."""
        writer = self._write(kind, number, payload)
        if writer is not None:
            with contextlib.suppress(OSError):  # its end is seen where it is read
                await writer.drain()

    def _write(self, kind: bytes, number: int, payload: bytes) -> asyncio.StreamWriter | None:
        if self._exec is None or self._exec.stream is None or self.gone:
            self._lose(self._why or "the process in the container that runs scripts is gone")
            return None
        writer = self._exec.stream.writer
        writer.write(_HEAD.pack(kind, number, len(payload)) + payload)
        return writer

    async def _serve(self, one: Exec) -> None:
        """Until its streams end; then every script that is under way is lost."""
        why = "the container, the engine or the process in it that runs scripts went away"
        leaving = asyncio.get_running_loop().create_task(self._leave(one))  # ended below
        try:
            await one.pump(self)
        except ValueError as error:
            why = f"{error}: what ran there was ended"
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            leaving.cancel()
            await asyncio.wait({leaving})
        if self._ready.done():
            self._go(why)

    def _go(self, why: str) -> None:
        """Have it closed by its owner; what it runs is over only then, when nothing of it is left."""
        self._why = self._why or why
        self.gone = True
        self._on_end()

    @staticmethod
    async def _leave(one: Exec) -> None:
        """Close the streams of a container that has ended, should its engine not do so."""
        await one.gone()
        await asyncio.sleep(_LAST_S)
        await one.close()

    def stdout(self, data: bytes) -> None:
        """What the courier says. Raises ValueError."""
        if not self._ready.done() and not data.startswith(b"H"):
            self._words += data[: _WORDS - len(self._words)]  # an engine's complaint
            return
        for kind, number, content in self._frames.feed(data):
            if kind == b"H":
                self.version = content.decode("ascii", "replace")[:32]
                if not self._ready.done():
                    self._ready.set_result(None)
                continue
            sent = self._sent.get(number)
            if sent is None:
                continue  # it was given up
            if kind == b"X":
                sent.finish(_ended(content))
            elif not sent.ended.done():
                (sent.tap.stdout if kind == b"O" else sent.tap.stderr)(content)

    def stderr(self, data: bytes) -> None:
        """What the courier itself complains of."""
        self._words += data[: _WORDS - len(self._words)]

    def _lose(self, why: str, *notes: str) -> None:
        fault = Fault("worker", "ContainerLost", why)
        for sent in tuple(self._sent.values()):
            sent.finish(Ended(how="lost", fault=fault, notes=notes))

    async def close(self) -> None:
        """End it and all that it runs, and wait until nothing of it is left."""
        self.gone = True
        one, self._exec = self._exec, None
        if one is None:
            return
        note = ""
        running = self._ready.done()
        orderly = self._pump is not None and not self._pump.done()
        if orderly and one.stream is not None and one.stream.writer.can_write_eof():
            with contextlib.suppress(OSError):
                one.stream.writer.write_eof()  # it ends by itself, and takes its folder away
        if self._pump is not None:
            _, unfinished = await asyncio.wait({self._pump}, timeout=_STOP_S)
            orderly = orderly and not unfinished
            running = running or bool(unfinished)  # it was never ready, and does not end
        if running and not orderly:
            note = await self._killer.end(self.container, self._mark, self._user, ours=self._ours)
            await self._killer.tidy(self.container, self._mark, self._user)
        await one.close()
        if self._pump is not None:
            await asyncio.wait({self._pump})
        self._lose(self._why or "the server is stopping", *([note] if note else []))
        self._on_end()


def pack(job: Job, mark: str) -> bytes:
    """A script as it travels: texts with NUL between them, then a tar of its files.

    Raises CallerFault: too large, or a name of a file that a tar of this form cannot hold.
    """
    command = job.command
    texts = (
        [mark, command.workdir, str(len(command.argv)), *command.argv, *command.env]
        if command
        else [mark, "", "0"]
    )
    head = "\0".join(texts).encode("utf-8", "surrogateescape")
    files = [("work/script.py", job.code.encode("utf-8", "surrogateescape"))]
    files += [(f"work/{one.name}", one.content) for one in job.files]
    if job.stdin:
        files.append(("stdin", job.stdin))
    if sum(len(content) for _, content in files) > _MOST:
        raise CallerFault(f"the script and its files are more than {_MOST >> 20} MB")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            try:
                archive.addfile(entry, io.BytesIO(content))
            except ValueError:
                raise CallerFault(f"the name of a file is too long: {name[:80]!r}") from None
    return len(head).to_bytes(4, "big") + head + packed.getvalue()


def _ended(report: bytes) -> Ended:
    outcome, code, left, cpu_ms, memory_kb = _REPORT.unpack(report)
    notes = (f"{left} processes of the script could not be ended",) if left > 0 else ()
    if outcome == _UNSETTLED:
        text = "the script could not be put in place: its folder in the container is full or gone"
        return Ended(how="lost", fault=Fault("worker", "NoRoom", text), notes=notes)
    if outcome != _ENDED:
        return Ended(how="lost", notes=notes)
    used = (float(cpu_ms) if cpu_ms >= 0 else None, memory_kb if memory_kb >= 0 else None)
    if code < 0:
        return Ended(how="signalled", signal=-code, cpu_ms=used[0], max_rss_kb=used[1], notes=notes)
    return Ended(how="exited", exit_code=code & 0xFF, cpu_ms=used[0], max_rss_kb=used[1], notes=notes)
