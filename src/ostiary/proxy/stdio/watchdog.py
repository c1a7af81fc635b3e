"""Kills what we leave behind when we are killed ourselves.

SIGKILL cannot be caught, and a parent-death signal reaches only the direct child, not what that
child started. So one tiny process in a session of its own reads a pipe that only we write. We
report every process group there; when the pipe ends, because we are gone in whatever way, it
kills the groups that are still reported.
"""

from __future__ import annotations

import os
import subprocess

from ostiary.errors import GatewayFault

SHELL = "/bin/sh"

# `+ N` and `- N` lines arrive in order; `read` fails at the end of the pipe. The names in `$@`
# after a `set --` are the groups, so no word of the input is ever evaluated.
_SCRIPT = """
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"""


class Watchdog:
    """One process for all process groups of a gate; started with the first group.

    The write end of its pipe must not leak into a process that outlives us. Python descriptors
    are closed on exec; a bare `os.fork` would keep it.
    """

    __slots__ = ("_groups", "_pipe", "_process")

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    def ready(self) -> int:
        """The descriptor to which a new group leader writes `report(pid)` before it runs.

        Raises GatewayFault when the watchdog cannot be started.
        """
        if self._process is None or self._process.poll() is not None:
            self.renew()
        return self._pipe

    def added(self, group: int) -> None:
        """Note that `group` has reported itself."""
        self._groups.add(group)

    def removed(self, group: int) -> None:
        """Forget `group`: nothing of it is alive, and its number may soon be another's."""
        self._groups.discard(group)
        try:
            os.write(self._pipe, b"- %d\n" % group)
        except OSError:  # the watchdog was killed: renew() at the next start repeats the rest
            self._retire()

    def renew(self) -> None:
        """Start a watchdog that knows exactly the current groups, then end the one before."""
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - a constant program and script
                [SHELL, "-c", _SCRIPT, "ostiary-watchdog"],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={},
            )
        except OSError as error:
            os.close(writing)
            reason = error.strerror or type(error).__name__
            raise GatewayFault(f"cannot start the watchdog `{SHELL}`: {reason}") from error
        finally:
            os.close(reading)
        for group in self._groups:
            os.write(writing, report(group))
        self._retire()
        self._process, self._pipe = process, writing

    def close(self) -> None:
        """End the watchdog. Groups that are still alive are no longer guarded."""
        self._groups.clear()
        self._retire()

    def _retire(self) -> None:
        # Killed rather than told: it must not act on groups that another one now guards.
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def report(group: int) -> bytes:
    """The line that puts a process group under guard."""
    return b"+ %d\n" % group
