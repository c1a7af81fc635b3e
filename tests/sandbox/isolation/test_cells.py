"""Places to run in: no two workers share one, and none comes back before it is empty."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation import cells as module
from ostiary.sandbox.isolation.cells import Cells, running, uid_range
from tests.needs import needs_root
from tests.sandbox.isolation.standing import WAIT

FIRST = 500_000


@pytest.fixture
def locks(tmp_path: Path) -> str:
    return str(tmp_path / "locks")


@pytest.fixture
def user() -> int:
    """A user of this process alone: whoever takes a cell kills what runs as its user, wherever that began."""
    return FIRST + 100 + os.getpid()


def test_two_gates_on_one_machine_never_use_one_user_at_a_time(locks: str) -> None:
    needs_root("hand out users")
    one, other = (Cells(range(FIRST, FIRST + 4), None, locks) for _ in range(2))

    taken = [gate.take() for gate in (one, other, one, other)]

    assert {cell.uid for cell in taken} == set(range(FIRST, FIRST + 4))
    with pytest.raises(GatewayFault, match="all 4 users"):
        one.take()
    assert other.give_back(taken[1])
    assert one.take().uid == taken[1].uid


def test_a_gate_that_was_killed_holds_no_user(locks: str) -> None:
    needs_root("hand out users")
    child = os.fork()
    if child == 0:
        try:
            Cells(range(FIRST + 10, FIRST + 11), None, locks).take()
            os.kill(os.getpid(), 9)
        finally:  # whatever goes wrong, it is not to go on with the tests
            os._exit(1)
    os.waitpid(child, 0)

    assert Cells(range(FIRST + 10, FIRST + 11), None, locks).take().uid == FIRST + 10


@pytest.fixture
def somebody(user: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs as the user of a cell, in no cgroup."""
    needs_root("start a program as another user")
    process = subprocess.Popen(["/bin/sleep", "60"], user=user, group=user, extra_groups=[], env={})
    yield process
    process.kill()
    process.wait(WAIT)


def test_a_user_that_still_runs_something_is_emptied_before_it_is_handed_out(
    somebody: subprocess.Popen[bytes], user: int, locks: str
) -> None:
    assert list(running(user)) == [somebody.pid]

    assert Cells(range(user, user + 1), None, locks).take().uid == user

    assert somebody.wait(WAIT) == -9


def test_a_cell_without_a_cgroup_is_emptied_by_its_user(
    locks: str, user: int, somebody: subprocess.Popen[bytes]
) -> None:
    cells = Cells(range(user, user + 1), None, locks)
    cell = cells.take()
    again = subprocess.Popen(["/bin/sleep", "60"], user=user, group=user, extra_groups=[], env={})

    assert cells.give_back(cell)

    assert again.wait(WAIT) == -9


def test_a_process_that_nobody_asked_about_after_its_end_is_none(user: int) -> None:
    needs_root("start a program as another user")
    process = subprocess.Popen(["/bin/true"], user=user, group=user, extra_groups=[], env={})
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert list(running(user)) == []
    process.wait(WAIT)


def test_an_ordinary_user_has_cells_without_a_user_of_their_own(tmp_path: Path) -> None:
    cells = Cells(None, None, str(tmp_path))

    cell = cells.take()

    assert (cell.uid, cell.group) == (None, None)
    assert cells.give_back(cell)


@pytest.mark.parametrize(
    "text",
    ["", "165536", "a-b", "0-10", "1000-2000", "165536-165535", "65535-70000", "165536-4294967295", "-1-5"],
)
def test_a_range_that_cannot_be_given_to_workers_is_refused(text: str) -> None:
    needs_root("hand out users")

    with pytest.raises(CallerFault):
        uid_range({"OSTIARY_UID_RANGE": text})


def test_a_range_is_taken_as_it_is_named() -> None:
    needs_root("hand out users")

    assert uid_range({"OSTIARY_UID_RANGE": "300000-300009"}) == range(300_000, 300_010)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", range(165_536, 166_560)),
        ("root:200000:100\n", range(200_000, 200_100)),
        ("ann:100000:65536\n", range(165_536, 166_560)),
        ("ann:100000:65536\nbob:165536:65536\n", range(231_072, 232_096)),
        ("bob:165536:65536\nroot:900000:65536\n", range(900_000, 965_536)),
        ("broken\nann:x:y\n", range(165_536, 166_560)),
    ],
)
def test_workers_get_users_that_belong_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str, expected: range
) -> None:
    needs_root("hand out users")
    (tmp_path / "subuid").write_text(table)
    monkeypatch.setattr(module, "_SUBORDINATES", tmp_path / "subuid")

    assert uid_range({}) == expected
