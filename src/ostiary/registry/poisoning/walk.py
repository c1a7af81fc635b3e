"""Every text of a definition, with where it stands. Bounded, and without recursion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple, cast

from ostiary.registry.change import printable
from ostiary.registry.classification import Described
from ostiary.wire.message import as_object

MAX_CHARACTERS: Final = 2 * 1024 * 1024
"""Characters that are read of one definition."""

MAX_VALUES: Final = 200_000
MAX_DEPTH: Final = 256
MAX_WHERE: Final = 240
MAX_JOINED: Final = 4_096

Role = Literal["name", "text", "key", "parameter", "joined"]


class Place(NamedTuple):
    """One step of a path; the whole of it is only written for what was found."""

    above: Place | None
    step: str | int


class Text(NamedTuple):
    """One text. `about` is the schema of a parameter; `joined` is a list of texts as one."""

    place: Place
    text: str
    role: Role
    about: object = None


class Unread(NamedTuple):
    """Where reading ended, and why."""

    place: Place
    why: str


class _Step(NamedTuple):
    value: object
    place: Place
    depth: int
    role: Role
    key: str | None


KEYWORDS: Final = frozenset(
    {
        "$schema", "$id", "$ref", "$defs", "$anchor", "$comment", "definitions", "type", "properties",
        "required", "items", "enum", "const", "default", "examples", "title", "description", "format",
        "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
        "uniqueItems", "additionalProperties", "patternProperties", "propertyNames", "anyOf", "oneOf",
        "allOf", "not", "if", "then", "else", "nullable", "exclusiveMinimum", "exclusiveMaximum",
        "multipleOf", "prefixItems", "contains", "dependentRequired", "dependentSchemas", "readOnly",
        "writeOnly", "deprecated", "contentEncoding", "contentMediaType", "readOnlyHint",
        "destructiveHint", "idempotentHint", "openWorldHint", "src", "mimeType", "sizes",
    }
)  # fmt: skip
"""Words of JSON Schema and MCP: as keys they say nothing."""

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


def written(place: Place) -> str:
    """The path in dots and brackets, as `inputSchema.properties.mode.enum[1]`; bounded and printable.

    Of a long one the member of the definition and the end are kept.
    """
    steps: list[str] = []
    length = 0
    at: Place | None = place
    while at is not None:
        steps.append(_step(at.step, first=at.above is None))
        length += len(steps[-1])
        at = at.above
        while length > MAX_WHERE and at is not None and at.above is not None:
            at = at.above
            steps[-1] = "…"
    return "".join(reversed(steps))


def _step(step: str | int, *, first: bool) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _PLAIN.match(step) and len(step) <= MAX_WHERE:
        return step if first else f".{step}"
    return f"[{json.dumps(printable(step[:80]), ensure_ascii=False)}]"


def texts(tool: Described) -> Iterator[Text | Unread]:
    """Every text, in the order of the definition; `Unread` where a bound was met."""
    yield Text(Place(None, "name"), tool.name, "name")
    members: tuple[tuple[str, object], ...] = (
        ("title", tool.title),
        ("description", tool.description),
        ("inputSchema", tool.input_schema),
        ("outputSchema", tool.output_schema),
        ("annotations", tool.annotations),
        ("icons", tool.icons),
        ("_meta", tool.meta),
    )
    waiting = [_Step(value, Place(None, name), 0, "text", None) for name, value in reversed(members)]
    left, values = MAX_CHARACTERS, MAX_VALUES
    while waiting:
        step = waiting.pop()
        values -= 1
        if values < 0:
            yield Unread(step.place, f"more than {MAX_VALUES} values")
            return
        for text in _here(step):
            if len(text.text) > left:
                yield text._replace(text=text.text[:left])
                yield Unread(text.place, f"more than {MAX_CHARACTERS} characters")
                return
            left -= len(text.text) if text.role != "joined" else 0
            yield text
        if isinstance(step.value, Mapping | list):
            if step.depth >= MAX_DEPTH:
                yield Unread(step.place, f"more than {MAX_DEPTH} levels")
            else:
                waiting += _below(step)


def _here(step: _Step) -> Iterator[Text]:
    if step.key is not None and (step.role == "parameter" or step.key not in KEYWORDS):
        yield Text(step.place, step.key, "parameter" if step.role == "parameter" else "key", step.value)
    if isinstance(step.value, str):
        yield Text(step.place, step.value, "text")
        return
    joined = _joined(as_object(step.value) or _items(step.value))
    if joined:
        yield Text(step.place, joined, "joined")


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _joined(items: Iterable[object]) -> str:
    """Texts as one: an order may stand in a list word by word. As many of them as are read."""
    words: list[str] = []
    length = 0
    for item in items:
        if isinstance(item, str) and item not in KEYWORDS:
            length += len(item)
            if length > MAX_JOINED:
                break
            words.append(item)
    return " ".join(words) if len(words) > 1 else ""


def _below(step: _Step) -> list[_Step]:
    depth = step.depth + 1
    named = as_object(step.value)
    if named is not None:
        role: Role = "parameter" if step.place.step == "properties" else "text"
        found = [
            _Step(each, Place(step.place, str(key)), depth, role, str(key)) for key, each in named.items()
        ]
    else:
        found = [
            _Step(each, Place(step.place, index), depth, "text", None)
            for index, each in enumerate(_items(step.value))
        ]
    found.reverse()
    return found
