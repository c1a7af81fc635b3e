"""A paused run as bytes: Monty's own, with what we have to know beside them. Pure.

Nothing here proves where bytes come from: see `sandbox.request.Resumption`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.record import MAX_STATE

VERSION: Final = "1.4.0"
"""Of pydantic-monty: what another one dumped cannot be read."""


_PIECE: Final = re.compile(r"<python-input-(\d{1,3})>")


class State(msgspec.Struct, frozen=True, array_like=True):
    """`dump` is Monty's. The run has made `calls` calls, of which `waits` is the last, in the code `name`."""

    version: str
    calls: int
    waits: str
    name: str
    awaited: bool
    dump: bytes


def packed(state: State) -> bytes:
    """As bytes. Raises CallerFault for more than `MAX_STATE` of them."""
    whole = msgspec.msgpack.encode(state)
    if len(whole) > MAX_STATE:
        raise CallerFault(
            f"the run cannot be paused: it holds {len(whole)} bytes, and {MAX_STATE} is the most",
            hint="let the code keep less in its variables while it waits",
        )
    return whole


def unpacked(whole: bytes) -> State:
    """From bytes that the caller has proven to be ours. Raises CallerFault for those of no use here."""
    if len(whole) > MAX_STATE:
        raise CallerFault(f"the paused run has more than {MAX_STATE} bytes")
    try:
        state = msgspec.msgpack.decode(whole, type=State)
    except msgspec.MsgspecError as error:
        raise CallerFault("the paused run does not read", hint="run its code again") from error
    if state.version != VERSION:
        raise CallerFault(
            f"the run was paused by pydantic-monty {state.version}, and this is {VERSION}",
            hint="run its code again",
        )
    return state


def piece_of(filename: str) -> int:
    """Which piece of code a position is in, by the name that Monty has for it: `<python-input-3>`."""
    found = _PIECE.fullmatch(filename)
    return int(found[1]) if found is not None else 0
