"""What an attempt is: code, and a sign from outside that it succeeded. Data only."""

from __future__ import annotations

import msgspec

from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.record import Status

USUAL = Limits(wall_ms=3_000, memory=96 * MIB)

PRELUDE = '''
import ctypes, errno, os, signal, socket, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
number = dict((name, pair[os.uname().machine != "x86_64"]) for name, pair in dict(
    unshare=(272, 97), setns=(308, 268), mount=(165, 40), chroot=(161, 51), pivot_root=(155, 41),
    ptrace=(101, 117), process_vm_readv=(310, 270), process_vm_writev=(311, 271), kcmp=(312, 272),
    pidfd_getfd=(438, 438), io_uring_setup=(425, 425), keyctl=(250, 219), add_key=(248, 217),
    bpf=(321, 280), perf_event_open=(298, 241), userfaultfd=(323, 282), personality=(135, 92),
    modify_ldt=(154, -1), kexec_load=(246, 104), init_module=(175, 105), delete_module=(176, 106),
    reboot=(169, 142), swapon=(167, 224), quotactl=(179, 60), acct=(163, 89), syslog=(103, 116),
    settimeofday=(164, 170), clock_adjtime=(305, 266), clock_settime=(227, 112),
    open_by_handle_at=(304, 265), name_to_handle_at=(303, 264), fanotify_init=(300, 262),
    mq_open=(240, 180), msgget=(68, 186), msgsnd=(69, 189), msgrcv=(70, 188), semget=(64, 190),
    semctl=(66, 191), shmget=(29, 194), fsopen=(430, 430), open_tree=(428, 428), sethostname=(170, 161),
    seccomp=(317, 277), memfd_create=(319, 279), clone=(56, 220), clone3=(435, 435), iopl=(172, -1),
    vhangup=(153, 58), prctl=(157, 167), setuid=(105, 146), move_pages=(279, 239), uselib=(134, -1),
).items())

def call(name, *given):
    """The call by its number, past every library: what it returns, or minus the error."""
    ctypes.set_errno(0)
    which = number[name] if isinstance(name, str) else name
    told = libc.syscall(ctypes.c_long(which), *(ctypes.c_long(x) if isinstance(x, int) else x for x in given))
    return -ctypes.get_errno() if told == -1 else told

def others():
    """Every process that is to be seen, but for this one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]

def victims():
    return [host["victim"], *others()]

def attempt(work, *given):
    try:
        return work(*given)
    except OSError as error:
        print(error, file=sys.stderr)
'''
"""What every attempt begins with. `host` tells it all that an insider would know; `prize` is a secret of
this attempt alone, printed by the code once it has done what it must not."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One way out, or at something.

    `code` runs after PRELUDE, as a run of `ana`. `sign` says how its success is seen: `prize` when the
    code has printed it, `secret NAME` when that secret of the host is in anything that came back, or
    what happened to the host (see `World.happened`). `planted` is code that `ben` runs before it, in the
    same place, with the secret `planted`; a name of this world alone is `left` there, and `host["left"]`
    afterwards. `ends` are the ways in which the run may end, empty for any. `session` runs it in one.
    """

    name: str
    category: str
    code: str
    sign: str = "prize"
    planted: str = ""
    limits: Limits = USUAL
    ends: tuple[Status, ...] = ()
    session: str = ""


class Contained(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that fails without walls too, and why."""

    attempt: Attempt
    reason: str
