"""Numbers that rules, limits and schemas look at (P3.4).

A number is judged by its text, because the upstream will read the text: an integer must be one
that every reader represents exactly, and a decimal must come back unchanged from an IEEE
double. Bounds are checked before any arithmetic: converting `1e9999999` to an integer would
run for minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, cast

MAX_INTEGER: Final = 2**53 - 1
"""Largest integer that a double, and so JavaScript, holds without doubt."""
MAX_DIGITS: Final = 40
MAX_EXPONENT: Final = 308
_SMALLEST: Final = 1e-308
_EVERYDAY: Final = 1e-100
_INTEGRAL_DIGITS: Final = 15
_NO_NUMBER: Final = frozenset({str, bool, type(None)})

Number = int | Decimal


def exact(value: object, *, wide: bool = False) -> Number | None:
    """Return the exact value of a JSON number, or None when it is no number or out of bounds.

    A boolean is not a number. `wide` lifts the bounds (`wide_numbers: true`); infinities and
    NaN are refused regardless.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -MAX_INTEGER <= value <= MAX_INTEGER or wide else None
    if isinstance(value, float):
        return _double(value, wide=wide)
    if isinstance(value, Decimal):
        return _decimal(value, wide=wide)
    return None


def _double(value: float, *, wide: bool) -> Decimal | None:
    """A float arrives only when its text is its own repr, so it survives the round trip."""
    if value - value != 0.0:  # infinite, or not a number
        return None
    if not wide and value != 0.0 and -_SMALLEST < value < _SMALLEST:
        return None
    return Decimal(repr(value))


def _decimal(value: Decimal, *, wide: bool) -> Decimal | None:
    if not value.is_finite():
        return None
    if wide:
        return value
    return value if is_bounded(value) and Decimal(repr(float(value))) == value else None


def is_bounded(value: Decimal) -> bool:
    """True when `value` has at most 40 digits and its scientific exponent is within +-308.

    Leading zeros do not count as digits; trailing ones do.
    """
    if not value.is_finite():
        return False
    parts = value.as_tuple()
    if value.is_zero():
        return isinstance(parts.exponent, int) and abs(parts.exponent) <= MAX_EXPONENT
    return len(parts.digits) <= MAX_DIGITS and abs(value.adjusted()) <= MAX_EXPONENT


def compact(value: Number) -> Number:
    """The same number as an int where that is cheap and safe, because ints compare faster."""
    if isinstance(value, Decimal) and 0 <= value.adjusted() < _INTEGRAL_DIGITS:
        whole = int(value)
        return whole if whole == value else value
    return value


def text_of(value: Number) -> str:
    """The plain decimal text of a number: `5`, `0.5`, `-3`; equal numbers have equal texts.

    Only for numbers within bounds, so the text has at most some 650 characters.
    """
    if isinstance(value, int):
        return str(value)
    if value.is_zero():
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def all_bounded(value: object) -> bool:
    """True when every number anywhere inside `value` is within the bounds of P3.4."""
    pending: list[object] = [value]
    for item in pending:
        kind = type(item)
        if kind in _NO_NUMBER:
            continue
        if isinstance(item, int):
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                return False
            continue
        inner = members(item)
        if inner is not None:
            pending.extend(inner)
        elif not (_is_common(item) or exact(item) is not None):
            return False
    return True


def _is_common(value: object) -> bool:
    """A double of everyday size: within bounds without a closer look."""
    return isinstance(value, float) and _EVERYDAY < abs(value) < 1 / _EVERYDAY


def members(value: object) -> Iterable[object] | None:
    """The values inside a JSON object or array; None for anything else."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    if isinstance(value, (list, tuple)):
        return cast("list[object]", value)
    return None
