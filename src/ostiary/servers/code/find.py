"""Looking for tools by words. Pure, and the same each time."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from ostiary.servers.code.functions import MAX_NAME, Function
from ostiary.wire.message import as_object

MAX_COMPARED: Final = 500
"""Names that are compared letter by letter."""
MAX_DESCRIPTION: Final = 2_000
_WORD: Final = re.compile(r"[a-z0-9]+")


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case."""
    return set(_WORD.findall(text.lower()))


def description_of(function: Function) -> str:
    """What the server says of the tool, bounded."""
    raw = as_object(msgspec.json.decode(function.definition.raw)) or {}
    said = raw.get("description")
    return said[:MAX_DESCRIPTION] if isinstance(said, str) else ""


def found(functions: Iterable[Function], query: str, most: int) -> list[Function]:
    """The functions that fit `query` best: words of the name count more than those of the description."""
    words = words_of(query)
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


def brief(function: Function) -> dict[str, Any]:
    """A function as a search has it: with the first line of what its server says of it."""
    said = description_of(function).strip().partition("\n")[0][:160]
    return {"name": function.name, "description": said, "signature": function.stub}


def detailed(function: Function) -> dict[str, Any]:
    """All there is to know of a function."""
    return {
        "name": function.name,
        "server": function.server,
        "tool": function.tool,
        "signature": function.stub,
        "description": description_of(function),
        "inputSchema": function.definition.input_schema,
    }


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """What somebody may have meant by `name`: at most one of `known`, at a bounded cost.

    Where there are very many, those that share a word with it, and no more than can be compared at once.
    """
    words = set(_WORD.findall(name.lower().replace("_", " ")))
    every = list(known)
    if len(every) > MAX_COMPARED:
        alike = ((len(words & set(_WORD.findall(one.lower().replace("_", " ")))), one) for one in every)
        every = [one for _, one in heapq.nlargest(MAX_COMPARED, alike, key=lambda each: each[0])]
    return get_close_matches(name[:MAX_NAME], every, n=1)


def by_server(functions: Mapping[str, Function]) -> dict[str, int]:
    """How many tools each server has."""
    counted: dict[str, int] = {}
    for one in functions.values():
        counted[one.server] = counted.get(one.server, 0) + 1
    return counted
