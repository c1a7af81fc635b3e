"""Runs that wait for a person: kept sealed, and gone on with once, also by another process.

What is kept is the interpreter's state with everything that was decided for the run: whose it is, in which
call it began, which servers it may call, and what is left of its time and calls. The policy is not: the
call is decided anew by the one in force, which lets it through where the approval is of this very call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from ostiary.approvals.lifecycle import at
from ostiary.approvals.request import Standing
from ostiary.errors import CallerFault
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord, ToolCall
from ostiary.sandbox.request import Resumption, RunRequest
from ostiary.servers.code.tools import Asked, Tools

SECOND: Final = 1_000_000
GRACE: Final = 3_600 * SECOND
"""Microseconds after the end of a request in which the run can still be told of it."""
NOT_YET: Final = "not yet"
AGAIN: Final = "again"
LEAST_MS: Final = 1_000
HOW: Final = (
    "a person decides with `ostiary approvals resolve {id} --approve`; "
    "then ask checkCodeExecStatus, and the run goes on from here"
)

_TOLD: Final = {
    "denied": "the call was denied by the person who was asked",
    "expired": "nobody approved the call in time",
    "consumed": "the approval was used for this call already, and no call is made twice",
}


class Keeper(Protocol):
    """Where sealed runs are. See `store.paused.PausedTable`; it may take its time, so not on the loop."""

    def keep(self, owner: str, run_id: str, until: int, content: bytes) -> None: ...
    def look(self, owner: str, run_id: str) -> bytes | None: ...
    def take(self, owner: str, run_id: str) -> bytes | None: ...


class PausedRun(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that it takes to go on."""

    run_id: str
    owner: str
    approval: str
    waits: str
    message: str
    asked: Asked
    code: str
    outputs: tuple[str, ...]
    limits: Limits
    stdout: bytes
    stderr: bytes
    calls: tuple[ToolCall, ...]
    state: bytes


class Waits(msgspec.Struct, frozen=True):
    """What a client is told of a run that is paused."""

    tool: str
    approval_id: str
    message: str
    how: str


def waits_for(tool: str, approval: str, message: str) -> Waits:
    """The same in words."""
    return Waits(tool, approval, message, HOW.format(id=approval))


class PausedRuns:
    """`standing` looks a request up; `now` gives microseconds since 1970."""

    def __init__(
        self, keeper: Keeper, standing: Callable[[str], Standing | None], now: Callable[[], int]
    ) -> None:
        self._keeper = keeper
        self._standing = standing
        self._now = now

    async def keep(self, request: RunRequest, record: RunRecord) -> RunRecord:
        """Keep a run that has paused; an `OnPaused` of the engine. Raises OstiaryError."""
        paused, tools = record.paused, request.tools
        found = self._standing(paused.ticket) if paused is not None and paused.ticket else None
        if paused is None or not isinstance(tools, Tools) or found is None:
            raise CallerFault("the run cannot wait: its approval cannot be looked up", hint="run it again")
        left = max(LEAST_MS, request.limits.wall_ms - round(record.usage.wall_ms))
        run = PausedRun(
            run_id=record.run_id,
            owner=record.owner,
            approval=paused.ticket,
            waits=paused.name,
            message=paused.message,
            asked=tools.asked,
            code=request.code,
            outputs=request.outputs,
            limits=request.limits.lasting(left),
            stdout=record.stdout.whole.encode(),
            stderr=record.stderr.whole.encode(),
            calls=record.tool_calls,
            state=paused.state,
        )
        await self._keep(run, found)
        return msgspec.structs.replace(record, paused=msgspec.structs.replace(paused, state=b""))

    async def put_back(self, run: PausedRun) -> None:
        """Keep a run that was taken and did not begin. Raises OstiaryError."""
        found = self._standing(run.approval)
        if found is not None:
            await self._keep(run, found)

    async def _keep(self, run: PausedRun, found: Standing) -> None:
        content, until = msgspec.msgpack.encode(run), found.request.expires + GRACE
        await asyncio.to_thread(self._keeper.keep, run.owner, run.run_id, until, content)

    async def look(self, owner: str, run_id: str) -> PausedRun | None:
        """A run of `owner` that is paused. Raises OstiaryError for one that was changed."""
        content = await asyncio.to_thread(self._keeper.look, owner, run_id)
        return None if content is None else _read(content)

    def decided(self, run: PausedRun) -> str:
        """`NOT_YET`, or `AGAIN` where the call is to be made, or why it is not made."""
        found = self._standing(run.approval)
        if found is None:
            return NOT_YET
        state = at(found, self._now()).state
        if state == "pending":
            return NOT_YET
        if state in _TOLD:
            note = f": {found.note}" if found.note else ""
            return f"{_TOLD[state]} (approval {run.approval}){note}"
        return AGAIN

    async def take(self, run: PausedRun, decided: str) -> Resumption | None:
        """What to go on with; None where somebody else goes on already."""
        content = await asyncio.to_thread(self._keeper.take, run.owner, run.run_id)
        if content is None:
            return None
        taken = _read(content)
        again = decided == AGAIN or taken.approval != run.approval  # then it waits for another one
        return Resumption(
            state=taken.state,
            error=None if again else decided,
            again=again,
            run_id=taken.run_id,
            stdout=taken.stdout,
            stderr=taken.stderr,
            calls=taken.calls,
        )


def _read(content: bytes) -> PausedRun:
    try:
        return msgspec.msgpack.decode(content, type=PausedRun)
    except msgspec.MsgspecError as error:  # an older version wrote it
        raise CallerFault("the paused run does not read", hint="run its code again") from error
