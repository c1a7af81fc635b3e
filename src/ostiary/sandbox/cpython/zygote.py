"""The warm interpreter of a place, as the host sees it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Final, NamedTuple

from ostiary.errors import GatewayFault
from ostiary.sandbox.cpython import program, protocol
from ostiary.sandbox.isolation.box import Bind, Box
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.root import Root
from ostiary.sandbox.isolation.seccomp import Sockets
from ostiary.sandbox.isolation.walls import Walls

START_S: Final = 60.0
"""Seconds that an interpreter may take to start; big packages are imported in that time."""

_END_S: Final = 2.0
_MAX_WORDS: Final = 1_000

ONLINE_PORT: Final = 3128
"""In a network of each child's own, so it is free."""

PACKAGES: Final = "/packages"
DEPENDENCIES: Final = "/deps"
WHEELS: Final = "/wheels"


class Online(NamedTuple):
    """For runs that have a way out: what their code finds in its environment, and files by their paths.

    Code reaches `ONLINE_PORT` of its own loopback, and whoever serves the listener of the child there.
    """

    environment: Mapping[str, str]
    texts: Mapping[str, str]


class Stock(NamedTuple):
    """What the interpreters of one runner have in common.

    `packages` is the folder that holds all package folders, `wheels` one that every run has on its
    path; None where there is none. `preload` names modules that are imported before the first fork.
    `online` gives runs a way out; it is for stocks with walls only.
    """

    walls: Walls
    root: Root
    packages: str | None = None
    wheels: str | None = None
    preload: tuple[str, ...] = ()
    tmp_bytes: int = 64 << 20
    online: Online | None = None

    @property
    def walled(self) -> bool:
        """Whether children are in namespaces of their own."""
        return self.walls.walled


class Lines(NamedTuple):
    """The host's ends of what a child is given."""

    channel: socket.socket
    status: socket.socket
    stdout: int
    stderr: int

    def close(self) -> None:
        """Close all."""
        self.channel.close()
        self.status.close()
        os.close(self.stdout)
        os.close(self.stderr)


class Zygote:
    """Started once for a cell; asked for a child with one byte. It is sent nothing else, ever."""

    def __init__(self, stock: Stock, cell: Cell) -> None:
        self.stock = stock
        self.cell = cell
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is warm. Blocks; the thread that calls this has to stay.

        Raises GatewayFault.
        """
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as said:
            self._control = ours
            box = self._box(theirs.fileno())
            nothing = subprocess.DEVNULL
            self._process = self.stock.walls.start(box, stdin=nothing, stdout=nothing, stderr=said)
            theirs.close()
            try:
                self._warm(ours)
            except GatewayFault as fault:
                self.close()
                said.seek(0)
                words = said.read(_MAX_WORDS).decode("utf-8", "replace").strip()
                raise GatewayFault(f"{fault.message}: {words}" if words else fault.message) from fault
            except BaseException:
                self.close()
                raise

    def _warm(self, ours: socket.socket) -> None:
        """Send it its modules and wait until it has imported everything."""
        ours.settimeout(START_S)
        try:
            ours.sendall(self._program())
            reader = protocol.Reader(0)
            while (told := reader.feed(self._some(ours))) is None:
                pass
        except (OSError, protocol.BrokenError) as error:
            raise GatewayFault(f"a warm interpreter did not start: {error}") from error
        self._take(told[0])

    def _program(self) -> bytes:
        """What it reads first; see `program`."""
        return program.start(self._settings())

    def _take(self, word: bytes) -> None:
        """Its first word, which is that it is ready. Raises GatewayFault for another."""
        if word != b'{"ready": true}':
            raise GatewayFault("a warm interpreter did not start: it answered something else")

    @staticmethod
    def _some(control: socket.socket) -> bytes:
        data = control.recv(4096)
        if not data:
            raise ConnectionResetError("it has ended")
        return data

    def _box(self, control: int) -> Box:
        stock = self.stock
        # The packages of a run are bound over DEPENDENCIES later; until then something has to be there.
        at = ((stock.packages, PACKAGES), (stock.packages, DEPENDENCIES), (stock.wheels, WHEELS))
        binds = [Bind(source, target) for source, target in at if source]
        return Box(
            command=(stock.root.python, "-I", "-S", "-B", "-X", "utf8", "-c", program.boot(), str(control)),
            root=stock.root,
            binds=tuple(binds),
            environment=_ENVIRONMENT,
            pass_fds=(control,),
            tmp_bytes=stock.tmp_bytes,
            cell=self.cell,
        )

    def _settings(self) -> dict[str, object]:
        stock = self.stock
        sockets: Sockets = "unix" if stock.online is None else "loopback"
        wheels = [] if stock.wheels is None else [WHEELS if stock.walled else stock.wheels]
        return {
            "walled": stock.walled,
            "network": False,
            "keep": [],
            "writable": [],
            "path": wheels,
            "preload": [*_USUAL, *stock.preload],
            "filter": stock.walls.filter(processes=True, sockets=sockets).hex(),
            "port": ONLINE_PORT if stock.online else 0,
            "tmp_bytes": stock.tmp_bytes,
        }

    def child(self) -> Lines:
        """Ask for a child. Raises GatewayFault when the interpreter is gone."""
        with contextlib.ExitStack() as opened:
            channel, inner_channel = socket.socketpair()
            status, inner_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stdout, inner_stdout = os.pipe()
            stderr, inner_stderr = os.pipe()
            opened.callback(inner_channel.close)
            opened.callback(inner_status.close)
            for descriptor in (inner_stdout, inner_stderr):
                opened.callback(os.close, descriptor)
                if self.cell.uid is not None:  # so that code can open /dev/stdout
                    os.fchown(descriptor, self.cell.uid, self.cell.uid)
            lines = Lines(channel, status, stdout, stderr)
            status.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            for end in (channel, status):
                end.settimeout(0)
            for end in (stdout, stderr):
                os.set_blocking(end, False)
            given = [inner_channel.fileno(), inner_status.fileno(), inner_stdout, inner_stderr]
            try:
                if self._control is None:
                    raise BrokenPipeError("it was closed")
                socket.send_fds(self._control, [b"c"], given)
            except OSError as error:
                lines.close()
                raise GatewayFault(f"a warm interpreter is gone: {error}") from error
        return lines

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as is known."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Wait for its end: with it goes whatever it has forked. Blocks for milliseconds.

        Without its control socket it ends by itself, and so is reaped by those that started it. It
        is killed only if it does not: what then dies in its box has the host's init as parent.
        """
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - a place inside
    "TMPDIR": "/tmp",  # noqa: S108 - likewise
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",  # noqa: S108 - likewise
    # A pool of threads does not survive a fork, and the run has no more than it is given anyway.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

_USUAL: Final = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "bisect", "collections.abc", "contextlib", "copy",
    "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "glob",
    "hashlib", "heapq", "html", "inspect", "io", "itertools", "json", "logging", "math", "operator", "os",
    "pathlib", "pprint", "queue", "random", "re", "secrets", "shutil", "statistics", "string", "struct",
    "subprocess", "tempfile", "textwrap", "threading", "time", "traceback", "typing", "unicodedata",
    "urllib.parse", "uuid", "warnings", "zoneinfo",
)  # fmt: skip
"""What code imports most. Imported once, shared by every child."""
