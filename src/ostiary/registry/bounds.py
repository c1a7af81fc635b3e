"""Bounds in a schema: which way one moved."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal

Moved = Literal["wider", "narrower", "same", "unclear"]

BOUNDS: Final[Mapping[str, Literal["upper", "lower", "step", "switch"]]] = {
    "maximum": "upper",
    "exclusiveMaximum": "upper",
    "maxLength": "upper",
    "maxItems": "upper",
    "maxProperties": "upper",
    "minimum": "lower",
    "exclusiveMinimum": "lower",
    "minLength": "lower",
    "minItems": "lower",
    "minProperties": "lower",
    "multipleOf": "step",
    "uniqueItems": "switch",
}
"""Keywords that bound a value, by which side they bound."""


def bound_moved(keyword: str, old: object, new: object) -> Moved:
    """What became of the bound; None is none at all. `unclear` for what is no bound."""
    side = BOUNDS[keyword]
    if side == "switch":
        return _switched(old, new)
    if new is None:
        return "wider"
    if old is None:
        return "narrower"
    before, after = _number(old), _number(new)
    if before is None or after is None:
        return "unclear"
    if before == after:
        return "same"
    if side == "step":
        return "unclear"
    return "wider" if (after > before) == (side == "upper") else "narrower"


def _switched(old: object, new: object) -> Moved:
    before, after = (False if each is None else each for each in (old, new))
    if not isinstance(before, bool) or not isinstance(after, bool):
        return "unclear"
    if before == after:
        return "same"
    return "narrower" if after else "wider"


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return value if isinstance(value, Decimal) else Decimal(repr(value))
