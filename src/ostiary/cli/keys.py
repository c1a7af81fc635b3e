"""From the bytes of a keyboard to the names of keys. Pure."""

from __future__ import annotations

import re
from typing import Final

ANY: Final = "any"
"""In a page's actions: what every key without an action of its own does."""

_NAMES: Final = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\x1b[C": "right", b"\x1bOC": "right", b"\x1b[D": "left", b"\x1bOD": "left",
    b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[1~": "home", b"\x1b[F": "end", b"\x1bOF": "end",
    b"\x1b[4~": "end", b"\x1b[5~": "page up", b"\x1b[6~": "page down", b"\x1b[3~": "delete",
    b"\r": "enter", b"\n": "enter", b"\t": "tab", b"\x7f": "backspace", b"\x08": "backspace",
    b"\x1b": "escape", b" ": "space", b"\x04": "ctrl-d",
}  # fmt: skip

_PART = re.compile(
    rb"""
    \x1b\[[0-?]*[ -/]*[@-~]       # a control sequence, as arrow keys send
  | \x1bO[ -~]                    # the same in application mode
  | \x1b                          # the key itself, or the start of something unknown
  | [\x00-\x7f]
  | [\xc2-\xdf][\x80-\xbf] | [\xe0-\xef][\x80-\xbf]{2} | [\xf0-\xf4][\x80-\xbf]{3}
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|O)?|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)


def keys_of(data: bytes) -> list[str]:
    """Names of the keys in `data`, in order.

    A key that types something is called by its character, others are `up`, `down`, `left`,
    `right`, `home`, `end`, `page up`, `page down`, `delete`, `enter`, `tab`, `backspace`,
    `escape`, `space` and `ctrl-d`. Bytes that are none of these are passed over: a sequence
    that is not known must not be taken for the letters in it.
    """
    return [name for part in _PART.findall(data) if (name := _name(part))]


def rest_of(data: bytes) -> bytes:
    """What stands at the end of `data` and may be the beginning of a longer key; empty if nothing."""
    found = _UNFINISHED.search(data)
    return found[0] if found else b""


def _name(part: bytes) -> str:
    if part in _NAMES:
        return _NAMES[part]
    try:
        char = part.decode()
    except UnicodeDecodeError:  # a surrogate or beyond the last plane
        return ""
    return char if char.isprintable() else ""
