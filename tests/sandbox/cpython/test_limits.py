"""What a run may use is enforced from outside, and what it did before its end is kept."""

from __future__ import annotations

import pytest

from ostiary.sandbox.limits import MIB, Limits
from tests.sandbox.cpython.world import BEGUN_MS, Sandbox


def test_a_loop_without_end_is_a_time_out_and_the_next_run_works(any_level: Sandbox) -> None:
    code = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('so far', end='')
while True: pass
"""

    record = any_level.run(code, limits=Limits(wall_ms=BEGUN_MS))
    after = any_level.run("1 + 1")

    assert (record.status, record.stdout.whole) == ("timeout", "so far")
    assert after.status == "success"


def test_what_a_run_started_ends_with_it(any_level: Sandbox) -> None:
    code = """
import os, subprocess, sys, time
sleeper = "import time; time.sleep(61.5)"
subprocess.Popen([sys.executable, '-S', '-c', sleeper], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(61.5)
    os._exit(0)
while True: pass
"""
    record = any_level.run(code, limits=Limits(wall_ms=300))

    assert record.status == "timeout"
    assert record.usage.wall_ms < 8_000


def test_output_beyond_what_is_kept_ends_the_run(any_level: Sandbox) -> None:
    record = any_level.run("while True: print('x' * 1000)", limits=Limits(kept_bytes=MIB, wall_ms=10_000))

    assert record.status == "killed"
    assert record.error is not None
    assert record.error.type == "OutputLimit"
    assert len(record.stdout.whole) == MIB


def test_long_output_is_shown_head_and_tail_and_kept_whole(any_level: Sandbox) -> None:
    record = any_level.run("for n in range(200_000): print(n)", limits=Limits(wall_ms=40_000))

    assert record.status == "success", record.error
    assert record.stdout.truncated
    assert record.stdout.shown.startswith("0\n1\n")
    assert record.stdout.shown.endswith("199999\n")
    assert len(record.stdout.shown) < 70_000
    assert record.stdout.whole.count("\n") == 200_000


def test_a_file_larger_than_may_be_cannot_be_written(any_level: Sandbox) -> None:
    record = any_level.run("open('big', 'wb').write(b'x' * (1 << 21))", limits=Limits(file_bytes=MIB))

    assert record.error is not None
    assert record.error.type == "OSError"
    assert "too large" in record.error.message


def test_processor_time_is_bounded(any_level: Sandbox) -> None:
    record = any_level.run("while True: pass", limits=Limits(cpu_ms=1_000, wall_ms=40_000))

    assert record.status == "timeout"
    assert record.error is not None
    assert record.error.type == "CpuLimit"


@pytest.mark.parametrize(
    "take", ["x = bytearray(1 << 30)", "import mmap\nx = mmap.mmap(-1, 1 << 30)\nx.write(b'x' * (1 << 30))"]
)
def test_memory_is_bounded(walled: Sandbox, take: str) -> None:
    record = walled.run(take, limits=Limits(memory=96 * MIB))

    if record.status == "error":  # where no cgroup counts memory
        assert record.error is not None
        assert record.error.type in {"MemoryError", "OSError"}
    else:
        assert record.status == "oom"
    assert walled.run("1").status == "success"


def test_a_fork_bomb_hurts_nobody(walled: Sandbox) -> None:
    code = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(1)"

    record = walled.run(code, limits=Limits(wall_ms=500))
    after = walled.run("1 + 1")

    assert record.status in {"timeout", "error"}
    assert after.status == "success"


def test_parallel_runs_each_get_their_own_answer(any_level: Sandbox) -> None:
    import asyncio

    from ostiary.sandbox.request import RunRequest

    async def all_at_once():
        asked = [RunRequest(code=f"print({n})\n{n}", owner="ana") for n in range(16)]
        return await asyncio.gather(*(any_level.engine.run(one) for one in asked))

    records = any_level.do(all_at_once())

    assert [record.stdout.whole for record in records] == [f"{n}\n" for n in range(16)]
    assert [record.result.text for record in records if record.result] == [str(n) for n in range(16)]
