"""Strict JSON (RFC 8259) with places: no comments, no NaN, no duplicate keys, nothing behind the end."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NoReturn

from ostiary.policy.source import (
    Bounds,
    Entry,
    ListNode,
    MapNode,
    Node,
    Scalar,
    SourceFault,
    Spot,
    number,
    shown,
)

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[-+]?[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HIGH = range(0xD800, 0xDC00)
_LOW = range(0xDC00, 0xE000)
_FIRST_PAIR = 0x10000
_WORDS = {"true": True, "false": False, "null": None}
_NOT_FINITE = frozenset({"nan", "infinity", "inf"})


def read(text: str) -> tuple[Node | None, list[SourceFault]]:
    """The tree, or None for blank text; the list holds duplicate keys. Raises `SourceFault`."""
    scanner = _Scanner(text)
    return scanner.document(), scanner.duplicates


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._bounds = Bounds()
        self.duplicates: list[SourceFault] = []

    def document(self) -> Node | None:
        self._skip()
        if self._at == len(self._text):
            return None
        node = self._value(0)
        self._skip()
        if self._at < len(self._text):
            raise SourceFault("trailing-text", "text follows the end of the document", self._spot())
        return node

    def _spot(self) -> Spot:
        line = bisect_right(self._lines, self._at)
        return Spot(line, self._at - self._lines[line - 1] + 1)

    def _fail(self, message: str, hint: str | None = None) -> NoReturn:
        raise SourceFault("bad-json", message, self._spot(), hint)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        if self._peek() in {"/", "#"}:
            raise SourceFault("json-comment", "a comment in JSON", self._spot(), "use YAML for comments")

    def _value(self, depth: int) -> Node:
        spot = self._spot()
        self._bounds.enter(depth, spot)
        first = self._peek()
        if first == "{":
            return self._mapping(spot, depth)
        if first == "[":
            return self._list(spot, depth)
        if first == '"':
            text = self._string()
            return Scalar(spot.line, spot.column, text, text)
        return self._literal(spot)

    def _literal(self, spot: Spot) -> Scalar:
        word = _WORD.match(self._text, self._at)
        if word is not None:
            return self._word(spot, word.group())
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            self._fail(f"expected a value, found {self._shown()}")
        self._at = found.end()
        if self._peek().isalnum() or self._peek() == ".":
            self._fail("a number is not written like this")
        return Scalar(spot.line, spot.column, number(found.group(), spot), found.group())

    def _word(self, spot: Spot, word: str) -> Scalar:
        if word in _WORDS:
            self._at += len(word)
            return Scalar(spot.line, spot.column, _WORDS[word], word)
        if word.lstrip("+-").lower() in _NOT_FINITE:
            raise SourceFault("not-a-number", f"not a number: `{word}`", spot)
        return self._fail(f"expected a value, found `{word[:40]}`", "text stands in double quotes")

    def _shown(self) -> str:
        first = self._peek()
        if not first:
            return "the end of the file"
        return f"`{first}`" if first.isprintable() else f"the character U+{ord(first):04X}"

    def _mapping(self, spot: Spot, depth: int) -> MapNode:
        self._at += 1
        entries: dict[str, Entry] = {}
        self._skip()
        if self._peek() == "}":
            self._at += 1
            return MapNode(spot.line, spot.column, ())
        while True:
            entry = self._entry(depth)
            if entry.key in entries:
                self._duplicate(entry)
            entries.setdefault(entry.key, entry)
            if self._closes("}"):
                return MapNode(spot.line, spot.column, tuple(entries.values()))

    def _entry(self, depth: int) -> Entry:
        self._skip()
        spot = self._spot()
        if self._peek() != '"':
            self._fail(f"expected a key in double quotes, found {self._shown()}")
        key = self._string()
        self._skip()
        if self._peek() != ":":
            self._fail(f"expected `:` after the key, found {self._shown()}")
        self._at += 1
        self._skip()
        return Entry(spot.line, spot.column, key, self._value(depth + 1))

    def _duplicate(self, entry: Entry) -> None:
        spot = Spot(entry.line, entry.column)
        self.duplicates.append(SourceFault("duplicate-key", f"the key {shown(entry.key)} stands twice", spot))

    def _list(self, spot: Spot, depth: int) -> ListNode:
        self._at += 1
        items: list[Node] = []
        self._skip()
        if self._peek() == "]":
            self._at += 1
            return ListNode(spot.line, spot.column, ())
        while True:
            self._skip()
            items.append(self._value(depth + 1))
            if self._closes("]"):
                return ListNode(spot.line, spot.column, tuple(items))

    def _closes(self, closing: str) -> bool:
        self._skip()
        if self._peek() not in {",", closing}:
            self._fail(f"expected `,` or `{closing}`, found {self._shown()}")
        closed = self._peek() == closing
        self._at += 1
        return closed

    def _string(self) -> str:
        self._at += 1
        parts: list[str] = []
        while True:
            found = _PLAIN.match(self._text, self._at)
            if found is not None:
                parts.append(found.group())
                self._at = found.end()
            if self._peek() == '"':
                self._at += 1
                return "".join(parts)
            if self._peek() != "\\":
                self._fail(f"expected the end of a text, found {self._shown()}")
            parts.append(self._escape())

    def _escape(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if letter in _ESCAPES:
            self._at += 2
            return _ESCAPES[letter]
        if letter != "u":
            self._fail("an unknown escape in a text")
        return self._code_point()

    def _code_point(self) -> str:
        """One code unit, or a pair of them; half a pair is no character (RFC 8259, 8.2)."""
        start = self._spot()
        unit = self._code_unit()
        if unit not in _HIGH and unit not in _LOW:
            return chr(unit)
        low = self._code_unit() if unit in _HIGH and self._text.startswith("\\u", self._at) else 0
        if low not in _LOW:
            raise SourceFault("bad-character", "half of a surrogate pair is no character", start)
        return chr(_FIRST_PAIR + (unit - _HIGH.start) * len(_LOW) + (low - _LOW.start))

    def _code_unit(self) -> int:
        found = _HEX.match(self._text, self._at + 2)
        if found is None:
            self._fail("`\\u` needs four hexadecimal digits")
        self._at = found.end()
        return int(found.group(), 16)
