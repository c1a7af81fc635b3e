"""Where keys stand in a TOML text. What they mean is read by tomllib; this finds the places to change.

A text comes here only after tomllib has read it, so what is found is well-formed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ostiary.scan.clients.spans import ConfigFault, Member, Slot, Style
from ostiary.wire.message import as_object

MAX_BYTES: Final = 1024 * 1024
SERVERS: Final = "mcp_servers"

_BLANK: Final = re.compile(r"[ \t]*+")
_GAP: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]++")
_TEXTS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:[^\\]|\\.)*?""""{0,2}',
        r"'''.*?''''{0,2}",
        r'"(?:[^"\\]|\\.)*+"',
        r"'[^']*+'",
    )
)
_SCALAR: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9][^\s,\]}#]*+|[^\s,\]}#]++")
_PLACE: Final = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """A member, and the keys that lead to the table it is in. `header` for a table of its own."""

    table: tuple[str, ...]
    member: Member
    header: bool = False


def read(text: str) -> Mapping[str, object]:
    """What tomllib reads. Raises ConfigFault."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.fullmatch(str(error))
        message = found[1] if found else str(error)
        offset = len(text)
        if found and found[2]:
            lines = text.replace("\r\n", " \n").split("\n")
            offset = sum(len(line) + 1 for line in lines[: int(found[2]) - 1]) + int(found[3]) - 1
        raise ConfigFault(
            f"expected TOML: {message[:1].lower()}{message[1:]}", min(offset, len(text))
        ) from None
    except (RecursionError, ValueError):
        raise ConfigFault("expected TOML of less depth and smaller numbers", 0) from None


def slots(text: str, data: Mapping[str, object]) -> tuple[Slot, ...]:
    """Every server below `[mcp_servers]`, with the places of its keys."""
    servers = as_object(data.get(SERVERS))
    if servers is None:
        return ()
    try:
        found = sorted(_Finder(text).all(), key=lambda each: each.member.start)
    except (RecursionError, IndexError):
        raise ConfigFault("expected TOML of less depth", 0) from None
    return tuple(_slot(found, name, value) for name, value in servers.items())


def _slot(found: list[Found], name: str, value: object) -> Slot:
    route = (SERVERS, name)
    members: dict[str, Member] = {}
    starts: list[int] = []
    for each in found:
        path = (*each.table, each.member.key)
        if path[:2] == route:
            starts.append(each.member.start)
        if each.header and path[:2] == route and len(path) > len(route):
            _join(members, path[2], each.member, whole=len(path) == len(route) + 1)
        elif each.table == route:
            _join(members, each.member.key, each.member, whole=True)
        elif each.table[:2] == route and not each.header:
            _join(members, each.table[2], each.member, whole=_below_header(found, each))
    return Slot(route, min(starts, default=0), value, tuple(members.values()))


def _below_header(found: list[Found], inside: Found) -> bool:
    """Whether the key stands in the lines of a header of its own table, which stand for it already."""
    return any(
        each.header
        and (*each.table, each.member.key) == inside.table[:3]
        and each.member.start < inside.member.start < each.member.end
        for each in found
    )


def _join(members: dict[str, Member], key: str, member: Member, *, whole: bool) -> None:
    """Note where a key stands; where it stands already, what is in the other place belongs to it too."""
    before = members.get(key)
    if before is None:
        members[key] = Member(
            key, member.start, member.name, member.value, member.end, member.style, whole and member.whole
        )
    elif not before.start <= member.start <= member.end <= before.end:
        members[key] = Member(
            key, before.start, before.name, before.value, before.end, before.style, whole=False
        )


class _Finder:
    """Walks over the statements of a text that tomllib has read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: list[Found] = []

    def all(self) -> list[Found]:
        """Every key, in the order of the text."""
        table: tuple[str, ...] = ()
        opened: tuple[tuple[str, ...], int, int] | None = None
        last = 0
        while True:
            self._skip(_GAP)
            if self._at >= len(self._text):
                break
            if self._text[self._at] == "[":
                self._close(opened, last)
                start = self._at
                table = self._header()
                opened, last = (table, start, self._at), self._at
                continue
            self._assignment(table, "statement")
            last = self._at
        self._close(opened, last)
        return self._found

    def _close(self, opened: tuple[tuple[str, ...], int, int] | None, end: int) -> None:
        if opened is not None:
            path, start, value = opened
            member = Member(path[-1], start, start, value, end, "statement")
            self._found.append(Found(path[:-1], member, header=True))

    def _header(self) -> tuple[str, ...]:
        doubled = self._text.startswith("[[", self._at)
        self._at += 2 if doubled else 1
        path, _ = self._keys()
        self._at += 2 if doubled else 1
        return (*path, "[]") if doubled else path

    def _assignment(self, table: tuple[str, ...], style: Style) -> None:
        start = self._at
        path, name = self._keys()
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        value = self._at
        inside = len(self._found)
        self._value((*table, *path))
        member = Member(path[-1], start, name, value, self._at, style)
        self._found.insert(inside, Found((*table, *path[:-1]), member))

    def _keys(self) -> tuple[tuple[str, ...], int]:
        """A dotted key, and where its last part begins."""
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            name = self._at
            bare = _BARE.match(self._text, self._at)
            if bare is not None:
                self._at = bare.end()
                parts.append(bare.group())
            else:
                self._text_end()
                parts.append(str(tomllib.loads(f"k = {self._text[name : self._at]}")["k"]))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return tuple(parts), name
            self._at += 1

    def _value(self, path: tuple[str, ...]) -> None:
        first = self._text[self._at]
        if first in "\"'":
            self._text_end()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: tuple[str, ...]) -> None:
        self._at += 1
        self._skip(_GAP)
        while self._text[self._at] != "]":
            self._value((*path, "[]"))
            self._comma()
        self._at += 1

    def _table(self, path: tuple[str, ...]) -> None:
        self._at += 1
        self._skip(_GAP)
        while self._text[self._at] != "}":
            self._assignment(path, "inline")
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_GAP)
        if self._text[self._at] == ",":
            self._at += 1
        self._skip(_GAP)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _text_end(self) -> None:
        found = next((each for pattern in _TEXTS if (each := pattern.match(self._text, self._at))), None)
        if found is None:
            raise IndexError
        self._at = found.end()
