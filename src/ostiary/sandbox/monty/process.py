"""The process of an interpreter, behind walls.

Monty's own pool wants to start the program that it talks to. What it is given to start is a few lines
that hand their standard input and output over to us and wait: on those the box is started, as every
other box is. So Monty's protocol runs straight between its pool and its program, and the walls are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation.box import Box
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.limits import MIB, Limits

if TYPE_CHECKING:
    from pydantic_monty import AsyncMonty

START_S: Final = 20.0
"""Seconds that a start may take on a busy machine; on an idle one it is some twenty milliseconds."""
OVERHEAD: Final = 96 * MIB
"""What the program takes for itself, besides the memory that code is given."""
_TASKS: Final = 64
_GIVE_BACK_TRIES: Final = 5
_PAUSE_S: Final = 1.0
_HAND_OVER: Final = """
import os, socket, sys
line = socket.socket(socket.AF_UNIX)
try:
    line.connect(sys.argv[1])
    socket.send_fds(line, [b"m"], [0, 1])
except (ConnectionError, FileNotFoundError):  # whoever started it was killed
    sys.exit(1)
nothing = os.open(os.devnull, os.O_RDWR)
os.dup2(nothing, 0)
os.dup2(nothing, 1)
try:
    line.recv(1)
except OSError:  # whoever started it was killed
    pass
"""


class MontyProcess:
    """One program of Monty's, and the pool of one that talks to it. `owner` is whose code it has run."""

    def __init__(self, walls: Walls, root: Root, keeper: Executor) -> None:
        self._walls = walls
        self._root = root
        self._keeper = keeper
        self.owner: str | None = None
        self.served = 0
        self.broken = False
        self.leaving: asyncio.Future[None] | None = None
        """Set while its session ends: then it is free again, within a fraction of a millisecond."""

        self._pool: AsyncMonty | None = None
        self._cell: Cell | None = None
        self._box: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._memory = 0
        self._oom_kills = 0
        self._cpu_ms = 0.0

    async def start(self) -> None:
        """Start it and try it. Raises GatewayFault; close it then."""
        from pydantic_monty import AsyncMonty, MontyError  # noqa: PLC0415 - a tenth of a second

        folder = await asyncio.to_thread(_folder)
        loop = asyncio.get_running_loop()
        try:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(f"{folder}/line")
                listening.listen(1)
                listening.settimeout(START_S)
                pool = AsyncMonty(
                    binary_path=f"{folder}/start", min_processes=1, max_processes=1, checkout_timeout=START_S
                )
                await pool.__aenter__()
                self._pool = pool
                standing = loop.run_in_executor(self._keeper, self._stand, listening)
                try:
                    await asyncio.shield(standing)
                except asyncio.CancelledError:  # the thread goes on, and what it starts has to be ended
                    await asyncio.wait({standing})
                    raise
            async with asyncio.timeout(START_S), pool.checkout() as session:
                if await session.feed_run("6 * 7") != 42:  # noqa: PLR2004 - what it comes to
                    raise GatewayFault("an interpreter of Monty failed its self-test")
        except (OSError, MontyError, TimeoutError) as error:
            raise GatewayFault(f"an interpreter of Monty did not start: {error}") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _stand(self, listening: socket.socket) -> None:
        """Start the box on what is handed over. Blocks; the thread has to stay."""
        self._line, _ = listening.accept()
        self._line.settimeout(START_S)
        _, descriptors, _, _ = socket.recv_fds(self._line, 1, 2)
        try:
            if len(descriptors) != 2:  # noqa: PLR2004 - in and out
                raise GatewayFault("an interpreter of Monty did not start: it handed nothing over")
            self._cell = self._walls.cells.take()
            box = Box(
                command=(self._root.programs[0], "subprocess"),
                root=self._root,
                environment={"PATH": "/bin", "LANG": "C.UTF-8"},
                seccomp=self._walls.filter(processes=True, sockets="none", code=False) or None,
                cell=self._cell,
                file_bytes=0,
                open_files=64,
            )
            self._box = self._walls.start(
                box, stdin=descriptors[0], stdout=descriptors[1], stderr=subprocess.DEVNULL
            )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def checkout(self, limits: Limits, **more: Any) -> Any:
        """A session of its own, bounded by `limits`, to be entered. Whatever ran before has left nothing."""
        if self._pool is None:
            raise GatewayFault("an interpreter of Monty is gone")
        self.served += 1
        group = self._cell.group if self._cell is not None else None
        if group is not None and self._memory != limits.memory:
            group.set(memory=limits.memory + OVERHEAD, processes=_TASKS)
            self._memory = limits.memory
            self._oom_kills = group.oom_kills()
        return self._pool.checkout(
            limits={
                "max_memory": limits.memory,
                "max_feed_duration_secs": limits.cpu_ms / 1000,
                "max_suspensions": 100_000,
            },
            **more,
        )

    def cpu_used(self) -> float | None:
        """Milliseconds of CPU since this was asked last; None where nobody counts them."""
        group = self._cell.group if self._cell is not None else None
        now = group.cpu_ms() if group is not None else None
        if now is None:
            return None
        used, self._cpu_ms = round(now - self._cpu_ms, 3), now
        return used

    def oom(self) -> bool:
        """Whether the kernel ended it for its memory."""
        group = self._cell.group if self._cell is not None else None
        return group is not None and group.oom_kills() > self._oom_kills

    def kill(self) -> None:
        """SIGKILL for all of it. Idempotent; does not wait."""
        self.broken = True
        if self._cell is not None and self._cell.group is not None:
            self._cell.group.kill()
        if self._box is not None:
            with contextlib.suppress(ProcessLookupError):
                self._box.kill()

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as is known."""
        return not self.broken and self._box is not None and self._box.poll() is None

    async def close(self) -> None:
        """Kill, wait until nothing of it is left, release everything. Raises GatewayFault if something is."""
        self.kill()
        if self._line is not None:
            self._line.close()
        if self._box is not None:
            await asyncio.to_thread(self._box.wait)
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.__aexit__(None, None, None)
        cell, self._cell = self._cell, None
        for _ in range(_GIVE_BACK_TRIES):
            if cell is None or await asyncio.to_thread(self._walls.cells.give_back, cell):
                return
            await asyncio.sleep(_PAUSE_S)
        raise GatewayFault("something of an interpreter is still running after it was killed")


def _folder() -> Path:
    """A folder of ours alone with the program that hands over, to be removed."""
    folder = Path(tempfile.mkdtemp(prefix="ostiary-monty-"))
    program = folder / "start"
    words = [sys.executable, "-I", "-S", "-c", _HAND_OVER, str(folder / "line")]
    program.write_text(f"#!/bin/sh\nexec {shlex.join(words)}\n")
    program.chmod(0o700)
    return folder
