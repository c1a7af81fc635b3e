"""Format 3: rules without a version."""

from __future__ import annotations

from ostiary.policy.load import document, load_text
from ostiary.policy.model import Policy, Rule, ToolRules, Window


def _load(text: str) -> Policy:
    found = document(text.encode(), file="p.yaml").single
    assert found is not None
    return found


def test_rules_without_a_version_are_short_rules_and_deny_the_rest():
    """P1.5, P1.6."""
    policy = _load("tools: {run: {rules: []}}")
    assert (policy.format, policy.default, policy.implied_default) == (3, "deny", False)


def test_a_written_default_counts():
    assert _load("default: allow\ntools: {run: {rules: []}}").default == "allow"


def test_a_rule_may_deny_whatever_other_rules_allow():
    policy = _load("tools: {run: {rules: [{action: allow}, {action: deny}]}}")
    assert [rule.id for rule in policy.tools["run"].deny_if] == ["/tools/run/rules/1"]


def test_a_rule_may_ask_for_approval_and_tell_the_approver_why():
    """P1.3, P5.1: `reason` is what the approver sees."""
    policy = _load("tools: {run: {rules: [{action: allow}, {action: require_approval, reason: look}]}}")
    assert policy.tools["run"] == ToolRules(approve_if=(Rule("/tools/run/rules/1", (), "look"),))


def test_a_rule_may_ask_for_approval_and_count():
    """P1.3: the limit counts what was approved."""
    policy = _load("tools: {run: {rules: [{action: require_approval, rate_limit: 5/hour, reason: look}]}}")
    found = policy.tools["run"]
    assert [rule.message for rule in found.approve_if] == ["look"]
    assert [(limit.max, limit.message) for limit in found.limits] == [(5, "look")]


def test_the_window_is_in_seconds_and_slides():
    """P1.3: `window: 60` is sixty seconds."""
    policy = _load("tools: {run: {rules: [{rate_limit: {max: 3, window: 90}}]}}")
    limit = policy.tools["run"].limits[0]
    assert (limit.max, limit.window, limit.scope) == (3, Window(90), ("grant",))


def test_validations_of_several_rules_add_up():
    policy = _load("tools: {run: {rules: [{validate: {required_args: true}}, {validate: {extra: deny}}]}}")
    found = policy.tools["run"].validation
    assert found is not None
    assert (found.required, found.refuse_extra, found.schema) == (True, True, False)


def test_the_sketch_of_an_intercept_document_without_its_version_is_explained():
    _, diagnostics = load_text(b"tools: {run: {rules: [{name: n, action: deny}]}}", file="p.yaml")
    assert diagnostics[0].hint == 'a document for Intercept says `version: "1"`'
