"""Names of packages that are nearly the name of a known one, and are not it. Pure.

Whether the name is close by chance cannot be told from it. Who typed it can.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final, cast

from ostiary.registry.poisoning.names import skeleton, words_of
from ostiary.registry.subject import MAX_NAME, Subject
from ostiary.registry.verdict import Near

_COMMON: Final = frozenset({"mcp", "server", "servers", "the", "official", "modelcontextprotocol"})
"""Words that tell no server from another."""

_SHORTEST: Final = 5
_LONG: Final = 12


class _Name:
    """One name, taken apart for comparison."""

    __slots__ = ("base", "flat", "kind", "shape", "text", "words")

    def __init__(self, kind: str, text: str, confusables: Mapping[int, str]) -> None:
        self.kind, self.text = kind, text
        self.shape = skeleton(text, confusables)
        self.flat = "".join(words_of(text))
        self.base = _telling(text.rpartition("/")[2])
        self.words = _telling(text)


def _split(known: str) -> tuple[str, str]:
    kind, _, name = known.partition(":")
    return kind, name


def _telling(text: str) -> tuple[str, ...]:
    return tuple(sorted(set(words_of(text)) - _COMMON))


def resembled(subject: Subject, known: Iterable[str]) -> Near | None:
    """The first known package whose name `subject` nearly has; None for a known one and for no package.

    `known` are `npm:NAME` and `pypi:NAME`. A name without a registry is compared with both.
    """
    if subject.kind not in ("name", "npm", "pypi") or not subject.name:
        return None
    ours = _Name(subject.kind, subject.name[:MAX_NAME], confusables())
    others = [_Name(*_split(each), confusables()) for each in known]
    if any(one.text == ours.text and ours.kind in (one.kind, "name") for one in others):
        return None
    for how in (_other_registry, _alike, _reordered, _mistyped):
        for other in others:
            said = how(ours, other)
            if said:
                return Near(f"{other.kind}:{other.text}", said)
    return None


def _other_registry(ours: _Name, other: _Name) -> str:
    return f"that name is known on {other.kind}, not on {ours.kind}" if ours.text == other.text else ""


def _alike(ours: _Name, other: _Name) -> str:
    return "it looks the same at a glance" if ours.shape == other.shape else ""


def _reordered(ours: _Name, other: _Name) -> str:
    """The same words in another order, with other marks between them, or below another scope."""
    if ours.words and ours.words in (other.words, other.base):
        return "it has the same words in another order or scope"
    if ours.base and ours.base in (other.base, other.words):
        return "it is the same name below another scope"
    return ""


def _mistyped(ours: _Name, other: _Name) -> str:
    """A letter or two off, in the whole name or in the words that tell the server from others."""
    pairs = [(ours.flat, other.flat), ("".join(ours.words), "".join(other.words))]
    pairs.append(("".join(ours.base), "".join(other.base)))
    for one, another in pairs:
        shortest = min(len(one), len(another))
        if shortest >= _SHORTEST and within(one, another, 2 if shortest >= _LONG else 1):
            return "it differs by a slip of the keys"
    return ""


def within(one: str, other: str, most: int) -> bool:
    """Whether one text becomes the other by at most `most` letters added, lost, changed or swapped.

    Work grows with the length of the texts times `most`.
    """
    if abs(len(one) - len(other)) > most:
        return False
    far = most + 1
    older: list[int] = []
    before = [min(at, far) for at in range(len(other) + 1)]
    for row, char in enumerate(one, 1):
        now = [far] * (len(other) + 1)
        if row <= most:
            now[0] = row
        for at in range(max(1, row - most), min(len(other), row + most) + 1):
            cost = min(before[at] + 1, now[at - 1] + 1, before[at - 1] + (char != other[at - 1]))
            if row > 1 and at > 1 and char == other[at - 2] and one[row - 2] == other[at - 1]:
                cost = min(cost, older[at - 2] + 1)
            now[at] = min(cost, far)
        if min(now) >= far:
            return False
        older, before = before, now
    return before[len(other)] <= most


@cache
def confusables() -> Mapping[int, str]:
    """Letters that look like Latin ones, by their code."""
    table = tomllib.loads((files("ostiary.registry") / "rules" / "poisoning.toml").read_text("utf-8"))
    found = cast("Mapping[str, str]", table["confusables"])
    return {ord(char): latin for latin, chars in found.items() for char in chars}
