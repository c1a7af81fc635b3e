"""Spares, the snapshot and its stand-in, and the end of everything."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import msgspec
import pytest

from ostiary.errors import GatewayFault
from ostiary.sandbox.limits import DEFAULT_LIMITS, MIB
from ostiary.sandbox.pyodide.runner import PyodideRunner
from ostiary.sandbox.record import Value
from ostiary.sandbox.runner import Ended, Environment, Job
from tests.sandbox.pyodide.prepared import (
    STARTS,
    WAIT,
    Prepared,
    Printed,
    run,
    run_alone,
    running,
    walls,
    working,
)

pytestmark = pytest.mark.timeout(180)


def below(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


def copied(here: Prepared, folder: Path) -> Prepared:
    """The same as `here` in a folder that a test may break."""
    cache = folder / "cache"
    shutil.copytree(here.found.place, cache / "pyodide" / Path(here.found.place).name)
    place = str(cache / "pyodide" / Path(here.found.place).name)
    for one in (cache, cache / "pyodide"):
        one.chmod(0o755)
    return Prepared(cache, msgspec.structs.replace(here.found, place=place))


def test_a_ready_spare_is_handed_out_and_replaced(here: Prepared) -> None:
    async def main() -> tuple[list[Ended], int]:
        ended: list[Ended] = []
        async with running(here, spares=1) as runner:
            pids: set[int] = set()
            for n in range(3):
                async with working(runner) as worker:
                    pids.add(worker.pid)
                    ended.append((await run(worker, f"print({n})\n{n}"))[0])
            return ended, len(pids)

    ended, different = asyncio.run(main())
    assert [one.value for one in ended] == [Value(str(n), str(n)) for n in range(3)]
    assert different == 3


def test_a_run_with_other_bounds_does_not_get_a_spare(here: Prepared) -> None:
    other = msgspec.structs.replace(DEFAULT_LIMITS, memory=256 * MIB)

    async def main() -> tuple[int, int, int]:
        async with running(here, spares=1) as runner:
            [spare] = runner.spares
            async with working(runner, other) as first, working(runner) as second:
                return spare.pid, first.pid, second.pid

    spare, first, second = asyncio.run(main())
    assert first != spare
    assert second == spare


def test_a_spare_that_dies_is_told_and_replaced(here: Prepared) -> None:
    async def main() -> tuple[list[str], Ended]:
        troubles: list[str] = []
        told = asyncio.Event()

        def on_trouble(text: str) -> None:
            troubles.append(text)
            told.set()

        runner = PyodideRunner(walls("strict", here.cache), here.cache, here.found)
        try:
            await asyncio.wait_for(runner.start(on_trouble), STARTS)
            os.kill(runner.spares[0].pid, signal.SIGKILL)
            await asyncio.wait_for(told.wait(), WAIT)
            ended, _ = await run_alone(runner, "6 * 7")
            return troubles, ended
        finally:
            await asyncio.wait_for(runner.close(), STARTS)

    troubles, ended = asyncio.run(main())
    assert len(troubles) == 1
    assert "died" in troubles[0]
    assert ended.value == Value("42", "42")


@pytest.mark.parametrize("damage", ["cut", "of another program"])
def test_a_snapshot_that_fails_its_test_is_told_and_the_long_way_is_taken(
    here: Prepared, tmp_path: Path, damage: str
) -> None:
    broken = copied(here, tmp_path)
    snapshot = Path(broken.found.place, broken.found.snapshot)
    content = snapshot.read_bytes()
    snapshot.chmod(0o644)
    snapshot.write_bytes(
        content[: 1 << 20] if damage == "cut" else content[: 5 << 20] + bytes(len(content) - (5 << 20))
    )

    async def main() -> tuple[list[str], Ended]:
        troubles: list[str] = []
        runner = PyodideRunner(walls("strict", here.cache), here.cache, broken.found, spares=0)
        try:
            await asyncio.wait_for(runner.start(troubles.append), STARTS)
            return troubles, (await run_alone(runner, "print('still'); 1"))[0]
        finally:
            await asyncio.wait_for(runner.close(), STARTS)

    troubles, ended = asyncio.run(main())
    assert len(troubles) == 1
    assert "snapshot is not used" in troubles[0]
    assert ended.value == Value("1", "1")
    assert len(ended.notes) == 1
    assert "without a memory snapshot" in ended.notes[0]


def test_without_a_usable_pyodide_it_does_not_start(here: Prepared, tmp_path: Path) -> None:
    broken = copied(here, tmp_path)
    program = Path(broken.found.place, "package/pyodide.asm.mjs")
    program.chmod(0o644)
    program.write_text("throw new Error('nothing here')")

    async def main() -> None:
        runner = PyodideRunner(walls("strict", here.cache), here.cache, broken.found, spares=0)
        try:
            await asyncio.wait_for(runner.start(lambda _: None), STARTS)
        finally:
            await asyncio.wait_for(runner.close(), STARTS)

    with pytest.raises(GatewayFault, match="nothing here"):
        asyncio.run(main())


def test_after_closing_nothing_is_left_of_any_worker(here: Prepared) -> None:
    async def main() -> list[int]:
        async with running(here, spares=1) as runner:
            worker = await asyncio.wait_for(runner.worker(DEFAULT_LIMITS, Environment()), STARTS)
            busy = asyncio.ensure_future(worker.run(Job(code="while True: pass"), Printed()))
            pids = [pid for one in (worker, *runner.spares) for pid in below(one.pid)]
            await runner.close()
            assert (await asyncio.wait_for(busy, WAIT)).how == "signalled"
            return pids

    pids = asyncio.run(main())
    assert len(pids) >= 3
    assert [pid for pid in pids if Path(f"/proc/{pid}/root").exists()] == []


def test_a_kill_while_it_runs_is_told_as_one(here: Prepared) -> None:
    async def main() -> tuple[Ended, bytes]:
        async with running(here) as runner, working(runner) as worker:
            printed = Printed()
            begun = asyncio.Event()

            class Tap(Printed):
                def stdout(self, data: bytes) -> None:
                    printed.stdout(data)
                    begun.set()

            busy = asyncio.ensure_future(
                worker.run(Job(code="print('begun', end='')\nwhile True: pass"), Tap())
            )
            await asyncio.wait_for(begun.wait(), WAIT)
            worker.kill()
            worker.kill()
            return await asyncio.wait_for(busy, WAIT), printed.out

    ended, out = asyncio.run(main())
    assert (ended.how, ended.signal) == ("signalled", signal.SIGKILL)
    assert out == b"begun"


def test_an_answer_that_is_none_ends_the_worker(here: Prepared) -> None:
    """Code reaches the descriptor of the answers through the file system of WebAssembly's own."""
    forged = """
import json, sys, gc
for one in gc.get_objects():
    if type(one).__name__ == "Answering":
        type(one).answer = lambda *_: (b"\\xff\\xff\\xff\\xff" * 2)
json.dumps = lambda *a, **k: "{}"
1
"""

    async def main() -> tuple[Ended, Ended]:
        async with running(here) as runner:
            lost, _ = await run_alone(runner, forged)
            return lost, (await run_alone(runner, "'next'"))[0]

    lost, after = asyncio.run(main())
    assert lost.how == "lost"
    assert lost.fault is not None
    assert lost.fault.category == "worker"
    assert after.value == Value("next", '"next"')
