"""What code behind walls cannot reach."""

from __future__ import annotations

import json
import os

import pytest

from tests.sandbox.cpython.world import Sandbox


def told(sandbox: Sandbox, code: str, **more):
    record = sandbox.run(code, **more)
    assert record.status == "success", record.error
    assert record.result is not None
    assert record.result.json is not None
    return json.loads(record.result.json)


def test_all_five_capability_sets_are_empty_and_a_filter_is_loaded(walled: Sandbox) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in told(walled, "open('/proc/self/status').read()").splitlines()
        if ":\t" in line
    )

    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_only_its_own_processes_are_seen(walled: Sandbox) -> None:
    pids = told(walled, "import os\n[int(n) for n in os.listdir('/proc') if n.isdigit()]")

    assert pids == [1, 2]


def test_nothing_of_the_host_is_in_its_files_or_environment(walled: Sandbox) -> None:
    os.environ["OSTIARY_TEST_TOKEN"] = "s3cret"
    try:
        environment, root, passwd = told(
            walled, "import os\ndict(os.environ), sorted(os.listdir('/')), open('/etc/passwd').read()"
        )
    finally:
        del os.environ["OSTIARY_TEST_TOKEN"]

    assert "OSTIARY_TEST_TOKEN" not in environment
    assert root == ["bin", "dev", "etc", "lib", "lib64", "proc", "python", "tmp", "work"]
    assert "root" not in passwd


def test_inherited_descriptors_are_the_streams_and_its_own_socket(walled: Sandbox) -> None:
    kinds = told(
        walled,
        """
import os
numbers = sorted(os.listdir('/proc/self/fd'), key=int)[:-1]  # the last is that of the listing itself
[os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in numbers]
""",
    )

    assert kinds == ["/dev/null", "pipe", "pipe", "socket"]


@pytest.mark.parametrize(
    "code",
    [
        "open('/proc/1/environ', 'rb').read()",
        "open('/proc/1/mem', 'rb').read(1)",
        "import os; os.listdir('/proc/1/fd')",
        "open('/python/x', 'w')",
        "open('/etc/x', 'w')",
        "open('/proc/sys/kernel/core_pattern', 'w')",
        "import socket; socket.socket(socket.AF_INET)",
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "import os; os.setuid(0)",
        "import os; os.chroot('/work')",
    ],
)
def test_what_is_out_of_reach_is_an_error(walled: Sandbox, code: str) -> None:
    record = walled.run(code)

    assert record.status == "error"
    assert record.error is not None
    assert record.error.type in {"PermissionError", "OSError", "FileNotFoundError"}


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (272, "unshare"),
        (165, "mount"),
        (101, "ptrace"),
        (425, "io_uring_setup"),
        (250, "keyctl"),
        (308, "setns"),
    ],
)
def test_system_calls_that_open_walls_are_refused(walled: Sandbox, number: int, name: str) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall({number}, 0, 0, 0, 0, 0), ctypes.get_errno()
"""

    result, error = told(walled, code)

    assert result == -1
    assert error in {1, 38}


def test_its_init_cannot_be_killed_or_looked_into(walled: Sandbox) -> None:
    assert (
        told(walled, "import os, signal\nos.kill(1, signal.SIGKILL)\nos.kill(1, signal.SIGTERM)\n'alive'")
        == "alive"
    )


def test_files_of_one_run_are_not_there_for_the_next(walled: Sandbox) -> None:
    for _ in range(3):
        found = told(
            walled,
            """
import os
places = ('/tmp', '/work', 'out', '/dev/shm')
found = [os.listdir(place) for place in places]
for place in places: open(place + '/left', 'w').write('x')
found
""",
        )
        assert found == [[], ["out"], [], []]


SCAN = """
import re
found = 0
for line in open('/proc/self/maps'):
    span, rights = line.split()[:2]
    if not rights.startswith('r') or line.rstrip().endswith(('[vvar]', '[vsyscall]', '[vvar_vclock]')):
        continue
    start, end = (int(part, 16) for part in span.split('-'))
    with open('/proc/self/mem', 'rb', 0) as memory:
        memory.seek(start)
        left = end - start
        while left > 0:
            piece = memory.read(min(left, 1 << 20))
            if not piece:
                break
            for match in re.finditer(HEAD.encode(), piece):
                found += piece[match.end():].startswith(TAIL.encode())
            left -= len(piece)
found
"""
"""Counts HEAD followed by TAIL in its own memory, where it does not put them side by side itself."""


def test_a_later_job_finds_nothing_of_an_earlier_one_in_memory(walled: Sandbox) -> None:
    head, tail = os.urandom(8).hex(), os.urandom(8).hex()
    halves = {"HEAD": head, "TAIL": tail}
    keeps = f"kept = '{head}{tail}' * 1000\nopen('f', 'w').write(kept)\nprint(kept[:50])\nlen(kept)"

    own = told(walled, f"kept = '{head}{tail}'\n" + SCAN, context=halves)
    for _ in range(3):
        told(walled, keeps, stdin=(head + tail).encode(), context={"c": head + tail})
    later = [told(walled, SCAN, context=halves) for _ in range(3)]

    assert own > 0  # the scan finds what is there, so that finding none means something
    assert later == [0, 0, 0]
