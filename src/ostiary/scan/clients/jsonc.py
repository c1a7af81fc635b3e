"""JSON as clients read it, with comments and trailing commas, and where everything stands in it.

Only the shape is read at first. A text is decoded when somebody asks for it: the history that
Claude Code keeps beside its servers may hold texts that are no characters.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from ostiary.scan.clients.spans import ConfigFault, Member
from ostiary.wire.strict import quoted

MAX_DEPTH: Final = 100
MAX_NODES: Final = 1_000_000

_GAP: Final = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?s:.*?)\*/)*+")
_TEXT: Final = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\["\\/bfnrtu][^"\\\x00-\x1f]*+)*+"')
_WORD: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")

Kind = Literal["object", "array", "text", "word"]


@dataclass(frozen=True, slots=True)
class Node:
    """One value, from `start` up to `end`."""

    kind: Kind
    start: int
    end: int
    members: tuple[tuple[Member, Node], ...] = ()
    items: tuple[Node, ...] = ()

    def at(self, key: str) -> Node | None:
        """What stands under `key`; None where this is no object or has no such key."""
        return next((node for member, node in self.members if member.key == key), None)

    @property
    def keys(self) -> tuple[Member, ...]:
        """Where the keys stand."""
        return tuple(member for member, _ in self.members)


def read(text: str) -> Node:
    """The shape of a text. Raises ConfigFault where it is none."""
    reader = _Reader(text)
    reader.skip()
    node = reader.value(1)
    reader.skip()
    if reader.at < len(text):
        reader.fail("the end of the file")
    return node


def plain(node: Node, text: str) -> object:
    """The value as Python has it. Raises ConfigFault for a text that is no characters."""
    if node.kind == "object":
        return {member.key: plain(child, text) for member, child in node.members}
    if node.kind == "array":
        return [plain(child, text) for child in node.items]
    return _decoded(text, node.start, node.end)


def _decoded(text: str, start: int, end: int) -> object:
    try:
        value: object = json.loads(text[start:end])
        if isinstance(value, str):
            value.encode()
    except (UnicodeEncodeError, ValueError):
        raise ConfigFault("expected a text or number that can be read", start) from None
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self._nodes = 0

    def skip(self) -> None:
        found = _GAP.match(self._text, self.at)
        self.at = found.end() if found else self.at
        if self._text.startswith("/*", self.at):
            raise ConfigFault("expected `*/` at the end of the comment", self.at)

    def fail(self, expected: str) -> NoReturn:
        raise ConfigFault(f"expected {expected}, found {self._found()}", self.at)

    def value(self, depth: int) -> Node:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise ConfigFault(f"nested more than {MAX_DEPTH} levels deep", self.at)
        if self._nodes > MAX_NODES:
            raise ConfigFault(f"more than {MAX_NODES:,} values", self.at)
        start = self.at
        first = self._text[start : start + 1]
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first == '"':
            self.at = self._text_end()
            return Node("text", start, self.at)
        found = _WORD.match(self._text, start)
        if found is None:
            self.fail("a value")
        self.at = found.end()
        if self._text[self.at : self.at + 1].isalnum():
            raise ConfigFault("expected a value, found a word that is none", start)
        return Node("word", start, self.at)

    def _object(self, depth: int) -> Node:
        start = self.at
        self.at += 1
        members: list[tuple[Member, Node]] = []
        seen: set[str] = set()
        self.skip()
        while not self._closed("}"):
            member = self._member(depth)
            if member[0].key in seen:
                shown = quoted(member[0].key)
                hint = "clients take one of the two, and not all of them the same one"
                raise ConfigFault(f"the key {shown} stands twice", member[0].start, hint=hint)
            seen.add(member[0].key)
            members.append(member)
            self._comma("}")
        return Node("object", start, self.at, members=tuple(members))

    def _member(self, depth: int) -> tuple[Member, Node]:
        start = self.at
        if self._text[start : start + 1] != '"':
            self.fail("a key in double quotes")
        self.at = self._text_end()
        try:
            key = json.loads(self._text[start : self.at])
        except ValueError:
            raise ConfigFault("expected a key that can be read", start) from None
        self.skip()
        if self._text[self.at : self.at + 1] != ":":
            self.fail("`:` after the key")
        self.at += 1
        self.skip()
        node = self.value(depth + 1)
        return Member(key, start, start, node.start, node.end), node

    def _array(self, depth: int) -> Node:
        start = self.at
        self.at += 1
        items: list[Node] = []
        self.skip()
        while not self._closed("]"):
            items.append(self.value(depth + 1))
            self._comma("]")
        return Node("array", start, self.at, items=tuple(items))

    def _closed(self, closing: str) -> bool:
        closed = self._text[self.at : self.at + 1] == closing
        self.at += closed
        return closed

    def _comma(self, closing: str) -> None:
        self.skip()
        first = self._text[self.at : self.at + 1]
        if first == ",":
            self.at += 1
            self.skip()
        elif first != closing:
            self.fail(f"`,` or `{closing}`")

    def _text_end(self) -> int:
        found = _TEXT.match(self._text, self.at)
        if found is None:
            raise ConfigFault("expected a text that ends on its line, with JSON's escapes", self.at)
        return found.end()

    def _found(self) -> str:
        first = self._text[self.at : self.at + 1]
        if not first:
            return "the end of the file"
        return f"`{first}`" if first.isprintable() else f"the character U+{ord(first):04X}"
