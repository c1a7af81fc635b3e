"""The folders that a gate's cgroups are made in: another gate that starts may take them for left behind.

On plain folders: what is tested is who holds which of them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation import cgroups
from ostiary.sandbox.isolation.cgroups import Nursery, Place

Sweep = Callable[[Path], None]


class OtherGate:
    """Sweeps a folder of ours in `below` away at one of the steps in which it is made, `times` times."""

    def __init__(self, below: Path, step: str, times: int, patch: pytest.MonkeyPatch) -> None:
        self._below = below
        self._step = step
        self._left = times
        self._held: list[int] = []
        self.opened: dict[int, Path] = {}
        self._open, self._flock = os.open, fcntl.flock
        patch.setattr(cgroups.os, "open", self.open)
        patch.setattr(cgroups.fcntl, "flock", self.flock)

    def open(self, path: Path, flags: int, *more: int) -> int:
        """Ours is made, and not open yet."""
        if not str(path).startswith(str(self._below)):
            return self._open(path, flags, *more)
        if self._now("made"):
            path.rmdir()
        lock = self._open(path, flags)
        self.opened[lock] = path
        return lock

    def flock(self, lock: int, how: int) -> None:
        """Ours is open, and not locked yet."""
        path = self.opened[lock]
        if self._now("opened"):
            path.rmdir()
        elif self._now("sweeping"):
            held = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
            self._flock(held, fcntl.LOCK_EX)
            self._held.append(held)
        self._flock(lock, how)

    def _now(self, step: str) -> bool:
        if step != self._step or not self._left:
            return False
        self._left -= 1
        return True

    def close(self) -> None:
        for held in self._held:
            os.close(held)


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], OtherGate]]:
    """Another gate that starts at the same time."""
    made: list[OtherGate] = []

    def begin(step: str, times: int) -> OtherGate:
        made.append(OtherGate(tmp_path, step, times, monkeypatch))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def locked(folder: Path) -> bool:
    """Whether somebody holds a lock on it: then no sweep takes it away."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def place(folder: Path) -> Place:
    return Place(folders=dict.fromkeys(("memory", "pids"), folder))


@pytest.mark.parametrize("step", ["made", "opened", "sweeping"])
def test_a_folder_that_another_gate_takes_before_it_is_held_is_made_again(
    tmp_path: Path, other: Callable[[str, int], OtherGate], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = other(step, 2)

    nursery = Nursery(place(tmp_path))

    monkeypatch.undo()
    held = next(iter(nursery._folders.values()))
    assert held == list(gate.opened.values())[-1]
    assert held.is_dir()
    assert locked(held)
    (held / "below").mkdir()  # cgroups can be made in it
    (held / "below").rmdir()
    nursery.close()


@pytest.mark.parametrize("step", ["made", "opened", "sweeping"])
def test_a_folder_that_is_taken_every_time_is_a_fault_and_nothing_stays_held(
    tmp_path: Path, other: Callable[[str, int], OtherGate], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = other(step, 1_000)

    with pytest.raises(GatewayFault, match="other gates sweep them away"):
        Nursery(place(tmp_path))

    monkeypatch.undo()
    for lock, path in gate.opened.items():
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(lock)
        assert not path.exists() or step == "sweeping"
