"""The policies that published tool pages recommend load, and mean what their pages say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.policy.load import load_text
from ostiary.policy.model import Limit, Policy, Rule, ToolRules, Validation, Window

SNIPPETS = Path(__file__).parent / "published"


def _policy(name: str) -> Policy:
    found, diagnostics = load_text((SNIPPETS / name).read_bytes(), file=name)
    assert diagnostics == []
    assert found is not None
    assert found.single is not None
    return found.single


def _limit(pointer: str, counter: str) -> Limit:
    return Limit(id=pointer, counter=counter, window=Window(60), max=10, scope=("grant",))


@pytest.mark.parametrize(
    ("name", "tool", "counter"),
    [
        ("django-execute.json", "execute", "execute_rate"),
        ("datagen-execute-code.json", "executeCode", "executecode_rate"),
    ],
)
def test_a_recommended_policy_json_is_ten_calls_a_minute_and_nothing_else(name: str, tool: str, counter: str):
    """P1.1: `policy.json`, version 1."""
    policy = _policy(name)
    limit = _limit(f"/tools/{tool}/limits/0", counter)
    assert (policy.format, policy.default, policy.implied_default) == (1, "deny", False)
    assert policy.tools == {tool: ToolRules(limits=(limit,))}
    assert policy.all_tools == ToolRules()


def test_the_recommended_yaml_limits_validates_and_denies_the_rest():
    """P1.3, P1.6: short rules; unlisted tools are denied."""
    policy = _policy("stuzhy-py-execute-mcp.yaml")
    at = "/tools/python_execute/rules/0"
    assert (policy.format, policy.default) == (3, "deny")
    assert policy.tools == {
        "python_execute": ToolRules(
            limits=(_limit(f"{at}/rate_limit", "rate_60"),),
            validation=Validation(f"{at}/validate", required=True),
        )
    }


def test_a_rate_limit_block_on_a_tool_is_ten_calls_in_sixty_seconds():
    """P1.4: the pages' `rate_limit` with `max: 10` and `window: 60`."""
    policy = _policy("faq-rate-limit.json")
    assert policy.tools["execute"].limits == (_limit("/tools/execute/rate_limit", "rate_60"),)


def test_action_deny_blocks_completely_and_gives_the_reason():
    """P1.4: `action: deny` with a `reason`."""
    policy = _policy("faq-deny-with-reason.yaml")
    rule = Rule("/tools/exec/action", (), "runs arbitrary commands in a container")
    assert policy.tools["exec"].deny_if == (rule,)


def test_action_deny_in_short_rules_blocks_completely():
    """P1.3: `action: deny` with a `reason`."""
    policy = _policy("faq-execute-completely-blocked.yaml")
    assert policy.tools["executeCode"].deny_if == (Rule("/tools/executeCode/rules/0", (), "not needed here"),)


def test_rate_limits_and_validation_may_stand_in_rules_of_their_own():
    """P1.3: a rule without `action` allows."""
    rules = _policy("faq-validate.yaml").tools["execute_python_script"]
    assert [(each.max, each.window) for each in rules.limits] == [(10, Window(60))]
    assert rules.validation is not None
    assert rules.validation.required
