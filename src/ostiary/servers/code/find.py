"""Looking for tools by words. Pure, and the same each time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ostiary.servers.code.functions import Function
from ostiary.wire.message import as_object

MAX_DESCRIPTION: Final = 2_000
_WORD: Final = re.compile(r"[a-z0-9]+")


def description_of(function: Function) -> str:
    """What the server says of the tool, bounded."""
    raw = as_object(msgspec.json.decode(function.definition.raw)) or {}
    said = raw.get("description")
    return said[:MAX_DESCRIPTION] if isinstance(said, str) else ""


def found(functions: Iterable[Function], query: str, most: int) -> list[Function]:
    """The functions that fit `query` best: words of the name count more than those of the description."""
    words = set(_WORD.findall(query.lower()))
    scored: list[tuple[int, str, Function]] = []
    for one in functions:
        name = set(_WORD.findall(one.name.lower()))
        text = description_of(one).lower()
        said = set(_WORD.findall(text))
        score = sum(5 * (word in name) + 2 * (word in said) for word in words)
        score += sum(2 for word in words for part in name if word != part and word in part)
        if score or not words:
            scored.append((-score, one.name, one))
    return [one for _, _, one in sorted(scored, key=lambda each: each[:2])][:most]


def by_server(functions: Mapping[str, Function]) -> dict[str, int]:
    """How many tools each server has."""
    counted: dict[str, int] = {}
    for one in functions.values():
        counted[one.server] = counted.get(one.server, 0) + 1
    return counted
