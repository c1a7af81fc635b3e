"""Format 2: Intercept's YAML keeps its meaning, and loses the gaps through which rules went unenforced."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.diagnostic import Diagnostic
from ostiary.policy.load import document, load_text
from ostiary.policy.model import AnyOf, Approval, Limit, Policy, Rule, Test, ToolRules, Window


def _load(text: str) -> Policy:
    found = document(text.encode(), file="p.yaml").single
    assert found is not None
    return found


def _rules(rules: str, tool: str = "run") -> ToolRules:
    indented = "".join(f"      {line}\n" for line in rules.strip().splitlines())
    policy = _load(f'version: "1"\ndefault: deny\ntools:\n  "{tool}":\n    rules:\n{indented}')
    return policy.all_tools if tool == "*" else policy.tools[tool]


def _counted(conditions: str, state: str = "counter: c, window: day", tool: str = "run") -> ToolRules:
    return _rules(f"- name: n\n  conditions: [{conditions}]\n  state: {{{state}}}", tool)


def _codes(text: str) -> list[str]:
    return [each.code for each in _diagnostics(text)]


def _diagnostics(text: str) -> list[Diagnostic]:
    return load_text(text.encode(), file="p.yaml")[1]


def test_rules_with_a_version_are_intercept():
    """P1.5: `rules` and `version`."""
    assert _load('version: "1"\ntools: {run: {rules: []}}').format == 2
    assert _load("version: 1\ntools: {run: {rules: []}}").format == 2


def test_default_allow_is_implied_and_said():
    """P1.6: `(intercept default allow)`."""
    policy = _load('version: "1"\ntools: {run: {rules: []}}')
    assert (policy.default, policy.implied_default) == ("allow", True)
    assert _codes('version: "1"\ntools: {run: {rules: []}}') == ["implied-default"]


def test_a_written_default_is_not_implied():
    """P1.6."""
    for default in ("allow", "deny"):
        policy = _load(f'version: "1"\ndefault: {default}\ntools: {{run: {{rules: []}}}}')
        assert (policy.default, policy.implied_default) == (default, False)


def test_conditions_of_a_rule_are_a_requirement():
    """P1.2: all must be true or the call is denied."""
    listed = "[{path: args.a.b, op: lte, value: 5}, {path: args.c, op: eq, value: x}]"
    found = _rules(f"- name: n\n  conditions: {listed}\n  on_deny: no way")
    tests = (Test(("a", "b"), "lte", Decimal(5)), Test(("c",), "eq", "x", numeric_text=True))
    assert found == ToolRules(require=(Rule("/tools/run/rules/0", tests, "no way"),))


def test_action_deny_always_denies():
    """P1.2."""
    found = _rules("- {name: n, action: deny, reason: never}")
    assert found == ToolRules(deny_if=(Rule("/tools/run/rules/0", (), "never"),))


def test_a_short_rate_limit_follows_the_clock():
    """P1.2, P4.1: fixed UTC windows are Intercept's meaning."""
    found = _rules("- {name: n, rate_limit: 30/hour}")
    limit = Limit("/tools/run/rules/0", "_rate_hour", Window(3600, calendar=True), 30)
    assert found == ToolRules(limits=(limit,))


def test_a_counter_with_lte_becomes_a_limit():
    """P1.2: `state` with `lte N` allows N."""
    found = _counted("{path: state.run.c, op: lte, value: 7}", "counter: c, window: day, increment: 2")
    limit = Limit("/tools/run/rules/0", "c", Window(86_400, calendar=True), 7, cost_constant=2)
    assert found == ToolRules(limits=(limit,))


def test_lt_allows_one_less():
    """`lt N` allows N-1, whole numbers only."""
    found = _counted("{path: state.run.c, op: lt, value: 7}")
    assert found.limits[0].max == 6


def test_the_cost_may_come_from_an_argument():
    """Costs stay exact, see P4.3."""
    found = _counted(
        "{path: state.run.c, op: lte, value: 100}", "counter: c, window: day, increment_from: args.amount"
    )
    assert (found.limits[0].cost, found.limits[0].cost_default) == (("amount",), None)


def test_arguments_and_counter_in_one_rule_are_a_requirement_and_a_limit():
    found = _counted("{path: state.run.c, op: lte, value: 7}, {path: args.a, op: exists, value: true}")
    assert found.require == (Rule("/tools/run/rules/0", (Test(("a",), "exists", True),)),)
    assert [limit.max for limit in found.limits] == [7]


def test_tool_names_with_dots_can_be_limited():
    """The counter's path is compared whole, never taken apart."""
    found = _counted("{path: state.browser.click.c, op: lte, value: 7}", tool="browser.click")
    assert [limit.max for limit in found.limits] == [7]
    assert _rules("- {name: n, rate_limit: 1/day}", "browser.click").limits[0].max == 1


def test_rules_for_every_tool_go_to_all_tools_and_no_tool_is_called_star():
    """`*` is reserved."""
    policy = _load(
        'version: "1"\ndefault: deny\ntools:\n  "*":\n    rules: [{name: n, rate_limit: 60/minute}]\n'
    )
    assert policy.tools == {}
    assert [(limit.id, limit.max) for limit in policy.all_tools.limits] == [("/tools/*/rules/0", 60)]


def test_a_global_counter_under_star_counts_every_tool():
    found = _counted("{path: state._global.c, op: lt, value: 10}", "counter: c, window: hour", tool="*")
    assert [(limit.counter, limit.max) for limit in found.limits] == [("c", 9)]


def test_the_order_of_rules_is_kept():
    found = _rules("- {name: a, action: deny, on_deny: first}\n- {name: b, action: deny, on_deny: second}")
    assert [rule.message for rule in found.deny_if] == ["first", "second"]


def test_a_counter_that_would_never_be_counted_is_an_error():
    """The rule looks like a limit and is none."""
    rule = "{name: n, conditions: [{path: args.a, op: eq, value: 1}], state: {counter: c, window: day}}"
    text = f'version: "1"\ntools:\n  run:\n    rules:\n      - {rule}\n'
    assert "uncounted-state" in _codes(text)


def test_misspelt_keys_are_errors():
    """`hidden`, `defualt` and `rule` are not silently ignored."""
    text = 'version: "1"\ndefualt: deny\nhidden: [x]\ntools:\n  a: {rules: []}\n  b: {rule: []}\n'
    problems = [each for each in _diagnostics(text) if each.code == "unknown-key"]
    assert [each.hint for each in problems] == [
        *("did you mean `default`", "did you mean `hide`", "did you mean `rules`"),
    ]


def test_a_tool_without_rules_beside_one_with_rules_is_allowed():
    policy = _load('version: "1"\ndefault: deny\ntools:\n  a: {rules: []}\n  b: {}\n')
    assert policy.tools == {"a": ToolRules(), "b": ToolRules()}


def test_numeric_text_marks_only_operators_that_compare_by_text():
    """P3.3: Intercept's comparison of numeric text."""
    written = (f"{{path: args.a, op: {test}}}" for test in ("eq, value: 1", "gt, value: 1", "in, value: [1]"))
    found = _rules(f"- name: n\n  conditions: [{', '.join(written)}]")
    tests = found.require[0].conditions
    assert [test.numeric_text for test in tests if isinstance(test, Test)] == [True, False, True]


# --- approvals ----------------------------------------------------------------------------------


def _asking(rules: str, top: str = "") -> Policy:
    listed = "".join(f"      - {{name: n, action: require_approval{rule}}}\n" for rule in rules.split(";"))
    return _load(f'version: "1"\ndefault: deny\n{top}tools:\n  run:\n    rules:\n{listed}')


def test_a_rule_that_requires_approval_asks_for_every_call():
    """P5.5: without conditions; its message is for the approver, and half an hour is Intercept's default."""
    found = _rules("- {name: n, action: require_approval, on_deny: look}")
    terms = Approval("/tools/run/rules/0", timeout_seconds=1800)
    assert found == ToolRules(approve_if=(Rule("/tools/run/rules/0", (), "look"),), approval=terms)


def test_conditions_of_a_rule_that_requires_approval_select_calls():
    """P5.5: each is true where its argument is not there, but for `exists`."""
    listed = "[{path: args.a, op: gt, value: 5}, {path: args.b, op: exists, value: true}]"
    (rule,) = _rules(f"- {{name: n, action: require_approval, conditions: {listed}}}").approve_if
    assert rule.conditions == (
        AnyOf((Test(("a",), "gt", Decimal(5)), Test(("a",), "exists", value=False))),
        Test(("b",), "exists", value=True),
    )


MATCH = "[{path: args.a, op: gt, value: 5}, {path: args.b, op: neq, value: x}]"


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        ({"a": 6, "b": "y"}, "hold"),
        ({"a": 5, "b": "y"}, "allow"),
        ({"a": 6, "b": "x"}, "allow"),
        ({"b": "y"}, "hold"),  # Intercept lets this pass
        ({"a": None, "b": "y"}, "hold"),
        ({"a": 6}, "hold"),
        ({}, "hold"),
        ({"b": "x"}, "allow"),  # surely not selected, whatever `a` would be
        ({"a": "6", "b": "y"}, "deny"),
        ({"a": [6], "b": "y"}, "deny"),
        ({"a": "6"}, "deny"),
        ({"a": "6", "b": "x"}, "allow"),
    ],
)
def test_what_cannot_be_judged_never_passes_a_match(arguments: dict[str, object], effect: str):
    """P5.5: only a condition that is surely false lets a call pass; an error denies."""
    compiled = compile_policy(_asking(f", conditions: {MATCH}"))
    assert decide(compiled, Question("run", arguments)).effect == effect


def test_a_match_below_something_that_is_no_object_selects():
    """P5.5: an argument that cannot be there is not there."""
    compiled = compile_policy(_asking(", conditions: [{path: args.a.b, op: gt, value: 5}]"))
    for arguments in ({"a": [6]}, {"a": {}}, {"a": {"b": 6}}):
        assert decide(compiled, Question("run", arguments)).effect == "hold"
    assert decide(compiled, Question("run", {"a": {"b": 5}})).effect == "allow"


def test_deny_outranks_approval():
    """P2.14: in one tool, whatever the order of its rules."""
    rules = "- {name: a, action: require_approval}\n- {name: b, action: deny}"
    policy = Policy(format=2, default="deny", tools={"run": _rules(rules)})
    decision = decide(compile_policy(policy), Question("run", {}))
    assert (decision.effect, decision.rules) == ("deny", ("/tools/run/rules/1",))


def test_a_rule_may_say_how_long_a_person_has():
    """P5.6: the rule, else the document, else half an hour."""
    for rules, top, seconds in (
        (", approval_timeout: 90s", "", 90),
        (", approval_timeout: 2h", "approvals: {default_timeout: 1h}\n", 7200),
        ("", "approvals: {default_timeout: 1h}\n", 3600),
        ("", "", 1800),
    ):
        terms = _asking(rules, top).tools["run"].approval
        assert terms is not None
        assert terms.timeout_seconds == seconds


def test_several_timeouts_in_one_tool_become_the_shortest_and_are_warned_about():
    """P5.6: the rule with the shortest one is named."""
    text = (
        'version: "1"\ndefault: deny\ntools:\n  run:\n    rules:\n'
        "      - {name: a, action: require_approval, approval_timeout: 2h}\n"
        "      - {name: b, action: require_approval, approval_timeout: 1h}\n"
    )
    assert [(each.code, each.line) for each in _diagnostics(text)] == [("shared-timeout", 7)]
    assert _load(text).tools["run"].approval == Approval("/tools/run/rules/1", timeout_seconds=3600)
    assert _codes(text.replace("2h", "60m")) == []


def test_rules_for_every_tool_have_terms_of_their_own():
    """P5.6: the time-out of `*` is not that of a tool."""
    policy = _load(
        'version: "1"\ndefault: deny\ntools:\n'
        '  "*": {rules: [{name: n, action: require_approval, approval_timeout: 7d}]}\n'
        "  run: {rules: [{name: n, action: require_approval}]}\n"
    )
    decision = decide(compile_policy(policy), Question("run", {}))
    assert decision.rules == ("/tools/run/rules/0", "/tools/*/rules/0")
    assert decision.hold is not None
    assert decision.hold.timeout_seconds == 1800


def test_identical_calls_join_whatever_the_document_says():
    """P5.6: `dedupe_window` is read, and said to be without effect."""
    top = "approvals: {dedupe_window: 5m, default_timeout: 1h}\n"
    rule = "{name: n, action: require_approval}"
    text = f'version: "1"\ndefault: deny\n{top}tools: {{run: {{rules: [{rule}]}}}}'
    assert [(each.code, each.severity, each.column) for each in _diagnostics(text)] == [
        ("idle-key", "warning", 13)
    ]
    assert _codes(text.replace("5m", "0s")) == ["idle-key"]
    assert _codes(text.replace("5m", "soon")) == ["bad-window"]


def test_approvals_that_no_rule_asks_for_are_a_warning():
    text = 'version: "1"\ndefault: deny\napprovals: {default_timeout: 1h}\ntools: {run: {rules: []}}'
    assert [(each.code, each.severity) for each in _diagnostics(text)] == [("idle-key", "warning")]


def test_where_people_are_told_is_not_said_in_the_policy():
    """P5.6: `notify` holds an address and a secret; both belong on the command line."""
    text = (
        'version: "1"\ndefault: deny\napprovals: {notify: {webhook: {url: "https://example.org/"}}}\ntools:\n'
        "  run: {rules: [{name: n, action: require_approval}]}"
    )
    (problem,) = _diagnostics(text)
    assert (problem.code, "--approval-webhook" in (problem.hint or "")) == ("unknown-key", True)
