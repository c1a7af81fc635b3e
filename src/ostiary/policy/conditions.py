"""Conditions as closures: from arguments to one of the four outcomes (P3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

from ostiary.policy.model import AnyOf, Condition, Each, Not, Path, Test
from ostiary.policy.operand import Check
from ostiary.policy.operators import OPERATORS, build_check
from ostiary.policy.outcome import (
    ABSENT,
    ERROR,
    FALSE,
    TRUE,
    Outcome,
    all_hold,
    any_holds,
    inverted,
)

MAX_ELEMENTS: Final = 10_000
"""Elements of one array that a quantifier judges: reading a host takes 30 microseconds."""

Arguments = Mapping[str, object]
Evaluate = Callable[[Arguments], Outcome]


class _Blocked:
    """Stands for a path that leads through something that is not an object."""


BLOCKED: Final = _Blocked()


def read(arguments: Arguments, path: Path) -> object:
    """The value at `path`, or None when it is missing or null.

    BLOCKED when a step on the way is neither an object nor missing: `args.a.b` says nothing
    certain about `{"a": ["b"]}`.
    """
    found: object = arguments
    for name in path:
        if found is None or found is BLOCKED:
            return found
        found = _member(found, name)
    return found


def _member(holder: object, name: str) -> object:
    if isinstance(holder, (dict, Mapping)):  # nearly always a dict, and that is known at once
        return cast("Arguments", holder).get(name)
    return BLOCKED


def compile_condition(condition: Condition, *, wide: bool) -> Evaluate:
    """Turn one condition into a closure.

    Raises:
        OperandError: when a literal does not fit its operator.
    """
    if isinstance(condition, Test):
        return _test(condition, wide=wide)
    if isinstance(condition, Each):
        return _each(condition, wide=wide)
    if isinstance(condition, Not):
        inner = compile_condition(condition.condition, wide=wide)
        return lambda arguments: inverted(inner(arguments))
    parts = tuple(compile_condition(part, wide=wide) for part in condition.conditions)
    combine = any_holds if isinstance(condition, AnyOf) else all_hold
    return lambda arguments: combine(part(arguments) for part in parts)


def compile_conjunction(conditions: tuple[Condition, ...], *, wide: bool) -> Evaluate:
    """All conditions of one rule. None at all holds always (P3.2)."""
    parts = tuple(compile_condition(condition, wide=wide) for condition in conditions)
    if not parts:
        return _always
    if len(parts) == 1:
        return parts[0]

    def evaluate(arguments: Arguments) -> Outcome:
        worst = TRUE
        for part in parts:
            outcome = part(arguments)
            if outcome is FALSE:
                return FALSE
            if outcome is ERROR or (outcome is ABSENT and worst is TRUE):
                worst = outcome
        return worst

    return evaluate


def paths_of(conditions: Iterable[Condition]) -> set[Path]:
    """Every argument path that the conditions speak about."""
    found: set[Path] = set()
    for condition in conditions:
        if isinstance(condition, (Test, Each)):
            found.add(condition.path)
        elif isinstance(condition, Not):
            found |= paths_of((condition.condition,))
        else:
            found |= paths_of(condition.conditions)
    return found


def describe(condition: Condition) -> str:
    """A condition in words for people: path and operator, never a value."""
    if isinstance(condition, Test):
        return f"`args.{'.'.join(condition.path)}` {condition.op}"
    if isinstance(condition, Each):
        return f"{condition.quantifier} of `args.{'.'.join(condition.path)}` {condition.op}"
    if isinstance(condition, Not):
        return f"not ({describe(condition.condition)})"
    joint = " or " if isinstance(condition, AnyOf) else " and "
    return "(" + joint.join(describe(part) for part in condition.conditions) + ")"


def _always(arguments: Arguments) -> Outcome:
    del arguments
    return TRUE


def _test(test: Test, *, wide: bool) -> Evaluate:
    check = build_check(test.op, test.value, numeric_text=test.numeric_text, wide=wide)
    if OPERATORS[test.op].sees_null:
        return _presence(test.path, check)
    if len(test.path) == 1:
        return _shallow(test.path[0], check)
    path = test.path

    def evaluate(arguments: Arguments) -> Outcome:
        found = read(arguments, path)
        if found is None:
            return ABSENT
        return ERROR if found is BLOCKED else check(found)

    return evaluate


def _shallow(name: str, check: Check) -> Evaluate:
    def evaluate(arguments: Arguments) -> Outcome:
        found = arguments.get(name)
        return ABSENT if found is None else check(found)

    return evaluate


def _presence(path: Path, check: Check) -> Evaluate:
    def evaluate(arguments: Arguments) -> Outcome:
        found = read(arguments, path)
        return check(None if found is BLOCKED else found)

    return evaluate


def _each(each: Each, *, wide: bool) -> Evaluate:
    check = build_check(each.op, each.value, numeric_text=each.numeric_text, wide=wide)
    sees_null = OPERATORS[each.op].sees_null
    combine = any_holds if each.quantifier == "any_of" else all_hold
    path = each.path

    def evaluate(arguments: Arguments) -> Outcome:
        found = read(arguments, path)
        if found is None:
            return ABSENT
        if not isinstance(found, (list, tuple)):
            return ERROR
        items = cast("list[object]", found)
        if len(items) > MAX_ELEMENTS:
            return ERROR
        return combine(ABSENT if item is None and not sees_null else check(item) for item in items)

    return evaluate
