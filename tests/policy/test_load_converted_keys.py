"""`numeric_text` and a constant `cost`: what format 4 has so that format 2 can be said in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.load import load_text
from tests.policy.world import compiled_from


def _with(tool: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "default": "deny", "tools": {"x": tool}}


def _requiring(condition: dict[str, Any]) -> dict[str, Any]:
    return _with({"require": [{"conditions": [condition]}]})


def _codes(document: dict[str, Any]) -> list[str]:
    return [each.code for each in load_text(json.dumps(document).encode(), file="p.json")[1]]


@pytest.mark.parametrize(
    ("argument", "by_text", "effect"),
    [
        ("5", True, "allow"),
        (5, True, "allow"),
        ("5", False, "deny"),
        (5, False, "allow"),
        ("05", True, "deny"),
    ],
)
def test_numeric_text_compares_by_text_where_it_is_asked_for(
    argument: object, by_text: bool, effect: str
) -> None:
    """P3.3: without it another type is an error, and an error denies."""
    condition = {"path": "args.a", "op": "eq", "value": 5, "numeric_text": by_text}

    decision = decide(compiled_from(_requiring(condition)), Question(tool="x", arguments={"a": argument}))

    assert decision.effect == effect


@pytest.mark.parametrize("op", ["lt", "regex", "exists"])
def test_numeric_text_beside_an_operator_that_it_does_not_serve_is_an_error(op: str) -> None:
    value: object = {"lt": 1, "regex": "a", "exists": True}[op]

    assert _codes(_requiring({"path": "args.a", "op": op, "value": value, "numeric_text": True})) == [
        "idle-key"
    ]


def test_numeric_text_beside_a_combinator_is_an_error() -> None:
    inner = {"path": "args.a", "op": "eq", "value": 1}

    assert _codes(_requiring({"not": inner, "numeric_text": True})) == ["idle-key"]
    assert "bad-condition" in _codes(_requiring({"numeric_text": True}))


def test_every_call_costs_a_constant_cost() -> None:
    """P4.3."""
    limit = {"counter": "c", "window": "day", "max": 10, "cost": 4}

    decision = decide(compiled_from(_with({"limits": [limit]})), Question(tool="x", arguments={}))

    assert [(charge.amount, charge.ceiling) for charge in decision.charges] == [(4, 10)]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"cost": 0}, "out-of-range"),
        ({"cost": 1.5}, "out-of-range"),
        ({"cost": 2, "cost_default": 1}, "idle-key"),
    ],
)
def test_a_constant_cost_is_a_whole_number_and_has_no_default(more: dict[str, Any], code: str) -> None:
    """P4.3."""
    assert _codes(_with({"limits": [{"counter": "c", "window": "day", "max": 10, **more}]})) == [code]
