"""Many runs of all kinds at once: every answer to its own caller, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from ostiary.sandbox.engine import Bounds, Busy
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.request import RunRequest
from tests.needs import size
from tests.sandbox.cpython.world import BEGUN_MS, WAIT_S, Sandbox, sandbox, stock

pytestmark = pytest.mark.timeout(180)

AT_ONCE = 8
START = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])"
)
KINDS = {
    "value": ("{n}", {"success"}),
    "raises": ("raise ValueError({n})", {"error"}),
    "leaves": ("import sys; sys.exit(3)", {"error"}),
    "crashes": ("import ctypes; ctypes.string_at(0)", {"error"}),
    "hangs": ("import signal\nwhile True: signal.pause()", {"timeout"}),
    "floods": ("while True: print('x' * 10_000)", {"killed", "timeout"}),
    "starts": (START, {"success"}),
    "forks": ("import os, time\nif os.fork() == 0: time.sleep(60)\n{n}", {"success"}),
    "session": ("{n}", {"success"}),
}
"""What code does after it has printed its number, and how that may end."""

BOUNDED = Limits(wall_ms=BEGUN_MS, kept_bytes=2 * MIB)
PATIENT = Limits(wall_ms=30_000)


async def _one(made: Sandbox, n: int, chance: random.Random) -> str:
    """Run it, or give up on it after a moment; what is wrong with its record, if anything."""
    kind = chance.choice(list(KINDS))
    code = "print({n})\n" + KINDS[kind][0]
    request = RunRequest(
        code=code.format(n=n),
        owner=f"owner-{n % 3}",
        session=f"s{n % 2}" if kind == "session" else "",
        limits=BOUNDED if kind in {"hangs", "floods"} else PATIENT,
    )
    if chance.random() < 0.2:
        try:
            async with asyncio.timeout(chance.random() * 0.05):
                record = await made.engine.run(request)
        except TimeoutError:
            return ""
    else:
        record = await made.engine.run(request)
    if record.stdout.whole.split("\n")[0] != str(n) or record.owner != request.owner:
        return f"run {n} ({kind}) got {record.stdout.whole[:20]!r}, {record.error}"
    return "" if record.status in KINDS[kind][1] else f"run {n} ({kind}): {record.status}, {record.error}"


async def _all(made: Sandbox, count: int, seed: int) -> set[str]:
    places, chance = asyncio.Semaphore(AT_ONCE), random.Random(seed)

    async def placed(n: int) -> str:
        async with places:
            return await _one(made, n, chance)

    return set(await asyncio.gather(*(placed(n) for n in range(count)))) - {""}


def _descendants(but: frozenset[int] = frozenset()) -> frozenset[int]:
    """Our descendants, without those of processes that are named: an engine of containers changes."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found - but:
        found |= more
    return frozenset(found - {os.getpid()})


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_many_runs_at_once_leave_nothing_and_mix_nothing_up() -> None:
    count, seed = size(100, 1_000), random.randrange(1 << 30)
    of = stock("strict")
    before, open_before = _descendants(), _open_files()

    with sandbox(of, Bounds(at_once=4, queue=32, keep_runs=20, max_sessions=6)) as made:
        made.do(_all(made, 20, seed), 60)
        resident = _resident_kb()
        wrong = made.do(_all(made, count, seed + 1), 20 + count)
        grown = _resident_kb() - resident

    assert not wrong, (seed, wrong)
    deadline = time.monotonic() + WAIT_S  # what others of this process are at may be open for a moment
    while (left := _descendants(but=before)) or _open_files() > open_before:
        assert time.monotonic() < deadline, (seed, left, _open_files(), open_before)
        os.sched_yield()
    assert grown < 64 * 1024, seed  # 20 records with 2 MB each are kept at most
    assert made.troubles == []


def test_a_warm_interpreter_that_dies_is_replaced() -> None:
    with sandbox(stock("strict"), warm=1) as made:
        assert made.run("1").status == "success"
        for place in list(made.runner._places):
            process = place._zygote._process
            assert process is not None
            process.kill()
            process.wait(5)

        records = [made.run("1 + 1") for _ in range(3)]

        assert [record.status for record in records if record.result] == ["success"] * 3
        assert any("another is started" in told for told in made.troubles)


def test_a_busy_engine_on_real_workers_says_so() -> None:
    with sandbox(stock("none"), Bounds(at_once=1, queue=0), warm=1) as made:
        run_id = made.do(_start(made))
        with pytest.raises(Busy, match="busy"):
            made.run("1")
        made.do(_cancel(made, run_id))


async def _start(made: Sandbox) -> str:
    return made.engine.start(RunRequest(code="import time; time.sleep(60)", owner="ana"))


async def _cancel(made: Sandbox, run_id: str) -> None:
    made.engine.cancel("ana", run_id)
    await made.engine.drain()
