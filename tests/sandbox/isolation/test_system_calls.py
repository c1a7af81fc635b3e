"""System calls tried from inside a real box, by number, as code would try them."""

from __future__ import annotations

import errno
import os

import pytest

from tests.needs import missing
from tests.sandbox.isolation.standing import Standing
from tests.sandbox.isolation.test_seccomp import REFUSED

TRY = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
for line in sys.stdin:
    name, number, *arguments = line.split()
    ctypes.set_errno(0)
    told = libc.syscall(ctypes.c_long(int(number)), *(ctypes.c_long(int(one)) for one in arguments))
    print(name, told, errno.errorcode.get(ctypes.get_errno(), 0))
"""
COLUMN = {"x86_64": 0, "aarch64": 1}
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)


def column() -> int:
    machine = os.uname().machine
    if machine not in COLUMN:
        missing(f"no table of system calls for {machine}")
    return COLUMN[machine]


def tried(standing: Standing, lines: list[str], **changes: object) -> dict[str, tuple[int, str]]:
    done = standing.run(TRY, "\n".join(lines), **changes)
    assert done.err == ""
    rows = [line.split() for line in done.out.splitlines()]
    return {name: (int(told), error) for name, told, error in rows}


def test_every_call_that_reaches_beyond_the_process_is_refused_in_a_box(standing: Standing) -> None:
    place = column()

    answers = tried(standing, [f"{name} {numbers[place]} 0 0 0 0 0" for name, numbers in REFUSED.items()])

    assert {name: answer for name, answer in answers.items() if answer != (-1, "EPERM")} == {}
    assert set(answers) == set(REFUSED)


def test_no_namespace_can_be_made_in_a_box(standing: Standing) -> None:
    clone = (56, 220)[column()]

    answers = tried(
        standing,
        [f"clone{flag} {clone} {flag | 17} 0 0 0 0" for flag in NAMESPACES] + ["clone3 435 0 88"],
    )

    assert answers.pop("clone3") == (-1, "ENOSYS")
    assert set(answers.values()) == {(-1, "EPERM")}


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"])
def test_no_socket_but_a_local_one_can_be_made(standing: Standing, family: str) -> None:
    done = standing.run(
        f"import socket; socket.socketpair(); socket.socket(socket.AF_UNIX); socket.socket(socket.{family})"
    )

    assert f"OSError: [Errno {errno.EAFNOSUPPORT}]" in done.err


def test_where_no_cgroup_counts_code_starts_no_process_and_threads_go_on(standing: Standing) -> None:
    code = """
import os, threading, ctypes, errno
thread = threading.Thread(target=print, args=('thread',))
thread.start(); thread.join()
def tried(what):
    try: what()
    except OSError as error: print(error.errno)
tried(os.fork)
tried(lambda: os.memfd_create('x'))
tried(lambda: os.posix_spawn('/bin/python3', ['x'], {}))
tried(lambda: __import__('subprocess').run(['/bin/python3', '-c', '1']))
"""
    done = standing.run(code, seccomp=standing.walls.filter(processes=False, sockets="none"))

    assert done.out == "thread\n" + "1\n" * 4


def test_code_cannot_stay_when_whoever_started_it_goes(standing: Standing) -> None:
    code = "import ctypes; print(ctypes.CDLL(None).prctl(1, 0), ctypes.CDLL(None).prctl(1, 9))"

    assert standing.run(code).out == "-1 -1\n"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="another numbering exists on x86_64 only")
def test_a_call_by_the_other_numbering_ends_the_process(standing: Standing) -> None:
    done = standing.run("import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39)); print(1)")

    assert (done.status, done.out) == (128 + 31, "")
