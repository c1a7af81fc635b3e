"""A program in a pseudo-terminal of a given size: what it shows, what it is sent, how it leaves."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

BOUND_S = 5.0
"""How long anything may take before it counts as missing."""
START_S = 20.0
"""The same for the first page: it waits for an interpreter on a busy machine."""

_TAKE = "import os, sys; os.login_tty(os.dup(0)); os.execvp(sys.argv[1], sys.argv[1:])"
"""Makes the terminal the one that Ctrl-C and a change of its size are told to."""
_HOME = "\x1b[H"
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
ENTER_PAGE, LEAVE_PAGE = "\x1b[?1049h", "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"


class PseudoTerminal:
    """Runs `command` on a terminal; `output` is everything that it wrote so far."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int, rows: int
    ) -> None:
        self._ours, self._theirs = os.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self._theirs)
        self.output = ""
        self._closed = False
        self._bytes = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE, *command],
            env=dict(environment), stdin=self._theirs, stdout=self._theirs, stderr=self._theirs,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if not self._closed:
            self.hang_up()

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel tells the program."""
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def unread(self) -> int:
        """Bytes that were typed and that the program has not read."""
        return int.from_bytes(fcntl.ioctl(self._theirs, termios.FIONREAD, bytes(4)), sys.byteorder)

    def until(self, wanted: Callable[[], bool], bound: float = BOUND_S) -> None:
        """Read on until `wanted()`; fails with the last page when it does not come."""
        end = time.monotonic() + bound
        while not wanted():
            left = end - time.monotonic()
            assert left > 0, f"did not come: {self.frame()}\n{self.output[-300:]!r}"
            if select.select([self._ours], [], [], min(left, 0.1))[0]:
                self._bytes += os.read(self._ours, 65_536)
                self.output = self._bytes.decode("utf-8", "replace")

    def frame(self) -> list[str]:
        """The lines of the last page as far as it came, without colours."""
        frames = self.output.split(_HOME)
        page = frames[-1].partition(LEAVE_PAGE)[0] if len(frames) > 1 else ""
        return _SEQUENCE.sub("", page).replace("\r", "").split("\n")

    def shows(self, *words: str) -> bool:
        """Whether the last page holds every one of `words`."""
        text = "\n".join(self.frame())
        return all(word in text for word in words)

    def ended(self, bound: float = BOUND_S) -> int:
        """The exit status, once it has ended."""
        self.until(lambda: self.process.poll() is not None, bound)
        status = self.process.returncode
        self.until(lambda: not select.select([self._ours], [], [], 0)[0])
        return status

    def settings(self) -> list[Any]:
        """How the terminal is set up now."""
        return termios.tcgetattr(self._theirs)

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._theirs)
        os.close(self._ours)
        self._closed = True

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.type(b"\x03")

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)
