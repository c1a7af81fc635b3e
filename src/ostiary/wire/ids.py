r"""Ids where messages of several clients share one pipe: read exactly, replaced in place.

`1` and `"1"` are two ids, and `"\u0061"` and `"a"` are one: ids are compared as they decode
and by type, and only their bytes are replaced.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ostiary.wire.message import Message, MessageId, as_object
from ostiary.wire.spans import find, replaced, splice

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

ID = ("id",)
OFFERED_TOKEN = ("params", "_meta", "progressToken")
CARRIED_TOKEN = ("params", "progressToken")
CANCELLED_ID = ("params", "requestId")
CARRIED_SUBSCRIPTION = ("params", "_meta", SUBSCRIPTION)
ENDED_SUBSCRIPTION = ("result", "_meta", SUBSCRIPTION)

IdKey = tuple[type, MessageId]


def id_key(message_id: MessageId) -> IdKey:
    """A key for mappings in which `1` and `"1"` differ."""
    return type(message_id), message_id


def id_at(message: Message, path: Sequence[str]) -> MessageId | None:
    """The id or token at `path`, or None where there is none."""
    value: object = message.envelope
    for key in path:
        members = as_object(value)
        if members is None or key not in members:
            return None
        value = members[key]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return value


def with_ids(raw: bytes, ids: Sequence[tuple[Sequence[str], MessageId]]) -> bytes:
    """`raw` with the value at each path replaced; a path that leads nowhere changes nothing.

    For accepted bytes. All other bytes stay.
    """
    edits = [
        replaced(span, msgspec.json.encode(new)) for path, new in ids if (span := find(raw, path)) is not None
    ]
    return splice(raw, edits)
