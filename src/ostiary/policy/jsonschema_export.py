"""The JSON Schema of format 4, printed from the key tables that the loader reads by (P1.8).

It is for editors: what it refuses the loader refuses too, but the loader checks more.
"""

from __future__ import annotations

from ostiary.policy.formats.approval import MAX_APPROVERS, MAX_MESSAGE
from ostiary.policy.formats.length import LONGEST
from ostiary.policy.formats.shape import (
    MAX_TEXT,
    Anything,
    Choice,
    Flag,
    ListOf,
    MapOf,
    Number,
    OneOf,
    Shape,
    Table,
    TableOf,
    Text,
    Version,
)
from ostiary.policy.formats.table import TABLES

Json = None | bool | int | str | list["Json"] | dict[str, "Json"]
_WINDOW_PATTERN = r"^(minute|hour|day|[1-9][0-9]{0,8}[smhd])$"


def schema() -> dict[str, Json]:
    """The schema, draft 2020-12. Keys of later versions are left out, so editors mark them."""
    document = _table(TABLES["document"])
    document["anyOf"] = [{"required": ["default"]}, {"required": ["servers"]}]
    definitions: dict[str, Json] = {name: _table(TABLES[name]) for name in TABLES if name != "document"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ostiary policy",
        **document,
        "$defs": definitions,
    }


def _table(table: Table) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    for name, key in table.items():
        if not key.later:
            properties[name] = {
                "description": key.about,
                **_shape(key.shape),
                **_EXTRA.get((name, key.shape), {}),
            }
    required: list[Json] = [name for name, key in table.items() if key.required]
    found: dict[str, Json] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**found, "required": required} if required else found


_EXTRA: dict[tuple[str, Shape], dict[str, Json]] = {
    ("window", Text()): {"pattern": _WINDOW_PATTERN},
    ("window", Number(whole=True)): {"minimum": 1, "maximum": LONGEST},
    ("max", Number(whole=True)): {"minimum": 0},
    ("max_concurrent", Number(whole=True)): {"minimum": 1},
    ("timeout", Text()): {"pattern": r"^[1-9][0-9]{0,8}[smhd]$"},
    ("hold", Text()): {"pattern": r"^(0|[1-9][0-9]{0,8})[smhd]$"},
    ("approvers", ListOf(Text(), least=1)): {
        "maxItems": MAX_APPROVERS,
        "items": {"type": "string", "pattern": r"^user:\S{1,128}$"},
    },
    ("message", Text()): {"maxLength": MAX_MESSAGE},
}
"""Bounds that the loader checks by hand and editors should know."""


def _shape(shape: Shape) -> dict[str, Json]:
    if isinstance(shape, OneOf):
        return {"anyOf": [_shape(each) for each in shape.shapes]}
    if isinstance(shape, ListOf):
        found: dict[str, Json] = {"type": "array", "items": _shape(shape.item)}
        return {**found, "minItems": shape.least} if shape.least else found
    if isinstance(shape, MapOf):
        return {"type": "object", "additionalProperties": _shape(shape.item)}
    if isinstance(shape, TableOf):
        return {"$ref": f"#/$defs/{shape.name}"}
    return _scalar(shape)


def _scalar(shape: Text | Version | Choice | Flag | Number | Anything) -> dict[str, Json]:
    if isinstance(shape, Choice):
        return {"enum": [*shape.options]}
    if isinstance(shape, Version):
        return {"enum": ["1", 1]}
    if isinstance(shape, Text):
        return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    if isinstance(shape, Flag):
        return {"type": "boolean"}
    return {"type": "integer" if shape.whole else "number"} if isinstance(shape, Number) else {}
