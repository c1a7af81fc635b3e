"""How runs end that do not end by themselves, and what is left then."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from tests.needs import missing
from tests.sandbox.django.world import GRACE_MS, WAIT_S, Shells, until

pytestmark = pytest.mark.timeout(120)

SHORT = Limits(wall_ms=1_000)
"""For code that never ends by itself, and has begun before that on a busy machine too."""

SMALL = Limits(wall_ms=10_000, memory=64 * MIB)


@pytest.fixture
def session(request: pytest.FixtureRequest, walled: Shells):
    """A session with a name in it, closed after the test."""
    walled.run("x = 41", session=request.node.name)
    yield request.node.name
    walled.close(request.node.name)


@pytest.fixture
def patient(walled: Shells, monkeypatch: pytest.MonkeyPatch) -> Shells:
    """Behind walls, where code whose time is up has longer to end by itself than a busy machine takes."""
    monkeypatch.setattr(walled.runner, "grace_ms", GRACE_MS)
    return walled


ENDED = {
    "import os; os._exit(1)": ("error", "exit"),
    "import ctypes; ctypes.string_at(0)": ("error", "signal"),
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": ("error", "signal"),
    "kept = []\nwhile True: kept.append(bytearray(1 << 22))": ("oom", "limit"),
}


@pytest.mark.parametrize("code", ENDED, ids=["exit", "segfault", "kill", "memory"])
def test_a_process_that_dies_is_told_and_the_next_call_works(walled: Shells, session: str, code: str) -> None:
    status, category = ENDED[code]
    if status == "oom" and not walled.bounded:
        missing("cgroups, without which too much memory is a MemoryError")
    told = walled.run(f"print('before', flush=True)\n{code}", session=session, limits=SMALL)
    assert (told.status, told.error.category) == (status, category)
    assert told.stdout.shown == "before\n"
    assert told.session_lost
    after = walled.run("x", session=session)
    assert after.error.type == "NameError"


LONG = {
    "loop": "while True: pass",
    "sleep": "import time; time.sleep(60)",
    "database": (
        "from django.db import connection\n"
        "with connection.cursor() as c:\n"
        "    while True: c.execute('SELECT 1')"
    ),
    "join": (
        "import threading, time\n"
        "t = threading.Thread(target=time.sleep, args=(60,), daemon=True); t.start(); t.join()"
    ),
    "program": "import subprocess; subprocess.run(['sleep', '60'])",
    "awaits": "import asyncio; await asyncio.sleep(60)",
    "loop that awaits nothing": "async def f():\n    while True: pass\nawait f()",
    "lent work": "from asgiref.sync import sync_to_async\nimport time\nawait sync_to_async(time.sleep)(60)",
    "tasks": "import asyncio\nawait asyncio.gather(*(asyncio.sleep(60) for _ in range(9)))",
    "lock": "import threading; threading.Lock().acquire() and threading.Event().wait()",
}


@pytest.mark.parametrize("code", LONG.values(), ids=LONG.keys())
def test_code_whose_time_is_up_is_ended_and_its_names_are_kept(
    patient: Shells, session: str, code: str
) -> None:
    if "subprocess" in code:
        patient.needs_processes()
    told = patient.run(f"print('before', flush=True)\ny = 1\n{code}", session=session, limits=SHORT)
    assert told.status == "timeout"
    assert f"{SHORT.wall_ms} ms" in told.error.message
    assert told.stdout.shown == "before\n"
    assert not told.session_lost
    assert patient.run("x + y", session=session).json == "42"
    assert patient.run("import asyncio; await asyncio.sleep(0, 7)", session=session).json == "7"


STUBBORN = {
    "caught": "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
    "ignored": "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    "in C": "sum(iter(int, 1))",
    "caught while awaiting": (
        "import asyncio\n"
        "async def f():\n"
        "    while True:\n"
        "        try: await asyncio.sleep(60)\n"
        "        except BaseException: pass\n"
        "await f()"
    ),
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
    patient: Shells, session: str
) -> None:
    code = "import time\ntry: time.sleep(60)\nexcept BaseException as e: y = type(e).__name__\ny"
    told = patient.run(code, session=session, limits=SHORT)
    assert (told.status, told.session_lost) == ("timeout", False)
    assert patient.run("y", session=session).result.text == "TimeLimit"


def test_a_cell_that_ran_out_of_time_in_a_transaction_leaves_none(patient: Shells, session: str) -> None:
    code = (
        "from django.db import transaction\nfrom shop.models import Tag\n"
        "with transaction.atomic():\n    Tag.objects.create(word='half')\n    while True: pass"
    )
    assert patient.run(code, session=session, limits=SHORT).status == "timeout"
    code = (
        "from django.db import connection\n"
        "[connection.in_atomic_block, Tag.objects.filter(word='half').count()]"
    )
    assert patient.run(code, session=session).json == "[false, 0]"


def test_a_process_that_ends_between_two_runs_is_told_by_the_next(walled: Shells, session: str) -> None:
    code = "import os, threading\nthreading.Timer(0.05, os._exit, (1,)).start()"
    walled.run(code, session=session)

    def gone() -> bool:
        told = walled.run("'x' in globals()", session=session)
        return told.status == "success" and told.json == "false"

    until(gone, "the process did not end")


NAP = "61.375"
"""Seconds that nobody else sleeps: how its processes are found."""


def napping() -> int:
    """How many of the programs still run that code started."""
    found = 0
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += NAP.encode() in file.read_bytes().split(b"\0")
    return found


def test_cancelling_kills_everything_that_a_run_has_started(walled: Shells, session: str) -> None:
    walled.needs_processes()
    code = (
        "import os, subprocess\n"
        f"subprocess.Popen(['sh', '-c', 'sleep {NAP} & exec sleep {NAP}'], start_new_session=True)\n"
        f"if os.fork() == 0:\n    os.setsid()\n    os.execvp('sleep', ['sleep', '{NAP}'])\n"
        "print('up', flush=True)\n"
        "while True: pass"
    )

    async def cancelled() -> str:
        run_id = walled.engine.start(RunRequest(code=code, owner="ana", session=session))
        await printed(walled, run_id)
        while napping() < 3:
            await asyncio.sleep(0)
        assert walled.engine.cancel("ana", run_id)
        record = await walled.engine.ended("ana", run_id)
        assert record is not None
        assert record.session_lost
        return record.status

    assert walled.do(cancelled()) == "cancelled"
    until(lambda: napping() == 0, "something goes on")


async def printed(walled: Shells, run_id: str) -> None:
    """Wait until a run has printed something."""
    async with asyncio.timeout(WAIT_S):
        while True:
            told = walled.engine.status("ana", run_id)
            assert isinstance(told, Underway)
            if told.stdout.shown:
                return
            await asyncio.sleep(0)


def test_closing_a_session_ends_what_runs_in_it(walled: Shells, session: str) -> None:
    async def closed() -> str:
        code = "print(1, flush=True)\nwhile True: pass"
        run_id = walled.engine.start(RunRequest(code=code, owner="ana", session=session))
        await printed(walled, run_id)
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
