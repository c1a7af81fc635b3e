"""Format 2: Intercept's YAML keeps its meaning, and loses the gaps through which rules went unenforced."""

from __future__ import annotations

from decimal import Decimal

from ostiary.policy.diagnostic import Diagnostic
from ostiary.policy.load import document, load_text
from ostiary.policy.model import Limit, Policy, Rule, Test, ToolRules, Window


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
