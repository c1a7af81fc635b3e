"""What to say of the arguments of a tool, and which rules to begin with: only suggestions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, cast

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.change import MAX_VALUE, named, printable, valued
from ostiary.wire.message import as_object
from ostiary.wire.strict import Refused, parse_json

MAX_ARGUMENTS: Final = 40
MAX_WORDS: Final = 120
MAX_CHOICES: Final = 12

_ADDRESS: Final = re.compile(r"ur[li]s?$|^ur[li]|endpoint|webhook", re.IGNORECASE)
_FILE: Final = re.compile(
    r"(^|[_-])(path|file|filename|dir|directory|folder)s?($|[_-])|(Path|File|FileName|Dir|Directory|Folder)s?$"
)
_BOUNDS: Final = ("minimum", "maximum", "minLength", "maxLength", "pattern", "format", "maxItems")
_SAFE: Final = 2**53 - 1
_CALLS: Final = 60
_LENGTH: Final = 1_000
_NUMBER: Final = 100

Members = Mapping[str, object]


def description_of(tool: ToolDefinition) -> str:
    """What the server says that the tool does, on one printable line; empty if it says nothing."""
    try:
        value = as_object(cast("object", parse_json(tool.raw)))
    except Refused:
        return ""
    text = (value or {}).get("description")
    return printable(" ".join(text[:4_000].split())) if isinstance(text, str) else ""


def _properties(tool: ToolDefinition) -> tuple[list[tuple[str, Members]], set[str]]:
    """The first arguments of a tool, and the names of those that it requires."""
    schema = as_object(tool.input_schema) or {}
    found = as_object(schema.get("properties")) or {}
    required = schema.get("required")
    names = cast("list[object]", required) if isinstance(required, list) else []
    listed = [(name, as_object(value) or {}) for name, value in list(found.items())[:MAX_ARGUMENTS]]
    return listed, {name for name in names if isinstance(name, str)}


def arguments_of(tool: ToolDefinition) -> Iterator[str]:
    """One printable line for each argument: name, type, whether it is required, bounds, what it is for."""
    listed, required = _properties(tool)
    for name, schema in listed:
        parts = [_type(schema), *(["required"] if name in required else [])]
        if isinstance(schema.get("enum"), list):
            parts.append("one of " + valued(schema["enum"]))
        parts += [f"{key} {valued(schema[key])}" for key in _BOUNDS if key in schema]
        text = schema.get("description")
        about = printable(" ".join(text[:1_000].split())) if isinstance(text, str) else ""
        short = about if len(about) <= MAX_WORDS else about[: MAX_WORDS - 1] + "…"
        yield f"{named(name)}: {', '.join(parts)}" + (f". {short}" if short else "")
    if len(as_object((as_object(tool.input_schema) or {}).get("properties")) or {}) > MAX_ARGUMENTS:
        yield "… and more arguments"


def _type(schema: Members) -> str:
    kind = schema.get("type")
    if isinstance(kind, str):
        return printable(kind[:MAX_VALUE])
    if isinstance(kind, list):
        return " or ".join(printable(str(each)[:MAX_VALUE]) for each in cast("list[object]", kind)[:6])
    return "any type"


def limits() -> Sequence[Members]:
    """A limit that nearly every tool can do with."""
    return ({"counter": "calls", "window": "hour", "max": _CALLS},)


def requirements(tool: ToolDefinition) -> Iterator[Members]:
    """One condition for each argument of which something can be asked.

    An argument that may be left out may still be left out.
    """
    listed, required = _properties(tool)
    for name, schema in listed:
        path = _path(name)
        asked = _condition(name, schema) if path is not None else None
        if asked is None:
            continue
        condition = {"path": path, "op": asked[0], "value": asked[1]}
        missing = {"path": path, "op": "exists", "value": False}
        yield condition if name in required else {"any": [missing, condition]}


def _path(name: str) -> str | list[str] | None:
    """How a rule names the argument; None for a name that is better not copied from a server."""
    if not name or not name.isprintable() or len(name) > MAX_VALUE:
        return None
    return f"args.{name}" if re.fullmatch(r"[A-Za-z0-9_-]+", name) else ["args", name]


def _condition(name: str, schema: Members) -> tuple[str, object] | None:
    """Operator and value. What the server lists is taken over only if a rule can hold it."""
    choices, kind = schema.get("enum"), schema.get("type")
    if isinstance(choices, list):
        texts = [
            each for each in cast("list[object]", choices) if isinstance(each, str) and each.isprintable()
        ]
        usable = len(texts) == len(cast("list[object]", choices)) and 0 < len(texts) <= MAX_CHOICES
        return ("in", texts) if usable and all(len(each) <= MAX_VALUE for each in texts) else None
    if kind in ("integer", "number"):
        return ("lte", _whole(schema.get("maximum")))
    if kind == "boolean":
        return ("eq", False)
    if kind == "array":
        return ("len_lte", _NUMBER)
    if kind == "string":
        return _of_text(name)
    return None


def _of_text(name: str) -> tuple[str, object]:
    if _ADDRESS.search(name):
        return ("host_in", ["example.org"])
    if _FILE.search(name):
        return ("path_within", ["/srv/data"])
    return ("len_lte", _LENGTH)


def _whole(value: object) -> int:
    """The server's own bound where it is a plain whole number, else one to begin with."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return _NUMBER
    return int(value) if -_SAFE <= value <= _SAFE and value == int(value) else _NUMBER
