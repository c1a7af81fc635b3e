"""What is different about a tool list, for the record: names, and how much each change matters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.change import by_risk, named, worst
from ostiary.registry.drift import Version, compare
from ostiary.wire.strict import Refused, parse_json

MAX_REASONS: Final = 20
"""Tools whose changes are spelled out; the names of more are only counted."""

MAX_COMPARED: Final = 256 * 1024
"""Bytes of definitions that are compared for one record: this runs on the event loop."""

MAX_REASON: Final = 400

Tools = Mapping[str, ToolDefinition]


class Differences(msgspec.Struct, frozen=True):
    """`names` are `+name`, `-name` and `~name` for added, removed and changed tools.

    `reasons` say for each of the first tools how risky its change is, and what changed. No text of
    a description stands in them.
    """

    names: list[str]
    reasons: tuple[str, ...] = ()


def unlike(one: ToolDefinition | None, other: ToolDefinition | None) -> bool:
    """Whether they are two definitions, or only one of them is there."""
    return (one and one.digest) != (other and other.digest)


def differences(former: Tools | None, shown: Tools, now: Tools) -> Differences:
    """How `now` differs from the list before, if there was one, and from what a client was shown."""
    before = former or {}
    added = [name for name in now if former is not None and name not in before]
    removed = [name for name in before if name not in now]
    changed = [name for name in now if name in before and unlike(before[name], now[name])]
    since = [
        name
        for name in shown
        if unlike(shown[name], now.get(name)) and name not in (*added, *removed, *changed)
    ]
    names = (
        [f"+{name}" for name in added] + [f"-{name}" for name in removed] + [f"~{name}" for name in changed]
    )
    names += [f"~{name}" if name in now else f"-{name}" for name in since]
    if not names:
        return Differences([])
    budget = MAX_COMPARED
    reasons: list[str] = []
    for name in [*added, *removed, *changed, *since][:MAX_REASONS]:
        old = shown[name] if name in since else before.get(name)
        new = now.get(name)
        budget -= len(old.raw if old else b"") + len(new.raw if new else b"")
        tail = ", since it was listed" if name in since else ""
        reasons.append(_reason(name, _version(old, budget), _version(new, budget)) + tail)
    return Differences(names, tuple(reasons))


def _version(tool: ToolDefinition | None, budget: int) -> Version | None:
    """The definition to compare; without its text where that is too much or cannot be read."""
    if tool is None:
        return None
    if not tool.raw or budget < 0:
        return Version(tool.digest, None)
    try:
        value: object = parse_json(tool.raw)
    except Refused:
        return Version(tool.digest, None)
    return Version(tool.digest, cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None)


def _reason(name: str, old: Version | None, new: Version | None) -> str:
    changes = by_risk(compare(name, old, new))
    said = "; ".join(change.words for change in changes)
    text = f"{named(name)} {worst(changes)}: {said}"
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
