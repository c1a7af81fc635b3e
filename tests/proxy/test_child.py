"""Supervision of a server process: start, signals, exit, and no orphans."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ostiary.errors import GatewayFault
from ostiary.proxy.stdio.child import Child, ChildEvents, Grace
from ostiary.proxy.stdio.program import Command, find_program
from ostiary.proxy.stdio.watchdog import Watchdog
from ostiary.wire.lines import TooLong
from tests.proxy.stdio_world import SRC, gone, is_alive, on_asyncio, on_uvloop, server

QUICK = Grace(eof=0.2, term=0.3, kill=3.0)
PATIENT = Grace(eof=5.0, term=0.3, kill=3.0)

both_loops = pytest.mark.parametrize("run", [on_asyncio, on_uvloop])


class Watched:
    """A child, and everything it told."""

    def __init__(self, command: Command, *, max_line: int = 1 << 20) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.too_long: list[TooLong] = []
        self.deaf = asyncio.Event()
        self.exits: list[int] = []
        self.watchdog = Watchdog()
        self.read: list[tuple[int, int]] = []
        events = ChildEvents(
            self.lines.put_nowait, self.too_long.append, self.deaf.set, self.exits.append, self._has_read
        )
        try:
            self.child = Child(command, self.watchdog, events, max_line=max_line)
        except GatewayFault:
            self.watchdog.close()
            raise

    def _has_read(self, size: int, blank: int) -> None:
        self.read.append((size, blank))

    async def end(self, grace: Grace = QUICK) -> int:
        status = await self.child.stop(grace)
        self.watchdog.close()
        return status


def test_blank_lines_are_told_of_as_a_number() -> None:
    async def main() -> None:
        watched = Watched(Command(("cat",)))
        watched.child.write(b'\n\r\n{"a":1}\n \n{}\n')
        assert await watched.lines.get() == b'{"a":1}'
        assert await watched.lines.get() == b"{}"
        await watched.end(PATIENT)
        assert [sum(each) for each in zip(*watched.read, strict=True)] == [16, 3]

    on_asyncio(main)


@both_loops
def test_a_line_goes_in_and_a_line_comes_out(run: Callable[..., None]) -> None:
    async def main() -> None:
        watched = Watched(Command(("cat",)))
        watched.child.write(b'{"a":1}\n')
        assert await watched.lines.get() == b'{"a":1}'
        assert await watched.end(PATIENT) == 0
        assert watched.exits == [0]

    run(main)


@both_loops
def test_exit_status_is_returned_and_told_once(run: Callable[..., None]) -> None:
    async def main() -> None:
        watched = Watched(server("raise SystemExit(7)"))
        assert await watched.child.wait(5)
        assert watched.exits == [7]
        assert await watched.end() == 7
        assert watched.exits == [7]

    run(main)


def test_death_by_signal_is_128_and_its_number() -> None:
    async def main() -> None:
        watched = Watched(Command(("sleep", "100")))
        watched.child.signal(signal.SIGTERM)
        await watched.child.wait(5)
        assert await watched.end() == 128 + signal.SIGTERM

    on_uvloop(main)


def test_signals_reach_the_whole_group() -> None:
    async def main() -> None:
        watched = Watched(Command(("sh", "-c", "sleep 100 & echo $!; wait")))
        grandchild = int(await watched.lines.get())
        watched.child.signal(signal.SIGTERM)
        await watched.child.wait(5)
        await watched.end()
        assert gone([grandchild], 3.0)

    on_uvloop(main)


def test_child_leads_a_process_group_of_its_own() -> None:
    async def main() -> None:
        watched = Watched(Command(("cat",)))
        assert os.getpgid(watched.child.pid) == watched.child.pid != os.getpgrp()
        await watched.end()

    on_uvloop(main)


def test_child_that_ignores_everything_is_killed_with_its_descendants() -> None:
    async def main() -> None:
        watched = Watched(Command(("sh", "-c", "trap '' TERM; sleep 100 & echo $!; while :; do wait; done")))
        grandchild = int(await watched.lines.get())
        assert await watched.end() == 128 + signal.SIGKILL
        assert gone([grandchild], 3.0)

    on_uvloop(main)


def test_what_a_child_leaves_behind_dies_with_it() -> None:
    async def main() -> None:
        watched = Watched(Command(("sh", "-c", "sleep 100 & echo $!")))
        grandchild = int(await watched.lines.get())
        await watched.child.wait(5)
        assert gone([grandchild], 3.0)
        assert await watched.end() == 0

    on_uvloop(main)


def test_last_words_before_the_exit_are_read() -> None:
    async def main() -> None:
        watched = Watched(server("say({'n': 'x' * 60000}); os._exit(0)"))
        await watched.child.wait(5)
        assert len(watched.lines.get_nowait()) > 60_000
        await watched.end()

    on_uvloop(main)


def test_line_over_the_limit_is_told_and_the_next_one_is_read() -> None:
    async def main() -> None:
        watched = Watched(
            server("sys.stdout.write('x' * 5000 + '\\n'); say({'ok': 1}); sys.stdin.read()"), max_line=4096
        )
        assert await watched.lines.get() == b'{"ok": 1}'
        assert watched.too_long == [TooLong(4096)]
        await watched.end()

    on_uvloop(main)


def test_closed_input_is_told_and_untouched_lines_are_known() -> None:
    async def main() -> None:
        watched = Watched(server("os.close(0); say({'closed': 1}); import time; time.sleep(100)"))
        await watched.lines.get()
        ticket = watched.child.write(b"x\n")
        await watched.deaf.wait()
        assert watched.child.untouched(ticket)
        await watched.end()

    on_uvloop(main)


def test_untouched_line_can_be_withdrawn_and_a_begun_one_not() -> None:
    async def main() -> None:
        watched = Watched(server("sys.stdin.read(1); say({}); import time; time.sleep(100)"))
        begun = watched.child.write(b"y" * (1 << 20) + b"\n")
        waiting = watched.child.write(b"z\n")
        assert not watched.child.withdraw(begun)
        assert watched.child.withdraw(waiting)
        assert not watched.child.withdraw(waiting)
        await watched.end()

    on_uvloop(main)


def test_stderr_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        watched = Watched(server("sys.stderr.write('a word of warning\\n')"))
        await watched.child.wait(5)
        await watched.end()

    on_uvloop(main)
    assert "a word of warning" in capfd.readouterr().err


def test_missing_command_is_named_with_the_nearest_name() -> None:
    async def main() -> None:
        with pytest.raises(GatewayFault) as caught:
            Watched(Command(("slep", "1")))
        assert caught.value.message == "cannot start `slep`: no such command on PATH"
        assert "`sleep`" in (caught.value.hint or "")

    on_uvloop(main)


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"#!/no/such/interpreter\n", 0o755, "its interpreter does not exist"),
        (b"not a program", 0o755, "exec format error"),
        (b"#!/bin/sh\n", 0o644, "permission denied"),
        (None, 0, "no such file"),
    ],
)
def test_file_that_cannot_be_run_says_why(
    tmp_path: Path, content: bytes | None, mode: int, message: str
) -> None:
    file = tmp_path / "program"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)

    async def main() -> None:
        with pytest.raises(GatewayFault, match=message):
            Watched(Command((str(file),)))

    on_uvloop(main)


def test_missing_directory_and_empty_command_are_refused() -> None:
    with pytest.raises(GatewayFault, match="directory `/no/such` does not exist"):
        find_program(Command(("cat",), cwd="/no/such"))
    with pytest.raises(GatewayFault, match="empty"):
        find_program(Command(()))


HOLDER = """
import asyncio, sys
from ostiary.proxy.stdio.child import Child, ChildEvents
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.watchdog import Watchdog

async def main():
    events = ChildEvents(lambda line: print(line.decode(), flush=True), print, print, print, lambda *_: None)
    child = Child(Command(tuple(sys.argv[1:])), Watchdog(), events)
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_no_orphan_is_left_when_the_gate_is_killed() -> None:
    family = "trap '' TERM HUP; sleep 1000 & echo $!; exec cat"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "sh", "-c", family],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )
    assert holder.stdout is not None
    pids = [int(holder.stdout.readline()), int(holder.stdout.readline())]
    assert all(is_alive(pid) for pid in pids)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert gone(pids, 5.0)


def test_watchdog_that_was_killed_is_replaced_and_guards_everybody() -> None:
    code = HOLDER.replace(
        "    print(child.pid, flush=True)\n",
        "    print(child.pid, flush=True)\n"
        "    child._watchdog._process.kill(); child._watchdog._process.wait()\n"
        "    print(Child(Command(('sleep', '1000')), child._watchdog, events).pid, flush=True)\n",
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, "sh", "-c", "sleep 1000; :"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SRC)},
    )
    assert holder.stdout is not None
    pids = [int(holder.stdout.readline()), int(holder.stdout.readline())]
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert gone(pids, 5.0)
