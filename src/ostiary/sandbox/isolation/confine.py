"""Walls that a process puts up around itself, from inside a box.

Runs in the box's own interpreter: standard library only, and one file that can be given to it as it
is. A process that was forked for a job calls, in this order:

  enter_namespaces()             then forks: the child is the first process of its own namespace;
                                 or fork_into_namespaces() for both
  mount_private(size)            its own /proc, /tmp, /work and /dev/shm
  hide(...)                      what of the box the job must not see
  bound(...)                     resource limits
  drop_capabilities()            all five sets
  restrict_files(...)            where the kernel has Landlock
  load_filter(program)           the system calls; nothing after it can be undone

Run as a program it puts up what stands without namespaces, and becomes another program: see `main`.

Each raises OSError when it could not do its work: then the process must end without reading a job.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterable

_USER, _MOUNTS, _PIDS, _NET = 0x10000000, 0x00020000, 0x20000000, 0x40000000
_IPC, _HOST_NAME, _CGROUP = 0x08000000, 0x04000000, 0x02000000
_EVERY = _USER | _MOUNTS | _PIDS | _NET | _IPC | _HOST_NAME | _CGROUP
_CLONE = {"x86_64": 56, "aarch64": 220}
_NO_SET_ID, _NO_DEVICES, _NO_PROGRAMS, _READ_ONLY = 2, 4, 8, 1
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18

_SET_DUMPABLE, _SET_SECCOMP, _DROP_BOUND, _SET_SECURE_BITS = 4, 22, 24, 28
_NO_NEW_PRIVILEGES, _AMBIENT, _CLEAR_ALL, _FILTER_MODE = 38, 47, 4, 2
_LOCKED_SECURE_BITS = 0xEF
"""Root is nobody special, capabilities are not kept or raised, and none of it can be undone."""
_CAPABILITY_VERSION = 0x20080522
_MOST_CAPABILITIES = 64
_INODES = 65_536

_SET_FLAGS, _UP, _RUNNING = 0x8914, 0x1, 0x40

_PRIVATE_FOLDERS = ("/tmp", "/work", "/dev/shm")  # noqa: S108 - places inside

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ, _EXECUTE, _LIST = 1 << 2, 1 << 0, 1 << 3
_FILE_RIGHTS_BY_VERSION = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From which version of Landlock on how many of the lowest bits are rights on files."""
_ON_A_FILE = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14) | (1 << 15)
"""Of these, those that a rule on something other than a folder may name."""
_TCP, _TCP_VERSION = 0b11, 4
_SCOPES, _SCOPES_VERSION = 0b11, 6  # abstract sockets and signals stay within

_libc = ctypes.CDLL(None, use_errno=True)
_held = ctypes.PyDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]


def enter_namespaces() -> None:
    """Leave every namespace for one of its own. The user keeps its number; the next fork is pid 1.

    Undoes `keep_to_itself` in this process: the kernel lets nobody else write its user's number.
    """
    _prctl(_SET_DUMPABLE, 1)
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(_EVERY), "unshare")
    _settle(uid, gid)


def fork_into_namespaces(*, network: bool = False) -> int:
    """As `enter_namespaces` and a fork, in one step that is a whole fork cheaper: 0 in the child, pid 1.

    For a process with one thread. `network` leaves the child the network that it came from.
    """
    number = _CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "no number for clone on this architecture")
    uid, gid = os.getuid(), os.getgid()
    ctypes.pythonapi.PyOS_BeforeFork()
    # Without the interpreter's lock let go: in the child nobody would hand it back.
    new = _EVERY & ~_NET if network else _EVERY
    flags, nothing = ctypes.c_long(new | signal.SIGCHLD), ctypes.c_long(0)
    pid = int(_held.syscall(ctypes.c_long(number), flags, nothing, nothing, nothing, nothing))
    if pid:
        error = ctypes.get_errno()
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        if pid < 0:
            raise OSError(error, os.strerror(error), "clone")
        return pid
    ctypes.pythonapi.PyOS_AfterFork_Child()
    _settle(uid, gid)
    return 0


def _settle(uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        _write(f"/proc/self/{name}", text)
    _mount("none", "/", "", _RECURSIVE | _PRIVATE, "")


def mount_private(size: int, keep: Iterable[str] = ()) -> None:
    """A /proc that shows this namespace only, and empty /tmp, /work and /dev/shm of `size` bytes each.

    The working folder is /work afterwards. Folders of `keep` that lie in one of these are there still.
    """
    kept = {
        path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in keep if path.startswith(_PRIVATE_FOLDERS)
    }
    _mount("proc", "/proc", "proc", _NO_SET_ID | _NO_DEVICES | _NO_PROGRAMS, "")
    for folder in _PRIVATE_FOLDERS:
        options = f"size={size},nr_inodes={_INODES},mode=0700"
        _mount("tmpfs", folder, "tmpfs", _NO_SET_ID | _NO_DEVICES, options)
    for path, descriptor in kept.items():
        os.makedirs(path, exist_ok=True)  # noqa: PTH103 - pathlib costs a start-up more than it saves here
        _mount(f"/proc/self/fd/{descriptor}", path, "", _BIND | _RECURSIVE, "")
        os.close(descriptor)
    os.chdir("/work")


def raise_loopback() -> None:
    """Make 127.0.0.1 work in a network namespace of one's own: a new one has it, switched off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", _UP | _RUNNING)
        _checked(_libc.ioctl(any_socket.fileno(), ctypes.c_ulong(_SET_FLAGS), request), "loopback")


def hide(paths: Iterable[str]) -> None:
    """Cover folders with an empty one that cannot be written, and files with nothing."""
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - pathlib costs a start-up more than it saves here
            flags = _READ_ONLY | _NO_SET_ID | _NO_DEVICES | _NO_PROGRAMS
            _mount("tmpfs", path, "tmpfs", flags, "size=4096,nr_inodes=1,mode=0555")
        else:
            _mount("/dev/null", path, "", _BIND, "")


def bound(*, file_bytes: int, open_files: int, cpu_seconds: int, address_space: int | None) -> None:
    """Resource limits, hard and soft. `address_space` (bytes) is for where no cgroup counts memory.

    No core is written, and no message queue can be made.
    """
    _limit(
        {
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: file_bytes,
            resource.RLIMIT_NOFILE: open_files,
            resource.RLIMIT_CPU: cpu_seconds,
            resource.RLIMIT_MSGQUEUE: 0,
            resource.RLIMIT_AS: address_space,
        }
    )


def _limit(limits: dict[int, int | None]) -> None:
    """Set limits, hard and soft, where there is a number, and none above what holds already."""
    for kind, value in limits.items():
        if value is None:
            continue
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


def keep_to_itself() -> None:
    """No other process of this user may trace this one or read its memory; nor is a core written."""
    _prctl(_SET_DUMPABLE, 0)


def drop_capabilities() -> None:
    """Empty all five sets for good, and let no program that is started gain any."""
    try:
        _prctl(_SET_SECURE_BITS, _LOCKED_SECURE_BITS)
    except PermissionError:
        if _capabilities() != (0, 0, 0):
            raise
    _drop_bounding_set()
    _prctl(_AMBIENT, _CLEAR_ALL)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _checked(_libc.capset(header, bytes(24)), "capset")
    _prctl(_NO_NEW_PRIVILEGES, 1)
    if _capabilities() != (0, 0, 0):
        raise PermissionError(errno.EPERM, "capabilities are left")


def _drop_bounding_set() -> None:
    for number in range(_MOST_CAPABILITIES):
        if _libc.prctl(_DROP_BOUND, number, 0, 0, 0) == 0:
            continue
        error = ctypes.get_errno()
        if error == errno.EINVAL:  # beyond the last that this kernel knows
            return
        if _libc.prctl(23, number, 0, 0, 0):  # PR_CAPBSET_READ: still there
            raise OSError(error, os.strerror(error), "bounding set")


def _capabilities() -> tuple[int, int, int]:
    """Effective, permitted and inheritable, as bits."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, data), "capget")
    low = struct.unpack("=6I", data.raw)
    effective, permitted, inheritable = (low[place] | low[place + 3] << 32 for place in range(3))
    return effective, permitted, inheritable


def landlock_version() -> int:
    """Which version of Landlock the kernel offers; 0 for none."""
    return max(0, _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def restrict_files(*, readable: Iterable[str], writable: Iterable[str], network: bool = False) -> bool:
    """By Landlock: only these paths, and what lies below them, can be opened from now on.

    Programs can be started from the readable ones, and without `network` no TCP port be bound or
    reached; signals and abstract sockets do not leave what is restricted together. False where the
    kernel has none of it.
    """
    version = landlock_version()
    if version == 0:
        return False
    every = (1 << max(bits for since, bits in _FILE_RIGHTS_BY_VERSION if version >= since)) - 1
    attributes = struct.pack("=Q", every)
    if version >= _TCP_VERSION:
        attributes += struct.pack("=Q", 0 if network else _TCP)
    if version >= _SCOPES_VERSION:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _checked(
        _syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)), "landlock"
    )
    try:
        for paths, rights in ((readable, _READ | _EXECUTE | _LIST), (writable, every)):
            for path in paths:
                _allow(ruleset, path, rights)
        _prctl(_NO_NEW_PRIVILEGES, 1)
        _checked(_syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)), "landlock")
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - as above
            rights &= _ON_A_FILE
        rule = struct.pack("=Qi", rights, place)
        told = _syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0))
        _checked(told, path)
    finally:
        os.close(place)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def load_filter(program: bytes) -> None:
    """Let the kernel answer every further system call by this filter (see `seccomp`)."""
    _prctl(_NO_NEW_PRIVILEGES, 1)
    code = ctypes.create_string_buffer(program, len(program))
    told = _Program(len(program) // 8, ctypes.addressof(code))
    _checked(_libc.prctl(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(told), 0, 0), "seccomp")


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    told = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None
    )
    _checked(told, f"mount {target}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def _checked(told: int, what: str) -> int:
    if told < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)
    return told


def main(arguments: list[str]) -> None:
    """Become a program behind limits and a filter: for a machine where no box can be made.

    `arguments` are the bounds of `bound` as numbers, with `-` for none, then the descriptor of the
    filter, then the program and its arguments. The environment stays.
    """
    file_bytes, open_files, address_space, descriptor, *command = arguments
    numbers = [None if text == "-" else int(text) for text in (file_bytes, open_files, address_space)]
    kinds = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS)
    _limit({resource.RLIMIT_CORE: 0, **dict(zip(kinds, numbers, strict=True))})
    with os.fdopen(int(descriptor), "rb") as file:
        program = file.read()
    load_filter(program)
    os.execv(command[0], command)  # noqa: S606 - the program that was asked for


if __name__ == "__main__":
    main(sys.argv[1:])
