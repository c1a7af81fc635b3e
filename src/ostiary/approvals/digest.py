"""Which call an approval is for: a canonical text of method, name and arguments.

Keys stand in the order of RFC 8785 section 3.2.3 (UTF-16 code units). Numbers are not rounded to
doubles as that document does: they are written as exact decimals, and `1` and `1.0` differ, since
a server may tell them apart. `_meta` and the id are no part of it (P5.1). The integer `-0` is no
number of its own: `wire.strict` reads it as 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, cast

MAX_CONTENT: Final = 256 * 1024
"""Bytes of a canonical call that a person may be asked about; nobody reads more than that."""


class TooLargeError(ValueError):
    """The call is too large to be put before a person."""


def canonical_call(
    method: str, name: str, arguments: Mapping[str, object], later: Mapping[str, object] | None = None
) -> bytes:
    """The canonical text of a call, which is also what the approver is shown.

    `later` is what a round after the first carries besides. Raises TooLargeError over `MAX_CONTENT` bytes.
    """
    room = [MAX_CONTENT]
    text = _text({"method": method, "name": name, "arguments": arguments, **(later or {})}, room)
    return text.encode("utf-8")


def _text(value: object, room: list[int]) -> str:
    """The canonical text of one value; `room` is what may still be written."""
    if isinstance(value, dict):
        return _object(cast("dict[str, object]", value), room)
    if isinstance(value, list):
        inner = ",".join([_text(item, room) for item in cast("list[object]", value)])
        return _counted(f"[{inner}]", room, 2 + len(cast("list[object]", value)))
    text = _scalar(value)
    return _counted(text, room, len(text))


def _object(value: dict[str, object], room: list[int]) -> str:
    parts: list[str] = []
    for key in sorted(value, key=_utf16):
        name = json.dumps(key)
        _counted(name, room, len(name) + 2)
        parts.append(f"{name}:{_text(value[key], room)}")
    return _counted("{" + ",".join(parts) + "}", room, 2)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (float, Decimal)):
        return _exact(Decimal(repr(value)) if isinstance(value, float) else value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _exact(number: Decimal) -> str:
    """A number with a point or an exponent: its digits without zeros at the end, and a power of ten.

    It always has an `e`, so it never equals an integer's text. The exponent of a zero says nothing.
    """
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    if not short:
        return "-0e0" if sign else "0e0"
    power = (exponent if isinstance(exponent, int) else 0) + len(text) - len(short)
    return f"{'-' if sign else ''}{short}e{power}"


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _counted(text: str, room: list[int], size: int) -> str:
    room[0] -= size
    if room[0] < 0:
        raise TooLargeError(f"the call has over {MAX_CONTENT} bytes")
    return text
