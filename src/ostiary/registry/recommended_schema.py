"""A hostile schema read for bounds: references and wrappers opened, all else left alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Final, cast

from ostiary.policy.schema_work import SchemaShapeError, resolve
from ostiary.wire.message import as_object

MAX_STEPS: Final = 6
SAFE: Final = 2**53 - 1
_WIDEST: Final = 20
"""Characters of a number that is taken over from a schema."""

_LISTS: Final = ("anyOf", "oneOf", "allOf")
_SINGLE: Final = (
    "if",
    "then",
    "else",
    "additionalProperties",
    "unevaluatedProperties",
    "contains",
    "additionalItems",
)
_MAPPED: Final = ("patternProperties", "dependentSchemas", "dependencies")

Members = Mapping[str, object]


def plain(value: object, root: Members) -> Members:
    """The schema behind references and around one that may be null.

    What has several alternatives, or leads nowhere, comes back without a type: anything may be passed.
    """
    schema = as_object(value) or {}
    for _ in range(MAX_STEPS):
        inner = _behind(schema, root)
        if inner is None:
            return schema
        rest = {key: each for key, each in schema.items() if key not in {"$ref", "anyOf", "oneOf", "allOf"}}
        schema = {**inner, **rest}
    return {}


def unfollowed(value: object, root: Members) -> Iterator[Members]:
    """The schemas on the way of `plain` that it leaves aside, as a call may fit any of them."""
    schema = as_object(value) or {}
    for _ in range(MAX_STEPS):
        yield from _beside(schema)
        inner = _behind(schema, root)
        if not inner:
            return
        rest = {key: each for key, each in schema.items() if key not in {"$ref", *_LISTS}}
        schema = {**inner, **rest}


def _beside(schema: Members) -> Iterator[Members]:
    for key in _LISTS:
        listed = schema.get(key)
        found = (
            [as_object(each) or {} for each in cast("list[object]", listed)]
            if isinstance(listed, list)
            else []
        )
        real = [each for each in found if each.get("type") != "null"]
        if len(real) > 1 or "type" in schema:
            yield from real
    more = [schema.get(key) for key in _SINGLE]
    more += [each for key in _MAPPED for each in (as_object(schema.get(key)) or {}).values()]
    if isinstance(schema.get("prefixItems"), list):
        more += cast("list[object]", schema["prefixItems"])
    for each in more:
        if isinstance(each, dict):
            yield cast("Members", each)


def _behind(schema: Members, root: Members) -> Members | None:
    """What a schema only points to or wraps; None when it speaks for itself."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        try:
            return as_object(resolve(reference, cast("dict[str, object]", root))) or {}
        except SchemaShapeError:
            return {}
    for key in ("anyOf", "oneOf", "allOf"):
        listed = schema.get(key)
        if isinstance(listed, list) and "type" not in schema:
            found = (as_object(each) or {} for each in cast("list[object]", listed))
            real = [*islice((each for each in found if each.get("type") != "null"), 2)]
            return real[0] if len(real) == 1 else {}
    return None


def kind_of(schema: Members) -> str:
    """The type that a schema asks for, null aside; empty where there are several or none."""
    kind = schema.get("type")
    if isinstance(kind, list):
        real = [each for each in cast("list[object]", kind) if each != "null"]
        kind = real[0] if len(real) == 1 else ""
    return kind if isinstance(kind, str) else ""


def members_of(schema: Members) -> Members:
    """The members that a schema declares."""
    return as_object(schema.get("properties")) or {}


def required_of(schema: Members) -> frozenset[str]:
    """The members without which a call is not valid."""
    names = schema.get("required")
    listed = cast("list[object]", names) if isinstance(names, list) else []
    return frozenset(name for name in listed if isinstance(name, str))


def number_of(value: object) -> int | Decimal | None:
    """A number of a schema that a rule may hold: short, and the same to every reader."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    exactly = value if isinstance(value, Decimal | int) else Decimal(repr(value))
    if isinstance(exactly, Decimal) and not exactly.is_finite():
        return None
    if not -SAFE < exactly < SAFE or len(str(exactly)) > _WIDEST:
        return None
    if isinstance(exactly, Decimal) and abs(exactly.adjusted()) > _WIDEST:
        return None
    return int(exactly) if exactly == int(exactly) else Decimal(repr(float(exactly)))


def size_of(value: object, most: int) -> int | None:
    """A length of a schema, at most `most`; None where it says none."""
    found = number_of(value)
    return min(found, most) if isinstance(found, int) and found >= 0 else None
