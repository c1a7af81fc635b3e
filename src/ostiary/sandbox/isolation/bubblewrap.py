"""Starting a box with bubblewrap: the command line, what goes through descriptors, and as whom."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final, TypedDict

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation import staging
from ostiary.sandbox.isolation.box import Box

INSIDE_UID: Final = 65_534
"""The user that a program is by its own account, whoever it is on the host."""
ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": "/usr/bin:/bin"}
"""All that bubblewrap itself is given: code in the box can read it, at /proc/1/environ."""
_ALWAYS: Final = (
    "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
    "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID), "--hostname", "sandbox", "--cap-drop", "ALL",
)  # fmt: skip
_KINDS: Final = {
    "core": resource.RLIMIT_CORE,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nofile": resource.RLIMIT_NOFILE,
    "fsize": resource.RLIMIT_FSIZE,
    "as": resource.RLIMIT_AS,
}
_TIMEOUT_MS: Final = 10_000
_REASON: Final = 400


class Identity(TypedDict, total=False):
    """The arguments of Popen that say as whom; empty for ourselves."""

    user: int
    group: int
    extra_groups: list[str | int]


Stream = int | IO[bytes] | None
"""As Popen takes it: a descriptor, a file, `subprocess.PIPE` or `DEVNULL`, or None for our own."""
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a place inside


def start(
    program: Path,
    box: Box,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    apart: bool = False,
) -> subprocess.Popen[bytes]:
    """Start the box and return bubblewrap's process: its end is the box's end, and so is its kill.

    `apart` makes it the leader of a session and a process group of its own.

    Blocks for the few milliseconds until the box stands, so that its command runs with every bound
    in place. One that cannot be set up (a bind that is not there) ends at once, with status 1 and a
    line of bubblewrap's on stderr. The box dies with the thread that called this: call it from one
    that stays. Raises GatewayFault when it cannot be started, and as root without a user for the
    box: bubblewrap run by root would leave the box root's hands on the host.
    """
    who = identity(box)
    staged = [(bind.source, bind.stage) for bind in box.binds if bind.stage]
    with contextlib.ExitStack() as opened:
        door = _Door(opened)
        fed = {option: filled(content, opened) for option, content in _fed(box)}
        told = [word for option, descriptor in fed.items() for word in (option, str(descriptor))]
        stagehand, passed = _stagehand(staged, who.get("user"), opened)
        if stagehand:
            who = Identity()  # which it takes on itself, once it has mounted
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - argv only, made here
                [*stagehand, *_launcher(box), str(program), *told, *door.options, "--", *box.command],
                env=dict(ENVIRONMENT),
                pass_fds=[*box.pass_fds, *fed.values(), *door.inside, *passed],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
                umask=0o022,
                start_new_session=apart,
                **who,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise GatewayFault(f"cannot start {program}: {error}") from error
        try:
            first = door.who()
            _bind(first, box)
            door.open()
        except _NotUpError as error:
            process.kill()
            raise GatewayFault(f"the box could not be set up: {_said(process)}") from error
        except BaseException:
            process.kill()
            process.wait()
            raise
    return process


def _stagehand(
    staged: list[tuple[str, str]], uid: int | None, opened: contextlib.ExitStack
) -> tuple[list[str], list[int]]:
    """What mounts the sources that the box's user cannot reach, and the descriptor that it is told by."""
    if not staged or not uid:
        return [], []
    descriptor = filled(json.dumps({"uid": uid, "mounts": staged}).encode(), opened)
    source = Path(staging.__file__).read_text(encoding="utf-8")
    return [sys.executable, "-I", "-S", "-c", source, str(descriptor)], [descriptor]


def identity(box: Box) -> Identity:
    """As whom a box is started, for Popen. Raises GatewayFault as root when it has no user of its own."""
    uid = box.cell.uid if box.cell is not None else None
    if os.geteuid() == 0 and not uid:
        raise GatewayFault("refusing to start a box as root: it has no user of its own")
    return {"user": uid, "group": uid, "extra_groups": []} if uid else {}


def _fed(box: Box) -> list[tuple[str, bytes]]:
    """What bubblewrap reads from descriptors: options that nobody else on the host should see."""
    fed = [("--args", b"\0".join(option.encode() for option in options(box)))]
    if box.seccomp is not None:
        fed.append(("--seccomp", box.seccomp))
    return fed


def filled(content: bytes, opened: contextlib.ExitStack) -> int:
    """A descriptor from which a child reads `content`; closed with `opened`."""
    descriptor = os.memfd_create("ostiary", os.MFD_CLOEXEC)
    opened.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _limits(box: Box) -> dict[str, int]:
    """Resource limits by the names that prlimit has for them, none above what we have ourselves."""
    wanted: dict[str, int | None] = {
        "core": 0,
        "msgqueue": 0,
        "nofile": box.open_files,
        "fsize": box.file_bytes,
        "as": box.address_space,
    }
    limits: dict[str, int] = {}
    for name, value in wanted.items():
        hard = resource.getrlimit(_KINDS[name])[1]
        if value is not None:
            limits[name] = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return limits


def _launcher(box: Box) -> list[str]:
    """What puts limits on a box of another user, before it is that user's: the program prlimit.

    From outside that takes a capability which root lacks in many containers.
    """
    if os.geteuid() != 0:
        return []
    program = shutil.which("prlimit", path=ENVIRONMENT["PATH"])
    if program is None:
        raise GatewayFault("no program `prlimit` in /usr/bin", hint="apt-get install util-linux")
    return [program, *(f"--{name}={value}:{value}" for name, value in _limits(box).items())]


def _bind(first: int, box: Box) -> None:
    """Put every bound on the box's first process, from which all others will have them."""
    try:
        if os.geteuid() != 0:
            for name, value in _limits(box).items():
                resource.prlimit(first, _KINDS[name], (value, value))
    except ProcessLookupError as error:
        raise _NotUpError from error
    except OSError as error:
        raise GatewayFault(f"cannot bound a box: {error}") from error
    if box.cell is not None and box.cell.group is not None:
        box.cell.group.add(first)


def _said(process: subprocess.Popen[bytes]) -> str:
    """The end of what bubblewrap wrote about its failure, where that can be read."""
    said = process.communicate()[1] or b""
    return said.decode(errors="replace").strip()[-_REASON:] or f"bubblewrap left with {process.returncode}"


class _NotUpError(Exception):
    """bubblewrap ended before the box stood."""


class _Door:
    """Holds the box's first process back until it is bounded."""

    def __init__(self, opened: contextlib.ExitStack) -> None:
        self._told, telling = os.pipe2(os.O_CLOEXEC)
        opened.callback(os.close, self._told)
        self._telling = os.fdopen(telling, "wb", buffering=0)
        opened.enter_context(self._telling)
        held, self._opening = os.pipe2(os.O_CLOEXEC)
        opened.callback(os.close, held)
        opened.callback(os.close, self._opening)
        self.inside = (telling, held)
        self.options = ("--info-fd", str(telling), "--block-fd", str(held))

    def who(self) -> int:
        """The id of the first process, on the host. Raises _NotUpError when there will be none."""
        self._telling.close()  # ours, so that the end of bubblewrap's is seen
        told = b""
        waiting = select.poll()
        waiting.register(self._told, select.POLLIN)
        while waiting.poll(_TIMEOUT_MS) and (piece := os.read(self._told, 4096)):
            told += piece
        try:
            return int(json.loads(told)["child-pid"])
        except (ValueError, KeyError, TypeError) as error:
            raise _NotUpError from error

    def open(self) -> None:
        os.write(self._opening, b"\n")


def options(box: Box) -> list[str]:
    """Everything that says what the box looks like, as bubblewrap's arguments."""
    size = str(box.tmp_bytes)
    told = [*_ALWAYS, *(("--share-net",) if box.network else ())]
    root = Path(box.root.path)
    for entry in sorted(root.iterdir()):
        if entry.is_symlink():
            told += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
        elif any(entry.iterdir()):
            told += ["--ro-bind", str(entry), f"/{entry.name}"]
    told += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    for target in ("/tmp", "/work", _SHARED_MEMORY):  # noqa: S108 - places inside
        told += ["--perms", "0700", "--size", size, "--tmpfs", target]
    for bind in box.binds:
        told += ["--bind" if bind.writable else "--ro-bind", bind.stage or bind.source, bind.target]
    told += ["--remount-ro", "/", "--chdir", box.folder]
    for name, value in box.environment.items():
        told += ["--setenv", name, value]
    return told
