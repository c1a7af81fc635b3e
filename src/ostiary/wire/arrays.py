"""Arrays of messages, which revision 2025-03-26 knows and no other (its JSON-RPC batches).

A client's array is read by `envelope.read_message`. What a server sends is only taken apart here:
each member is then judged like a message that came alone.
"""

from __future__ import annotations

import re

import msgspec

from ostiary.wire.envelope import MAX_BATCH
from ostiary.wire.spans import Span, elements, whole
from ostiary.wire.strict import UNREADABLE

REVISION = "2025-03-26"
"""The one revision with batches: 2025-06-18 took them out again."""

_Few = msgspec.defstruct(
    "_Few",
    [(f"m{number}", msgspec.Raw, msgspec.Raw()) for number in range(MAX_BATCH)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""An array of at most so many members: reading a longer one ends where the first too many begins."""

_few = msgspec.json.Decoder(_Few).decode

_OPENING = re.compile(rb"[ \t\r\n]*\[")


def members_of(raw: bytes) -> list[Span] | None:
    """Where the members of the array stand that `raw` is; None for what is no array of 1 to 32."""
    if _OPENING.match(raw) is None:
        return None
    try:
        _few(raw)
        found = elements(raw, whole(raw))
    except UNREADABLE:
        return None
    return found or None


def taken_apart(raw: bytes) -> list[bytes]:
    """The messages in `raw`: the members of an array, or `raw` itself."""
    found = members_of(raw)
    return [raw] if found is None else [span.of(raw) for span in found]
