"""Hand-written decisions, judged by the package and by the naive evaluator."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ostiary.policy.compile import compile_policy
from ostiary.policy.explain import explain
from ostiary.policy.methods import decide_method
from ostiary.policy.outcome import Outcome
from tests.policy import naive
from tests.policy.world import (
    arguments_of,
    compiled_from,
    condition_rows,
    decide_case,
    decision_cases,
    method_sheet,
)

ROWS = condition_rows()
DECISIONS = decision_cases()
METHODS = method_sheet()
# What a require, a deny_if, an approve_if and a require of the negation do, for each outcome (P3.1).
EFFECTS = {
    "true": ("allow", "deny", "hold", "deny"),
    "false": ("deny", "allow", "allow", "allow"),
    "absent": ("deny", "allow", "allow", "deny"),
    "error": ("deny", "deny", "deny", "deny"),
}
DEFAULT_HOLD = {"approvers": [], "timeout_s": 1800, "hold_s": None, "message": "", "convenience": False}


def test_there_are_at_least_three_hundred_cases_with_unique_names() -> None:
    names = [f"{row[0]} {row[1]}" for row in ROWS]
    names += [f"{case['clause']} {case['name']}" for case in DECISIONS]
    assert len(names) + len(METHODS["rows"]) >= 300
    assert len(names) == len(set(names))


def _policies(condition: dict[str, Any]) -> list[dict[str, Any]]:
    predicates = (
        {"require": [{"conditions": [condition]}]},
        {"deny_if": [{"conditions": [condition]}]},
        {"approve_if": [{"conditions": [condition]}]},
        {"require": [{"conditions": [{"not": condition}]}]},
    )
    return [{"version": "1", "default": "deny", "tools": {"x": rules}} for rules in predicates]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_condition_has_the_written_outcome(row: tuple[str, str, dict[str, Any], str, str]) -> None:
    """P3.1-P3.5, P3.7: four policies tell the four outcomes apart."""
    _, _, condition, arguments, outcome = row
    for policy, expected in zip(_policies(condition), EFFECTS[outcome], strict=True):
        decision = decide_case({"policy": policy, "tool": "x", "arguments": arguments})
        assert decision.effect == expected, policy


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_naive_evaluator_gives_conditions_the_written_outcome(
    row: tuple[str, str, dict[str, Any], str, str],
) -> None:
    """P3: the second opinion holds the same view of every written case."""
    _, _, condition, arguments, outcome = row
    assert naive.evaluate(naive.parse(json.dumps(condition)), naive.parse(arguments)) == outcome


@pytest.mark.parametrize("case", DECISIONS, ids=lambda case: f"{case['clause']} {case['name']}")
def test_decision_is_the_written_one(case: dict[str, Any]) -> None:
    """P2, P3, P4, P5, P7: each case names its clause."""
    decision = decide_case(case)
    expected = case["expect"]
    assert decision.effect == expected["effect"], decision.reasons
    assert list(decision.rules) == expected["rules"]
    if "message" in expected:
        assert decision.message == expected["message"]
    if "unchecked" in expected:
        assert list(decision.unchecked) == expected["unchecked"]
    if "charges" in expected:
        charges = [
            [charge.rule, charge.amount, charge.ceiling, charge.window and charge.window.seconds]
            for charge in decision.charges
        ]
        assert charges == [
            [rule, Decimal(amount), Decimal(ceiling), seconds]
            for rule, amount, ceiling, seconds in expected["charges"]
        ]
    assert (decision.hold is not None) is (decision.effect == "hold")
    if "hold" in expected:
        assert explain(decision)["hold"] == {**DEFAULT_HOLD, **expected["hold"]}
    if decision.effect == "deny":
        assert decision.message
        assert decision.reasons
        assert decision.charges == ()


@pytest.mark.parametrize("case", DECISIONS, ids=lambda case: f"{case['clause']} {case['name']}")
def test_naive_evaluator_agrees_with_the_written_decision(case: dict[str, Any]) -> None:
    """P2, P3, P4: the second opinion on whole decisions."""
    expected = case["expect"]
    assert naive.decide(case) == (expected["effect"], expected["rules"])
    if "hold" in expected:
        assert naive.hold(case) == {**DEFAULT_HOLD, **expected["hold"]}


@pytest.mark.parametrize("row", METHODS["rows"], ids=lambda row: " ".join(map(str, row[:4])))
def test_method_is_decided_as_written(row: list[Any]) -> None:
    """P6: every method, both directions."""
    policy, sender, method, params, effect, rules = row
    compiled = None if policy == "none" else compiled_from(METHODS["policies"][policy])
    decision = decide_method(compiled, method, params, from_server=sender == "server")
    assert (decision.effect, list(decision.rules)) == (effect, rules)
    assert (decision.message == "") is (effect != "deny")


def test_every_outcome_appears_in_the_written_conditions() -> None:
    """P3.1: no outcome is left untested."""
    assert {row[4] for row in ROWS} == {outcome.value for outcome in Outcome}


def test_wire_numbers_arrive_as_the_three_types() -> None:
    """P3.4: the tests feed what the parser feeds."""
    found = arguments_of('{"a":1,"b":0.5,"c":0.50}')
    assert [type(value) for value in found.values()] == [int, float, Decimal]
    assert compile_policy is not None
