"""Two operating system processes want the same approval at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from ostiary.approvals.step import Stepped, Waiting
from ostiary.store.clock import BootClock
from ostiary.store.verify import verify
from tests.needs import ROOT, size
from tests.store.asking import ANA, KEYS, Office
from tests.store.writing import World

REDEEMER = Path(__file__).with_name("redeemer.py")
RACES = size(small=50, full=1_000)


class Redeemer:
    """One process, and what it says to each call."""

    def __init__(self, state: Path, name: str) -> None:
        keys = json.dumps({who: key.hex() for who, key in KEYS.items()})
        self.process = subprocess.Popen(
            [sys.executable, str(REDEEMER), str(state), name, keys],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.read() == "ready"

    def send(self, content: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(content + "\n")
        self.process.stdin.flush()

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=10)


def test_of_two_processes_that_redeem_one_approval_exactly_one_wins_each_time(state_dir: Path) -> None:
    """P5.1: single use. The loser asks for an approval of its own, and uses nothing of the winner's."""
    world, wins = World(state_dir), {"one": 0, "two": 0}
    began = time.monotonic()
    with (
        Office.opened(world, clock=BootClock()) as office,
        Redeemer(state_dir, "one") as one,
        Redeemer(state_dir, "two") as two,
    ):
        racers = {"one": one, "two": two}
        for number in range(RACES):
            asked = office.take(office.ask(b"call %d" % number))
            assert isinstance(asked, Waiting)
            assert isinstance(office.answer(asked.id, ANA), Stepped)
            for name in sorted(racers, reverse=number % 2 == 1):
                racers[name].send(f"call {number}")
            said = {name: racer.read().split() for name, racer in racers.items()}
            won = [name for name, (kind, *_) in said.items() if kind == "Redeemed"]
            assert len(won) == 1, said
            (lost,) = set(said) - set(won)
            assert said[won[0]] == ["Redeemed", asked.id]
            assert said[lost][0] == "Waiting"
            office.settle(said[lost][1], "cancelled")
            wins[won[0]] += 1
    report = verify(world.state)

    print(
        f"{RACES} races for one approval: won {wins['one']} and {wins['two']} times,"
        f" never both, never neither; {report.rows} rows, chain {'ok' if report.ok else 'broken'};"
        f" {time.monotonic() - began:.1f} s"
    )
    assert sum(wins.values()) == RACES
    assert min(wins.values()) > 0
    assert report.ok, report.problems
    used = [row["approval"] for row in world.bodies() if row["kind"] == "intent"]
    assert len(used) == len(set(used)) == RACES
