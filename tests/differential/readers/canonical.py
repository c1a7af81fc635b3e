"""JSON values in a spelling that no parser rounds or repairs. Standard library only.

A value is a list that begins with its type: `["z"]` null, `["t"]`, `["f"]`, `["s", HEX]` the UTF-16
code units of a string, `["i", DIGITS]` an integer that is exact, `["d", HEX]` the eight bytes of a
double, `["a", values]`, `["o", [[HEX, value]…]]` sorted by key.
"""

from __future__ import annotations

import struct


def canonical(value: object) -> list:
    """The canonical spelling of a parsed value."""
    if value is None:
        return ["z"]
    if isinstance(value, bool):
        return ["t" if value else "f"]
    if isinstance(value, str):
        return ["s", units(value)]
    if isinstance(value, int):
        return ["i", str(value)]
    if isinstance(value, float):
        return ["d", struct.pack(">d", value).hex()]
    if isinstance(value, dict):
        return ["o", sorted([units(key), canonical(item)] for key, item in value.items())]
    if isinstance(value, list | tuple):
        return ["a", [canonical(item) for item in value]]
    raise TypeError(type(value).__name__)


def units(text: str) -> str:
    """UTF-16 code units in hexadecimal, halves of pairs included."""
    return text.encode("utf-16-be", "surrogatepass").hex()
