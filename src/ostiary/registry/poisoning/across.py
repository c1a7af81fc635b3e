"""Tools beside one another: what one does to the names of others."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from ostiary.policy.twins import fold
from ostiary.registry.change import named
from ostiary.registry.classification import Described, Severity
from ostiary.registry.poisoning.names import MAX_NAME, near, skeleton
from ostiary.wire.message import as_object

_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{5,127}")
_DISTINCT: Final = re.compile(r"[a-z0-9][_-][a-z0-9]|[a-z][A-Z]")
_ORDER: Final = re.compile(
    r"\b(?:must|always|never|instead|before|after|whenever|when|first|every|should|only)\b", re.IGNORECASE
)
_AROUND: Final = 120
_MAX_READ: Final = 64 * 1024
_MAX_VALUES: Final = 256


class Other(NamedTuple):
    """Something that another tool is part of, too; `tool` is an index into the list."""

    tool: int
    kind: str
    where: str
    excerpt: str
    reason: str
    severity: Severity


def siblings(tools: Sequence[Described]) -> Mapping[str, frozenset[str]]:
    """The folded names of each server's tools."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for tool in tools:
        found[tool.server].add(fold(tool.name[: MAX_NAME * 2]).casefold())
    return {server: frozenset(names) for server, names in found.items()}


def others(tools: Sequence[Described], confusables: Mapping[int, str]) -> Iterator[Other]:
    """What the tools do to one another; in no order."""
    yield from _same(tools)
    yield from _alike(tools, confusables)
    yield from _mentions(tools)
    yield from _values(tools)


def _same(tools: Sequence[Described]) -> Iterator[Other]:
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for index, tool in enumerate(tools):
        groups[tool.name].append(index)
    for name, group in groups.items():
        counted = Counter(tools[index].server for index in group)
        servers = list(counted)
        for index in group if len(group) > 1 else ():
            own = tools[index].server
            if len(servers) > 1:
                other = servers[0] if servers[0] != own else servers[1]
                reason = (
                    f"the server {named(other)} has a tool of this name, and a model cannot tell them apart"
                )
            else:
                reason = (
                    f"the server has {counted[own]} tools of this name, and only one of them can be called"
                )
            yield Other(index, "shadowed-name", "name", name, reason, Severity.HIGH)


def _alike(tools: Sequence[Described], confusables: Mapping[int, str]) -> Iterator[Other]:
    shapes: defaultdict[str, list[int]] = defaultdict(list)
    for index, tool in enumerate(tools):
        shapes[skeleton(tool.name, confusables)].append(index)
    told: set[int] = set()
    for shape, group in shapes.items():
        first = group[0]
        for index in group[1:] if shape else ():
            one, other = tools[first].name, tools[index].name
            if one != other:
                for each, like in ((index, one), (first, other)):
                    if each not in told:
                        told.add(each)
                        yield _alike_finding(each, tools[each].name, like)
    for one, other in near([tool.name for tool in tools]):
        for each, like in ((one, other), (other, one)):
            if each not in told:
                told.add(each)
                yield _alike_finding(each, tools[each].name, tools[like].name)


def _alike_finding(index: int, name: str, like: str) -> Other:
    reason = f"easily taken for {named(like)}, another tool in sight"
    return Other(index, "look-alike-name", "name", name, reason, Severity.MEDIUM)


def _mentions(tools: Sequence[Described]) -> Iterator[Other]:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for tool in tools:
        if len(tool.name) <= MAX_NAME and _DISTINCT.search(tool.name):
            owners[tool.name].add(tool.server)
    if len({tool.server for tool in tools}) < 2:  # noqa: PLR2004 - one server has no other
        return
    for index, tool in enumerate(tools):
        text = tool.description[:_MAX_READ]
        for found in _TOKEN.finditer(text):
            name = found.group().rstrip(".-_")
            having = owners.get(name)
            if having is not None and tool.server not in having:
                around = text[max(0, found.start() - _AROUND) : found.end() + _AROUND]
                severity = Severity.HIGH if _ORDER.search(around) else Severity.MEDIUM
                reason = f"it speaks of {named(name)}, a tool of the server {named(min(having))}"
                yield Other(index, "foreign-tool-named", "description", around, reason, severity)
                break


def _values(tools: Sequence[Described]) -> Iterator[Other]:
    """Tools that are none: values of an argument, taken for tools by whoever scraped them from a page."""
    taken: defaultdict[tuple[str, str], str] = defaultdict(str)
    for tool in tools:
        for each in (as_object((as_object(tool.input_schema) or {}).get("properties")) or {}).values():
            choices = (as_object(each) or {}).get("enum")
            for value in cast("list[object]", choices)[:_MAX_VALUES] if isinstance(choices, list) else []:
                if isinstance(value, str):
                    taken.setdefault((tool.server, value), tool.name)
    for index, tool in enumerate(tools):
        holder = taken.get((tool.server, tool.name))
        if holder and holder != tool.name and not tool.description.strip() and not _takes_any(tool):
            reason = f"a value that {named(holder)} takes, and nothing says that it is a tool"
            yield Other(index, "enum-value-name", "name", tool.name, reason, Severity.LOW)


def _takes_any(tool: Described) -> bool:
    return bool((as_object(tool.input_schema) or {}).get("properties"))
