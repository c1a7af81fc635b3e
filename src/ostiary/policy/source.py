"""Policy text as a tree in which every value knows where it stands.

Two readers, JSON and YAML, fill the same nodes. Both are strict and bounded: what one reader could
take for one thing and another reader for another is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

MAX_BYTES = 1_048_576
MAX_DEPTH = 64
MAX_NODES = 250_000
MAX_DIGITS = 40
MAX_EXPONENT = 308

_NUMBER_PARTS = re.compile(r"[-+]?([0-9]*)(?:\.([0-9]*))?(?:[eE][-+]?0*([0-9]*))?")


class Located(Protocol):
    """Anything with a place in the text."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Spot:
    """A bare place in the text; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text, a boolean, null or a number; a number keeps its spelling in `text`."""

    line: int
    column: int
    value: str | bool | Decimal | None
    text: str

    @property
    def is_number(self) -> bool:
        """Whether the author wrote a number, and not text that looks like one."""
        return isinstance(self.value, Decimal)


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list, in the author's order."""

    line: int
    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping; `line` and `column` are those of the key."""

    line: int
    column: int
    key: str
    value: Node


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping, in the author's order, without duplicate keys."""

    line: int
    column: int
    entries: tuple[Entry, ...]

    def get(self, key: str) -> Node | None:
        """The value at `key`, or None when the mapping has no such key."""
        return next((entry.value for entry in self.entries if entry.key == key), None)


Node = Scalar | ListNode | MapNode


class SourceFault(Exception):
    """The text cannot be read any further; becomes one diagnostic in `load`."""

    def __init__(self, code: str, message: str, at: Located, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.at = at
        self.hint = hint


class Bounds:
    """Counts depth and values while a reader works, so that hostile text ends early."""

    def __init__(self) -> None:
        self._nodes = 0

    def enter(self, depth: int, at: Located) -> None:
        """Count one value at `depth`; raises `SourceFault` beyond the bounds."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise SourceFault("too-many-values", f"more than {MAX_NODES:,} values", at)
        if depth > MAX_DEPTH:
            raise SourceFault("too-deep", f"nested more than {MAX_DEPTH} levels deep", at)


def decode(raw: bytes) -> str:
    """The text of a file, or a `SourceFault`: at most 1 MiB of UTF-8, no byte order mark."""
    start = Spot(1, 1)
    if len(raw) > MAX_BYTES:
        raise SourceFault("too-large", f"larger than {MAX_BYTES:,} bytes", start)
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        hint = "save it as UTF-8 without one"
        raise SourceFault("byte-order-mark", "begins with a byte order mark", start, hint)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise SourceFault("not-utf8", "not UTF-8 text", _spot_of(raw, fault.start)) from fault


def _spot_of(raw: bytes, offset: int) -> Spot:
    before = raw[:offset].decode("utf-8")
    return Spot(before.count("\n") + 1, offset_column(before))


def offset_column(before: str) -> int:
    """The column that follows `before`, counted from 1."""
    return len(before) - (before.rfind("\n") + 1) + 1


def number(text: str, at: Located) -> Decimal:
    """The exact value of number text (P3.4: at most 40 digits, exponent within +-308).

    The bounds are checked on the text, since converting a huge exponent takes minutes.
    """
    parts = _NUMBER_PARTS.fullmatch(text)
    if parts is None:
        raise SourceFault("not-a-number", f"not a number: `{text[:MAX_DIGITS]}`", at)
    whole, fraction, exponent = (part or "" for part in parts.groups())
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise SourceFault("wide-number", f"a number has more than {MAX_DIGITS} digits", at)
    if len(exponent) > len(str(MAX_EXPONENT)) or int(exponent or "0") > MAX_EXPONENT:
        raise SourceFault("wide-number", f"the exponent is outside +-{MAX_EXPONENT}", at)
    return Decimal(text)


def shown(text: str, most: int = 60) -> str:
    """Text of the author's for a message: in backticks, on one line, of bounded length."""
    short = text if len(text) <= most else f"{text[:most]}…"
    clean = "".join(each if each.isprintable() and each != "`" else f"\\u{ord(each):04x}" for each in short)
    return f"`{clean}`"
