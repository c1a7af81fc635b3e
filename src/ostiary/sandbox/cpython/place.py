"""One cell with its warm interpreter, and the child that is kept ready in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import tempfile
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from ostiary.errors import GatewayFault
from ostiary.sandbox.cpython import protocol
from ostiary.sandbox.cpython.waiting import readable
from ostiary.sandbox.cpython.worker import Child
from ostiary.sandbox.cpython.zygote import DEPENDENCIES, Lines, Stock, Zygote
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.runner import Environment

_CREDENTIALS: Final = struct.Struct("3i")
_DESCRIPTOR: Final = struct.Struct("i")
_READY_S: Final = 20.0
_OWN_MEMORY: Final = 64 << 20
_OWN_PROCESSES: Final = 6
"""The first process of the box, the interpreter, an init, and those that get the next child ready."""

_REMOVE_TRIES: Final = 200
_REMOVE_PAUSE_S: Final = 0.01


class Place:
    """Room for one worker at a time. Blocking work is done on `keeper`, one thread that stays."""

    def __init__(self, zygote: Zygote, cell: Cell, keeper: Executor) -> None:
        self._stock: Stock = zygote.stock
        self._zygote = zygote
        self._keeper = keeper
        self._own_memory = 0
        self._bounds = (0, 0)
        self.cell = cell
        self.spare: asyncio.Task[Child] | None = None

    async def start(self) -> None:
        """Warm it up. Raises GatewayFault."""
        await asyncio.get_running_loop().run_in_executor(self._keeper, self._zygote.start)
        if self.cell.group is not None:  # what the interpreter itself takes is not the code's
            self._own_memory = self.cell.group.peak() or _OWN_MEMORY

    @property
    def alive(self) -> bool:
        """Whether its interpreter still runs."""
        return self._zygote.alive

    async def child(self, environment: Environment) -> Child:
        """A fresh child with these packages, ready for its job. Raises GatewayFault."""
        lines = self._zygote.child()
        folder = ""
        try:
            folder = "" if self._stock.walled else self._folder()
            async with asyncio.timeout(_READY_S):
                lines.channel.send(protocol.message(self._wanted(environment, folder)))
                await _ready(lines)
            pid, listener = _hello(lines, online=self._stock.online is not None)
            pidfd = os.pidfd_open(pid)
            return Child(lines, pid, pidfd, self._stock.walled, self.cell.group, folder, listener)
        except BaseException as error:
            lines.close()  # without them it ends by itself
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError | TimeoutError | protocol.BrokenError):
                raise GatewayFault(f"a worker could not be set up: {error}") from error
            raise

    def bound(self, limits: Limits) -> None:
        """Bound what runs here: for the worker that is handed out now. Raises GatewayFault.

        Children are not put into cgroups of their own: to move a process takes the kernel some 20 ms.
        """
        group = self.cell.group
        wanted = (limits.memory + self._own_memory, limits.processes + _OWN_PROCESSES)
        if group is not None and wanted != self._bounds:
            group.set(memory=wanted[0], processes=wanted[1])
            self._bounds = wanted

    def _wanted(self, environment: Environment, folder: str) -> dict[str, object]:
        package = environment.folder
        if not self._stock.walled:
            path = [] if package is None else [package]
            own = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), str(Path(folder, "tmp")))
            return {"work": f"{folder}/work", "path": path, "package": "", "environment": own}
        inside = "" if package is None else self._below_packages(package)
        path = [DEPENDENCIES] if inside else []
        wanted: dict[str, object] = {"work": "/work", "path": path, "package": inside, "environment": {}}
        online = self._stock.online
        return wanted if online is None else wanted | online._asdict()

    def _below_packages(self, folder: str) -> str:
        """Its path below the folder of all packages: the only ones that a child can be shown."""
        base = self._stock.packages
        if base is None or not Path(folder).is_relative_to(base) or ".." in Path(folder).parts:
            raise GatewayFault(f"packages at {folder} are not where this server keeps them")
        return str(Path(folder).relative_to(base))

    def _folder(self) -> str:
        """Where code without walls works: a folder of its own, taken away with it."""
        folder = tempfile.mkdtemp(prefix="ostiary-run-")
        for name in ("", "work", "tmp"):
            path = Path(folder, name)
            path.mkdir(mode=0o700, exist_ok=True)
            if self.cell.uid is not None:
                os.chown(path, self.cell.uid, self.cell.uid)
        return folder

    async def release(self, child: Child) -> None:
        """Wait until nothing of a killed child is left, and close what led to it."""
        try:
            async with asyncio.timeout(_READY_S):
                await readable(child.pidfd)
        finally:
            child.lines.close()
            os.close(child.pidfd)
            if child.listener is not None:
                child.listener.close()
            if child.folder:
                shutil.rmtree(child.folder, ignore_errors=True)

    async def close(self) -> None:
        """End it, and free its cell. Nothing runs in it afterwards."""
        loop = asyncio.get_running_loop()
        if self.spare is not None:
            self.spare.cancel()
            await asyncio.wait({self.spare})
            if not self.spare.cancelled() and self.spare.exception() is None:
                child = self.spare.result()
                child.kill()
                with contextlib.suppress(TimeoutError):  # it goes with its interpreter, then
                    await self.release(child)
        await loop.run_in_executor(self._keeper, self._zygote.close)
        for _ in range(_REMOVE_TRIES):
            if await loop.run_in_executor(self._keeper, self._free):
                return
            await asyncio.sleep(_REMOVE_PAUSE_S)

    def _free(self) -> bool:
        """Free its cell; whether that is done. Blocks for milliseconds."""
        return self._stock.walls.cells.give_back(self.cell)


def _hello(lines: Lines, *, online: bool) -> tuple[int, socket.socket | None]:
    """The first word of an init, with what listens for it if it has a way out.

    Which process it is, in this host's numbers, is the kernel's word. No code has run in it yet.
    """
    room = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size)
    word, extra, _, _ = lines.status.recvmsg(256, room, socket.MSG_CMSG_CLOEXEC)
    pid, listener = 0, None
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            listener = socket.socket(fileno=_DESCRIPTOR.unpack(data[: _DESCRIPTOR.size])[0])
    if word != b"hello" or pid <= 0:
        raise GatewayFault(f"a worker could not be set up: {word.decode('utf-8', 'replace') or 'it ended'}")
    if (listener is not None) != online:
        raise GatewayFault("a worker could not be set up: it has another network than it should")
    if listener is not None:
        listener.settimeout(0)
    return pid, listener


async def _ready(lines: Lines) -> None:
    reader = protocol.Reader(0)
    while True:
        await readable(lines.channel.fileno())
        data = lines.channel.recv(4096)
        if not data:
            await readable(lines.status.fileno())
            said = lines.status.recv(256).removeprefix(b"hello")
            raise GatewayFault(
                f"a worker could not be set up: {said.decode('utf-8', 'replace') or 'it ended'}"
            )
        told = reader.feed(data)
        if told is not None:
            if told[0] != b'{"ready": true}':
                raise GatewayFault("a worker could not be set up: it answered something else")
            return
