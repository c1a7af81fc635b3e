"""Held calls: what a decision carries for the agent, the approver and the ledger (P2.14, P5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Decision, Hold, Question
from ostiary.policy.explain import explain, explain_lines
from ostiary.policy.load import document, load_text
from ostiary.policy.model import Approval, Limit, Policy, Rule, Test, ToolRules, Window
from ostiary.policy.reach import wants_catalogue
from tests.policy.world import catalogue_of, compiled_from

ALWAYS = Rule("/tools/x/approve_if/0", ())
CALLS = Limit("/tools/x/limits/0", "calls", Window(60), 10)
TERMS = {
    "timeout": "90s",
    "hold": "1m",
    "approvers": ["user:b", "user:a"],
    "message": "read the diff",
    "convenience": False,
}


def _decided(rules: dict[str, Any], arguments: dict[str, object] | None = None, **top: Any) -> Decision:
    policy = {"version": "1", "default": "deny", "tools": {"x": rules}, **top}
    return decide(compiled_from(policy), Question("x", arguments or {}))


def test_a_decision_holds_exactly_when_it_carries_a_hold() -> None:
    """P2.17: rules and reasons are those of the hold."""
    decision = _decided({"action": "require_approval", "reason": "writes", "approval": TERMS})
    assert decision.effect == "hold"
    hold = Hold(
        rules=("/tools/x/action",),
        reasons=("writes",),
        approvers=(frozenset({"user:a", "user:b"}),),
        timeout_seconds=90,
        hold_seconds=60,
        message="read the diff",
    )
    assert decision.hold == hold
    assert (decision.rules, decision.reasons) == (hold.rules, hold.reasons)
    assert decision.revision.startswith("sha256:")
    for other in ({}, {"action": "deny"}):
        assert _decided(other).hold is None


def test_what_is_for_the_approver_is_not_told_to_the_agent() -> None:
    """P5.1: neither when the call is held, nor when the rule cannot be judged."""
    rules = [{"conditions": [{"path": "args.a", "op": "gt", "value": 1}], "reason": "for the approver"}]
    policy = {"approve_if": rules, "approval": {"message": "for the approver"}}
    for value, effect in ((2, "hold"), ("2", "deny")):
        decision = _decided(policy, {"a": value})
        assert decision.effect == effect
        assert decision.message
        assert "approver" not in decision.message


def test_no_argument_value_is_in_what_a_held_call_says() -> None:
    """P2.17: not for the agent, not for the approver, not in an explanation."""
    condition = {"path": "args.a", "op": "contains", "value": "x"}
    decision = _decided({"approve_if": [{"conditions": [condition]}]}, {"a": "x and s3cret"})
    assert decision.effect == "hold"
    assert "s3cret" not in repr(decision) + json.dumps(explain(decision)) + "".join(explain_lines(decision))


def test_a_held_call_is_never_remembered_for_other_arguments() -> None:
    """P5.1: constant limits do not make a decision that depends on arguments constant."""
    rule = Rule("/tools/x/approve_if/0", (Test(("a",), "eq", "x"),))
    rules = ToolRules(approve_if=(rule,), limits=(CALLS,))
    compiled = compile_policy(Policy(format=4, default="deny", tools={"x": rules}))
    effects = [decide(compiled, Question("x", {"a": value})).effect for value in ("y", "x", "y", "x")]
    assert effects == ["allow", "hold", "allow", "hold"]


def test_charges_of_a_hold_are_those_of_the_same_call_unheld() -> None:
    """P2.15: they are reserved when the approval is redeemed."""
    free = Policy(format=4, default="deny", tools={"x": ToolRules(limits=(CALLS,))})
    held = Policy(format=4, default="deny", tools={"x": ToolRules(limits=(CALLS,), approve_if=(ALWAYS,))})
    charges = [decide(compile_policy(policy), Question("x", {})).charges for policy in (free, held)]
    assert charges[0] == charges[1] != ()


def test_an_implied_default_does_not_name_itself_in_a_hold() -> None:
    """P1.6, P2.17: the rules of a held call are those that ask."""
    every = ToolRules(approve_if=(Rule("/tools/*/rules/0", ()),))
    policy = Policy(format=2, default="allow", implied_default=True, all_tools=every)
    decision = decide(compile_policy(policy), Question("y", {}))
    assert (decision.effect, decision.rules) == ("hold", ("/tools/*/rules/0",))


def test_monitor_mode_decides_the_same_hold() -> None:
    """P8.1: enforcement is the caller's."""
    policy = Policy(format=4, default="deny", tools={"x": ToolRules(approve_if=(ALWAYS,))}, monitor=True)
    assert decide(compile_policy(policy), Question("x", {})).effect == "hold"


def test_a_rule_that_asks_and_does_not_fit_its_operator_does_not_compile() -> None:
    """P3.3: as any other rule."""
    bad = Rule("/tools/x/approve_if/0", (Test(("a",), "in", ()),))
    with pytest.raises(CallerFault, match="/tools/x/approve_if/0"):
        compile_policy(Policy(format=4, default="deny", tools={"x": ToolRules(approve_if=(bad,))}))


def test_a_rule_that_asks_sees_wide_numbers_where_its_tool_does() -> None:
    """P3.4: of the tool, and of all tools when they are about that tool."""
    condition = {"path": "args.a", "op": "gt", "value": 5}
    every = {"approve_if": [{"conditions": [condition]}]}
    wide = {"wide_numbers": True}
    assert _decided(wide, {"a": 2**60}, all_tools=every).effect == "hold"
    assert _decided({}, {"a": 2**60}, all_tools=every).effect == "deny"
    assert _decided({**wide, **every}, {"a": 2**60}).effect == "hold"


def test_the_definition_of_a_tool_is_wanted_where_a_call_may_be_held() -> None:
    """P5.1: an approval is bound to the definition that the approver saw."""
    assert not wants_catalogue(compile_policy(Policy(format=4, default="allow")))
    every = ToolRules(approve_if=(ALWAYS,))
    assert wants_catalogue(compile_policy(Policy(format=4, default="allow", all_tools=every)))


def test_one_tool_list_serves_hold_and_twin_check() -> None:
    """P3.5: keys that rules about approval name are known keys."""
    compiled = compiled_from(
        {
            "version": "1",
            "default": "deny",
            "tools": {"x": {"approve_if": [{"conditions": [{"path": "args.o.a", "op": "gt", "value": 1}]}]}},
        }
    )
    catalogue = catalogue_of(["x"], [])
    assert decide(compiled, Question("x", {"o": {"A": 2}}, catalogue=catalogue)).rules == ("(argument twin)",)
    assert decide(compiled, Question("x", {"o": {"a": 2}}, catalogue=catalogue)).effect == "hold"


# --- terms, as they are read -------------------------------------------------------------------------


def _terms(**written: Any) -> Approval:
    text = json.dumps(
        {
            "version": "1",
            "default": "deny",
            "tools": {"x": {"action": "require_approval", "approval": written}},
        }
    )
    policy = document(text.encode(), file="p.json").single
    assert policy is not None
    terms = policy.tools["x"].approval
    assert terms is not None
    return terms


def test_terms_are_read_as_they_are_written() -> None:
    """P5.2, P5.3."""
    assert _terms(**TERMS) == Approval(
        "/tools/x/approval", 90, 60, ("user:b", "user:a"), "read the diff", convenience=False
    )
    assert _terms() == Approval("/tools/x/approval")


@pytest.mark.parametrize(
    ("written", "seconds"), [("10s", 10), ("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800)]
)
def test_a_timeout_is_read_as_the_lengths_of_limits_are(written: str, seconds: int) -> None:
    """P5.2: ten seconds to seven days."""
    assert _terms(timeout=written).timeout_seconds == seconds


@pytest.mark.parametrize(("written", "seconds"), [("0s", 0), ("45s", 45), ("4m", 240), ("240s", 240)])
def test_a_hold_may_be_nothing_and_is_at_most_four_minutes(written: str, seconds: int) -> None:
    """P5.2."""
    assert _terms(hold=written).hold_seconds == seconds


def test_sixteen_approvers_with_long_names_load() -> None:
    """P5.3: the bounds themselves are allowed."""
    names = [f"user:{at:0>128}" for at in range(16)]
    assert _terms(approvers=names).approvers == tuple(names)
    assert _terms(message="é" * 500).message == "é" * 500


def test_using_approvals_makes_a_document_one_of_format_4() -> None:
    """P1.4: format 1 does not have them."""
    for rules in ({"approve_if": []}, {"action": "require_approval"}):
        text = json.dumps({"version": "1", "default": "deny", "tools": {"x": rules}}).encode()
        policy = document(text, file="p.json").single
        assert policy is not None
        assert policy.format == 4


def test_terms_of_one_server_do_not_serve_another() -> None:
    """P5.2, P8.3: `all_tools` is that of the same server."""
    asking = {"default": "deny", "tools": {"x": {"action": "require_approval"}}}
    idle = {"default": "deny", "all_tools": {"approval": {"timeout": "1h"}}}
    text = json.dumps({"version": "1", "servers": {"a": asking, "b": idle}}).encode()
    found, diagnostics = load_text(text, file="p.json")
    assert found is None
    assert [each.code for each in diagnostics] == ["idle-key"]


# --- explain -------------------------------------------------------------------------------------------


def test_explanation_of_a_hold_has_the_documented_shape() -> None:
    """P2.17: the hold is there only where one is."""
    decision = _decided({"action": "require_approval", "reason": "writes", "approval": TERMS})
    assert explain(decision) == {
        "v": 1,
        "decision": "hold",
        "rules": ["/tools/x/action"],
        "message": decision.message,
        "revision": decision.revision,
        "unchecked": ["P2.8", "P2.10"],
        "hold": {
            "approvers": [["user:a", "user:b"]],
            "timeout_s": 90,
            "hold_s": 60,
            "message": "read the diff",
            "convenience": False,
            "reasons": ["writes"],
        },
    }
    assert "hold" not in explain(_decided({}))


def test_explanation_of_a_hold_in_words() -> None:
    """P2.17: who, why, how long, and what it would be charged."""
    limit = {"counter": "c", "window": "minute", "max": 5}
    rules = {"action": "require_approval", "reason": "writes", "approval": TERMS, "limits": [limit]}
    lines = explain_lines(_decided(rules))
    assert lines[:3] == ["decision: hold", "rule: /tools/x/action", "reason: writes"]
    assert lines[4:9] == [
        "approval: of user:a or user:b",
        "the approver is told: read the diff",
        "expires: in 90 s",
        "held open: for at most 60 s",
        "charge: 1 of 5 in 60 s (/tools/x/limits/0)",
    ]
    plain = explain_lines(_decided({"action": "require_approval", "approval": {"convenience": True}}))
    assert plain[4:7] == [
        "approval: of anybody who may approve",
        "approval: the client's own user may answer too",
        "expires: in 1800 s",
    ]
