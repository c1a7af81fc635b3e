"""Reads only the envelope of an upstream's answer, where nothing depends on what is in it.

A tool may answer with keys that differ only by case, or with numbers no rule will look at. Such
an answer need not be withheld, as long as everybody agrees on which request it answers.
"""

from __future__ import annotations

import json

from ostiary.wire.envelope import MAX_ID, MAX_ID_BYTES
from ostiary.wire.message import Message, MessageId
from ostiary.wire.strict import fold

MAX_ID_DIGITS = 16

_KEYS = (frozenset({"jsonrpc", "id", "result"}), frozenset({"jsonrpc", "id", "error"}))


class _Pairs(list[tuple[str, object]]):
    """The members of an object in the order they stand, duplicates included."""


class _Number(str):
    """A number, kept as text; tells `1` from `"1"` without evaluating anything."""

    __slots__ = ()


_decode = json.JSONDecoder(object_pairs_hook=_Pairs, parse_float=_Number, parse_int=_Number).decode


def read_answer(raw: bytes) -> Message | None:
    """The response that `raw` certainly is, or None. Its result is left unread.

    The top level must have exactly the three members of a response, in one spelling each.
    """
    try:
        top = _decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(top, _Pairs):
        return None
    envelope = dict(top)
    if len(top) != len(envelope) or len({fold(key) for key in envelope}) != len(envelope):
        return None
    if frozenset(envelope) not in _KEYS or envelope["jsonrpc"] != "2.0":
        return None
    message_id = _id(envelope["id"])
    if message_id is None:
        return None
    return Message(raw, "response", dict.fromkeys(envelope), id=message_id)


def _id(value: object) -> MessageId | None:
    if isinstance(value, _Number):
        digits = value.removeprefix("-")
        if not digits.isdigit() or len(digits) > MAX_ID_DIGITS or int(digits) > MAX_ID:
            return None
        return int(value)
    if isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES:
        return value
    return None
