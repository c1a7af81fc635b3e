"""The filter by itself: what it answers to which call, read by a second interpreter."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from ostiary.sandbox.isolation.seccomp import build_filter
from ostiary.sandbox.isolation.syscalls import ARGUED, LAST, PLAIN
from tests.needs import missing
from tests.sandbox.isolation.bpf import ARM, I386, X86, Answer, ask

ARCHES = {"x86_64": X86, "aarch64": ARM}
ALLOWED = Answer("allow")
HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
REFUSED = {  # name: number on x86_64, on aarch64
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "unshare": (272, 97),
    "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "memfd_secret": (447, 447),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116),
    "quotactl": (179, 60), "fanotify_init": (300, 262), "seccomp": (317, 277), "capset": (126, 91),
    "setuid": (105, 146), "setgid": (106, 144), "setgroups": (116, 159), "mbind": (237, 235),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "lookup_dcookie": (212, 18), "vhangup": (153, 58), "process_madvise": (440, 440),
}  # fmt: skip


def number(name: str, arch: str) -> int:
    return (PLAIN | ARGUED)[name][arch]


def built(arch: str = "x86_64", *, processes: bool = True, sockets: Any = "unix") -> bytes:
    return build_filter(arch=arch, processes=processes, sockets=sockets)


@pytest.mark.parametrize("arch", ARCHES)
def test_every_named_call_is_allowed(arch: str) -> None:
    program = built(arch)

    refused = [
        name
        for name, numbers in PLAIN.items()
        if arch in numbers and ask(program, numbers[arch], arch=ARCHES[arch]) != ALLOWED
    ]

    assert refused == []


@pytest.mark.parametrize("arch", ARCHES)
def test_every_number_that_is_not_named_is_refused(arch: str) -> None:
    """Up to the last that was looked at with EPERM, beyond it as unknown to the kernel."""
    program = built(arch)
    named = {numbers[arch] for numbers in (PLAIN | ARGUED).values() if arch in numbers}

    for unnamed in set(range(LAST + 1)) - named:
        assert ask(program, unnamed, arch=ARCHES[arch]) == Answer("error", errno.EPERM), unnamed
    for newer in (LAST + 1, LAST + 100, 0x3FFFFFFF):
        assert ask(program, newer, arch=ARCHES[arch]) == Answer("error", errno.ENOSYS), newer


@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_reaches_beyond_the_process_is_refused(name: str) -> None:
    for arch, found in zip(ARCHES, REFUSED[name], strict=True):
        program = built(arch, sockets="loopback")
        assert ask(program, found, arch=ARCHES[arch]) == Answer("error", errno.EPERM)


@pytest.mark.parametrize("arch", ARCHES)
def test_another_architecture_ends_the_process_whatever_it_calls(arch: str) -> None:
    program = built(arch)
    others = {X86, ARM, I386, 0} - {ARCHES[arch]}

    assert {ask(program, call, arch=other) for call in (0, 60, 101) for other in others} == {Answer("kill")}


def test_the_other_numbering_of_x86_ends_the_process() -> None:
    assert ask(built(), 0x40000000 | 520) == Answer("kill")
    assert ask(built(), -1) == Answer("kill")


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(
    "bit", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
)
def test_no_new_namespace_can_be_cloned(arch: str, bit: int) -> None:
    clone = number("clone", arch)

    assert ask(built(arch), clone, bit | 17, arch=ARCHES[arch]) == Answer("error", errno.EPERM)
    assert ask(built(arch), clone, bit | 0x10F00, arch=ARCHES[arch]) == Answer("error", errno.EPERM)


@pytest.mark.parametrize("arch", ARCHES)
def test_clone3_does_not_exist_so_that_libraries_use_what_can_be_checked(arch: str) -> None:
    assert ask(built(arch), 435, 1, 88, arch=ARCHES[arch]) == Answer("error", errno.ENOSYS)


THREAD = 0x3D0F00
CHILD = 0x1200011


def test_processes_and_memory_that_nobody_counts_go_together() -> None:
    bounded, unbounded = built(processes=True), built(processes=False)
    refused = Answer("error", errno.EPERM)

    assert ask(unbounded, number("clone", "x86_64"), THREAD) == ALLOWED
    assert ask(bounded, number("clone", "x86_64"), THREAD) == ALLOWED
    assert ask(bounded, number("clone", "x86_64"), CHILD) == ALLOWED
    assert ask(unbounded, number("clone", "x86_64"), CHILD) == refused
    for name in ("fork", "vfork", "memfd_create", "shmget"):
        assert ask(bounded, number(name, "x86_64")) == ALLOWED
        assert ask(unbounded, number(name, "x86_64")) == refused


FAMILIES = {"none": set(), "unix": {1}, "loopback": {1, 2, 10}}


@pytest.mark.parametrize("sockets", FAMILIES)
def test_only_the_named_families_of_sockets_can_be_made(sockets: str) -> None:
    program = built(sockets=sockets)
    close_on_exec = 0o2000000

    made = {
        family
        for family in range(64)
        if ask(program, number("socket", "x86_64"), family, 1 | close_on_exec) == ALLOWED
    }

    assert made == FAMILIES[sockets]
    assert ask(program, number("socketpair", "x86_64"), 1, 1) == ALLOWED
    assert ask(program, number("socketpair", "x86_64"), 2, 1).kind == "error"


@pytest.mark.parametrize("kind", [3, 4, 5, 6, 10])
def test_raw_and_packet_sockets_cannot_be_made(kind: int) -> None:
    program = built(sockets="loopback")

    for family in (1, 2, 10):
        answer = ask(program, number("socket", "x86_64"), family, kind)
        assert answer == Answer("error", errno.EAFNOSUPPORT)


def test_a_terminal_cannot_be_typed_into() -> None:
    ioctl = number("ioctl", "x86_64")

    assert ask(built(), ioctl, 0, 0x5412) == Answer("error", errno.ENOTTY)  # TIOCSTI
    assert ask(built(), ioctl, 0, 0x541C) == Answer("error", errno.ENOTTY)  # TIOCLINUX
    assert ask(built(), ioctl, 0, 0x5412 | 1 << 40) == Answer("error", errno.ENOTTY)
    assert ask(built(), ioctl, 0, 0x5401) == ALLOWED


@pytest.mark.parametrize("option", [1, 4, 8, 22, 24, 26, 28, 35, 47, 53, 59, 0x59616D61])
def test_an_option_that_would_undo_a_wall_cannot_be_set(option: int) -> None:
    assert ask(built(), number("prctl", "x86_64"), option, 1) == Answer("error", errno.EPERM)


def test_the_personality_can_be_asked_and_not_changed() -> None:
    personality = number("personality", "x86_64")

    assert ask(built(), personality, 0xFFFFFFFF) == ALLOWED
    assert ask(built(), personality, 0x0040000) == Answer("error", errno.EPERM)


@pytest.mark.parametrize("arch", ARCHES)
def test_every_way_through_a_filter_ends_in_an_answer(arch: str) -> None:
    """As the kernel checks it: no jump leaves the program, and the last step answers."""
    for processes in (True, False):
        for sockets in FAMILIES:
            program = built(arch, processes=processes, sockets=sockets)
            steps = list(struct.iter_unpack("=HBBI", program))
            assert steps[-1][0] == 0x06
            assert len(steps) < 4096
            for place, (code, yes, no, _) in enumerate(steps):
                assert code == 0x06 or place + 1 + max(yes, no) < len(steps)


def test_an_architecture_without_a_table_has_no_filter() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        built("riscv64")


@pytest.mark.parametrize("arch", ARCHES)
def test_the_numbers_are_those_of_the_kernels_headers(arch: str) -> None:
    header = next((Path(name) for name in HEADERS[arch] if Path(name).is_file()), None)
    if header is None:
        missing(f"kernel headers for {arch} are not installed")
    told = {
        name: int(found)
        for name, found in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", header.read_text())
    }
    told["newfstatat"] = told.get("fstatat", told.get("newfstatat", 0))

    ours = {name: numbers[arch] for name, numbers in (PLAIN | ARGUED).items() if arch in numbers}

    assert {name: found for name, found in ours.items() if told.get(name, found) != found} == {}
    assert len(set(ours) & set(told)) > 200
    for name, (x86, arm) in REFUSED.items():
        assert told.get(name, x86 if arch == "x86_64" else arm) == (x86 if arch == "x86_64" else arm), name
