"""The keeper of one script and the script's own process, as the courier makes them ahead of time."""

import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, Dict, List, Optional, Tuple

from ostiary.sandbox.containers.inside.ending import (
    Process,
    arguments,
    descendants,
    marked,
    processes,
    remove,
    strike,
)

REPORT = struct.Struct(">iiiqq")
"""How it went, the exit code (or minus the signal), how many could not be ended, CPU in ms, memory in kB."""
LOST, ENDED, UNSETTLED = 0, 1, 2
LENGTH = struct.Struct(">I")
PATIENCE_S = 1.5
BLOCK = 512
SUBREAPER, DUMPABLE = 36, 4


def load() -> Any:
    """The C library; None where there is no ctypes: then less is certain, and nothing else changes."""
    try:
        import ctypes

        return ctypes.CDLL(None)
    except (ImportError, OSError):
        return None


LIBC = load()


def prctl(option: int, value: int) -> bool:
    """Whether it was done."""
    return LIBC is not None and LIBC.prctl(option, value, 0, 0, 0) == 0


def write(descriptor: int, data: bytes) -> None:
    """All of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def close_others(*kept: int) -> None:
    """Every descriptor above the three first ones, but these."""
    last = 2
    for one in sorted(kept):
        os.closerange(last + 1, one)
        last = one
    os.closerange(last + 1, 4096)


def fields(data: bytes) -> List[str]:
    """Texts with NUL between them."""
    return [one.decode("utf-8", "surrogateescape") for one in data.split(b"\0")]


# --- the keeper of a run ----------------------------------------------------------------------------


def receive(control: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError."""
    found = bytearray()
    while len(found) < size:
        more = control.recv(min(1 << 20, size - len(found)))
        if not more:
            raise EOFError
        found += more
    return bytes(found)


def unpack(tar: bytes, folder: str) -> None:
    """The files of a tar (ustar) as the host makes it."""
    place = 0
    while tar[place : place + 1] not in (b"", b"\0"):
        head = tar[place : place + BLOCK]
        name = head[:100].rstrip(b"\0")
        before = head[345:500].rstrip(b"\0")
        size = int(head[124:136].rstrip(b"\0 ") or b"0", 8)
        path = os.path.join(folder, (before + b"/" + name if before else name).decode("utf-8"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(tar[place + BLOCK : place + BLOCK + size])
        place += BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK


def below(child: int, mark: str, *, certain: bool) -> Dict[int, Process]:
    """Every process that descends from this one, is in the child's session or carries the mark of its run."""
    found = processes()
    roots = {pid for pid, one in found.items() if one[1] == child or (mark and marked(pid, mark))}
    if not certain:  # what has lost its parent is the init process's, and still has this program's arguments
        same = arguments(os.getpid())
        roots |= {pid for pid, one in found.items() if one[0] <= 1 < pid and arguments(pid) == same}
    roots = (roots | {os.getpid()}) - {os.getppid()}
    spared = {os.getpid(), os.getppid()}
    return {pid: found[pid] for pid in descendants(found, roots) - spared if pid in found}


def adopts() -> bool:
    """Whether what loses its parent below this process comes to it: not every kernel does as it says."""
    if not prctl(SUBREAPER, 1):
        return False
    told, tell = os.pipe()
    middle = os.fork()
    if middle == 0:
        parent = os.getpid()
        if os.fork() == 0:
            until = time.monotonic() + PATIENCE_S
            while os.getppid() == parent and time.monotonic() < until:
                time.sleep(0.001)
            os.write(tell, LENGTH.pack(os.getppid()))
        os._exit(0)
    os.waitpid(middle, 0)
    adopted = LENGTH.unpack(os.read(told, LENGTH.size))[0] == os.getpid()
    os.close(told)
    os.close(tell)
    if adopted:
        os.waitpid(-1, 0)
    return adopted


def reap(child: int, status: int) -> Tuple[int, bool]:
    """Wait for all that have ended: the status of the child, if it is one, and whether any are left."""
    try:
        while True:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return status, True
            if pid == child:
                status = code
    except ChildProcessError:
        return status, False


def finish(child: int, status: int, mark: str, *, certain: bool) -> Tuple[int, int]:
    """End everything below; the child's status, and how many are left.

    `certain`: whatever descends from this process is its child in the end, so none is left without one.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        status, more = reap(child, status)
        left = below(child, mark, certain=certain) if more or not certain else {}
        if not (left or (more and certain)):
            return status, 0
        if time.monotonic() > until:
            return status, max(1, len(left))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid, seen in left.items():
                strike(pid, seen, number)
        time.sleep(0.001)


def usage() -> Tuple[int, int]:
    """Processor time in ms and most memory in kB of what has ended below."""
    try:
        import resource
    except ImportError:
        return -1, -1
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1000), used.ru_maxrss


def heard(number: int, frame: Any) -> None:
    """Nothing to do: that a signal came is enough to wake up."""


def keep(control: socket.socket, out: int, err: int, base: str, *, certain: bool) -> "Optional[Job]":
    """The life of a keeper. Returns in the script's own process only, with what that is to become."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    close_others(control.fileno(), out, err)
    prctl(SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, heard)
    signal.set_wakeup_fd(wake)
    given, give = os.pipe()
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return wait(given, out, err)
    for descriptor in (given, out, err):
        os.close(descriptor)
    folder = mark = ""
    status, outcome = -1, ENDED
    try:
        number, size = struct.unpack(">II", receive(control, 8))
        job = receive(control, size)
        length = LENGTH.unpack(job[:4])[0]
        folder = os.path.join(base, str(number))
        unpack(job[4 + length :], folder)
        mark = fields(job[4 : 4 + length])[0]
        text = os.fsencode(folder) + b"\0" + job[4 : 4 + length]
        write(give, LENGTH.pack(len(text)) + text)
        while status == -1 and control not in select.select([control, woken], [], [])[0]:
            os.read(woken, 64)
            status, _ = reap(child, -1)
    except EOFError:
        pass  # the courier has gone, or needs it no more
    except (OSError, ValueError):
        outcome = UNSETTLED
    status, left = finish(child, max(status, 0), mark, certain=certain)
    if folder:
        remove(folder)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    try:
        control.sendall(REPORT.pack(outcome, code, left, *usage()))
    except OSError:
        pass
    os._exit(0)


# --- the script's own process -------------------------------------------------------------------------


class Job:
    """A script that this process is to become."""

    def __init__(self, text: bytes) -> None:
        self.folder, self.mark, self.workdir, count, *rest = fields(text)
        self.arguments, self.environment = rest[: int(count)], rest[int(count) :]

    def settle(self) -> str:
        """Take on what the script is to find; its path."""
        work = os.path.join(self.folder, "work")
        path = os.path.join(work, "script.py")
        for item in self.environment:
            name, _, value = item.partition("=")
            os.environ[name] = value
        os.environ["OSTIARY_RUN"] = self.mark
        stdin = os.path.join(self.folder, "stdin")
        source = os.open(stdin if os.path.exists(stdin) else os.devnull, os.O_RDONLY)
        os.dup2(source, 0)
        os.close(source)
        sys.argv[:] = [path, *self.arguments]
        sys.path[0] = work
        if self.workdir:
            os.chdir(self.workdir)
        return path


def wait(given: int, out: int, err: int) -> Job:
    """Until there is a script; then everything that is not the script's is let go."""
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    close_others(given)
    prctl(DUMPABLE, 1)  # its own files in /proc are the script's to read
    head = os.read(given, LENGTH.size)
    if len(head) < LENGTH.size:
        os._exit(0)
    size = LENGTH.unpack(head)[0]
    text = bytearray()
    while len(text) < size:
        more = os.read(given, size - len(text))
        if not more:
            os._exit(0)
        text += more
    os.close(given)
    return Job(bytes(text))
