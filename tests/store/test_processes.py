"""Several operating system processes on one store, some of them killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from ostiary.calls.journal import Committed, Exceeded
from ostiary.policy.decision import Charge
from ostiary.policy.model import Window
from ostiary.store.clock import BootClock
from ostiary.store.verify import verify
from tests.needs import size
from tests.store.writing import World, intent, runs

HAMMER = Path(__file__).with_name("hammer.py")
KILLS = size(small=5, full=60)


class Hammer:
    """One process and what it has said."""

    def __init__(self, state: Path, name: str, calls: int, ceiling: int, seconds: int) -> None:
        arguments = [str(state), name, str(calls), str(ceiling), str(seconds)]
        self.process = subprocess.Popen(
            [sys.executable, str(HAMMER), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def read_grants(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        return [self.process.stdout.readline().decode().split()[1] for _ in range(count)]

    def finish(self) -> list[str]:
        """The rest of what it says, until it ends."""
        out, _ = self.process.communicate(timeout=30)
        return out.decode().splitlines()

    def kill(self) -> list[str]:
        self.process.kill()
        return self.finish()


def granted(lines: list[str]) -> list[str]:
    return [line.split()[1] for line in lines if line.startswith("granted ") and len(line.split()) == 2]


def shared(ceiling: int, seconds: int) -> Charge:
    return Charge("shared", "/limit", Decimal(1), Decimal(ceiling), Window(seconds))


@pytest.mark.parametrize("ceiling", [150, 1200], ids=["log", "ring"])
def test_two_processes_together_get_exactly_the_maximum(state_dir: Path, ceiling: int) -> None:
    """P4.5: exact under processes, in a sliding window that none of the calls leaves."""
    hammers = [Hammer(state_dir, name, ceiling, ceiling, 3600) for name in ("one", "two")]
    for hammer in hammers:
        hammer.go()
    said = [hammer.finish() for hammer in hammers]

    assert [lines[-1] for lines in said] == ["done", "done"]
    assert [line for lines in said for line in lines if line.startswith("failed")] == []
    assert sum(len(granted(lines)) for lines in said) == ceiling
    assert verify(World(state_dir).state).ok


def test_no_span_of_a_short_window_holds_more_than_the_maximum(state_dir: Path) -> None:
    """P4.1: measured on the times in the rows, while the window moves under two processes."""
    command = [sys.executable, str(HAMMER), str(state_dir)]
    reading, writing = os.pipe()
    said = os.fdopen(reading, "rb")
    hammers = [
        subprocess.Popen([*command, name, "0", "5", "1"], stdin=subprocess.PIPE, stdout=writing)
        for name in ("one", "two")
    ]
    os.close(writing)
    assert [said.readline(), said.readline()] == [b"ready\n"] * 2
    for hammer in hammers:
        assert hammer.stdin is not None
        hammer.stdin.write(b"go\n")
        hammer.stdin.flush()

    for _ in range(11):
        said.readline()
    for hammer in hammers:
        hammer.kill()
        hammer.communicate()
    said.close()

    times = sorted(
        body["reservations"][0][2] for body in World(state_dir).bodies() if body["kind"] == "intent"
    )
    assert len(times) > 10
    assert all(later - earlier >= 1_000_000 for earlier, later in zip(times, times[5:], strict=False))


def test_killed_processes_lose_no_call_and_leave_a_valid_chain(state_dir: Path) -> None:
    """P4.5: never fewer counted than were forwarded; a call without outcome becomes unknown."""
    chance = random.Random(20)
    world = World(
        state_dir,
    )
    forwarded: set[str] = set()
    neighbour = Hammer(state_dir, "neighbour", 0, 10**9, 3600)
    neighbour.go()
    for number in range(KILLS):
        hammer = Hammer(state_dir, f"k{number}", 0, 10**9, 3600)
        hammer.go()
        forwarded.update(hammer.read_grants(chance.randrange(1, 120)))
        forwarded.update(granted(hammer.kill()))
    forwarded.update(granted(neighbour.kill()))

    with world.store(clock=BootClock()) as store:
        counted = store.view.ledger.used("shared", store.clock.now())
        bodies = world.bodies()
        recorded = {body["id"] for body in bodies if body["kind"] == "intent"}
        ended = {body["id"] for body in bodies if body["kind"] == "outcome"}
        report = verify(store.state)

    assert len(forwarded) > KILLS
    assert forwarded <= recorded
    assert counted == len(recorded)
    assert recorded == ended
    assert {body.get("note") for body in bodies if body.get("status") == "unknown"} <= {"crash"}
    assert report.ok, report.problems
    assert len(report.chains) <= 3


def test_a_full_quota_stays_full_for_the_next_process(state_dir: Path) -> None:
    """P4.5: across restart and kill."""
    hammer = Hammer(state_dir, "a", 0, 25, 3600)
    hammer.go()
    hammer.read_grants(25)
    hammer.kill()

    with World(state_dir).store(clock=BootClock()) as store:
        assert isinstance(store.commit([intent("late", shared(25, 3600))])[0], Exceeded)
        assert store.commit([intent("other", runs())]) == [Committed()]
