"""Code in Monty, behind walls and without: what a run gives, and how it ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ostiary.sandbox.isolation.walls import Level
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.request import RunRequest
from tests.sandbox.cpython.world import LEVELS
from tests.sandbox.monty.world import Monty, play


async def printing(monty: Monty, run_id: str) -> None:
    """Wait until a run has begun to print."""
    while True:
        stands = monty.engine.status("ana", run_id)
        assert stands is not None
        if stands.stdout.size:
            return
        await asyncio.sleep(0)


@pytest.mark.parametrize("level", LEVELS)
def test_a_run_prints_has_a_value_and_reads_its_context(level: Level) -> None:
    async def scene(monty: Monty) -> None:
        record = await monty.run("print('sum of', xs)\nsum(xs)", context={"xs": [1, 2, 3.5]})

        assert (record.status, record.stdout.whole) == ("success", "sum of [1, 2, 3.5]\n")
        assert record.result is not None
        assert (record.result.text, record.result.json) == ("6.5", "6.5")
        assert (record.engine, record.version, record.isolation.level) == ("monty", "1.4.0", level)

    play(scene, level)


def test_outputs_are_read_back_as_json_and_what_is_none_is_said() -> None:
    async def scene(monty: Monty) -> None:
        code = "rows = [{'a': 1}, (2, None)]\nodd = {1: 2}\nbig = 2**70"
        record = await monty.run(code, outputs=("rows", "odd", "big", "absent"))

        assert record.outputs == {"rows": '[{"a": 1}, [2, null]]', "big": str(2**70)}
        assert record.notes == (
            "the output `odd` is not JSON, or too large",
            "the output `absent` was not set",
        )

    play(scene)


def test_a_traceback_has_the_frames_of_the_code_and_its_name() -> None:
    async def scene(monty: Monty) -> None:
        record = await monty.run("def half(x):\n    return x / 0\n\nhalf(4)")

        assert record.status == "error"
        assert record.error is not None
        assert (record.error.type, record.error.message) == ("ZeroDivisionError", "division by zero")
        assert '  File "<cell 1>", line 4, in <module>' in record.error.traceback
        assert '  File "<cell 1>", line 2, in half' in record.error.traceback
        assert "python-input" not in record.error.traceback

    play(scene)


def test_a_session_keeps_its_names_and_another_owner_has_none_of_them() -> None:
    async def scene(monty: Monty) -> None:
        await monty.run("x = 41", session="s")
        mine = await monty.run("x + 1", session="s")
        theirs = await monty.run("x", session="s", owner="eve")
        after = await monty.run("x")

        assert mine.result is not None
        assert mine.result.text == "42"
        assert [one.error.type if one.error else "" for one in (theirs, after)] == ["NameError", "NameError"]

    play(scene)


def test_a_process_serves_one_owner_and_nothing_of_a_run_is_in_the_next() -> None:
    async def scene(monty: Monty) -> None:
        runner = monty.runner
        await monty.run("kept = 1\nimport json")
        await asyncio.gather(*(monty.run("1", owner=f"o{number}") for number in range(3)))
        record = await monty.run("kept")

        assert record.error is not None
        assert record.error.type == "NameError"
        owners = {process.owner for process in runner._all}
        assert {"ana", "o0", "o1", "o2"} <= owners

    play(scene)


@pytest.mark.parametrize("code", ["while True: pass", "x = 10 ** 10 ** 8", "import time\ntime.sleep(60)"])
def test_what_takes_too_long_is_ended_from_outside_with_what_it_printed(code: str) -> None:
    async def scene(monty: Monty) -> None:
        record = await monty.run(f"print('begun')\n{code}", limits=Limits(wall_ms=400))
        after = await monty.run("1 + 1")

        assert record.status == "timeout"
        assert record.error is not None
        assert record.error.message == "the run took longer than 400 ms and was ended"
        assert after.status == "success"

    play(scene)


def test_cpu_time_has_a_limit_of_its_own() -> None:
    async def scene(monty: Monty) -> None:
        record = await monty.run("while True: pass", limits=Limits(wall_ms=10_000, cpu_ms=300))

        assert record.status == "timeout"
        assert record.error is not None
        assert record.error.type == "CpuLimit"

    play(scene)


@pytest.mark.parametrize(
    "code", ["x = 'a' * 10 ** 9", "x = []\nwhile True:\n    x.append('a' * 10_000 + str(len(x)))"]
)
def test_memory_is_bounded(code: str) -> None:
    async def scene(monty: Monty) -> None:
        record = await monty.run(code, limits=Limits(memory=64 * MIB, wall_ms=10_000))

        assert record.status == "oom"

    play(scene)


def test_endless_recursion_is_an_error_and_a_flood_of_output_an_end() -> None:
    async def scene(monty: Monty) -> None:
        deep = await monty.run("def f(n):\n    return f(n + 1)\nf(0)")
        flood = await monty.run("while True: print('x' * 1000)", limits=Limits(kept_bytes=100_000))

        assert deep.error is not None
        assert deep.error.type == "RecursionError"
        assert (flood.status, flood.stdout.size >= 100_000) == ("killed", True)

    play(scene)


def test_a_value_that_is_endless_when_written_out_is_not_written_out() -> None:
    async def scene(monty: Monty) -> None:
        code = "x = [0] * 100\nfor i in range(12): x = [x] * 100\nx"
        record = await monty.run(code, outputs=("x",))

        assert record.result is not None
        assert (record.result.text, record.result.json) == ("<list that is too large to show>", None)
        assert record.notes == ("the output `x` is not JSON, or too large",)

    play(scene)


def test_odd_values_and_odd_names_do_no_harm() -> None:
    async def scene(monty: Monty) -> None:
        context = {"x": 1, "class": 2, "no name": 3, "print": 4}
        given = await monty.run("x + print", context=context)
        assert given.result is not None
        assert given.result.text == "5"

        deep = "x = []\nfor i in range(100_000): x = [x]\nx"
        itself = "x = []\nx.append(x)\nx"
        thing = "class Point:\n    def __init__(self):\n        self.x = 1\nPoint()"
        shown = [(await monty.run(code)).result for code in (deep, itself, thing, "len", "2 ** 100_000")]
        assert [value.text if value else "" for value in shown] == [
            "<list that is too large to show>",
            "['[...]']",
            "Point(x=1)",
            "<function len>",
            "<int that is too large to show>",
        ]

    play(scene)


def test_the_host_is_out_of_reach() -> None:
    async def scene(monty: Monty) -> None:
        for code, kind in (
            ("open('/etc/passwd').read()", "PermissionError"),
            ("import os\nos.environ['PATH']", "RuntimeError"),
            ("import subprocess", "ModuleNotFoundError"),
            ("__import__('os')", "NameError"),
            ("from pathlib import Path\nlist(Path('/').iterdir())", "PermissionError"),
        ):
            record = await monty.run(code)
            assert record.error is not None
            assert (code, record.error.type) == (code, kind)

    play(scene)


def test_runs_at_once_never_mix() -> None:
    async def scene(monty: Monty) -> None:
        async def one(number: int) -> None:
            record = await monty.run(f"print('run {number}')\n{number}", owner=f"o{number % 2}")
            assert record.stdout.whole == f"run {number}\n"
            assert record.result is not None
            assert record.result.text == str(number)

        await asyncio.gather(*(one(number) for number in range(24)))

    play(scene)


def test_a_cancelled_run_ends_at_once_and_its_process_with_it() -> None:
    async def scene(monty: Monty) -> None:
        engine = monty.engine
        run_id = engine.start(RunRequest(code="while True: print('x', end='')", owner="ana"))
        await printing(monty, run_id)

        assert engine.cancel("ana", run_id)
        record = await engine.ended("ana", run_id)
        assert record is not None
        assert record.status == "cancelled"

    play(scene)


def test_a_process_that_dies_ends_its_run_and_no_other() -> None:
    async def scene(monty: Monty) -> None:
        engine, runner = monty.engine, monty.runner
        run_id = engine.start(RunRequest(code="while True: print('x', end='')", owner="ana"))
        await printing(monty, run_id)
        for process in runner._all:
            if process.owner == "ana" and process._box is not None:
                process._box.kill()

        record = await engine.ended("ana", run_id)
        after = await monty.run("'alive'")
        assert record is not None
        assert (record.status, after.status) == ("killed", "success")
        assert record.error is not None
        assert record.error.type == "WorkerLost"

    play(scene)


def test_the_interpreter_stands_behind_the_walls_of_every_box() -> None:
    async def scene(monty: Monty) -> None:
        await monty.run("1")
        standing = [process for process in monty.runner._all if process.alive]
        assert standing
        for process in standing:
            assert process._box is not None
            pid = process._box.pid
            while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                pid = int(children[0])
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            assert status["Name"] == "monty"
            assert status["Seccomp"] == "2"
            assert status["CapEff"].strip("0") == ""
            assert status["NoNewPrivs"] == "1"
            assert os.geteuid() or status["Uid"].split()[0] != "0"
            for kind in ("net", "pid", "mnt", "user", "ipc"):
                theirs, ours = (Path(f"/proc/{who}/ns/{kind}").stat() for who in (pid, "self"))
                assert theirs.st_ino != ours.st_ino

    play(scene)
