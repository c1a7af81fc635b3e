"""Ending what runs in a container, and making sure of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from ostiary.sandbox.containers.client import Client, Refused
from ostiary.sandbox.containers.execs import Program, Said, execute
from ostiary.sandbox.containers.faults import EngineFault, NotRunning, UnknownContainer
from ostiary.sandbox.containers.inside import ending
from ostiary.sandbox.containers.programs import SHELL_ENDER, program
from ostiary.sandbox.containers.walls import usual_runtime

_NOT_FOUND, _CONFLICT = 404, 409
_SECONDS: Final = 4
"""How long one way of ending a run may take; a fork bomb within 128 processes is over in a tenth of it."""
_NOT_STARTED: Final = (126, 127)


def new_mark() -> str:
    """What a run carries, so that it can be found: nobody can guess it."""
    return secrets.token_hex(16)


class Killer:
    """Ends runs on one engine."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def end(self, container: str, mark: str, user: str, *, ours: bool) -> str:
        """End everything that carries the mark. Empty when nothing of it is left, else what is to be said.

        First from the machine, where its processes can be seen and signalled; else by a program in
        the container, as the same user; else, with one of ours, the container itself is ended.
        """

        async def ended() -> str:
            if await self._from_outside(container, mark) or await self._from_inside(container, mark, user):
                return ""
            return await self._whole(container, ours=ours)

        return await _told(ended())

    async def give_up(self, container: str, *, ours: bool) -> str:
        """What is to be said of a run that goes on although its container says that it is over.

        The container itself is ended, if it is ours.
        """
        return await _told(self._whole(container, ours=ours))

    async def _whole(self, container: str, *, ours: bool) -> str:
        if not ours:
            return "the process may still run in the container: nothing there can end it"
        # Outside the SDK: its threads may all hang in what the engine does not answer.
        await self._client.ask("POST", f"/containers/{container}/kill")
        return "the container was ended, because the process in it could not be"

    async def tidy(self, container: str, mark: str, user: str) -> None:
        """Take away the folder of a run that could not do so itself. Quiet where there is nothing left."""
        with contextlib.suppress(UnknownContainer, NotRunning, Refused, EngineFault, OSError, ValueError):
            await self._from_inside(container, mark, user)

    async def _from_outside(self, container: str, mark: str) -> bool:
        inspected = await self._client.call(lambda api: api.inspect_container(container))
        state: dict[str, Any] = inspected["State"]
        if not state.get("Running"):
            return True
        _, _, default = await self._client.described()
        if not usual_runtime(inspected["HostConfig"].get("Runtime"), default):
            return False  # its processes are those of another kernel
        return await self._client.work(lambda: end_on_host(container, int(state.get("Pid") or 0), mark))

    async def _from_inside(self, container: str, mark: str, user: str) -> bool:
        halves = (mark[: len(mark) // 2], mark[len(mark) // 2 :])
        for argv in (
            ("python3", "-c", program("ender"), *halves, str(_SECONDS)),
            ("python", "-c", program("ender"), *halves, str(_SECONDS)),
            ("sh", "-c", SHELL_ENDER, "sh", *halves),
        ):
            try:
                async with asyncio.timeout(3 * _SECONDS):
                    code = await execute(
                        self._client, Program(container=container, argv=argv, user=user), Said()
                    )
            except TimeoutError:
                continue
            if code == 0:
                return True
            if code not in _NOT_STARTED:
                return False
        return False


async def _told(ending: Awaitable[str]) -> str:
    """What it says; empty where the container is gone, and else what went wrong."""
    try:
        return await ending
    except (UnknownContainer, NotRunning):
        return ""
    except Refused as refusal:
        if refusal.status in (_NOT_FOUND, _CONFLICT):
            return ""  # the container is gone
        return f"the process may still run in the container: {refusal.message}"
    except (EngineFault, OSError, ValueError) as fault:
        return f"the process may still run in the container: {fault}"


def end_on_host(container: str, first: int, mark: str) -> bool:
    """End a run whose processes are processes of this machine. Whether that could be done, and was.

    `first` is the container's first process. Nothing is touched where that process cannot be shown to be
    the container's, and no process outside of the container's control group: a container may share the
    process namespace of the machine.
    """
    if not runs_here(container, first):
        return False
    seen = _Seen(container)
    if os.geteuid() != 0 and not os.access(f"/proc/{first}/environ", os.R_OK):
        return False  # another user's processes do not show their marks
    left = ending.end(mark, _SECONDS, seen.within, {first, os.getpid()}, seen.hit)
    return not left and not seen.refused


def runs_here(container: str, first: int) -> bool:
    """Whether this process of this machine lives, and is in this container."""
    return ending.look(first) is not None and _is_in(container, first)


def _is_in(container: str, pid: int) -> bool:
    """Whether a process is in the control group of a container, by its full id. Its own cannot leave it."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text("utf-8", "replace")
    except OSError:
        return False


class _Seen:
    """The processes of one container, as this machine sees them."""

    def __init__(self, container: str) -> None:
        self._container = container
        self.refused = False

    def within(self, pid: int) -> bool:
        """Whether a process is in the container."""
        return _is_in(self._container, pid)

    def hit(self, pid: int, seen: ending.Process, number: int) -> None:
        """Send a signal to just this process, which nothing can take the place of meanwhile."""
        try:
            target = os.pidfd_open(pid)
        except OSError:
            return
        try:
            now = ending.look(pid)
            if now is not None and now[2] == seen[2]:
                signal.pidfd_send_signal(target, number)
        except PermissionError:
            self.refused = True
        except OSError:
            pass  # it has ended
        finally:
            os.close(target)
