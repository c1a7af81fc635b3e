"""The system calls of containers that we create, as the engine reads them. Pure.

The same lists as those of the Python sandbox, with what programs need that manage processes and users of
their own. Docker's own filter of 20.10 lets io_uring, ptrace and netlink sockets through; this one
does not. It is an allow-list: what is newer than the lists does not exist.
"""

from __future__ import annotations

import errno
from typing import Any, Final

from ostiary.sandbox.isolation.seccomp import PROCESS_OPTIONS, TERMINAL_AND_FILE_REQUESTS
from ostiary.sandbox.isolation.syscalls import ARGUED, PLAIN

Json = dict[str, Any]

_ALLOW, _ERROR = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
_NEW_NAMESPACES: Final = 0x7E020000
_KIND_MASK: Final = 0xF
_MORE: Final = (
    "sync", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
    "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
    "set_mempolicy", "mbind", "pause", "waitpid",
)  # fmt: skip
"""What databases and language runtimes use, within the container's own IPC namespace."""
_USERS: Final = (
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
    "setfsgid", "capset", "chroot",
)  # fmt: skip
"""What the package managers of distributions use to give up privileges."""
_MORE_PROCESS_OPTIONS: Final = (
    1, 4,  # PR_SET_PDEATHSIG, PR_SET_DUMPABLE
    7, 8, 24, 28, 47,  # keeping and dropping capabilities
)  # fmt: skip
_FOREGROUND: Final = 0x5410
"""TIOCSPGRP: the init process of a container tries it, and ends where it is forbidden."""
_PERSONALITIES: Final = (0, 0xFFFFFFFF)


def profile(*, root: bool) -> Json:
    """The filter; with `root` also for programs that change their user."""
    plain = [*PLAIN, *_MORE, "fork", "vfork", "memfd_create", "shmget", *(_USERS if root else ())]
    return {
        "defaultAction": _ERROR,
        "defaultErrnoRet": errno.EPERM,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            {
                "names": sorted({*plain} - {*ARGUED} | {"fork", "vfork", "memfd_create", "shmget"}),
                "action": _ALLOW,
            },
            {"names": ["clone3"], "action": _ERROR, "errnoRet": errno.ENOSYS},
            _when("clone", _is(0, _NEW_NAMESPACES, 0)),
            *(
                _when("socket", _is(0, 0xFFFFFFFF, family), _is(1, _KIND_MASK, kind))
                for family in (1, 2, 10)
                for kind in (1, 2)
            ),
            _when("socketpair", _is(0, 0xFFFFFFFF, 1)),
            *(
                _when("ioctl", _is(1, 0xFFFFFFFF, request))
                for request in (*TERMINAL_AND_FILE_REQUESTS, _FOREGROUND)
            ),
            *(
                _when("prctl", _is(0, 0xFFFFFFFF, option))
                for option in (*PROCESS_OPTIONS, *_MORE_PROCESS_OPTIONS)
            ),
            *(_when("personality", _is(0, 0xFFFFFFFF, one)) for one in _PERSONALITIES),
        ],
    }


def _when(name: str, *conditions: Json) -> Json:
    return {"names": [name], "action": _ALLOW, "args": list(conditions)}


def _is(place: int, mask: int, value: int) -> Json:
    """Whether argument `place`, through the mask, is `value`."""
    return {"index": place, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
