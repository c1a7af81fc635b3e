"""Definitions as the rules see them: names, texts, arguments. Whatever is of another type is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.change import printable
from ostiary.registry.classification import Described
from ostiary.registry.classify.words import name_words
from ostiary.wire.message import as_object
from ostiary.wire.strict import Refused, parse_json

MAX_PARAMETERS: Final = 200
MAX_DEPTH: Final = 4
MAX_CHOICES: Final = 100


class Argument(msgspec.Struct, frozen=True):
    """One argument, also of an object within. `kind` is its type, empty where the schema says none."""

    name: str
    words: str
    where: str
    kind: str
    choices: tuple[str, ...]
    schema: Mapping[str, object]


def described(tool: ToolDefinition, server: str) -> Described:
    """The definition of a tool of `server`. Without readable bytes, what the list said of it."""
    try:
        members = as_object(cast("object", parse_json(tool.raw))) or {}
    except Refused:
        members = {}
    title, description = members.get("title"), members.get("description")
    return Described(
        name=tool.name,
        server=server,
        title=title if isinstance(title, str) else "",
        description=description if isinstance(description, str) else "",
        input_schema=members.get("inputSchema", tool.input_schema),
        output_schema=members.get("outputSchema"),
        annotations=as_object(members.get("annotations")) or {},
        icons=members.get("icons"),
        meta=members.get("_meta"),
    )


def arguments(schema: object) -> tuple[Argument, ...]:
    """The arguments that a schema names, those of inner objects after their own, at most `MAX_PARAMETERS`."""
    found: list[Argument] = []
    waiting: list[tuple[object, str, int]] = [(schema, "inputSchema", 0)]
    while waiting and len(found) < MAX_PARAMETERS:
        value, where, depth = waiting.pop(0)
        for name, inner, place in _members(value, where):
            found.append(_argument(name, inner, place))
            if depth < MAX_DEPTH:
                waiting.append((inner, place, depth + 1))
                waiting.append((inner.get("items"), f"{place}.items", depth + 1))
            if len(found) >= MAX_PARAMETERS:
                break
        if depth < MAX_DEPTH and len(waiting) < MAX_PARAMETERS:
            waiting += [(one, where, depth + 1) for one in _branches(value)]
    return tuple(found)


def _members(value: object, where: str) -> Iterator[tuple[str, Mapping[str, object], str]]:
    properties = as_object((as_object(value) or {}).get("properties")) or {}
    for name, inner in list(properties.items())[:MAX_PARAMETERS]:
        yield name, as_object(inner) or {}, f"{where}.properties.{printable(name[:64])}"


def _branches(value: object) -> Iterator[object]:
    members = as_object(value) or {}
    for key in ("anyOf", "oneOf", "allOf"):
        listed = members.get(key)
        if isinstance(listed, list):
            yield from cast("list[object]", listed)[:20]


def _argument(name: str, schema: Mapping[str, object], where: str) -> Argument:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in cast("list[object]", kind) if each != "null"), "")
    choices = schema.get("enum")
    if not isinstance(choices, list):
        choices = [schema["const"]] if "const" in schema else []
    texts = tuple(each[:64] for each in cast("list[object]", choices)[:MAX_CHOICES] if isinstance(each, str))
    return Argument(
        name=name,
        words=" ".join(name_words(name)),
        where=where,
        kind=kind if isinstance(kind, str) else "",
        choices=texts,
        schema=schema,
    )
