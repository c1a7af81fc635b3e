"""What the right-hand side of a condition may be, and what builds a check from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple, cast

from ostiary.policy.model import Value
from ostiary.policy.numbers import Number, compact, is_bounded
from ostiary.policy.outcome import Outcome

Check = Callable[[object], Outcome]
"""Judges one argument value that is present and not null."""


class OperandError(ValueError):
    """A rule's literal does not fit its operator. The message completes "`op` ..."."""


class Mode(NamedTuple):
    """How a check compares: Intercept's numeric text (P3.3), numbers without bounds (P3.4)."""

    numeric_text: bool = False
    wide: bool = False


Scalar = bool | str | Number


def scalar(value: Value, *, wide: bool = False) -> Scalar:
    """Accept a string, a boolean or a number."""
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, Decimal)):
        return number(value, wide=wide)
    raise OperandError("needs a string, a number or a boolean")


def number(value: Value, *, wide: bool = False) -> Number:
    """Accept a finite number; unless `wide`, of at most 40 digits and an exponent within +-308."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise OperandError("needs a number")
    if not Decimal(value).is_finite() or not (wide or is_bounded(Decimal(value))):
        raise OperandError("needs a number of at most 40 digits and an exponent within 308")
    return compact(value)


def length(value: Value) -> int:
    """Accept a whole number that is not negative."""
    size = number(value)
    if not isinstance(size, int) or size < 0:
        raise OperandError("needs a whole number that is not negative")
    return size


def text(value: Value) -> str:
    """Accept a string."""
    if not isinstance(value, str):
        raise OperandError("needs a string")
    return value


def boolean(value: Value) -> bool:
    """Accept true or false."""
    if not isinstance(value, bool):
        raise OperandError("needs true or false")
    return value


def texts(value: Value) -> tuple[str, ...]:
    """Accept a string or a list of strings that is not empty."""
    if isinstance(value, str):
        return (value,)
    return tuple(text(item) for item in sequence(value))


def scalars(value: Value, mode: Mode) -> tuple[Scalar, ...]:
    """Accept a list of scalars, all of one type unless compared by text (P3.3)."""
    found = tuple(scalar(item, wide=mode.wide) for item in sequence(value))
    if not mode.numeric_text and len({kind_of(item) for item in found}) > 1:
        raise OperandError("needs a list of one type")
    return found


def sequence(value: Value) -> tuple[Value, ...]:
    """Accept a list that is not empty."""
    if not isinstance(value, (tuple, list)) or not value:
        raise OperandError("needs a list that is not empty")
    return tuple(cast("tuple[Value, ...]", value))


def kind_of(value: object) -> str:
    """The JSON type of a value: string, number, boolean, null, array or object."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float, Decimal)):
        return "number"
    if value is None:
        return "null"
    return "object" if isinstance(value, Mapping) else "array"


def plain(value: Value) -> object:
    """The literal as ordinary JSON values: lists and dicts instead of tuples and mappings."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in cast("tuple[Value, ...]", value)]
    if isinstance(value, Decimal):
        return number(value)
    return value
