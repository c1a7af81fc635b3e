"""The normal form of formats 2 and 3, written down as format 4.

Every statement is written in the one way that reads back as itself; `convert` compares. What those
two formats cannot say (combinators over methods, scopes, slots) is not written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ostiary.policy.formats.table import WINDOWS
from ostiary.policy.layout.scalars import number_text
from ostiary.policy.model import (
    AllOf,
    AnyOf,
    Approval,
    Condition,
    Each,
    Limit,
    Not,
    Path,
    Policy,
    Rule,
    ToolRules,
    Validation,
    Value,
)
from ostiary.policy.source import Entry, ListNode, MapNode, Node, Scalar

Comments = Mapping[str, str]
"""What to say about a rule, by its id."""

_NAMES = {seconds: name for name, seconds in WINDOWS.items()}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def write_policy(policy: Policy, *, description: str | None, comments: Comments) -> MapNode:
    """The document that reads back as `policy`."""
    hidden = ["*"] if policy.hide_all else []
    return _map(
        version=_text("1"),
        description=_said(description),
        default=_text(policy.default),
        hide=_texts([*hidden, *sorted(policy.hide)]),
        all_tools=_unless_empty(_tool(policy.all_tools, comments)),
        tools=_mapping({name: _tool(rules, comments) for name, rules in policy.tools.items()}),
    )


def _tool(rules: ToolRules, comments: Comments) -> MapNode:
    return _map(
        require=_list([_rule(rule, comments) for rule in rules.require]),
        deny_if=_list([_rule(rule, comments) for rule in rules.deny_if]),
        limits=_list([_limit(limit, comments) for limit in rules.limits]),
        validate=None if rules.validation is None else _validation(rules.validation),
        approve_if=_list([_asking(rule, comments) for rule in rules.approve_if]),
        approval=None if rules.approval is None else _terms(rules.approval),
    )


def _validation(found: Validation) -> MapNode:
    return _map(
        schema=_text("advertised") if found.schema else None,
        extra=_text("deny") if found.refuse_extra else None,
        required_args=_true(found.required),
    )


def _rule(rule: Rule, comments: Comments) -> MapNode:
    conditions = ListNode(0, 0, tuple(_condition(each) for each in rule.conditions))
    entries = {
        "$comment": _said(comments.get(rule.id)),
        "conditions": conditions,
        "on_deny": _said(rule.message),
    }
    return _mapping(entries)


def _asking(rule: Rule, comments: Comments) -> MapNode:
    conditions = ListNode(0, 0, tuple(_condition(each) for each in rule.conditions))
    entries = {
        "$comment": _said(comments.get(rule.id)),
        "conditions": conditions,
        "reason": _said(rule.message),
    }
    return _mapping(entries)


def _terms(terms: Approval) -> MapNode:
    """All that formats 2 and 3 say about approvals is how long they live."""
    return _map(timeout=_text(length(terms.timeout_seconds)))


def _condition(found: Condition) -> MapNode:
    if isinstance(found, AnyOf | AllOf):
        inner = _list([_condition(each) for each in found.conditions])
        return _mapping({"any" if isinstance(found, AnyOf) else "all": inner})
    if isinstance(found, Not):
        return _mapping({"not": _condition(found.condition)})
    compared: dict[str, Node | None] = {"op": _text(found.op), "value": value_node(found.value)}
    if isinstance(found, Each):
        return _mapping({"path": _path(found.path), found.quantifier: _mapping(compared)})
    return _mapping({"path": _path(found.path), **compared, "numeric_text": _true(found.numeric_text)})


def _path(path: Path) -> Node:
    if any("." in key for key in path):
        return ListNode(0, 0, tuple(_text(key) for key in ("args", *path)))
    return _text(".".join(("args", *path)))


def _limit(limit: Limit, comments: Comments) -> MapNode:
    window = limit.window
    constant = None if limit.cost_constant == 1 else _number(Decimal(limit.cost_constant))
    entries = {
        "$comment": _said(comments.get(limit.id)),
        "counter": _text(limit.counter),
        "window": None if window is None else _text(_NAMES.get(window.seconds) or length(window.seconds)),
        "max": None if limit.max is None else _number(Decimal(limit.max)),
        "cost": constant if limit.cost is None else _path(limit.cost),
        "align": _text("calendar") if window is not None and window.calendar else None,
        "on_deny": _said(limit.message),
    }
    return _mapping(entries)


def length(seconds: int) -> str:
    """Seconds as a length in the largest unit that fits: `90s`, `2h`."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def value_node(value: Value) -> Node:
    """A literal of the normal form as a tree."""
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, tuple):
        return ListNode(0, 0, tuple(value_node(each) for each in value))
    if isinstance(value, Mapping):
        return _mapping({key: value_node(each) for key, each in value.items()})
    return Scalar(0, 0, value, str(value))


def _number(value: Decimal) -> Scalar:
    return Scalar(0, 0, value, number_text(value))


def _text(text: str) -> Scalar:
    return Scalar(0, 0, text, text)


def _said(text: str | None) -> Scalar | None:
    return None if text is None else _text(text)


def _true(flag: bool) -> Scalar | None:  # noqa: FBT001 - the flag itself is what is written
    return Scalar(0, 0, value=True, text="true") if flag else None


def _texts(texts: list[str]) -> ListNode | None:
    return _list([_text(each) for each in texts])


def _list(items: list[MapNode] | list[Scalar]) -> ListNode | None:
    return ListNode(0, 0, tuple(items)) if items else None


def _unless_empty(node: MapNode) -> MapNode | None:
    return node if node.entries else None


def _map(**entries: Node | None) -> MapNode:
    return _mapping(entries)


def _mapping(entries: Mapping[str, Node | None]) -> MapNode:
    return MapNode(0, 0, tuple(Entry(0, 0, key, node) for key, node in entries.items() if node is not None))
