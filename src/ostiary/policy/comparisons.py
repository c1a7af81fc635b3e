"""Checks that compare values: eq, neq, in, not_in, lt .. gte, contains, exists, len_*."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sized
from decimal import Decimal
from typing import Any, cast

from ostiary.policy.model import Value
from ostiary.policy.numbers import Number, exact, is_bounded, text_of
from ostiary.policy.operand import (
    Check,
    Mode,
    Scalar,
    boolean,
    kind_of,
    length,
    number,
    scalar,
    scalars,
)
from ostiary.policy.outcome import ABSENT, ERROR, FALSE, TRUE, Outcome, any_holds, inverted


def equal(value: Value, mode: Mode) -> Check:
    """`eq`: the same value, of the same JSON type (P3.3)."""
    return _member((scalar(value, wide=mode.wide),), mode)


def unequal(value: Value, mode: Mode) -> Check:
    """`neq`: another value of the same JSON type; another type is an error, not a difference."""
    return _negated(equal(value, mode))


def member(value: Value, mode: Mode) -> Check:
    """`in`: one of a list of values of one type."""
    return _member(scalars(value, mode), mode)


def no_member(value: Value, mode: Mode) -> Check:
    """`not_in`: none of a list of values; another type is an error."""
    return _negated(member(value, mode))


def ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Mode], Check]:
    """`lt`, `lte`, `gt`, `gte`: exact comparison of numbers."""

    def build(value: Value, mode: Mode) -> Check:
        wide = mode.wide
        bound = number(value, wide=wide)

        def check(found: object) -> Outcome:
            exactly = exact(found, wide=wide)
            if exactly is None:
                return ERROR
            return TRUE if compare(exactly, bound) else FALSE

        return check

    return build


less = ordered(operator.lt)
at_most = ordered(operator.le)
greater = ordered(operator.gt)
at_least = ordered(operator.ge)


def contains(value: Value, mode: Mode) -> Check:
    """`contains`: a substring of a string, or a member of an array.

    A member of another type is an error unless another member matches: a guard against
    `admin` must not be dodged by `[["admin"]]`.
    """
    wanted = scalar(value, wide=mode.wide)
    same = _member((wanted,), mode)

    def check(found: object) -> Outcome:
        if isinstance(found, str):
            if not isinstance(wanted, str):
                return ERROR
            return TRUE if wanted in found else FALSE
        if isinstance(found, (list, tuple)):
            items = cast("list[object]", found)
            return any_holds(ABSENT if item is None else same(item) for item in items)
        return ERROR

    return check


def exists(value: Value, mode: Mode) -> Check:
    """`exists`: present and not null. The only check that is asked about null (P3.2)."""
    del mode
    wanted = boolean(value)

    def check(found: object) -> Outcome:
        return TRUE if (found is not None) is wanted else FALSE

    return check


def sized(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Mode], Check]:
    """`len_eq`, `len_lte`, `len_gte`: code points, elements or members."""

    def build(value: Value, mode: Mode) -> Check:
        del mode
        bound = length(value)

        def check(found: object) -> Outcome:
            if isinstance(found, (str, list, tuple, Mapping)):
                return TRUE if compare(len(cast("Sized", found)), bound) else FALSE
            return ERROR

        return check

    return build


length_equal = sized(operator.eq)
length_at_most = sized(operator.le)
length_at_least = sized(operator.ge)


def _negated(check: Check) -> Check:
    def negation(found: object) -> Outcome:
        return inverted(check(found))

    return negation


def _member(values: tuple[Scalar, ...], mode: Mode) -> Check:
    if mode.numeric_text:
        return _member_by_text(values, mode)
    kind = kind_of(values[0])
    if kind == "number":
        return _member_number(frozenset(cast("tuple[Number, ...]", values)), mode)
    return _member_exact(frozenset(values), str if kind == "string" else bool)


def _member_exact(values: frozenset[Scalar], kind: type) -> Check:
    def check(found: object) -> Outcome:
        if type(found) is not kind:
            return ERROR
        return TRUE if found in values else FALSE

    return check


def _member_number(values: frozenset[Number], mode: Mode) -> Check:
    wide = mode.wide

    def check(found: object) -> Outcome:
        exactly = exact(found, wide=wide)
        if exactly is None:
            return ERROR
        return TRUE if exactly in values else FALSE

    return check


def _member_by_text(values: tuple[Scalar, ...], mode: Mode) -> Check:
    """Intercept's comparison: numbers as numbers, otherwise by text, so 5 equals "5" (P3.3).

    Equal numbers have equal texts, so one look-up by text covers both.
    """
    wanted = frozenset(_text(value) for value in values)

    def check(found: object) -> Outcome:
        if isinstance(found, (str, bool)):
            return TRUE if _text(found) in wanted else FALSE
        exactly = exact(found, wide=mode.wide)
        if exactly is None or not is_bounded(Decimal(exactly)):
            return ERROR
        return TRUE if text_of(exactly) in wanted else FALSE

    return check


def _text(value: Scalar) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_of(value)
