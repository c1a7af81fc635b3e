"""cgroups: real ones of version 1 or 2 where this machine gives any, and a made-up tree of version 2."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation.cgroups import Nursery, find_place
from ostiary.sandbox.isolation.group import Group
from ostiary.sandbox.limits import MIB
from tests.needs import missing
from tests.sandbox.isolation.standing import RUN, WAIT, Standing, finish


@pytest.fixture
def group() -> Iterator[Group]:
    place = find_place()
    if place.why_not:
        missing(f"no cgroups for this user: {place.why_not}")
    nursery = Nursery(place)
    made = nursery.make()
    made.set(memory=256 * MIB, processes=32)
    yield made
    made.end()
    nursery.close()


def started(group: Group, code: str) -> subprocess.Popen[str]:
    """A process of ours in the group that waits for a line before it does anything."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", f"input()\n{code}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    group.add(process.pid)
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate("\n", timeout=RUN)
    return process.returncode, out


def test_memory_beyond_the_bound_is_a_kill_that_is_counted(group: Group) -> None:
    assert group.oom_kills() == 0

    status, out = ended(started(group, "x = bytearray(400 << 20); print(1)"))

    assert (status, out) == (-9, "")
    assert group.oom_kills() >= 1
    peak = group.peak()
    assert peak is None or 200 * MIB < peak <= 256 * MIB


def test_memory_that_no_limit_of_a_process_counts_is_bounded(group: Group) -> None:
    code = "import os; f = os.memfd_create('x')\nfor _ in range(400): os.write(f, bytes(1 << 20))\nprint(1)"

    assert ended(started(group, code)) == (-9, "")


def test_more_processes_than_the_bound_cannot_be_started(group: Group) -> None:
    code = """
import os, signal
made = 0
try:
    while True:
        if os.fork() == 0: os.close(1); os.close(2); signal.pause()
        made += 1
except BlockingIOError: print(made, flush=True)
os._exit(0)
"""
    assert ended(started(group, code)) == (0, "31\n")


def test_time_on_the_processor_is_counted_for_all_of_them(group: Group) -> None:
    before = group.cpu_ms()
    if before is None:
        missing("CPU time is not counted on this machine")

    ended(started(group, "import time\nwhile time.process_time() < 0.2: pass"))

    after = group.cpu_ms()
    assert after is not None
    assert 150 < after - before < 2_000


FORKS = """
import os, signal
print('up', flush=True)
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: pass
"""


def test_nothing_outruns_a_kill(group: Group) -> None:
    """Not even what forks as fast as it can and leaves its session."""
    process = started(group, FORKS)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()

    assert group.end()

    assert group.pids() == []
    assert process.wait(WAIT) == -9
    process.communicate()


def test_a_kill_spares_what_is_to_be_kept_and_it_can_start_others_again(group: Group) -> None:
    kept = started(group, "import os, subprocess; subprocess.run(['/bin/true'], check=True); print('kept')")
    other = started(group, "print('other')")

    group.kill(keep={kept.pid})

    assert other.wait(WAIT) == -9
    other.communicate()
    assert ended(kept) == (0, "kept\n")


def test_a_group_is_not_removed_while_something_runs_in_it(group: Group) -> None:
    process = started(group, "")

    assert group.remove() is False
    ended(process)
    assert group.end() is True


def test_a_process_that_has_ended_is_put_in_without_a_fault(group: Group) -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait(WAIT)

    group.add(process.pid)


def test_what_a_killed_gate_left_is_swept_away_at_the_next_start() -> None:
    place = find_place()
    if place.why_not:
        missing(f"no cgroups for this user: {place.why_not}")
    told, telling = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            group = Nursery(place).make()
            left = subprocess.Popen(["/bin/sleep", "60"])
            group.add(left.pid)
            os.write(telling, f"{left.pid} {group._folders['pids']}".encode())
            signal.pause()
        finally:  # whatever goes wrong, it is not to go on with the tests
            os._exit(1)
    os.close(telling)
    try:
        pid, folder = os.read(told, 4096).decode().split()
        held = os.pidfd_open(int(pid))  # while its gate lives: after that, any gate that starts may end it
    finally:
        os.close(told)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    Nursery(place).close()
    waiting = select.poll()
    waiting.register(held, select.POLLIN)
    assert waiting.poll(WAIT * 1000)
    os.close(held)
    Nursery(place).close()
    assert not Path(folder).exists()


def test_the_cgroups_of_a_living_gate_are_left_alone(group: Group) -> None:
    process = started(group, "print('alive')")

    Nursery(find_place()).close()

    assert ended(process) == (0, "alive\n")


def test_a_box_that_runs_out_of_memory_is_told_apart(standing: Standing) -> None:
    if not standing.walls.bounded:
        missing(f"no cgroups for this user: {standing.found.cgroups.why}")
    with standing.cell(memory=64 * MIB) as cell:
        done = finish(standing.start(cell, "x = bytearray(200 << 20); print(1)"))
        assert cell.group is not None
        kills = cell.group.oom_kills()

    assert (done.status, done.out, kills) == (128 + 9, "", 1)


def test_files_in_memory_count_as_memory_of_the_box(standing: Standing) -> None:
    if not standing.walls.bounded:
        missing(f"no cgroups for this user: {standing.found.cgroups.why}")
    with standing.cell(memory=64 * MIB) as cell:
        code = "f = open('/tmp/x', 'wb')\nfor _ in range(100): f.write(bytes(1 << 20))\nprint(1)"
        done = finish(standing.start(cell, code, tmp_bytes=512 * MIB))

    assert (done.status, done.out) == (128 + 9, "")


# --- version 2, as files: what is asked of the kernel, in which order ---------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A cgroup of version 2 that was handed to this user, with this process alone in it."""
    folder = tmp_path / "cgroup" / "user.slice"
    folder.mkdir(parents=True)
    for top in (folder, folder.parent):
        (top / "cgroup.controllers").write_text("cpu memory pids\n")
        (top / "cgroup.subtree_control").write_text("")
        (top / "cgroup.procs").write_text(f"{os.getpid()}\n")
        (top / "cgroup.type").write_text("domain\n")
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(f"30 1 0:26 / {folder.parent} rw - cgroup2 cgroup2 rw\n")
    (proc / "cgroup").write_text("0::/user.slice\n")
    return tmp_path


def test_a_handed_over_cgroup_is_found(tree: Path) -> None:
    place = find_place(tree / "proc")

    assert (place.why_not, place.unified, place.move) == ("", True, True)
    assert set(place.folders.values()) == {tree / "cgroup/user.slice"}


def test_a_cgroup_with_the_processes_of_others_is_not_ours_to_divide(tree: Path) -> None:
    (tree / "cgroup/user.slice/cgroup.procs").write_text(f"{os.getpid()}\n1\n")

    place = find_place(tree / "proc")

    assert "other processes" in place.why_not
    assert "systemd-run --user --scope -p Delegate=yes" in place.remedy


@pytest.mark.parametrize("lacking", ["memory", "pids"])
def test_a_controller_that_was_not_handed_over_is_named(tree: Path, lacking: str) -> None:
    left = " ".join({"cpu", "memory", "pids"} - {lacking})
    (tree / "cgroup/user.slice/cgroup.controllers").write_text(left)

    assert f"no controller for {lacking}" in find_place(tree / "proc").why_not


def test_the_root_of_all_cgroups_is_divided_without_moving_anything(tree: Path) -> None:
    (tree / "cgroup/cgroup.type").unlink()

    place = find_place(tree / "proc")

    assert (place.move, set(place.folders.values())) == (False, {tree / "cgroup"})


def test_a_machine_without_cgroups_says_so(tree: Path) -> None:
    (tree / "proc/mountinfo").write_text("1 1 0:1 / / rw - ext4 /dev/x rw\n")

    assert find_place(tree / "proc").why_not == "no cgroups are mounted"


def test_limits_of_version_2_are_written_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    group = Group(dict.fromkeys(("memory", "pids", "cpu"), tmp_path), unified=True)

    group.set(memory=MIB, processes=7)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "cgroup.procs": "", "memory.max": str(MIB), "memory.swap.max": "0", "pids.max": "7",
    }  # fmt: skip


def test_counters_of_version_2_are_read(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    (tmp_path / "memory.peak").write_text("1234\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500\nuser_usec 1\n")
    group = Group(dict.fromkeys(("memory", "pids", "cpu"), tmp_path), unified=True)

    assert (group.oom_kills(), group.peak(), group.cpu_ms()) == (2, 1234, 2.5)


def test_counters_that_the_kernel_does_not_have_are_unknown(tmp_path: Path) -> None:
    group = Group(dict.fromkeys(("memory", "pids"), tmp_path), unified=True)

    assert (group.peak(), group.cpu_ms()) == (None, None)


def test_a_bound_that_the_kernel_refuses_is_a_fault(tmp_path: Path) -> None:
    group = Group(dict.fromkeys(("memory", "pids"), tmp_path / "gone"), unified=True)

    with pytest.raises(GatewayFault, match="cannot bound a worker"):
        group.set(memory=MIB, processes=7)


def test_a_real_cgroup_of_version_2_is_killed_at_once() -> None:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    if not points or not os.access(points[0], os.W_OK):
        missing("no cgroup of version 2 can be made by this user")
    folder = Path(points[0]) / f"ostiary-test-{os.getpid()}"
    folder.mkdir()
    group = Group(dict.fromkeys(("memory", "pids"), folder), unified=True)
    processes = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(3)]
    for process in processes:
        group.add(process.pid)

    assert group.end()

    assert [process.wait(WAIT) for process in processes] == [-9, -9, -9]
    assert not folder.exists()
