"""A policy against the tools that the server has."""

from __future__ import annotations

import json
from typing import Any

from ostiary.policy.check import check_against
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.load import document
from ostiary.policy.model import Policy

SCHEMA = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "target": {"type": "object", "properties": {"branch": {"type": "string"}}},
        "free": {"type": "object"},
        "either": {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
    },
}


def _policy(**keys: Any) -> Policy:
    text = json.dumps({"version": "1", "default": "deny", **keys}, indent=1).encode()
    found = document(text, file="p.json").single
    assert found is not None
    return found


def _catalogue(schema: object = SCHEMA) -> Catalogue:
    return Catalogue({"refund": ToolDefinition("refund", "sha256:0", schema)})


def _warned(policy: Policy, schema: object = SCHEMA) -> list[tuple[str, str | None]]:
    return [(each.message, each.hint) for each in check_against(policy, _catalogue(schema))]


def _looking_at(*paths: str) -> Policy:
    conditions = [{"path": path, "op": "exists", "value": True} for path in paths]
    return _policy(tools={"refund": {"deny_if": [{"conditions": [each]} for each in conditions]}})


def test_rules_for_a_tool_the_server_does_not_have_are_named_with_the_near_match():
    found = check_against(_policy(tools={"refnd": {}}), _catalogue())
    assert [(each.code, each.severity, each.hint) for each in found] == [
        ("unknown-tool", "warning", "did you mean `refund`"),
    ]
    assert (found[0].file, found[0].line, found[0].column) == ("p.json", 5, 3)


def test_a_hidden_tool_that_does_not_exist_hides_nothing():
    assert _warned(_policy(hide=["Refund"])) == [("the server has no tool `Refund`", "did you mean `refund`")]


def test_paths_that_the_schema_has_are_fine():
    assert _warned(_looking_at("args.amount", "args.target.branch")) == []


def test_paths_that_the_schema_does_not_have_are_named_with_the_near_match():
    assert _warned(_looking_at("args.amont", "args.target.brunch")) == [
        ("the tool `refund` has no argument `args.amont`", "did you mean `amount`"),
        ("the tool `refund` has no argument `args.target.brunch`", "did you mean `branch`"),
    ]


def test_the_place_is_that_of_the_condition():
    found = check_against(_looking_at("args.amont"), _catalogue())
    assert (found[0].line, found[0].column) == (9, 7)


def test_what_the_schema_leaves_open_is_not_warned_about():
    assert _warned(_looking_at("args.free.x", "args.either.a", "args.either.c")) == []
    for schema in (
        None,
        True,
        [],
        {"type": "object"},
        {"properties": [1]},
        {"$ref": "#/x", "properties": {}},
    ):
        assert _warned(_looking_at("args.x"), schema) == []


def test_paths_inside_combinators_and_limits_are_looked_at():
    inner = {"path": "args.a", "op": "exists", "value": True}
    each = {"path": "args.b", "any_of": {"op": "eq", "value": 1}}
    limit = {"counter": "c", "window": "minute", "max": 1, "scope": ["grant", "args.c"], "cost": "args.d"}
    policy = _policy(
        tools={"refund": {"require": [{"conditions": [{"all": [{"not": inner}, each]}]}], "limits": [limit]}}
    )
    assert [message.rsplit(".", 1)[1] for message, _ in _warned(policy)] == ["a`", "b`", "c`", "d`"]


def test_paths_of_rules_that_ask_are_looked_at():
    asking = [{"conditions": [{"path": "args.amont", "op": "gt", "value": 1}]}]
    assert _warned(_policy(tools={"refund": {"approve_if": asking}})) == [
        ("the tool `refund` has no argument `args.amont`", "did you mean `amount`")
    ]


def test_places_are_those_of_the_right_server():
    """P8.3."""
    one = {"default": "deny", "hide": ["hid"], "tools": {"refnd": {}, "hide": {}}}
    text = json.dumps({"version": "1", "servers": {"a": one, "b": one}}, indent=1).encode()
    servers = document(text, file="p.json").servers
    lines = {
        name: [each.line for each in check_against(policy, _catalogue())] for name, policy in servers.items()
    }
    assert lines == {"a": [6, 10, 11], "b": [16, 20, 21]}


def test_a_hostile_tool_list_is_only_quoted_safely():
    catalogue = Catalogue({"ref\nund\x1b": ToolDefinition("x", "", {})})
    for each in check_against(_policy(tools={"refund": {}}), catalogue):
        assert (each.hint or "").isprintable()


def test_a_schema_that_cannot_be_used_is_named_where_arguments_are_checked_against_it():
    """P3.8: a schema beyond the bounds denies, and `check` says why."""
    catalogue = Catalogue({"refund": ToolDefinition("refund", "", {"$ref": "http://x.example/"})})
    checked = _policy(tools={"refund": {"validate": {"schema": "advertised"}}})
    everywhere = _policy(all_tools={"validate": {"required_args": True}}, tools={"refund": {}})

    for policy in (checked, everywhere):
        (found,) = check_against(policy, catalogue)
        assert found.code == "unusable-schema"
        assert "refers to something other than" in found.message
        assert found.line > 1

    assert check_against(_policy(tools={"refund": {}}), catalogue) == []
