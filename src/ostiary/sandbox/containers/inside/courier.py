"""Takes scripts from the host and runs them: one such process for each container and user.

Frames both ways: a letter, the number of the run and a length (9 bytes), then that many bytes.
In: `R` a run, `K` its end. Out: `H` ready, `O` and `E` what it writes, `X` how it ended. When the host
goes away every run is ended and this process as well.

For each run there is a keeper, to which all that the run leaves behind is given (subreaper), and the
script's own process below it. One such pair waits ready. The script's process becomes the script: it goes
back to the bottom of this file and runs it there, so that nothing of ours is around it.
"""

import atexit
import gc
import io
import os
import select
import signal
import socket
import struct
import sys
import time
import types
from typing import Any, Callable, Dict, List, Optional

from ostiary.sandbox.containers.inside.ending import descendants, look, places, processes, remove, strike
from ostiary.sandbox.containers.inside.keeping import (
    DUMPABLE,
    LOST,
    PATIENCE_S,
    REPORT,
    Job,
    adopts,
    keep,
    prctl,
    write,
)

HEAD = struct.Struct(">cII")
PIECE = 32768
DRAIN_S = 0.3
"""How long what a run has written is waited for, once it has ended."""


class Run:
    """One run as the courier sees it: its keeper, how to talk to it, and what it writes."""

    def __init__(self, keeper: int, control: socket.socket, out: int, err: int) -> None:
        self.keeper = keeper
        self.control = control
        self.streams = {out: b"O", err: b"E"}
        self.report = b""
        self.reported = False
        self.due = 0.0


# --- the courier --------------------------------------------------------------------------------------


class Courier:
    """Hands scripts to keepers, and passes on what they write."""

    def __init__(self, mark: str) -> None:
        self.base = self.folder(mark)
        self.certain = adopts()
        self.runs: Dict[int, Run] = {}
        self.spare: Optional[Run] = None
        self.held = bytearray()
        self.job: Optional[Job] = None

    @staticmethod
    def folder(mark: str) -> str:
        """A new private folder, where that is possible."""
        for place in places():
            path = os.path.join(place, "ostiary-" + mark)
            try:
                os.mkdir(path, 0o700)
                return path
            except OSError:
                continue
        sys.stderr.write("no folder of the container can be written to\n")
        sys.exit(3)

    def prepare(self) -> Optional[Run]:
        """A keeper that waits. None in the process that is to become a script."""
        ours, theirs = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.job = keep(theirs, out_end, err_end, self.base, certain=self.certain)
            return None
        theirs.close()
        os.close(out_end)
        os.close(err_end)
        return Run(pid, ours, out, err)

    def work(self) -> Optional[Job]:
        """Serve until the host goes away. Returns a job only in the process that is to become it."""
        say(b"H", 0, sys.version.split()[0].encode("ascii"))
        while True:
            if self.spare is None:
                self.spare = self.prepare()
                if self.job is not None:
                    return self.job
            watched: List[Any] = [0]
            for run in self.runs.values():
                watched += list(run.streams)
                if not run.reported:
                    watched.append(run.control)
            pause = DRAIN_S if any(run.due for run in self.runs.values()) else None
            ready = select.select(watched, [], [], pause)[0]
            if 0 in ready and not self.take(os.read(0, 1 << 20)):
                return self.job
            for number, run in list(self.runs.items()):
                self.look_after(number, run, ready)

    def take(self, data: bytes) -> bool:
        """What the host says. False when that was all, or in the process that is to become a script."""
        if not data:
            self.leave()
            return False
        self.held += data
        while len(self.held) >= HEAD.size:
            kind, number, size = HEAD.unpack(self.held[: HEAD.size])
            if len(self.held) < HEAD.size + size:
                return True
            payload = bytes(self.held[HEAD.size : HEAD.size + size])
            del self.held[: HEAD.size + size]
            if kind == b"R" and not self.begin(number, payload):
                return False
            if kind == b"K" and number in self.runs:
                self.stop(self.runs[number])
        return True

    def begin(self, number: int, payload: bytes) -> bool:
        """Give a script to a keeper. False in the process that is to become a script."""
        run, self.spare = self.spare, None
        if run is None:
            run = self.prepare()
            if run is None:
                return False
        self.runs[number] = run
        try:
            run.control.sendall(struct.pack(">II", number, len(payload)) + payload)
        except OSError:
            pass  # its keeper has gone: that is seen when it is looked after
        return True

    def stop(self, run: Run) -> None:
        """Have a run ended; by force, if its keeper does not."""
        run.due = run.due or time.monotonic() + PATIENCE_S
        try:
            run.control.send(b"K")
        except OSError:
            pass

    def look_after(self, number: int, run: Run, ready: List[Any]) -> None:
        """Pass on what a run has written, and that it has ended."""
        for descriptor in [one for one in run.streams if one in ready]:
            data = os.read(descriptor, PIECE)
            if data:
                say(run.streams[descriptor], number, data)
            else:
                os.close(descriptor)
                del run.streams[descriptor]
        if run.control in ready and not run.reported:
            self.listen(run)
        if run.due and not run.reported and time.monotonic() > run.due:
            found = look(run.keeper)
            if found is not None:
                strike(run.keeper, found, signal.SIGKILL)
        if run.reported and run.streams and time.monotonic() > run.due:
            self.shut(run)  # something that could not be found holds on to them
        if run.reported and not run.streams:
            say(b"X", number, run.report)
            run.control.close()
            del self.runs[number]

    def listen(self, run: Run) -> None:
        """The report of a keeper; without one it was killed, and what was below it has come to us."""
        try:
            run.report += run.control.recv(REPORT.size)
        except OSError:
            pass
        if len(run.report) < REPORT.size:
            run.report = REPORT.pack(LOST, 0, 0, -1, -1)
            self.orphans()
        run.reported = True
        run.due = time.monotonic() + DRAIN_S
        try:
            os.waitpid(run.keeper, 0)
        except ChildProcessError:
            pass
        if REPORT.unpack(run.report)[2]:  # something is left that could not be ended: it may hold the pipes
            self.shut(run)

    def shut(self, run: Run) -> None:
        """Read no more of what a run writes."""
        for descriptor in list(run.streams):
            os.close(descriptor)
        run.streams.clear()

    def orphans(self) -> None:
        """End what has lost its keeper."""
        keepers = {run.keeper for run in self.runs.values()}
        if self.spare is not None:
            keepers.add(self.spare.keeper)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = processes()
            lost = {pid for pid, one in found.items() if one[0] == os.getpid()} - keepers
            if not lost:
                break
            for pid in descendants(found, lost):
                strike(pid, found[pid], signal.SIGKILL)
            for pid in lost:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass

    def leave(self) -> None:
        """End everything and take the folder away."""
        runs = list(self.runs.values()) + ([self.spare] if self.spare is not None else [])
        for run in runs:
            run.control.close()
        until = time.monotonic() + PATIENCE_S
        while runs and time.monotonic() < until:
            runs = [run for run in runs if os.waitpid(run.keeper, os.WNOHANG)[0] == 0]
            time.sleep(0.002)
        for run in runs:
            os.kill(run.keeper, signal.SIGKILL)
            os.waitpid(run.keeper, 0)
        self.runs.clear()
        self.spare = None
        self.orphans()
        remove(self.base)


def say(kind: bytes, number: int, payload: bytes) -> None:
    """A frame to the host. Ends everything when nobody is there."""
    try:
        write(1, HEAD.pack(kind, number, len(payload)) + payload)
    except OSError:
        pass  # the end of stdin comes next


def execute(path: str) -> int:
    """Run a script as Python runs one that is named on its command line; its exit code."""
    module = types.ModuleType("__main__")
    module.__dict__.update({"__file__": path, "__builtins__": __builtins__, "__cached__": None})
    sys.modules["__main__"] = module
    code = 0
    try:
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as leaving:
        code = code_of(leaving.code)
    except BaseException as error:
        code = 1
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == "<string>":
            trace = trace.tb_next  # what is ours of it
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        del trace
    settle(module.__dict__)
    return code


def code_of(said: Any) -> int:
    """What `SystemExit` means as an exit code."""
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    sys.stderr.write("%s\n" % (said,))
    return 1


def settle(names: Dict[str, Any]) -> None:
    """What Python does when a program ends, as far as anybody outside can see it.

    Its own way takes three times as long as a small script: it clears every module that there is.
    Here the script's own objects go, and files that are still open are written out.
    """
    threading = sys.modules.get("threading")
    if threading is not None:
        getattr(threading, "_shutdown")()
    getattr(atexit, "_run_exitfuncs")()
    names.clear()
    gc.collect()
    for one in gc.get_objects():
        if isinstance(one, io.IOBase) and not one.closed:
            quietly(one.flush)
    quietly(sys.stdout.flush)
    quietly(sys.stderr.flush)


def quietly(flush: Callable[[], None]) -> None:
    """What cannot be written any more is lost, as everywhere."""
    try:
        flush()
    except (OSError, ValueError, AttributeError):
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    prctl(DUMPABLE, 0)
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    todo = Courier(sys.argv[1]).work()
    if todo is not None:
        os._exit(execute(todo.settle()))
