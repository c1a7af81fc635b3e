"""What becomes of a run that has paused: whoever wants to go on with it later keeps it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from ostiary.errors import OstiaryError
from ostiary.sandbox.record import Fault, RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.verdict import in_words

OnPaused = Callable[[RunRequest, RunRecord], Awaitable[RunRecord]]
"""Keeps what it takes to go on, and gives the record that the engine keeps.

An OstiaryError that it raises is the reason why the run has ended instead.
"""


async def as_it_is(_request: RunRequest, record: RunRecord) -> RunRecord:
    """Kept with its state, in memory."""
    return record


async def kept(on_paused: OnPaused, request: RunRequest, record: RunRecord) -> RunRecord:
    """The record of a run that has paused, or that of one which cannot wait."""
    try:
        return await on_paused(request, record)
    except OstiaryError as fault:
        why = Fault("limit", "StateLimit", in_words(fault))
        return msgspec.structs.replace(record, status="killed", error=why, paused=None)


def begun(request: RunRequest) -> str:
    """The id of the run that is gone on with; empty for a new one."""
    return request.resumes.run_id if request.resumes is not None else ""
