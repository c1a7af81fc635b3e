"""Places to run in: a host uid of its own where there are several, and a cgroup where there is one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation.cgroups import Nursery
from ostiary.sandbox.isolation.group import Group, killed

USUAL_RANGE: Final = range(165_536, 165_536 + 1024)
_SUBORDINATES: Final = Path("/etc/subuid")
_LOCKS: Final = "/run/ostiary/uids"
_MOST: Final = 65_536
_ROUNDS: Final = 4
_ROUND_MS: Final = 500
_ENDED: Final = ("Z", "X")


class Cell:
    """One place for one worker at a time.

    `uid` is the host's user (and group) that nothing else runs under, or None where the gate is not
    root and has no other than its own. `group` is None where no cgroup can be made.
    """

    def __init__(self, uid: int | None, group: Group | None, lock: int | None = None) -> None:
        self.uid = uid
        self.group = group
        self.lock = lock


class Cells:
    """Hands out cells, and takes them back once nothing runs in them.

    Two gates on one machine never use one uid at a time: each uid in use is a locked file in
    `locks`. Every method may block for some milliseconds.
    """

    def __init__(self, uids: range | None, nursery: Nursery | None, locks: str = _LOCKS) -> None:
        self._uids = uids
        self._nursery = nursery
        self._locks = Path(locks)
        self._next = 0

    def take(self) -> Cell:
        """A cell of its own. Raises GatewayFault when every uid is in use or none can be made."""
        uid, lock = self._uid() if self._uids is not None else (None, None)
        try:
            return Cell(uid, self.take_group(), lock)
        except BaseException:
            if lock is not None:
                os.close(lock)
            raise

    def take_group(self) -> Group | None:
        """A cgroup alone, for what shares the uid of the process it is forked from."""
        return self._nursery.make() if self._nursery is not None else None

    def give_back(self, cell: Cell) -> bool:
        """Kill what is left in it, wait for its end and free it.

        False when something still runs after a second: then it stays ours, and this can be called
        again.
        """
        if cell.group is not None:
            if not cell.group.end():
                return False
            cell.group = None  # nothing leaves a cgroup: what ran under the uid is gone with it
        elif cell.uid is not None and not _empty(cell.uid):
            return False
        if cell.lock is not None:
            os.close(cell.lock)
            cell.lock = None
        return True

    def close(self) -> None:
        """Kill whatever still runs in a cgroup of ours, and remove what can be removed."""
        if self._nursery is not None:
            self._nursery.close()

    def _uid(self) -> tuple[int, int]:
        uids = self._uids or range(0)
        try:
            self._locks.mkdir(mode=0o700, parents=True, exist_ok=True)
            for _ in range(len(uids)):
                uid = uids[self._next % len(uids)]
                self._next += 1
                lock = self._locked(uid)
                if lock is not None:
                    return uid, lock
        except OSError as error:
            raise GatewayFault(f"cannot reserve a user for a worker: {error}") from error
        raise GatewayFault(
            f"all {len(uids)} users for workers are in use",
            hint="set a larger OSTIARY_UID_RANGE, or end another gate on this machine",
        )

    def _locked(self, uid: int) -> int | None:
        """The locked file that says that `uid` is ours, or None when it is somebody's or not clean."""
        lock = os.open(self._locks / str(uid), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                return None
            raise
        if not _empty(uid):  # a gate was killed, and something of it still goes on
            os.close(lock)
            return None
        return lock


def running(uid: int) -> Iterator[int]:
    """The processes that this user has anything to do with, by looking at every one of the machine.

    One that has ended and that nobody has asked about yet is none.
    """
    wanted = str(uid)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                status = (folder / "status").read_text()
                told = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                if wanted in told["Uid"].split() and told["State"].split()[0] not in _ENDED:
                    yield int(folder.name)


def _empty(uid: int) -> bool:
    """Kill everything of this user; whether it was gone in time."""
    for _ in range(_ROUNDS):
        left = list(running(uid))
        if not left:
            return True
        killed(left, _ROUND_MS)
    return False


def uid_range(environ: Mapping[str, str]) -> range | None:
    """The users that workers run under: `$OSTIARY_UID_RANGE` (FIRST-LAST), /etc/subuid, or the usual.

    None where the process is not root, or root of a few users only: it can use no other than its
    own. Raises CallerFault for a
    range that is none, or that holds root or the users of people.
    """
    if os.geteuid() != 0:
        return None
    named = environ.get("OSTIARY_UID_RANGE")
    if named is not None:
        first, dash, last = named.partition("-")
        if not (dash and first.isdigit() and last.isdigit()):
            raise CallerFault(f"OSTIARY_UID_RANGE: expected FIRST-LAST, found `{named[:64]}`")
        found = range(int(first), int(last) + 1)
    else:
        found = _subordinate()
    if not found or found[0] < _MOST or found[-1] > 2**32 - 2:
        raise CallerFault(
            f"users {found.start}-{found.stop - 1} cannot be given to workers",
            hint=f"use a range above {_MOST - 1} that belongs to nobody, for example 165536-166559",
        )
    return found[:_MOST] if _may_become(found) else None


def _may_become(wanted: range) -> bool:
    """Whether root is root enough: in a namespace of somebody else's it may know no other user."""
    try:
        if Path("/proc/self/setgroups").read_text(encoding="ascii").strip() != "allow":
            return False
        return all(
            any(
                int(inside) <= wanted[0] and wanted[-1] < int(inside) + int(count)
                for inside, _, count in (line.split() for line in Path(name).read_text().splitlines())
            )
            for name in ("/proc/self/uid_map", "/proc/self/gid_map")
        )
    except (OSError, ValueError):  # a kernel without user namespaces has neither, and no such bounds
        return True


def _subordinate() -> range:
    """What /etc/subuid gives root; else the usual range, above whatever it gives to anybody."""
    usual = USUAL_RANGE
    try:
        lines = _SUBORDINATES.read_text().splitlines()
    except OSError:
        return usual
    for line in lines:
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if first.isdigit() and count.isdigit():
            end = int(first) + int(count)
            if name == "root":
                return range(int(first), end)
            if end > usual.start:
                usual = range(end, end + len(usual))
    return usual
