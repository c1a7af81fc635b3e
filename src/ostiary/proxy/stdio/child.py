"""Supervises one MCP server process on pipes.

The child leads a process group (and session) of its own, so that everything it starts can be
signalled and killed together. It never outlives us: a watchdog kills the group when we vanish,
and on Linux the kernel kills the child itself at once (`PR_SET_PDEATHSIG`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec

from ostiary.errors import GatewayFault
from ostiary.proxy.stdio.pipe import PipeReader, PipeWriter
from ostiary.proxy.stdio.program import Command, find_program, why_not
from ostiary.proxy.stdio.watchdog import Watchdog, report
from ostiary.wire.lines import MAX_LINE, LineSplitter, TooLong

SIGNAL_BASE = 128
"""A death by signal N is reported as this plus N, as shells do."""

_PR_SET_PDEATHSIG = 1


class Grace(msgspec.Struct, frozen=True):
    """Seconds a child gets: after the end of its input, after SIGTERM, and to be reaped.

    Official clients wait 2 s after closing our input before they signal us, so the first two
    are shorter than that together with the reaping.
    """

    eof: float = 1.0
    term: float = 0.7
    kill: float = 5.0


class ChildEvents(msgspec.Struct, frozen=True):
    """What a child tells its owner, always from the event loop.

    `line` is a line without its end; `exited` comes last and once, with the exit status.
    `deaf` is told when the child has closed its input. `read` is told how many bytes came and how many
    blank lines were passed over, once the lines have been that they complete.
    """

    line: Callable[[bytes], object]
    too_long: Callable[[TooLong], object]
    deaf: Callable[[], object]
    exited: Callable[[int], object]
    read: Callable[[int, int], object]


class Started(msgspec.Struct, frozen=True):
    """A process that leads a group of its own, with our ends of its input and its output."""

    process: subprocess.Popen[bytes]
    to_it: int
    from_it: int


Launch = Callable[[Command, Watchdog], Started]
"""Starts the process of a command. Raises GatewayFault when that is not possible."""


class Child:
    """One running server process."""

    def __init__(
        self,
        command: Command,
        watchdog: Watchdog,
        events: ChildEvents,
        *,
        max_line: int = MAX_LINE,
        launch: Launch | None = None,
    ) -> None:
        """Start `command` now, by `launch` where it is given. Raises GatewayFault when that is not possible.

        To be called in the main thread: the kernel ties a parent-death signal to the thread
        that started the child.
        """
        self.command = command
        self.status: int | None = None
        self._loop = asyncio.get_running_loop()
        self._events = events
        self._watchdog = watchdog
        self._gone = asyncio.Event()
        self._pidfd = -1
        self._lines = LineSplitter(max_line)
        started = (launch or start_here)(command, watchdog)
        self._process = started.process
        watchdog.added(self._process.pid)
        self._input = PipeWriter(started.to_it, broken=events.deaf)
        self._output = PipeReader(started.from_it, data=self._feed, ended=self._output_ended)
        self._watch()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    @property
    def queued(self) -> int:
        """Bytes that wait to be read by the child."""
        return self._input.queued

    @property
    def deaf(self) -> bool:
        """Whether nothing more can be sent to it."""
        return self._input.closed

    def write(self, line: bytes) -> int:
        """Send one whole line (with its LF) and return its ticket."""
        return self._input.write(line)

    def untouched(self, ticket: int) -> bool:
        """Whether no byte of the line with this ticket has left."""
        return self._input.untouched(ticket)

    def withdraw(self, ticket: int) -> bool:
        """Take back a line of which no byte has left; False when it is too late."""
        return self._input.withdraw(ticket)

    def pause(self) -> None:
        """Stop reading its output."""
        self._output.pause()

    def resume(self) -> None:
        """Read its output again."""
        self._output.resume()

    def signal(self, signum: int) -> None:
        """Send a signal to its whole process group, if any of it is left."""
        if self.status is not None:
            return
        # Only zombies are left, or processes of another user.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signum)

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for its exit. Returns whether it came within `seconds`."""
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def stop(self, grace: Grace) -> int:
        """End it and everything it started: end of input, SIGTERM, SIGKILL. Returns its status."""
        self._input.close()
        self._output.resume()
        if not await self.wait(grace.eof):
            self.signal(signal.SIGTERM)
            if not await self.wait(grace.term):
                self.signal(signal.SIGKILL)
                await self.wait(grace.kill)
        return SIGNAL_BASE + signal.SIGKILL if self.status is None else self.status

    def _feed(self, data: bytes) -> None:
        before = self._lines.blank
        for line in self._lines.feed(data):
            if isinstance(line, TooLong):
                self._events.too_long(line)
            else:
                self._events.line(line)
        self._events.read(len(data), self._lines.blank - before)

    def _output_ended(self) -> None:
        # It can answer nothing any more, so its exit is only a matter of form.
        self._input.close()

    def _watch(self) -> None:
        if sys.platform == "linux":
            try:
                self._pidfd = os.pidfd_open(self._process.pid)
            except OSError:  # a kernel before 5.3, or no descriptor left
                pass
            else:
                self._loop.add_reader(self._pidfd, self._reap)
                return
        threading.Thread(target=self._wait_in_thread, daemon=True).start()

    def _wait_in_thread(self) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        """The child has exited.

        (1) Kill what it left, while its unreaped number cannot be another's; (2) reap it;
        (3) read what it still said; (4) tell.
        """
        # (1)
        self.signal(signal.SIGKILL)
        # (2)
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        code = self._process.wait()
        self._watchdog.removed(self._process.pid)
        # (3)
        self._output.drain()
        self._output.close()
        self._input.abort()
        # (4)
        self.status = SIGNAL_BASE - code if code < 0 else code
        self._gone.set()
        self._events.exited(self.status)


def start_here(command: Command, watchdog: Watchdog, *, stderr: int | None = None) -> Started:
    """Start `command` as any program of this user; `stderr` None is our own. See `Launch`."""
    program = find_program(command)
    before_exec = _arrangement(os.getpid(), watchdog.ready())
    its_input, our_input = os.pipe()
    our_output, its_output = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is the operator's
            command.argv,
            executable=program,
            stdin=its_input,
            stdout=its_output,
            stderr=stderr,
            cwd=command.cwd,
            env=command.env,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509 - see _arrangement
        )
    except (OSError, subprocess.SubprocessError) as error:
        os.close(our_input)
        os.close(our_output)
        # The group may have reported itself before it failed: forget its number.
        watchdog.renew()
        if isinstance(error, OSError):
            raise why_not(command, error) from error
        raise GatewayFault(f"cannot start `{command.name}`: {error}") from error
    finally:
        os.close(its_input)
        os.close(its_output)
    os.set_blocking(our_input, False)
    os.set_blocking(our_output, False)
    return Started(process, our_input, our_output)


def _arrangement(parent: int, guard: int) -> Callable[[], None]:
    """What the new process does between fork and exec, prepared beforehand.

    It makes three system calls and takes no lock. It reports its group before anything of the
    server runs, so that there is no moment in which a descendant could be missed.
    """
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None) if sys.platform == "linux" else None
    if prctl is not None:
        prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]

    def before_exec() -> None:
        os.write(guard, report(os.getpid()))
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the signal was arranged
            os.kill(os.getpid(), signal.SIGKILL)

    return before_exec
