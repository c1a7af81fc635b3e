"""A second opinion on JSON, from the standard library and the rules in words.

Slow and plain on purpose, and written without a look at `ostiary.wire.strict`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import Decimal, InvalidOperation

DEEPEST = 64
LONGEST_NUMBER = 400
LONGEST_EXPONENT = 9


class Unfit(Exception):
    """Not JSON of which there is only one reading."""


def read(data: bytes) -> object:
    """The value, fractions as decimals; `Unfit` for what two readers could take differently."""
    if data[:3] == b"\xef\xbb\xbf":
        raise Unfit("byte order mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unfit("not UTF-8") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise Unfit(str(error)) from None
    _check(value, 0)
    return value


def same(one: object, other: object) -> bool:
    """Equal as JSON: `true` is no number, 1 is 1.0, and floats count as they are written."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if _is_number(one) and _is_number(other):
        return exact(one) == exact(other)
    return type(one) is type(other) and one == other


def exact(value: object) -> Decimal:
    """A number as the decimal that it is written as."""
    assert isinstance(value, int | float | Decimal)
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def fold(key: str) -> str:
    """What a reader that ignores case, compatibility forms and NUL makes of a key."""
    folded = unicodedata.normalize("NFKC", key).casefold()
    return unicodedata.normalize("NFKC", folded).replace("\0", "")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({fold(key) for key, _ in pairs}) != len(pairs):
        raise Unfit("two keys that are one to some readers")
    if any(key == "__proto__" for key, _ in pairs):
        raise Unfit("a key that some readers take for something else")
    return dict(pairs)


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise Unfit("a long number")
    return int(text)


def _fraction(text: str) -> Decimal:
    exponent = re.search(r"[eE][+-]?([0-9]+)", text)
    if len(text) > LONGEST_NUMBER or (exponent and len(exponent[1]) > LONGEST_EXPONENT):
        raise Unfit("a long number")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Unfit("a number outside every range") from None


def _constant(name: str) -> object:
    raise Unfit(f"{name} is not JSON")


def _check(value: object, depth: int) -> None:
    """Depth, and halves of surrogate pairs."""
    if isinstance(value, dict | list):
        if depth == DEEPEST:
            raise Unfit("too deep")
        if isinstance(value, dict):
            for key in value:
                _check(key, depth + 1)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise Unfit("half of a surrogate pair")
