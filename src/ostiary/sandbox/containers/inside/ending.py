"""Ends a run and everything that came of it, whatever its processes have done to hide.

What belongs to a run: processes that carry its mark in their environment or their arguments, everything
that descends from one of those, and everything in a session that one of those began.
Also used by the host, where it can see the processes of a container.
"""

import os
import signal
import time
from typing import Callable, Dict, List, Optional, Set, Tuple

MARK = "OSTIARY_RUN"
_STEP_S = 0.002
_TWICE = 2
_BEGAN = 19

Process = Tuple[int, int, str]
"""Parent, session, and when it began."""


def processes() -> Dict[int, Process]:
    """Every process that can be seen and has not ended."""
    found: Dict[int, Process] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            one = look(int(name))
            if one is not None:
                found[int(name)] = one
    return found


def look(pid: int) -> Optional[Process]:
    """One process; None if there is none, or only what nobody has waited for yet."""
    stat = _read(pid, "stat").decode("utf-8", "replace").rpartition(")")[2].split()
    if len(stat) <= _BEGAN or stat[0] in ("Z", "X"):
        return None
    return int(stat[1]), int(stat[3]), stat[_BEGAN]


def marked(pid: int, mark: str) -> bool:
    """Whether a process carries the mark of a run."""
    text = mark.encode("ascii")
    return (MARK + "=").encode("ascii") + text in _read(pid, "environ") or text in _read(pid, "cmdline")


def arguments(pid: int) -> bytes:
    """What a process was started with; empty for one that has ended."""
    return _read(pid, "cmdline")


def descendants(found: Dict[int, Process], roots: Set[int]) -> Set[int]:
    """The roots, and everything that descends from them."""
    grown = set(roots)
    while True:
        more = {pid for pid, one in found.items() if one[0] in grown} - grown
        if not more:
            return grown
        grown |= more


def of_run(
    mark: str, sessions: Set[int], within: Callable[[int], bool], spared: Set[int]
) -> Dict[int, Process]:
    """What is there of a run. `sessions` are known ones of it, and more are added.

    Only processes that are `within` count, whatever they seem to descend from: numbers are used again.
    """
    found = {pid: one for pid, one in processes().items() if within(pid)}
    roots = {pid for pid in found if marked(pid, mark)} - spared
    strangers = {found[pid][1] for pid in spared if pid in found}
    grown: Set[int] = set()
    while True:
        grown = descendants(found, roots | grown) - spared
        sessions |= {found[pid][1] for pid in grown if pid in found and found[pid][1] in grown} - strangers
        more = {pid for pid, one in found.items() if one[1] in sessions} - grown - spared
        if not more:
            return {pid: found[pid] for pid in grown if pid in found}
        grown |= more


def strike(pid: int, seen: Process, number: int) -> None:
    """Send a signal, unless this is the number of another process by now."""
    now = look(pid)
    if now is not None and now[2] == seen[2]:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def end(
    mark: str,
    seconds: float,
    within: Callable[[int], bool] = lambda _: True,
    spared: Optional[Set[int]] = None,
    hit: Callable[[int, Process, int], None] = strike,
) -> int:
    """End all of a run, again and again until nothing is left. How many are left when the time is up."""
    until = time.monotonic() + seconds
    sessions: Set[int] = set()
    quiet = 0
    while quiet < _TWICE:
        left = of_run(mark, sessions, within, spared or set())
        quiet = 0 if left else quiet + 1
        for number in (signal.SIGSTOP, signal.SIGKILL):  # so that none sees another end, and goes on
            for pid, seen in left.items():
                hit(pid, seen, number)
        if left:
            if time.monotonic() >= until:
                return len(left)
            time.sleep(_STEP_S)
    return 0


def remove(folder: str) -> None:
    """A folder with all that is in it, also what its owner may not read any more. Follows no link."""
    try:
        os.chmod(folder, 0o700)
        names = os.listdir(folder)
    except OSError:
        names = []
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            remove(path)
        else:
            _gone(os.unlink, path)
    _gone(os.rmdir, folder)


def _gone(take_away: Callable[[str], None], path: str) -> None:
    try:
        take_away(path)
    except OSError:
        pass


def places() -> List[str]:
    """Where a private folder can be: the first that can be written to is taken."""
    return ["/tmp", "/dev/shm", "/var/tmp", os.environ.get("HOME", "/tmp"), os.getcwd()]


def _read(pid: int, name: str) -> bytes:
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""
