"""What a worker says besides answers to jobs. Pure.

Messages have the form that every engine's have, and jobs and answers are read and written by
`ostiary.sandbox.cpython.protocol`. Before its first job a worker says one word: that it is ready,
that it holds a snapshot, or that it broke. The last may also come instead of an answer.
"""

from __future__ import annotations

import msgspec

from ostiary.sandbox.cpython.protocol import BrokenError

_MOST = 4096

Frame = tuple[bytes, bytes]
"""JSON text, and the bytes that belong to it."""


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of these. `ready` is what its self-test came to, `broken` why it cannot go on."""

    ready: str | None = None
    broken: str | None = None
    snapshot: bool = False


def word(text: bytes) -> Word:
    """Read it. Raises BrokenError for anything else."""
    try:
        said = msgspec.json.decode(text, type=Word)
    except msgspec.MsgspecError as error:
        raise BrokenError(f"a word that does not read: {error}") from error
    broken = said.broken
    return said if broken is None else Word(broken=broken[:_MOST])


def why_broken(text: bytes) -> str:
    """The reason in a word that came instead of an answer; empty if it is none."""
    try:
        return word(text).broken or ""
    except BrokenError:
        return ""
