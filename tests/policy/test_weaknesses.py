"""What other gateways were seen to let through, one test for each behaviour."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Decision, Question
from ostiary.policy.model import Limit, Policy, Rule, Test, ToolRules, Window
from tests.policy.world import catalogue_of, decide_case


def _decide(rules: dict[str, Any], arguments: str, **more: Any) -> Decision:
    policy = {"version": "1", "default": "deny", "tools": {"x": rules}}
    return decide_case({"policy": policy, "tool": "x", "arguments": arguments, **more})


def _require(condition: dict[str, Any]) -> dict[str, Any]:
    return {"require": [{"conditions": [condition]}]}


def _deny_if(condition: dict[str, Any]) -> dict[str, Any]:
    return {"deny_if": [{"conditions": [condition]}]}


@pytest.mark.parametrize(
    "name", ["Delete_Repo", "delete_repo ", " delete_repo", "delete\u200b_repo", "ｄelete_repo"]
)
def test_w7_other_spellings_of_a_guarded_tool_do_not_pass_under_default_allow(name: str) -> None:
    """P3.6: refused, and the known name is in the reasons but not in the message."""
    policy = {"version": "1", "default": "allow", "tools": {"delete_repo": {"deny_if": [{"conditions": []}]}}}
    decision = decide_case({"policy": policy, "tool": name, "arguments": "{}"})
    assert decision.rules == ("(name twin)",)
    assert "`delete_repo`" in decision.reasons[0]
    assert "`delete_repo`" not in decision.message


def test_w8_a_tool_called_star_is_not_rescued_by_rules_for_all_tools() -> None:
    """P2.7: rules for all tools list no tool, and `*` is never a tool's name."""
    everything = ToolRules(limits=(Limit("/all_tools/limits/0", "c", Window(60), 9),))
    for policy in (
        Policy(format=2, default="deny", all_tools=everything, tools={"x": ToolRules()}),
        Policy(format=2, default="deny", tools={"*": ToolRules()}),
        Policy(format=2, default="allow", all_tools=everything),
    ):
        assert decide(compile_policy(policy), Question("*", {})).effect == "deny"


def test_w12_arguments_are_checked_against_the_advertised_schema_and_extra_ones_refused() -> None:
    """P2.10, P3.8: validation is real, extra arguments are seen."""
    tools = [{"name": "x", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}}]
    rules = {"validate": {"schema": "advertised", "extra": "deny"}}
    assert _decide(rules, '{"n":1}', tools=tools).effect == "allow"
    assert _decide(rules, '{"n":"1"}', tools=tools).effect == "deny"
    assert _decide(rules, '{"n":1,"m":1}', tools=tools).effect == "deny"


@pytest.mark.parametrize("value", ['["main"]', "null", "5", "true", '{"ref":"main"}'])
def test_w13_changing_the_type_of_an_argument_does_not_dodge_neq_and_not_in(value: str) -> None:
    """P3.3: another type is an error, null is absent; neither satisfies a require."""
    for condition in (
        {"path": "args.branch", "op": "neq", "value": "main"},
        {"path": "args.branch", "op": "not_in", "value": ["main", "master"]},
    ):
        assert _decide(_require(condition), f'{{"branch":{value}}}').effect == "deny"
        assert _decide(_require(condition), '{"branch":"dev"}').effect == "allow"


def test_w14_a_path_that_climbs_out_is_seen_by_path_within_and_glob() -> None:
    """P3.7: readers normalise first, patterns refuse what they would misjudge."""
    for op, value in (("path_within", "/app/src"), ("glob", "/app/src/**")):
        rules = _require({"path": "args.p", "op": op, "value": value})
        assert _decide(rules, '{"p":"/app/src/x.py"}').effect == "allow"
        assert _decide(rules, '{"p":"/app/src/../../etc/passwd"}').effect == "deny"


def test_w15_optional_arguments_alternatives_lists_and_dotted_keys_can_be_guarded() -> None:
    """P3.1, P3.5, P3.7: deny_if ignores what is absent; any, not, any_of and key lists exist."""
    guard = _deny_if({"path": "args.branch", "op": "eq", "value": "main"})
    assert _decide(guard, "{}").effect == "allow"
    assert _decide(guard, '{"branch":"main"}').effect == "deny"
    either = _require(
        {
            "any": [
                {"path": "args.a", "op": "eq", "value": 1},
                {"not": {"path": "args.b", "op": "eq", "value": 1}},
            ]
        }
    )
    assert _decide(either, '{"a":2,"b":2}').effect == "allow"
    listed = _deny_if({"path": "args.to", "any_of": {"op": "eq", "value": "root"}})
    assert _decide(listed, '{"to":["me","root"]}').effect == "deny"
    dotted = _deny_if({"path": ["args", "user.name"], "op": "eq", "value": "root"})
    assert _decide(dotted, '{"user.name":"root"}').effect == "deny"


def test_w16_a_tool_name_with_a_dot_can_be_limited() -> None:
    """P3.5: tool names with dots are plain names."""
    limit = {"counter": "c", "window": "minute", "max": 5}
    policy = {"version": "1", "default": "deny", "tools": {"browser.click": {"limits": [limit]}}}
    decision = decide_case({"policy": policy, "tool": "browser.click", "arguments": "{}"})
    assert [charge.rule for charge in decision.charges] == ["/tools/browser.click/limits/0"]
    assert '"tools/browser.click"' in decision.charges[0].key


COST = {"limits": [{"counter": "c", "window": "day", "max": 100, "cost": "args.amount"}]}


def test_w17_a_negative_argument_does_not_refund_quota() -> None:
    """P4.3: it denies."""
    assert _decide(COST, '{"amount":-1000}').effect == "deny"
    assert _decide(COST, '{"amount":-0.01}').effect == "deny"
    assert _decide(COST, '{"amount":-0.0}').effect == "allow"


def test_w18_fractions_are_charged_exactly() -> None:
    """P4.3: 0.99 is not 0 and 100.99 is not 100."""
    (small,) = _decide(COST, '{"amount":0.99}').charges
    (large,) = _decide(COST, '{"amount":100.99}').charges
    assert small.amount == Decimal("0.99")
    assert large.amount == Decimal("100.99") > large.ceiling


@pytest.mark.parametrize("amount", ["10000000000000000000", "1e309", "1e9999999", "9007199254740992"])
def test_w19_a_number_too_large_to_count_denies(amount: str) -> None:
    """P4.3: nothing wraps around."""
    assert _decide(COST, f'{{"amount":{amount}}}').effect == "deny"


def test_w19_a_large_number_that_is_exact_is_charged_in_full() -> None:
    """P4.3: 1e19 is far over the ceiling, and stays so."""
    (charge,) = _decide(COST, '{"amount":1e19}').charges
    assert charge.amount == Decimal("1e19") > charge.ceiling


def test_a_denial_never_repeats_an_argument_value() -> None:
    """P2.17: reasons name paths and operators only."""
    secret = "hunter2-secret"
    rules = _require({"path": "args.p", "op": "path_within", "value": "/app"})
    tools = [{"name": "x", "inputSchema": {"properties": {"p": {"type": "integer"}}}}]
    rules["validate"] = {"schema": "advertised"}
    decision = _decide(rules, f'{{"p":"{secret}"}}', tools=tools)
    assert decision.effect == "deny"
    assert secret not in repr(decision)
    assert "could not be evaluated: `args.p` path_within" in decision.reasons[1]


def test_format_two_compares_numbers_and_text_by_text() -> None:
    """P3.3: Intercept's documented comparison, and lists stay errors."""

    def outcome(value: Any, found: object, op: str = "eq") -> str:
        test = Test(("a",), op, value, numeric_text=True)
        rules = ToolRules(require=(Rule("/r", (test,)),))
        compiled = compile_policy(Policy(format=2, default="deny", tools={"x": rules}))
        return decide(compiled, Question("x", {"a": found}, catalogue=catalogue_of(["x"], []))).effect

    assert outcome(True, "true") == "allow"
    assert outcome(Decimal(5), "5") == "allow"
    assert outcome("5", 5) == "allow"
    assert outcome("5", 5.0) == "allow"
    assert outcome(Decimal("0.5"), Decimal("0.50")) == "allow"
    assert outcome(Decimal(5), "5.0") == "deny"
    assert outcome("a", ["a"]) == "deny"
    assert outcome("a", ["a"], "neq") == "deny"
    assert outcome((Decimal(1), "b"), "1", "in") == "allow"
    assert outcome((Decimal(1), "b"), 2, "not_in") == "allow"
