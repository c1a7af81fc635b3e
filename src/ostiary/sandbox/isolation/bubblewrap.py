"""Starting a box with bubblewrap: the command line, what goes through descriptors, and as whom."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation.box import Box

INSIDE_UID: Final = 65_534
"""The user that a program is by its own account, whoever it is on the host."""
ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": "/usr/bin:/bin"}
"""All that bubblewrap itself is given: code in the box can read it, at /proc/1/environ."""
_ALWAYS: Final = (
    "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
    "--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID), "--hostname", "sandbox", "--cap-drop", "ALL",
)  # fmt: skip
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - a place inside


def start(program: Path, box: Box, **streams: Any) -> subprocess.Popen[bytes]:
    """Start the box and return bubblewrap's process: its end is the box's end, and so is its kill.

    `streams` are stdin, stdout and stderr as for Popen. The box dies with the thread that called
    this: call it from one that stays. Blocks some milliseconds where the box has a cgroup, until
    its first process is in it. Raises GatewayFault when it cannot be started, and as root without
    a user for the box: bubblewrap run by root would leave the box root's hands on the host.
    """
    uid = box.cell.uid if box.cell is not None else None
    if os.geteuid() == 0 and not uid:
        raise GatewayFault("refusing to start a box as root: it has no user of its own")
    with contextlib.ExitStack() as opened:
        passed = [*box.pass_fds]
        argv = [str(program)]
        for option, content in _fed(box):
            descriptor = _filled(content)
            opened.callback(os.close, descriptor)
            passed.append(descriptor)
            argv += [option, str(descriptor)]
        gate = _Gate(opened) if box.cell is not None and box.cell.group is not None else None
        if gate is not None:
            argv += gate.options
            passed += gate.inside
        who: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        try:
            process = subprocess.Popen(  # noqa: S603 - argv of ours, the command is the caller's
                [*argv, "--", *box.command],
                env=dict(ENVIRONMENT),
                pass_fds=passed,
                cwd="/",
                umask=0o022,
                **who,
                **streams,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise GatewayFault(f"cannot start {program}: {error}") from error
        if gate is not None:
            try:
                gate.let_in(box)
            except BaseException:
                process.kill()
                process.wait()
                raise
    return process


def _fed(box: Box) -> list[tuple[str, bytes]]:
    """What bubblewrap reads from descriptors: options that nobody else on the host should see."""
    fed = [("--args", b"\0".join(option.encode() for option in options(box)))]
    if box.seccomp is not None:
        fed.append(("--seccomp", box.seccomp))
    return fed


def _filled(content: bytes) -> int:
    descriptor = os.memfd_create("ostiary", os.MFD_CLOEXEC)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class _Gate:
    """Holds the box's first process back until it is in its cgroup."""

    def __init__(self, opened: contextlib.ExitStack) -> None:
        told, telling = os.pipe2(os.O_CLOEXEC)
        held, self._open = os.pipe2(os.O_CLOEXEC)
        for descriptor in (told, held, self._open):
            opened.callback(os.close, descriptor)
        self._told = told
        self._telling = telling
        self.inside = (telling, held)
        self.options = ("--info-fd", str(telling), "--block-fd", str(held))

    def let_in(self, box: Box) -> None:
        """Read which process it is, put it in, and let it go on."""
        os.close(self._telling)
        said = b""
        while piece := os.read(self._told, 4096):
            said += piece
        try:
            pid = int(json.loads(said)["child-pid"])
        except (ValueError, KeyError, TypeError) as error:
            raise GatewayFault("the box could not be set up") from error
        if box.cell is not None and box.cell.group is not None:
            box.cell.group.add(pid)
        os.write(self._open, b"\n")


def options(box: Box) -> list[str]:
    """Everything that says what the box looks like, as bubblewrap's arguments."""
    size = str(box.tmp_bytes)
    told = [*_ALWAYS]
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
        told += ["--bind" if bind.writable else "--ro-bind", bind.source, bind.target]
    told += ["--remount-ro", "/", "--chdir", "/work"]
    for name, value in box.environment.items():
        told += ["--setenv", name, value]
    return told
