"""The rules of `rules/poisoning.toml`, compiled: what is said, in any text made plain."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, NamedTuple, cast

from ostiary.policy.patterns import Match, compile_finder, compile_sieve
from ostiary.registry.classification import Severity

FILE: Final = "rules/poisoning.toml"
_BLANK: Final = r"(?:[\s\"'(),;:*_\x60~\[\]<>|/+=&#-]{1,6})"
_GAP: Final = r"(?:[^.!?]|[.][^\s.!?]){0,60}"
_MEMORY: Final = 8 << 20
"""Bytes for one rule. More is no faster, and hostile texts fill it."""

_BEFORE: Final = 80
"""Bytes before a match in which an exception counts, if they are of the same clause."""

_MOST: Final = 16
"""Tools that one rule tells of in one text."""

_WORD: Final = re.compile(r"\{([a-z]+)\}")
_NAMED: Final = re.compile(r"\(\?P<[a-z]+>")
_ENDS: Final = re.compile(rb"[.!?]\s|[,;:\n]| and | then | but | or ")

Finder = Callable[[bytes], Iterator[Match]]
Table = Mapping[str, object]


class Said(NamedTuple):
    """A match: of which kind, where in the bytes, and the tool that it names, if any."""

    kind: str
    start: int
    end: int
    reason: str
    severity: Severity
    tool: str


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    reason: str
    severity: Severity
    any: Finder
    unless: Finder | None


@dataclass(frozen=True, slots=True)
class Asking:
    """Names of parameters, and what in their description makes them suspect; `bare` needs none."""

    names: frozenset[str]
    bare: bool
    severity: Severity
    reason: str
    wording: Finder
    unless: Finder


@dataclass(frozen=True, slots=True)
class Rules:
    """All of the file."""

    likely: Callable[[bytes], list[int]]
    """The indices of the rules that may match a text."""

    rules: tuple[_Rule, ...]
    parameters: tuple[Asking, ...]
    confusables: Mapping[int, str]
    known: tuple[str, ...]


@functools.cache
def rules() -> Rules:
    """The rules, read once. Raises `PatternError` where one is no pattern, which tests rule out."""
    table = tomllib.loads((files("ostiary.registry") / FILE).read_text("utf-8"))
    words = cast("Mapping[str, str]", table["words"])
    compiled = [_rule(each, words) for each in cast("list[Table]", table["rule"])]
    return Rules(
        likely=compile_sieve([pattern for pattern, _ in compiled]),
        rules=tuple(rule for _, rule in compiled),
        parameters=tuple(_asking(each, words) for each in cast("list[Table]", table["parameter"])),
        confusables={
            ord(char): latin
            for latin, others in cast("Mapping[str, str]", table["confusables"]).items()
            for char in others
        },
        known=tuple(cast("Mapping[str, list[str]]", table["known"])["names"]),
    )


def _rule(table: Table, words: Mapping[str, str]) -> tuple[str, _Rule]:
    # Each alternative may name its own tool; a group has one name in one pattern.
    patterns = [_expanded(each, words) for each in cast("list[str]", table["any"])]
    whole = "|".join(
        f"(?:{_NAMED.sub(f'(?P<tool{index}>', pattern)})" for index, pattern in enumerate(patterns)
    )
    unless = cast("list[str]", table.get("unless", []))
    return whole, _Rule(
        kind=str(table["kind"]),
        reason=str(table["reason"]),
        severity=Severity(table["severity"]),
        any=compile_finder(whole, memory=_MEMORY),
        unless=_finder("|".join(unless), words) if unless else None,
    )


def _asking(table: Table, words: Mapping[str, str]) -> Asking:
    return Asking(
        names=frozenset(cast("list[str]", table["names"])),
        bare=bool(table["bare"]),
        severity=Severity(table["severity"]),
        reason=str(table["reason"]),
        wording=_finder(str(table["wording"]), words),
        unless=_finder(str(table["unless"]), words),
    )


def _finder(pattern: str, words: Mapping[str, str]) -> Finder:
    return compile_finder(_expanded(pattern, words), memory=_MEMORY)


def _expanded(pattern: str, words: Mapping[str, str]) -> str:
    """The pattern in RE2's syntax: lists put in, blanks and gaps spelled out."""
    text = _WORD.sub(
        lambda found: words[found.group(1)], _WORD.sub(lambda found: words[found.group(1)], pattern)
    )
    parts: list[str] = []
    escaped = in_class = False
    for char in text:
        if escaped or char == "\\":
            escaped = not escaped
        elif char == "[" and not in_class:
            in_class = True
        elif char == "]":
            in_class = False
        parts.append({" ": _BLANK, "…": _GAP}.get(char, char) if not in_class else char)
    return "".join(parts)


def said(text: bytes) -> Iterator[Said]:
    """What the rules find in a plain text, in UTF-8. One match of each rule, or each tool that it names."""
    for index in rules().likely(text):
        rule = rules().rules[index]
        tools: set[str] = set()
        for match in rule.any(text):
            start, end = match.span()
            tool = _tool(match)
            if tool in tools or _excused(rule, text, start, end):
                continue
            tools.add(tool)
            yield Said(rule.kind, start, end, rule.reason, rule.severity, tool)
            if not tool or len(tools) > _MOST:
                break


def _tool(match: Match) -> str:
    return next((name.decode("utf-8", "replace") for name in match.groupdict().values() if name), "")


def _excused(rule: _Rule, text: bytes, start: int, end: int) -> bool:
    """By the match itself or by what leads to it. What follows excuses nothing: it is the attacker's, too."""
    if rule.unless is None:
        return False
    before = _ENDS.split(text[max(0, start - _BEFORE) : start])[-1]
    return next(rule.unless(before + text[start:end]), None) is not None
