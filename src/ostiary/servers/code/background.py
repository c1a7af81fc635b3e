"""Calls of custom tools that nobody waits for. Each goes through the gate in front, as a client's would."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault, OstiaryError
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.servers.code.conversation import Behind, Conversation

SECONDS: Final = 700.0
"""For one call: the longest run, and what a gate may hold it for."""
KEPT_S: Final = 3_600.0
MAX_KEPT: Final = 200
MAX_OF_OWNER: Final = 20
MAX_BYTES: Final = 1 << 20
"""Of one answer that is kept."""


class _Run(msgspec.Struct):
    owner: str
    tool: str
    began: float
    task: asyncio.Task[dict[str, Any]]


class Background:
    """The calls of all owners; to anybody but its owner a call does not exist."""

    def __init__(self, front: Behind, version: str) -> None:
        """`front` is the gate in front of this server. `version` is of Ostiary."""
        self._front = front
        self._version = version
        self._chores = Chores(lambda _: None)
        self._runs: dict[str, _Run] = {}

    def start(self, owner: str, tool: str, arguments: Mapping[str, Any], parent: str) -> str:
        """Begin a call; the id to ask for it by. Raises CallerFault where too much is under way."""
        self._make_room(owner)
        run = f"crun_{secrets.token_hex(12)}"
        task = self._chores.start(self._call(owner, tool, arguments, parent))
        self._runs[run] = _Run(owner, tool, asyncio.get_running_loop().time(), task)
        return run

    def standing(self, owner: str, run: str) -> dict[str, Any]:
        """Where a call stands, with its answer once there is one. Raises CallerFault for none of `owner`."""
        found = self._runs.get(run)
        if found is None or found.owner != owner:
            raise CallerFault(
                f"no run `{run[:80]}` is known", hint="they are kept for an hour, for who began them"
            )
        said = {"run_id": run, "tool": found.tool}
        if not found.task.done():
            return said | {"status": "running"}
        if found.task.cancelled():
            return said | {"status": "cancelled"}
        return said | found.task.result()

    async def close(self) -> None:
        """End what is under way."""
        await self._chores.close()

    async def _call(self, owner: str, tool: str, arguments: Mapping[str, Any], parent: str) -> dict[str, Any]:
        talk = Conversation(self._front, owner, self._version)
        try:
            await self._front.ready()
            value = await talk.call(tool, arguments, parent, SECONDS)
        except (ToolFault, ToolHeld, OstiaryError) as fault:
            return {"status": "failed", "error": fault.message}
        finally:
            await talk.leave()
        if len(msgspec.json.encode(value)) > MAX_BYTES:
            return {"status": "failed", "error": f"the answer has over {MAX_BYTES} bytes, and is not kept"}
        return {"status": "completed", "result": value}

    def _make_room(self, owner: str) -> None:
        now = asyncio.get_running_loop().time()
        for run, one in list(self._runs.items()):
            if one.task.done() and now - one.began > KEPT_S:
                del self._runs[run]
        if sum(one.owner == owner and not one.task.done() for one in self._runs.values()) >= MAX_OF_OWNER:
            raise CallerFault(f"{MAX_OF_OWNER} runs of yours are under way", hint="try again later")
        if len(self._runs) >= MAX_KEPT:
            over = [run for run, one in self._runs.items() if one.task.done()]
            if not over:
                raise CallerFault("busy: too many runs are under way", hint="try again later")
            has = Counter(self._runs[run].owner for run in over)
            # The oldest of who has most: nobody fills it to push out what others have.
            del self._runs[max(over, key=lambda run: has[self._runs[run].owner])]
