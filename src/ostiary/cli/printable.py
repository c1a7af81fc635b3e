"""Text that other people chose, made fit for a terminal.

Names of tools, rules and grants, messages and descriptions come from clients, from servers and
from whoever can edit the database. Raw, they could move the cursor, erase a line, reorder it or
forge the next one. Every command that prints such text sends it through here.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

_PLANES: Final = 0x10000
_DISPUTED: Final = (
    (0x115F, 0x11FF),  # fillers and parts of Hangul syllables, which melt into their neighbours
    (0x2630, 0x2637),  # signs that newer tables call wide, and older ones do not
    (0x268A, 0x268F),
    (0x3164, 0x3164),
    (0x4DC0, 0x4DFF),
    (0xD7B0, 0xD7FF),
    (0xFFA0, 0xFFA0),
    (0x1D300, 0x1D37F),
)
"""Characters that print, and that nobody can say the width of."""
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})


def printable(text: str) -> str:
    r"""`text` on one line, with everything that could mislead written as `\uXXXX`.

    What stays is what every terminal draws where it stands, from left to right: letters, digits,
    punctuation and spaces, also letters that are two columns wide. Escaped are control and
    format characters (among them escape sequences, line ends and bidirectional marks), letters
    of right-to-left scripts, which reorder their neighbours, combining marks, which can pile up
    over other lines, and wide symbols and look-alike full-width letters, on whose width
    terminals disagree.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _stays(char) else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """The same for a text of ours that has line ends of its own."""
    return "\n".join(printable(line) for line in text.split("\n"))


def fitted(text: str, columns: int) -> str:
    """`text` made printable and cut to `columns`, with `…` where something is missing."""
    safe = printable(text)
    if _columns(safe) <= columns:
        return safe
    kept: list[str] = []
    left = columns - 1
    for char in safe:
        left -= _columns(char)
        if left < 0:
            break
        kept.append(char)
    return "".join(kept) + "…" if columns > 0 else ""


def columns_of(text: str) -> int:
    """How many columns `text` takes once it is printable."""
    return _columns(printable(text))


def padded(text: str, columns: int) -> str:
    """`text` made printable, cut or filled up with spaces to exactly `columns`."""
    cut = fitted(text, columns)
    return cut + " " * (columns - _columns(cut))


def terminal_json(line: bytes) -> bytes:
    r"""A JSON text that may go to a terminal: equal in value, with what could mislead as `\uXXXX`.

    JSON itself only escapes C0, and some terminals obey C1 and bidirectional marks, too.
    """
    if line.isascii() and b"\x7f" not in line:
        return line
    text = line.decode("utf-8", "replace")
    return "".join(char if char == "\n" or _stays(char) else json.dumps(char)[1:-1] for char in text).encode()


def clock_time(microseconds: int) -> str:
    """The time of day in UTC; the number itself when it is no time that there is."""
    moment = _moment(microseconds)
    return str(microseconds) if moment is None else moment.strftime("%H:%M:%S")


def full_time(microseconds: int) -> str:
    """Date and time in UTC, to the millisecond; the number itself when it is no time that there is."""
    moment = _moment(microseconds)
    if moment is None:
        return str(microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{microseconds % 1_000_000 // 1000:03d}Z"


def _moment(microseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def say(lines: Iterable[str]) -> None:
    """Print lines on standard output, each made printable."""
    for line in lines:
        sys.stdout.write(printable(line) + "\n")


def _stays(char: str) -> bool:
    if not char.isprintable():
        return False
    category = unicodedata.category(char)
    if category in {"Mn", "Mc", "Me"} or unicodedata.bidirectional(char) in _RIGHT_TO_LEFT:
        return False
    if any(first <= ord(char) <= last for first, last in _DISPUTED):
        return False
    width = unicodedata.east_asian_width(char)
    return width != "F" and (width != "W" or category[0] == "L")


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < _PLANES else f"\\U{code:08x}"


def _columns(text: str) -> int:
    """How many columns printable text takes: what is wide here is a letter, and takes two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) == "W" else 1 for char in text)
