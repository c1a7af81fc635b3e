"""A cgroup for one worker: bounds, counters, and a kill that nothing in it escapes."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Final

from ostiary.errors import GatewayFault

_TRIES: Final = 32
_ROUNDS: Final = 50
_ROUND_MS: Final = 20
_PAUSE_MS: Final = 2
_MS_IN_NS: Final = 1_000_000
_MS_IN_US: Final = 1_000


class Group:
    """Processes that are bounded, counted and killed together.

    `folders` says where each controller's files are: `memory` and `pids`, and `cpu` where CPU time
    is counted. With cgroup v2 they are one folder. Made empty; `remove` takes it away again.
    """

    def __init__(self, folders: Mapping[str, Path], *, unified: bool) -> None:
        self._folders = dict(folders)
        self._unified = unified
        self._processes = ""

    def set(self, *, memory: int, processes: int) -> None:
        """Bound memory (bytes; nothing is swapped out beyond it) and the number of tasks.

        A thread is a task. Raises GatewayFault when the kernel refuses, which it also does when
        more memory is in use already.
        """
        try:
            if self._unified:
                self._write("memory", "memory.max", memory)
                with contextlib.suppress(FileNotFoundError):  # a kernel without swap
                    self._write("memory", "memory.swap.max", 0)
            else:
                self._set_first_version(memory)
            self._write("pids", "pids.max", processes)
        except OSError as error:
            raise GatewayFault(f"cannot bound a worker: {error}") from error
        self._processes = str(processes)

    def _set_first_version(self, memory: int) -> None:
        """Memory and memory with swap: the second may never be below the first, so it goes first."""
        swap = "memory.memsw.limit_in_bytes"
        counted = (self._folders["memory"] / swap).exists()
        if counted:
            self._write("memory", swap, -1)
        self._write("memory", "memory.limit_in_bytes", memory)
        if counted:
            self._write("memory", swap, memory)

    def add(self, pid: int) -> None:
        """Put a process in, with what it will start; what it has started already stays where it is.

        Raises GatewayFault when it cannot be put in; one that has ended is no fault.
        """
        for folder in dict.fromkeys(self._folders.values()):
            try:
                (folder / "cgroup.procs").write_text(str(pid))
            except ProcessLookupError:
                return
            except OSError as error:
                raise GatewayFault(f"cannot put a worker under its bounds: {error}") from error

    def pids(self) -> list[int]:
        """Everything that runs in it, by the ids of this process's namespace."""
        try:
            return [int(line) for line in (self._folders["pids"] / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def kill(self, keep: Container[int] = ()) -> None:
        """SIGKILL for everything in it but the processes in `keep`. Does not wait for their end.

        While it goes on nothing in the group can start a process, so that nothing outruns it.
        """
        if not keep and self._unified and self._kill_all_at_once():
            return
        with contextlib.suppress(OSError):
            self._write("pids", "pids.max", 0)
        sent: set[int] = set()
        for _ in range(_TRIES):
            left = [pid for pid in self.pids() if pid not in keep and pid not in sent]
            if not left:
                break
            killed(left, 0, still=self.pids)
            sent.update(left)
        if keep and self._processes:
            with contextlib.suppress(OSError):
                self._write("pids", "pids.max", int(self._processes))

    def _kill_all_at_once(self) -> bool:
        try:
            (self._folders["pids"] / "cgroup.kill").write_text("1")
        except OSError:
            return False  # before Linux 5.14
        return True

    def end(self) -> bool:
        """Kill everything, wait for its end, and remove the group. False after a second of waiting."""
        self.kill()
        for _ in range(_ROUNDS):
            if self.remove():
                return True
            killed(self.pids(), _ROUND_MS, still=self.pids)
        return self.remove()

    def oom_kills(self) -> int:
        """How often the kernel killed something in it for want of memory."""
        name = "memory.events" if self._unified else "memory.oom_control"
        return self._counter("memory", name, "oom_kill") or 0

    def peak(self) -> int | None:
        """The most memory that was in use at once, in bytes; None where the kernel does not say."""
        return self._number("memory", "memory.peak" if self._unified else "memory.max_usage_in_bytes")

    def cpu_ms(self) -> float | None:
        """CPU time of everything that ran in it, in milliseconds; None where it is not counted."""
        if self._unified:
            used = self._counter("cpu", "cpu.stat", "usage_usec")
            return None if used is None else used / _MS_IN_US
        used = self._number("cpu", "cpuacct.usage")
        return None if used is None else used / _MS_IN_NS

    def remove(self) -> bool:
        """Take it away. False when something still runs in it."""
        for folder in dict.fromkeys(self._folders.values()):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return False
                raise GatewayFault(f"cannot remove the cgroup {folder}: {error.strerror}") from error
        return True

    def _write(self, controller: str, name: str, value: int) -> None:
        (self._folders[controller] / name).write_text(str(value))

    def _read(self, controller: str, name: str) -> str:
        folder = self._folders.get(controller)
        try:
            return (folder / name).read_text() if folder is not None else ""
        except OSError:
            return ""

    def _number(self, controller: str, name: str) -> int | None:
        text = self._read(controller, name).strip()
        return int(text) if text.isdigit() else None

    def _counter(self, controller: str, name: str, key: str) -> int | None:
        for line in self._read(controller, name).splitlines():
            word, _, number = line.partition(" ")
            if word == key and number.isdigit():
                return int(number)
        return None


def killed(pids: Iterable[int], wait_ms: int, still: Callable[[], Iterable[int]] | None = None) -> bool:
    """SIGKILL for these processes; whether all had ended within the time.

    `still` is asked once they are held: only what it still names is signalled, so that no process
    is hit that got the number of one that has ended.
    """
    held: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                held[pid] = os.pidfd_open(pid)
        for pid in held.keys() & set(still()) if still is not None else held:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(held[pid], signal.SIGKILL)
        waiting = select.poll()
        for descriptor in held.values():
            waiting.register(descriptor, select.POLLIN)
        left = len(held)
        while left and (ended := waiting.poll(wait_ms)):
            for descriptor, _ in ended:
                waiting.unregister(descriptor)
            left -= len(ended)
        if not held and wait_ms:
            waiting.poll(_PAUSE_MS)  # ended, and the kernel has not quite taken them out yet
        return not left
    finally:
        for descriptor in held.values():
            os.close(descriptor)
