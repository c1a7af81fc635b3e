"""One command in a container: started, its streams taken apart, its exit code."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, NamedTuple

import msgspec

from ostiary.sandbox.containers.api import Json
from ostiary.sandbox.containers.client import READ, Client, Refused, Upgraded
from ostiary.sandbox.containers.faults import EngineFault, NotRunning, UnknownContainer
from ostiary.sandbox.containers.wire import Frames
from ostiary.sandbox.runner import Tap

_NOT_FOUND, _CONFLICT = 404, 409
_CANNOT_RUN: Final = 126
_NOT_THERE: Final = 127
_HELD: Final = 8 << 10
_COMPLAINTS: Final = (b"OCI runtime", b"unable to find ", b"Error: ", b"failed to ", b"cannot exec")
"""How an engine's words begin that could not start a program: it sends them as if the program had."""
_MISSING: Final = ("executable file not found", "no such file or directory", "that was not found")
_SHORT_S: Final = 1.0
_PAUSES_S: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run. Empty `workdir` and `user` are the container's own."""

    container: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    stdin: bool = False
    detach: bool = False


class State(NamedTuple):
    """Whether it runs, its exit code, and its process on the engine's machine (0: unknown)."""

    running: bool
    code: int | None
    pid: int


class Exec:
    """A program in a container, from its start to its exit code."""

    def __init__(self, client: Client, program: Program) -> None:
        self._client = client
        self.program = program
        self.id = ""
        self.stream: Upgraded | None = None

    async def start(self) -> None:
        """Start it. Raises UnknownContainer, NotRunning, EngineFault, Refused (the program, in words)."""
        one = self.program
        wanted: Json = {
            "AttachStdin": one.stdin,
            "AttachStdout": not one.detach,
            "AttachStderr": not one.detach,
            "Tty": False,
            "Cmd": list(one.argv),
            "Env": list(one.env),
            "WorkingDir": one.workdir,
            "User": one.user,
        }
        try:
            made = await self._client.ask("POST", f"/containers/{one.container}/exec", wanted)
        except Refused as refusal:
            raise of_container(refusal) from refusal
        self.id = str(made["Id"])
        path, body = f"/exec/{self.id}/start", {"Detach": one.detach, "Tty": False}
        if one.detach:
            await self._client.ask("POST", path, body)
        else:
            self.stream = await self._client.upgrade(path, body)

    async def feed(self, data: bytes) -> None:
        """Write all that it can read from its stdin, and end that. Quiet when nobody reads there any more."""
        if self.stream is None:
            return
        writer = self.stream.writer
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    async def pump(self, tap: Tap) -> None:
        """Pass on what it writes until its streams end. Raises ValueError, OSError (the engine failed)."""
        if self.stream is None:
            return
        frames = Frames()
        while data := await self.stream.reader.read(READ):
            for stream, piece in frames.feed(data):
                (tap.stdout if stream == 1 else tap.stderr)(piece)

    async def state(self) -> State:
        """Where it stands. Raises Refused (it is gone, with its container), EngineFault."""
        found = await self._client.ask("GET", f"/exec/{self.id}/json")
        code = found.get("ExitCode")
        return State(
            bool(found.get("Running")), None if code is None else int(code), int(found.get("Pid") or 0)
        )

    async def ended(self) -> State:
        """Wait until it has ended: engines say so a little after its streams have. Raises as `state`."""
        pauses = iter(_PAUSES_S)
        while True:
            state = await self.state()
            if not state.running and state.code is not None:
                return state
            await asyncio.sleep(next(pauses, _PAUSES_S[-1]))

    async def gone(self) -> None:
        """Wait until the container has ended, or its engine: the streams may stay open then."""
        await asyncio.sleep(_SHORT_S)  # most commands have ended by then, and cost the engine nothing more
        with contextlib.suppress(Refused, EngineFault):
            await self._client.ask("POST", f"/containers/{self.program.container}/wait", endless=True)

    async def close(self) -> None:
        """Let go of its streams."""
        if self.stream is not None:
            await self.stream.close()


class Doubt:
    """A `Tap` that holds back what may be the engine's own complaint until it is known whose it is."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._held: list[tuple[bool, bytes]] = []
        self._size = 0
        self._doubting = True

    def stdout(self, data: bytes) -> None:
        self._take(data, out=True)

    def stderr(self, data: bytes) -> None:
        self._take(data, out=False)

    def _take(self, data: bytes, *, out: bool) -> None:
        self._held.append((out, data))
        self._size += len(data)
        begins = self._size == len(data)
        if not self._doubting or self._size > _HELD or (begins and not data.startswith(_COMPLAINTS)):
            self._release()

    def _release(self) -> None:
        self._doubting = False
        held, self._held = self._held, []
        for out, data in held:
            (self._tap.stdout if out else self._tap.stderr)(data)

    def settle(self, state: State, *, pids_last: bool) -> int:
        """The exit code, once it has ended. A complaint of the engine goes to stderr, with a shell's code.

        `pids_last` says that the engine still names the process of a program that has ended: then one
        without a process was never started.
        """
        code = state.code or 0
        text = b"".join(data for _, data in self._held).decode("utf-8", "replace")
        never = self._doubting and text and code >= _CANNOT_RUN - 1 and not (pids_last and state.pid)
        if not never:
            self._release()
            return code
        self._held.clear()
        self._tap.stderr(text.replace("\r\n", "\n").encode())
        return code_of(text)


def code_of(complaint: str) -> int:
    """The exit code that a shell gives to a program that could not be started, from the engine's words."""
    missing = any(words in complaint for words in _MISSING) and "chdir" not in complaint
    return _NOT_THERE if missing else _CANNOT_RUN


def of_container(refusal: Refused) -> Exception:
    """What it means that nothing can be started in a container."""
    if refusal.status == _NOT_FOUND:
        return UnknownContainer("the container is gone")
    if refusal.status == _CONFLICT or "not running" in refusal.message:
        return NotRunning("the container is not running")
    return EngineFault(f"the engine refuses: {refusal.message}")


class Said:
    """A `Tap` that keeps the first bytes of each stream."""

    def __init__(self, most: int = 64 << 10) -> None:
        self._most = most
        self.out, self.err = bytearray(), bytearray()

    def stdout(self, data: bytes) -> None:
        self.out += data[: self._most - len(self.out)]

    def stderr(self, data: bytes) -> None:
        self.err += data[: self._most - len(self.err)]


async def execute(client: Client, program: Program, tap: Tap, *, stdin: bytes = b"") -> int:
    """Run one of our own programs to its end; its exit code. Raises as `Exec.start`, ValueError, OSError."""
    one = Exec(client, program)
    kind, _, _ = await client.described()
    doubt = Doubt(tap)
    feeding: asyncio.Task[None] | None = None
    try:
        await one.start()
        if program.stdin:  # beside its output: a program may end without having read all
            feeding = asyncio.get_running_loop().create_task(one.feed(stdin))
        await one.pump(doubt)
        return doubt.settle(await one.ended(), pids_last=kind == "docker")
    finally:
        if feeding is not None:
            feeding.cancel()
            await asyncio.wait({feeding})
        await one.close()
