"""Deny rules in the words of clients."""

from __future__ import annotations

import json
import re
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from ostiary.registry.client_rules import claude_text, codex_text, rules_for


def test_claude_code_is_given_entries_of_permissions_deny() -> None:
    rules = rules_for("my files", ["delete_file", "run.it"])

    assert json.loads(claude_text(rules)) == {
        "permissions": {"deny": ["mcp__my_files__delete_file", "mcp__my_files__run_it"]}
    }


def test_codex_is_given_the_tools_that_it_leaves_out() -> None:
    rules = rules_for("files", ["delete_file"])

    assert codex_text(rules) == '[mcp_servers.files]\ndisabled_tools = ["delete_file"]'


def test_a_tool_that_no_rule_can_name_is_left_to_the_gate() -> None:
    rules = rules_for("files", ["ok", "\x1b[2J", "", "x" * 300, "a\nb"])

    assert (rules.codex, rules.left) == (("ok",), ("\x1b[2J", "", "x" * 300, "a\nb"))


@given(st.text(min_size=1, max_size=20), st.lists(st.text(max_size=12), max_size=4))
def test_whatever_the_names_are_the_rules_are_read_back_as_they_are(server: str, tools: list[str]) -> None:
    rules = rules_for(server, tools)
    table = tomllib.loads(codex_text(rules))

    assert table["mcp_servers"][server]["disabled_tools"] == list(rules.codex)
    assert all(re.fullmatch(r"mcp__[A-Za-z0-9_-]+", rule) for rule in rules.claude_code)
    assert sorted([*rules.codex, *rules.left]) == sorted(tools)
