"""The system calls of a walled-off program, as a filter that the kernel runs. Pure.

An allow-list. The filter looks at the architecture first: numbers mean something else on another
one. What a program may not do is answered with an error that programs know how to live with, and
not with death: libraries probe for what there is.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from ostiary.sandbox.isolation.syscalls import ARGUED, AUDIT, LAST, PLAIN

Sockets = Literal["none", "unix", "loopback"]
"""Which sockets can be made: connected pairs only, those of this machine's kind (AF_UNIX), or also
internet ones, for a namespace that has nothing but its own loopback."""


class _Step(NamedTuple):
    """One instruction: on a comparison `yes` and `no` say how many of the next ones to leave out."""

    code: int
    value: int
    yes: int = 0
    no: int = 0


_Block = list[_Step]

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _MASK, _ANSWER = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCH = 0, 4
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

_X32_BIT: Final = 0x40000000
_NEW_NAMESPACES: Final = 0x7E020000
_SAME_PROCESS: Final = 0x00010000  # CLONE_THREAD
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_KINDS: Final = (1, 2)
"""SOCK_STREAM and SOCK_DGRAM: raw packets are nobody's business here."""
_KIND_MASK: Final = 0xF

TERMINAL_AND_FILE_REQUESTS: Final = (
    0x5401,  # TCGETS: is it a terminal
    0x540F,  # TIOCGPGRP
    0x5413,  # TIOCGWINSZ
    0x541B,  # FIONREAD
    0x5421,  # FIONBIO
    0x5450,  # FIONCLEX
    0x5451,  # FIOCLEX
    0x5452,  # FIOASYNC
    0x802C542A,  # TCGETS2
    0x40049409,  # FICLONE: a copy that shares its blocks, which package installers try first
)
PROCESS_OPTIONS: Final = (
    2,  # PR_GET_PDEATHSIG; setting it would let the box outlive whoever started it
    3,  # PR_GET_DUMPABLE; setting it would open the process to others of its user
    15, 16,  # PR_SET_NAME, PR_GET_NAME
    21, 23, 27, 39,  # what there is: seccomp, bounding set, securebits, no-new-privs
    29, 30,  # timer slack
    38,  # PR_SET_NO_NEW_PRIVS: can only be set
    36, 37,  # child subreaper
    40, 42, 51, 52, 56, 64, 66,  # reading what the processor and the kernel do for it
    0x53564D41,  # PR_SET_VMA: a name for a piece of memory
)  # fmt: skip
_ASK_PERSONALITY: Final = 0xFFFFFFFF


def build_filter(*, arch: str, processes: bool, sockets: Sockets) -> bytes:
    """The filter as `struct sock_filter[]`, for `bwrap --seccomp` or `prctl(PR_SET_SECCOMP)`.

    With `processes` False new processes are refused, and memory that no limit of the process counts
    (memfd, System V segments): for a machine where no cgroup can bound them. Threads are always
    allowed. Raises ValueError for an architecture that there is no table for.
    """
    if arch not in AUDIT:
        raise ValueError(f"no table of system calls for {arch}")
    steps = _head(AUDIT[arch])
    for name, block in _arguments(processes=processes, sockets=sockets).items():
        number = ARGUED[name].get(arch)
        if number is not None:
            steps += [_Step(_EQUAL, number, 0, len(block)), *block]
    steps += _ranges(numbers[arch] for numbers in PLAIN.values() if arch in numbers)
    steps += _refuse(errno.EPERM)
    return b"".join(struct.pack("=HBBI", one.code, one.yes, one.no, one.value) for one in steps)


def _head(audit: int) -> _Block:
    """Another architecture ends the process; what is newer than the tables does not exist."""
    return [
        _Step(_LOAD, _ARCH),
        _Step(_EQUAL, audit, 1, 0),
        _Step(_ANSWER, _KILL),
        _Step(_LOAD, _NUMBER),
        _Step(_AT_LEAST, _X32_BIT, 0, 1),  # the other numbering of x86_64
        _Step(_ANSWER, _KILL),
        _Step(_GREATER, LAST, 0, 1),
        *_refuse(errno.ENOSYS),
    ]


def _arguments(*, processes: bool, sockets: Sockets) -> dict[str, _Block]:
    """For each call that is looked into, the block that ends in an answer."""
    new_process = _allow() if processes else _refuse(errno.EPERM)
    families = {"none": (), "unix": (_AF_UNIX,), "loopback": (_AF_UNIX, _AF_INET, _AF_INET6)}[sockets]
    return {
        "clone": _clone(processes=processes),
        "clone3": _refuse(errno.ENOSYS),  # its flags are behind a pointer: libraries fall back to clone
        "fork": new_process,
        "vfork": new_process,
        "memfd_create": new_process,
        "shmget": new_process,
        "socket": _socket(families),
        "socketpair": _socket((_AF_UNIX,)),
        "ioctl": _one_of(1, TERMINAL_AND_FILE_REQUESTS, errno.ENOTTY),
        "prctl": _one_of(0, PROCESS_OPTIONS, errno.EPERM),
        "personality": _one_of(0, (_ASK_PERSONALITY,), errno.EPERM),
    }


def _clone(*, processes: bool) -> _Block:
    block = [_argument(0), _Step(_ANY_BIT, _NEW_NAMESPACES, 0, 1), *_refuse(errno.EPERM)]
    if not processes:
        block += [_Step(_ANY_BIT, _SAME_PROCESS, 1, 0), *_refuse(errno.EPERM)]
    return block + _allow()


def _socket(families: Iterable[int]) -> _Block:
    """A stream or datagram socket of one of these families."""
    return [
        _argument(1),
        _Step(_MASK, _KIND_MASK),
        *(_Step(_EQUAL, kind, len(_KINDS) - place, 0) for place, kind in enumerate(_KINDS)),
        *_refuse(errno.EAFNOSUPPORT),
        *_one_of(0, tuple(families), errno.EAFNOSUPPORT),
    ]


def _one_of(place: int, values: tuple[int, ...], error: int) -> _Block:
    """Allow where argument `place` is one of `values`, else answer with `error`."""
    tests = [_Step(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [_argument(place), *tests, *_refuse(error), *_allow()]


def _argument(place: int) -> _Step:
    """Load the lower half of an argument: all that the kernel reads of the ones looked at here."""
    return _Step(_LOAD, 16 + 8 * place)


def _ranges(numbers: Iterable[int]) -> _Block:
    """Allow these numbers. The calls were ordered, so each range needs two comparisons."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    steps: _Block = []
    for first, last in ranges:
        steps += [_Step(_GREATER, last, 2, 0), _Step(_AT_LEAST, first, 0, 1), *_allow()]
    return steps


def _allow() -> _Block:
    return [_Step(_ANSWER, _ALLOW)]


def _refuse(error: int) -> _Block:
    return [_Step(_ANSWER, _ERRNO | error)]
