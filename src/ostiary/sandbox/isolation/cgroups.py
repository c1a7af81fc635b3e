"""Where this process can make cgroups, and making them: versions 1 and 2.

A gate's cgroups lie in a folder of its own that it holds a lock on. One that nobody holds is what
a killed gate left: it is emptied and removed at the next start.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ostiary.errors import GatewayFault
from ostiary.sandbox.isolation.group import Group

_PREFIX: Final = "ostiary-"
_TRIES: Final = 8
_NEEDED: Final = ("memory", "pids")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where cgroups could be made. `why_not` is empty when they can.

    `folders` holds, for `memory`, `pids` and where it is counted `cpu`, the cgroup below which ours
    are made; with version 2 (`unified`) they are one folder. `move` says that the processes in it
    have to move one down first, as version 2 wants it.
    """

    folders: Mapping[str, Path] = msgspec.field(default_factory=dict[str, Path])
    unified: bool = False
    move: bool = False
    why_not: str = ""
    remedy: str = ""


def find_place(proc: Path = Path("/proc/self")) -> Place:
    """Look where memory and the number of processes can be bounded. Changes nothing."""
    try:
        mounts = list(_mounts((proc / "mountinfo").read_text()))
        own = dict(_memberships((proc / "cgroup").read_text()))
    except OSError as error:
        return Place(why_not=f"cgroups cannot be read: {error.strerror}")
    first = _first_version(mounts, own)
    if first is not None:
        return first
    return _second_version(mounts, own)


class _Mount(msgspec.Struct, frozen=True):
    """A mounted hierarchy: which part of it (`root`) is seen where (`point`)."""

    root: str
    point: str
    controllers: frozenset[str]
    unified: bool

    def folder(self, membership: str) -> Path:
        """Where the cgroup of that name is seen; the mount itself for one that is not."""
        inside = os.path.relpath(membership, self.root)
        there = Path(self.point) / inside
        return there if not inside.startswith("..") and there.is_dir() else Path(self.point)


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if kind[0] in {"cgroup", "cgroup2"}:
            yield _Mount(fields[3], fields[4], frozenset(kind[-1].split(",")), kind[0] == "cgroup2")


def _memberships(text: str) -> Iterator[tuple[str, str]]:
    """By controller (empty for version 2), the cgroup that this process is in."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _first_version(mounts: list[_Mount], own: Mapping[str, str]) -> Place | None:
    """None when the controllers are not those of version 1."""
    folders: dict[str, Path] = {}
    for key, controller in (("memory", "memory"), ("pids", "pids"), ("cpu", "cpuacct")):
        for mount in mounts:
            if not mount.unified and controller in mount.controllers:
                folders[key] = mount.folder(own.get(controller, "/"))
    if not all(key in folders for key in _NEEDED):
        return None
    closed = [str(folder) for folder in folders.values() if not os.access(folder, os.W_OK)]
    if closed:
        return Place(
            why_not=f"{closed[0]} is not writable for this user",
            remedy="version 1 of cgroups cannot be handed to users: boot with version 2, or run as root",
        )
    return Place(folders=folders)


def _second_version(mounts: list[_Mount], own: Mapping[str, str]) -> Place:
    mount = next((one for one in mounts if one.unified), None)
    if mount is None:
        return Place(why_not="no cgroups are mounted", remedy="mount -t cgroup2 none /sys/fs/cgroup")
    folder = mount.folder(own.get("", "/"))
    remedy = "start it with `systemd-run --user --scope -p Delegate=yes`, or with Delegate=yes in its unit"
    top = Path(mount.point)
    if not (top / "cgroup.type").exists() and os.access(top / "cgroup.subtree_control", os.W_OK):
        folder, move = top, False  # the root of all: the one place where processes may stay
    else:
        move = True
        alone = _words(folder / "cgroup.procs") <= {str(os.getpid()), str(os.getppid())}
        if not os.access(folder / "cgroup.subtree_control", os.W_OK) or not os.access(folder, os.W_OK):
            return Place(why_not=f"{folder} is not delegated to this user", remedy=remedy)
        if not alone:
            return Place(why_not=f"other processes run in {folder}", remedy=remedy)
    lacking = set(_NEEDED) - _words(folder / "cgroup.controllers")
    if lacking:
        return Place(why_not=f"{folder} has no controller for {' and '.join(sorted(lacking))}", remedy=remedy)
    return Place(folders=dict.fromkeys((*_NEEDED, "cpu"), folder), unified=True, move=move)


def _words(file: Path) -> set[str]:
    try:
        return set(file.read_text().split())
    except OSError:
        return set()


class Nursery:
    """Makes cgroups in folders of its own, one for each hierarchy.

    Opening one also sweeps away what killed gates left. Raises GatewayFault when nothing can be made.
    """

    def __init__(self, place: Place) -> None:
        self._unified = place.unified
        self._made = 0
        self._locks: list[int] = []
        self._folders: dict[str, Path] = {}
        try:
            for folder in dict.fromkeys(place.folders.values()):
                _sweep(folder)
            if place.unified:
                _delegate(place)
            ours = {folder: self._open(folder) for folder in dict.fromkeys(place.folders.values())}
            self._folders = {key: ours[folder] for key, folder in place.folders.items()}
        except OSError as error:
            self.close()
            raise GatewayFault(f"cannot make cgroups for workers: {error}") from error

    def _open(self, place: Path) -> Path:
        """A folder of ours below `place`, locked. Another gate's sweep may be faster: then again."""
        for _ in range(_TRIES):
            folder = place / (_PREFIX + secrets.token_hex(8))
            folder.mkdir()
            try:
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self._locks.append(lock)
            if folder.is_dir():
                if self._unified:
                    _enable(folder)
                return folder
        raise OSError(errno.EBUSY, "other gates sweep them away", str(place))

    def make(self) -> Group:
        """An empty cgroup. Raises GatewayFault when the kernel refuses."""
        self._made += 1
        folders = {key: folder / str(self._made) for key, folder in self._folders.items()}
        try:
            for folder in dict.fromkeys(folders.values()):
                folder.mkdir()
        except OSError as error:
            raise GatewayFault(f"cannot make a cgroup for a worker: {error}") from error
        return Group(folders, unified=self._unified)

    def close(self) -> None:
        """Kill what runs in them and take them away, as far as it is gone at once."""
        for folder in dict.fromkeys(self._folders.values()):
            _clear(folder)
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()


def _delegate(place: Place) -> None:
    """Let cgroups below have controllers; version 2 wants no process in a cgroup that has such."""
    folder = place.folders["memory"]
    if place.move:
        leaf = folder / "gate"
        leaf.mkdir(exist_ok=True)
        for pid in _words(folder / "cgroup.procs"):
            with contextlib.suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(pid)
    _enable(folder)


def _enable(folder: Path) -> None:
    there = _words(folder / "cgroup.controllers")
    for controller in (*_NEEDED, "cpu"):
        if controller in there and controller not in _words(folder / "cgroup.subtree_control"):
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _sweep(folder: Path) -> None:
    """Clear every folder of ours that no living gate holds a lock on."""
    for left in folder.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(left)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EBUSY, errno.ENOENT}:
                raise
        finally:
            os.close(lock)


def _clear(folder: Path) -> None:
    """Kill what runs below `folder` and remove it; what is not gone yet stays for the next start."""
    for below in [*folder.glob("*/"), folder]:
        group = Group({"memory": below, "pids": below}, unified=(below / "cgroup.kill").exists())
        group.kill()
        with contextlib.suppress(GatewayFault):
            group.remove()
