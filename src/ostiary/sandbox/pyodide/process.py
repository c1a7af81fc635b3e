"""A worker's process as the host sees it: what it used, what it may use, how it ended."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Final

from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.pyodide import launch
from ostiary.sandbox.runner import Ended

_SIGNALLED: Final = 128
"""bubblewrap ends with this and the number of the signal that ended the program inside."""
_HIGHEST_SIGNAL: Final = 64
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024


class WorkerProcess:
    """The process that was started, the one inside it that runs code, and the cell of both."""

    def __init__(self, started: subprocess.Popen[bytes], cell: Cell) -> None:
        self.started = started
        self.cell = cell
        self._inner: int | None = None
        self._killed = False
        self._over_cpu = False
        self._oom_kills = self._group_oom_kills()

    def bound(self, limits: Limits) -> str:
        """Bound memory where no cgroup does, before any code of somebody's is there; what is not bounded.

        The runtime must have loaded: what it has by then comes on top.
        """
        self._inner = _innermost(self.started.pid)
        if self.cell.group is not None:
            return ""
        used = None if self._inner is None else _status_kib(self._inner, "VmData")
        if self._inner is not None and used is not None:
            most = used * _KIB + limits.memory + launch.OVERHEAD
            with contextlib.suppress(OSError):  # as root that takes a capability, which containers lack
                resource.prlimit(self._inner, resource.RLIMIT_DATA, (most, most))
                return ""
        return "memory is bounded for Python only, and not for what it makes of JavaScript's objects"

    def cpu_ms(self) -> float | None:
        """CPU time so far, in milliseconds."""
        counted = self.cell.group.cpu_ms() if self.cell.group is not None else None
        return self._inner_cpu_ms() if counted is None else counted

    def max_rss_kb(self) -> int | None:
        """The most memory that was in use at once, in KiB, with the runtime's own."""
        peak = self.cell.group.peak() if self.cell.group is not None else None
        if peak is not None:
            return peak // _KIB
        return None if self._inner is None else _status_kib(self._inner, "VmHWM")

    def kill(self) -> None:
        """SIGKILL for all of it."""
        self._killed = True
        if self.cell.group is not None:
            self.cell.group.kill()
        with contextlib.suppress(ProcessLookupError):
            self.started.kill()

    def kill_over_cpu(self) -> None:
        """The same, because it used more CPU time than it may."""
        self._over_cpu = True
        self.kill()

    def ended(self, *, leaving: bool) -> Ended:
        """How it ended by what the host saw; it has. `leaving` says that it had said that it would leave."""
        status = self.started.wait()
        number = -status if status < 0 else status - _SIGNALLED
        if leaving and not self._killed and status >= 0:
            return Ended(how="exited", exit_code=status)
        if self._over_cpu:
            return Ended(how="signalled", signal=int(signal.SIGXCPU))
        if self._group_oom_kills() > self._oom_kills:
            return Ended(how="oom")
        if self._killed:
            return Ended(how="signalled", signal=int(signal.SIGKILL))
        if 0 < number <= _HIGHEST_SIGNAL:
            return Ended(how="signalled", signal=number)
        return Ended(how="exited", exit_code=status)

    def _group_oom_kills(self) -> int:
        return self.cell.group.oom_kills() if self.cell.group is not None else 0

    def _inner_cpu_ms(self) -> float | None:
        if self._inner is None:
            return None
        try:
            fields = Path(f"/proc/{self._inner}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS
        except (OSError, ValueError, IndexError):
            return None


def _innermost(pid: int) -> int | None:
    """The last of a line of only children: the runtime, below what walls it off."""
    try:
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid = int(children[0])
    except (OSError, ValueError):
        return None  # no such file in this kernel: the cgroup is then the only bound
    return pid


def _status_kib(pid: int, name: str) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
