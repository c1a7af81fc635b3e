"""One test as several calls: every combination of the values of its variables.

`${name}` in the name, the tool and the arguments stands for the value; a text that is nothing else
becomes the value itself, with its type. `$${` is `${` without a meaning. A test without a matrix
has no variables, so its texts mean what they say.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, cast

from ostiary.policy.formats.draft import Draft, near
from ostiary.policy.formats.fields import Fields
from ostiary.policy.source import ListNode, Located, MapNode, Node, Scalar, shown

MAX_CASES: Final = 10_000
"""Calls that one tests file may make."""

MAX_EXPANDED: Final = 4_000_000
"""Characters and values that the matrices of one file may make together."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_JSON_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

Binding = Mapping[str, object]
_NOTHING: Final[Binding] = {}


class TooLarge(Exception):
    """The matrices make more than is sensible."""


class Budget:
    """What is left of `MAX_CASES` and `MAX_EXPANDED` in one file."""

    def __init__(self) -> None:
        self.cases = MAX_CASES
        self._expanded = MAX_EXPANDED

    def spend(self, amount: int) -> None:
        """Take `amount` characters or values. Raises TooLarge when there are none left."""
        self._expanded -= amount
        if self._expanded < 0:
            raise TooLarge


def json_value(node: Node) -> object:
    """A subtree as the arguments of a call are read on the wire: a float only where it is exact."""
    if isinstance(node, ListNode):
        return [json_value(item) for item in node.items]
    if isinstance(node, MapNode):
        return {entry.key: json_value(entry.value) for entry in node.entries}
    return node.value if not isinstance(node.value, Decimal) else _number(node, node.value)


def _number(node: Scalar, value: Decimal) -> object:
    if _JSON_INTEGER.fullmatch(node.text):
        return int(node.text)
    if not _JSON_NUMBER.fullmatch(node.text):  # YAML's `0x10` or `+.5`
        whole = value == value.to_integral_value() and value.adjusted() < 40  # noqa: PLR2004 - MAX_DIGITS
        return int(value) if whole else value
    near_by = float(node.text)
    return near_by if repr(near_by) == node.text else value


def bindings(draft: Draft, fields: Fields, budget: Budget) -> Iterator[Binding]:
    """Every combination of values; one empty binding without a matrix. Problems are reported."""
    node = fields.table("matrix")
    if node is None:
        budget.cases -= 1
        return iter([_NOTHING])
    values: dict[str, list[object]] = {}
    count = 1
    for entry in node.entries:
        if not _NAME.fullmatch(entry.key):
            message = f"{shown(entry.key)} is not a variable's name: letters, digits and `_`"
            draft.error("bad-name", message, entry)
        if not isinstance(entry.value, ListNode) or not entry.value.items:
            draft.error("wrong-type", f"the variable {shown(entry.key)} takes a list of values", entry.value)
            continue
        values[entry.key] = [json_value(item) for item in entry.value.items]
        count = min(count * len(entry.value.items), MAX_CASES + 1)
    if count > budget.cases:
        draft.error("matrix-too-large", f"more than {MAX_CASES:,} calls in one file", fields.spot("matrix"))
        return iter([])
    budget.cases -= count
    names = list(values)
    return (dict(zip(names, each, strict=True)) for each in itertools.product(*values.values()))


def check_variables(draft: Draft, fields: Fields) -> None:
    """Every variable that is named is in the matrix, and the other way round."""
    matrix = fields.table("matrix")
    if matrix is None:
        return
    known = {entry.key for entry in matrix.entries}
    used: set[str] = set()
    pending = [node for name in ("name", "tool", "args") if (node := fields.node(name)) is not None]
    while pending:
        node = pending.pop()
        if isinstance(node, ListNode):
            pending += node.items
        elif isinstance(node, MapNode):
            pending += [entry.value for entry in node.entries]
        elif isinstance(node.value, str):
            used |= _used(draft, node.value, node, known)
    for entry in matrix.entries:
        if entry.key not in used and _NAME.fullmatch(entry.key):
            draft.error("idle-key", f"the variable {shown(entry.key)} is used nowhere", entry)


def _used(draft: Draft, text: str, at: Located, known: set[str]) -> set[str]:
    names = {found[1] for found in _VARIABLE.finditer(text) if found[1] is not None}
    for name in sorted(names - known):
        hint = near(name, known) or "write `$${` where the text itself is meant"
        draft.error("unknown-variable", f"{shown(name)} is not a variable of `matrix`", at, hint)
    return names


def bound(value: object, binding: Binding, budget: Budget) -> object:
    """`value` with its variables replaced. Raises TooLarge."""
    budget.spend(1)
    if isinstance(value, str):
        return _bound_text(value, binding, budget)
    if isinstance(value, list):
        return [bound(item, binding, budget) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: bound(item, binding, budget) for key, item in cast("dict[str, object]", value).items()}
    return value


def _bound_text(text: str, binding: Binding, budget: Budget) -> object:
    whole = _VARIABLE.fullmatch(text)
    if whole is not None and whole[1] is not None:
        budget.spend(_size(binding[whole[1]]))
        return binding[whole[1]]
    parts: list[str] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        parts += (text[at : found.start()], "${" if found[1] is None else _shown(binding[found[1]]))
        at = found.end()
    parts.append(text[at:])
    budget.spend(sum(map(len, parts)))
    return "".join(parts)


def _size(value: object) -> int:
    """Characters and values in `value`: what a rule may have to look at."""
    if isinstance(value, list):
        return 1 + sum(map(_size, cast("list[object]", value)))
    if isinstance(value, dict):
        return 1 + sum(len(key) + _size(item) for key, item in cast("dict[str, object]", value).items())
    return len(value) if isinstance(value, str) else 1


def bound_text(text: str, binding: Binding, budget: Budget) -> str:
    """The same for a name: always text. Raises TooLarge."""
    found = _bound_text(text, binding, budget)
    return found if isinstance(found, str) else _shown(found)


def _shown(value: object) -> str:
    """A value inside a longer text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    return str(value) if isinstance(value, int | float | Decimal) else "…"
