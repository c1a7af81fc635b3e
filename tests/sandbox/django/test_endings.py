"""How runs end that do not end by themselves, and what is left then."""

from __future__ import annotations

import asyncio
import time

import pytest

from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.request import RunRequest
from tests.sandbox.django.world import WAIT_S, Shells, family, until

SHORT = Limits(wall_ms=300)
"""For code that never ends by itself."""

SMALL = Limits(wall_ms=10_000, memory=64 * MIB)


@pytest.fixture
def session(request: pytest.FixtureRequest, walled: Shells):
    """A session with a name in it, closed after the test."""
    walled.run("x = 41", session=request.node.name)
    yield request.node.name
    walled.close(request.node.name)


ENDED = {
    "import os; os._exit(1)": ("error", "exit"),
    "import ctypes; ctypes.string_at(0)": ("error", "signal"),
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": ("error", "signal"),
    "kept = []\nwhile True: kept.append(bytearray(1 << 22))": ("oom", "limit"),
}


@pytest.mark.parametrize("code", ENDED, ids=["exit", "segfault", "kill", "memory"])
def test_a_process_that_dies_is_told_within_a_second_and_the_next_call_works(
    walled: Shells, session: str, code: str
) -> None:
    status, category = ENDED[code]
    began = time.monotonic()
    told = walled.run(f"print('before', flush=True)\n{code}", session=session, limits=SMALL)
    took = time.monotonic() - began
    assert (told.status, told.error.category) == (status, category)
    assert told.stdout.shown == "before\n"
    assert told.session_lost
    assert took < WAIT_S
    after = walled.run("x", session=session)
    assert after.error.type == "NameError"


LONG = {
    "loop": "while True: pass",
    "sleep": "import time; time.sleep(60)",
    "database": "from django.db import connection\nwith connection.cursor() as c:\n    while True: c.execute('SELECT 1')",
    "join": "import threading, time\nt = threading.Thread(target=time.sleep, args=(60,), daemon=True); t.start(); t.join()",
    "program": "import subprocess; subprocess.run(['sleep', '60'])",
    "awaits": "import asyncio; await asyncio.sleep(60)",
    "loop that awaits nothing": "async def f():\n    while True: pass\nawait f()",
    "lent work": "from asgiref.sync import sync_to_async\nimport time\nawait sync_to_async(time.sleep)(60)",
    "tasks": "import asyncio\nawait asyncio.gather(*(asyncio.sleep(60) for _ in range(9)))",
    "lock": "import threading; threading.Lock().acquire() and threading.Event().wait()",
}


@pytest.mark.parametrize("code", LONG.values(), ids=LONG.keys())
def test_code_whose_time_is_up_is_ended_and_its_names_are_kept(
    walled: Shells, session: str, code: str
) -> None:
    told = walled.run(f"print('before', flush=True)\ny = 1\n{code}", session=session, limits=SHORT)
    assert told.status == "timeout"
    assert "300 ms" in told.error.message
    assert told.stdout.shown == "before\n"
    assert not told.session_lost
    assert walled.run("x + y", session=session).result.json == "42"
    assert walled.run("import asyncio; await asyncio.sleep(0, 7)", session=session).result.json == "7"


STUBBORN = {
    "caught": "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
    "ignored": "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    "in C": "sum(iter(int, 1))",
    "caught while awaiting": "import asyncio\nasync def f():\n    while True:\n        try: await asyncio.sleep(60)\n        except BaseException: pass\nawait f()",
}


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN.keys())
def test_code_that_goes_on_is_killed_and_its_session_is_said_to_be_lost(
    walled: Shells, session: str, code: str
) -> None:
    told = walled.run(f"print('before', flush=True)\n{code}", session=session, limits=SHORT)
    assert told.status == "timeout"
    assert told.stdout.shown == "before\n"
    assert told.session_lost
    assert walled.run("x", session=session).error.type == "NameError"


def test_code_that_catches_its_end_and_then_ends_is_late_and_keeps_its_names(
    walled: Shells, session: str
) -> None:
    code = "import time\ntry: time.sleep(60)\nexcept BaseException as e: y = type(e).__name__\ny"
    told = walled.run(code, session=session, limits=SHORT)
    assert (told.status, told.session_lost) == ("timeout", False)
    assert walled.run("y", session=session).result.text == "TimeLimit"


def test_a_cell_that_ran_out_of_time_in_a_transaction_leaves_none(walled: Shells, session: str) -> None:
    code = (
        "from django.db import transaction\nfrom shop.models import Tag\n"
        "with transaction.atomic():\n    Tag.objects.create(word='half')\n    while True: pass"
    )
    assert walled.run(code, session=session, limits=SHORT).status == "timeout"
    code = "from django.db import connection\n[connection.in_atomic_block, Tag.objects.filter(word='half').count()]"
    assert walled.run(code, session=session).result.json == "[false, 0]"


def test_a_process_that_ends_between_two_runs_is_told_by_the_next(walled: Shells, session: str) -> None:
    code = "import os, threading\nthreading.Timer(0.05, os._exit, (1,)).start()"
    walled.run(code, session=session)

    def gone() -> bool:
        return walled.run("'x' in globals()", session=session).result.json == "false"

    until(gone, "the process did not end")


def test_cancelling_kills_everything_of_a_run(walled: Shells, session: str) -> None:
    before = family()
    code = (
        "import os, subprocess\np = subprocess.Popen(['sh', '-c', 'sleep 60 & sleep 60'], start_new_session=True)\n"
        "if os.fork() == 0: os.setsid()\nprint('up', flush=True)\nwhile True: pass"
    )

    async def cancelled() -> str:
        run_id = walled.engine.start(RunRequest(code=code, owner="ana", session=session))
        while not getattr(walled.engine.status("ana", run_id), "stdout").shown:  # noqa: B009
            await asyncio.sleep(0)
        assert walled.engine.cancel("ana", run_id)
        record = await walled.engine.ended("ana", run_id)
        assert record is not None
        assert record.session_lost
        return record.status

    assert walled.do(cancelled()) == "cancelled"
    until(lambda: not family() - before - family_of_warm(walled, before), "something goes on")


def family_of_warm(walled: Shells, before: set[int]) -> set[int]:
    """What runs for the next ones: nothing of it was started by code."""
    return {pid for pid in family() - before if b"sleep" not in _line(pid) and _idle(pid)}


def _line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _idle(pid: int) -> bool:
    """Whether it waits: code that loops does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "R"
    except OSError:
        return True


def test_closing_a_session_ends_what_runs_in_it(walled: Shells, session: str) -> None:
    async def closed() -> str:
        run_id = walled.engine.start(
            RunRequest(code="print(1, flush=True)\nwhile True: pass", owner="ana", session=session)
        )
        while not getattr(walled.engine.status("ana", run_id), "stdout").shown:  # noqa: B009
            await asyncio.sleep(0)
        assert walled.engine.close_session("ana", session)
        record = await walled.engine.ended("ana", run_id)
        assert record is not None
        return record.status

    assert walled.do(closed()) == "cancelled"


def test_output_beyond_what_is_kept_ends_the_run(walled: Shells) -> None:
    told = walled.run("while True: print('y' * 4096)", limits=Limits(wall_ms=10_000, kept_bytes=1 << 20))
    assert told.status == "killed"
    assert told.error.type == "OutputLimit"


def test_two_megabytes_are_shown_as_their_beginning_and_end(walled: Shells) -> None:
    told = walled.run("print('y' * 2_000_000)")
    assert told.stdout.truncated
    assert len(told.stdout.shown) < 200_000
    assert told.stdout.size == 2_000_001 == len(told.stdout.whole)
