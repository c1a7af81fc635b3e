"""Formats 1 and 4: what each key turns into."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ostiary.policy.diagnostic import Diagnostic
from ostiary.policy.load import document, load_text
from ostiary.policy.model import (
    AllOf,
    AnyOf,
    Each,
    Limit,
    MethodRules,
    Not,
    Policy,
    Rule,
    Test,
    ToolRules,
    Validation,
    Window,
)


def _load(**keys: Any) -> Policy:
    text = json.dumps({"version": "1", "default": "deny", **keys}).encode()
    found = document(text, file="p.json").single
    assert found is not None
    return found


def _tool(**keys: Any) -> ToolRules:
    return _load(tools={"t": keys}).tools["t"]


def _condition(**keys: Any) -> Any:
    return _tool(deny_if=[{"conditions": [keys]}]).deny_if[0].conditions[0]


def _problems(text: bytes, file: str = "p.json") -> list[Diagnostic]:
    return load_text(text, file=file)[1]


def test_an_empty_tool_is_listed_without_checks():
    """P1.1: under `default: deny` an empty object means allowed."""
    policy = _load(tools={"t": {}})
    assert policy.tools == {"t": ToolRules()}
    assert policy.default == "deny"


def test_hide_takes_names_and_a_star_for_all():
    """P1.1: `*` hides every tool."""
    assert _load(hide=["a", "b"]).hide == {"a", "b"}
    assert not _load(hide=["a"]).hide_all
    assert _load(hide=["*"]).hide_all
    assert _load(hide=["*"]).hide == frozenset()


def test_rule_ids_are_json_pointers_with_escapes_and_indexes():
    """P2.17: `/tools/x/deny_if/0`."""
    rules = [{"conditions": []}, {"conditions": []}]
    found = _load(tools={"a/b~c": {"deny_if": rules}}).tools["a/b~c"].deny_if
    assert [rule.id for rule in found] == ["/tools/a~1b~0c/deny_if/0", "/tools/a~1b~0c/deny_if/1"]


def test_every_rule_id_has_a_place_in_the_text():
    rules = b"      - conditions: []\n      - conditions: []\n"
    text = b'version: "1"\ndefault: deny\ntools:\n  t:\n    deny_if:\n' + rules
    found = document(text, file="p.yaml").single
    assert found is not None
    places = [found.places[rule.id] for rule in found.tools["t"].deny_if]
    assert [(place.file, place.line, place.column) for place in places] == [
        ("p.yaml", 6, 9),
        ("p.yaml", 7, 9),
    ]


def test_reason_and_on_deny_mean_the_same_on_a_rule():
    """P1.4: synonyms everywhere."""
    for name in ("reason", "on_deny"):
        rules = _tool(deny_if=[{"conditions": [], name: "no"}], limits=[_limit(**{name: "full"})])
        assert rules.deny_if == (Rule("/tools/t/deny_if/0", (), "no"),)
        assert rules.limits[0].message == "full"


def _limit(**keys: Any) -> dict[str, Any]:
    return {"counter": "c", "window": "minute", "max": 10, **keys}


def test_action_deny_comes_before_other_rules_and_action_allow_adds_nothing():
    """P1.4: the pages' `action`."""
    denied = _tool(action="deny", deny_if=[{"conditions": []}])
    assert [rule.id for rule in denied.deny_if] == ["/tools/t/action", "/tools/t/deny_if/0"]
    assert _tool(action="allow") == ToolRules()


def test_validate_asks_for_schema_required_arguments_and_no_extras():
    """P2.10, P3.8."""
    at = "/tools/t/validate"
    assert _tool(validate={"schema": "advertised"}).validation == Validation(at, schema=True)
    assert _tool(validate={"required_args": True}).validation == Validation(at, required=True)
    asked = {"schema": "advertised", "extra": "deny", "required_args": False}
    assert _tool(validate=asked).validation == Validation(at, schema=True, refuse_extra=True)


def test_rules_for_every_tool_stand_in_all_tools():
    rule = {"conditions": [{"path": "args.a", "op": "exists", "value": True}]}
    found = _load(
        all_tools={"limits": [_limit()], "require": [rule], "validate": {"extra": "deny"}}
    ).all_tools
    assert found.limits[0].id == "/all_tools/limits/0"
    assert found.require == (Rule("/all_tools/require/0", (Test(("a",), "exists", True),)),)
    assert found.validation == Validation("/all_tools/validate", refuse_extra=True)


def test_methods_resources_and_prompts_keep_their_patterns():
    """P6."""
    policy = _load(
        resources={"deny": ["file://**"]}, prompts={"default": "deny"}, methods={"allow": ["b", "a", "b"]}
    )
    assert policy.resources == MethodRules(None, (), ("file://**",))
    assert policy.prompts == MethodRules("deny")
    assert policy.methods == MethodRules(None, ("b", "a", "b"), ())  # ids count as the author does


def test_each_server_has_a_policy_of_its_own():
    """P8.3: rule ids keep the server's name, tools keep the upstream's."""
    servers = {
        "a/b": {"default": "deny", "tools": {"t": {"deny_if": [{"conditions": []}]}}},
        "c": {"default": "allow"},
    }
    found = document(json.dumps({"version": "1", "servers": servers}).encode(), file="p.json")
    assert found.single is None
    assert list(found.servers) == ["a/b", "c"]
    assert found.servers["a/b"].tools["t"].deny_if[0].id == "/servers/a~1b/tools/t/deny_if/0"
    assert found.servers["c"].default == "allow"
    assert found.servers["c"].format == 4


def test_format_1_and_4_are_told_apart_by_what_is_used():
    """P1.4."""
    eleven = [{"conditions": [{"path": "args.a", "op": "regex", "value": "x"}], "on_deny": "no"}]
    assert _load(tools={"t": {"require": eleven, "limits": [_limit(scope="grant")]}}).format == 1
    assert _load(tools={"t": {"limits": [_limit(scope="user")]}}).format == 4
    assert _load(tools={"t": {"limits": [_limit(window="30s")]}}).format == 4
    assert _load(tools={"t": {"action": "deny"}}).format == 4
    later = [{"conditions": [{"path": "args.a", "op": "glob", "value": "x"}]}]
    assert _load(tools={"t": {"require": later}}).format == 4


def test_yaml_and_json_give_the_same_policy():
    """P1.4: JSON or YAML."""
    rule = b"{conditions: [{path: args.n, op: gt, value: 1.50}]}"
    text = b"version: 1\ndefault: deny\ntools:\n  t:\n    deny_if:\n      - " + rule + b"\n"
    from_yaml = document(text, file="p.yaml").single
    condition = {"path": "args.n", "op": "gt", "value": 1.5}
    from_json = _load(tools={"t": {"deny_if": [{"conditions": [condition]}]}})
    assert from_yaml is not None
    assert from_yaml.tools == from_json.tools
    assert from_yaml.revision == from_json.revision


def test_monitor_loads_only_when_it_is_asked_for_from_outside():
    """P8.1."""
    text = b'{"version": "1", "default": "deny", "mode": "monitor"}'
    refused, diagnostics = load_text(text, file="p.json")
    assert refused is None
    assert "--unsafe-monitor" in diagnostics[0].message
    allowed, _ = load_text(text, file="p.json", unsafe_monitor=True)
    assert allowed is not None
    assert allowed.single is not None
    assert allowed.single.monitor


def test_monitor_over_servers_is_refused_too():
    """P8.1."""
    text = b'{"version": "1", "mode": "monitor", "servers": {"a": {"default": "deny"}}}'
    assert [each.code for each in _problems(text)] == ["monitor-refused"]


def test_enforce_is_what_happens_without_a_mode():
    assert not _load(mode="enforce").monitor
    assert not _load().monitor


def test_every_key_of_a_later_version_is_refused_by_name():
    """A rule that is not enforced must not load."""
    later = {"tools": {"t": {name: [] for name in ("code", "rewrite", "response")}}}
    text = json.dumps({"version": "1", "default": "deny", "flows": [], "loops": {}, **later}).encode()
    problems = _problems(text)
    assert {each.code for each in problems} == {"needs-later-version"}
    assert {each.message.split("`")[1] for each in problems} == {
        *("code", "rewrite", "response", "flows", "loops"),
    }


def test_every_problem_is_reported_and_not_only_the_first():
    text = b'{"version": "2", "defualt": "deny", "hide": ["a", "a"], "tools": {"*": {"limit": []}}}'
    codes = [each.code for each in _problems(text)]
    assert codes == [
        *("missing-key", "unknown-version", "unknown-key", "duplicate-entry", "bad-name", "unknown-key"),
    ]


# Conditions


def test_a_dotted_path_and_a_list_of_keys_lead_to_the_same_argument():
    """P3.5."""
    for path in ("args.a.b", ["a", "b"], ["args", "a", "b"]):
        assert _condition(path=path, op="eq", value="x") == Test(("a", "b"), "eq", "x")


def test_a_key_with_dots_needs_a_list():
    """P3.5."""
    assert _condition(path=["a.b"], op="eq", value="x") == Test(("a.b",), "eq", "x")
    assert _condition(path=["args", "a.b"], op="eq", value="x") == Test(("a.b",), "eq", "x")


def test_an_argument_called_args_can_be_reached():
    """P3.5."""
    assert _condition(path="args.args", op="eq", value="x") == Test(("args",), "eq", "x")
    assert _condition(path=["args", "args", "a.b"], op="eq", value="x") == Test(("args", "a.b"), "eq", "x")


def test_combinators_and_quantifiers_nest():
    """P3.7."""
    one = {"path": "args.a", "op": "eq", "value": True}
    each = {"path": "args.xs", "any_of": {"op": "in", "value": ["a", "b"]}}
    every = {"path": "args.xs", "all_of": {"op": "len_lte", "value": 3}}
    found = _condition(any=[{"all": [one, {"not": each}]}, every])
    inner = AllOf((Test(("a",), "eq", True), Not(Each(("xs",), "any_of", "in", ("a", "b")))))
    assert found == AnyOf((inner, Each(("xs",), "all_of", "len_lte", Decimal(3))))


@pytest.mark.parametrize(
    ("op", "written", "value"),
    [
        ("eq", 1.0, Decimal("1.0")),
        ("eq", False, False),
        ("neq", "x", "x"),
        ("in", [1, 2], (Decimal(1), Decimal(2))),
        ("not_in", [True], (True,)),
        ("exists", False, False),
        ("regex", "^a$", "^a$"),
        ("contains", "rm", "rm"),
        ("path_within", "/srv//data/./x/", ("/srv/data/x",)),
        ("path_within", ["/", "/a"], ("/", "/a")),
        ("glob", "src/**/*.py", "src/**/*.py"),
        ("host_in", "Example.ORG.", ("example.org",)),
        ("host_in", ["*.Example.org", "0x7f.1"], ("*.example.org", "127.0.0.1")),
        ("url_scheme_in", "HTTPS", ("https",)),
        ("cidr_in", ["10.0.0.0/8", "::1"], ("10.0.0.0/8", "::1/128")),
        ("semver", " >=1.2.0   <2.0.0||^3 ", ">=1.2.0 <2.0.0 || ^3"),
        ("len_eq", 0, Decimal(0)),
        ("json_schema", {"type": "string", "maxLength": 3}, {"type": "string", "maxLength": Decimal(3)}),
    ],
)
def test_values_are_read_exactly_and_spellings_are_normalised(op: str, written: Any, value: Any):
    """P3.4, P3.7."""
    assert _condition(path="args.a", op=op, value=written) == Test(("a",), op, value)


def test_numbers_keep_every_digit():
    """P3.4: exact decimals taken from the text."""
    assert _condition(path="args.a", op="lt", value=0.1).value == Decimal("0.1")


def test_wide_numbers_lifts_the_bounds_for_one_tool():
    """P3.4: `wide_numbers: true` on a tool."""
    rule = {"conditions": [{"path": "args.a", "op": "eq", "value": 2**53}]}
    found = _tool(wide_numbers=True, deny_if=[rule])
    assert found.wide_numbers
    assert found.deny_if[0].conditions == (Test(("a",), "eq", Decimal(2**53)),)
    text = json.dumps({"version": "1", "default": "deny", "tools": {"t": {"deny_if": [rule]}}}).encode()
    assert [each.code for each in _problems(text)] == ["wide-number"]


def test_an_inner_schema_may_refer_to_itself():
    """P3.8: only references that leave the schema are refused."""
    schema = {"$defs": {"s": {"type": "string"}}, "$ref": "#/$defs/s"}
    assert _condition(path="args.a", op="json_schema", value=schema).value == schema


# Limits


def test_a_limit_with_everything_said():
    """P4.1, P4.2."""
    written = {
        "counter": "seconds",
        "window": "12h",
        "max": 3600,
        "scope": ["args.b", "track", "user", "args.a.c"],
        "cost": "args.timeout",
        "cost_default": 0.5,
        "per": 1000,
        "refund": "on_error",
        "max_concurrent": 2,
        "lease": "90s",
        "on_deny": "enough",
    }
    found = _tool(limits=[_limit(), written]).limits[1]
    assert found == Limit(
        id="/tools/t/limits/1",
        counter="seconds",
        window=Window(43_200),
        max=3600,
        scope=("grant", "user", "track"),
        scope_paths=(("a", "c"), ("b",)),
        cost=("timeout",),
        cost_default=Decimal("0.5"),
        per=Decimal(1000),
        refund="on_error",
        max_concurrent=2,
        lease_seconds=90,
        message="enough",
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("minute", 60),
        ("hour", 3600),
        ("day", 86_400),
        ("1s", 1),
        ("30s", 30),
        ("5m", 300),
        ("366d", 31_622_400),
    ],
)
def test_windows_have_names_or_lengths(written: str, seconds: int):
    """P4.1."""
    assert _tool(limits=[_limit(window=written)]).limits[0].window == Window(seconds)


def test_calendar_windows_are_asked_for():
    """P4.1: `align: calendar` is Intercept's meaning."""
    assert _tool(limits=[_limit(align="calendar")]).limits[0].window == Window(60, calendar=True)
    assert _tool(limits=[_limit(align="sliding")]).limits[0].window == Window(60)


def test_concurrency_alone_needs_no_window():
    """P4.1."""
    found = _tool(limits=[{"counter": "c", "max_concurrent": 2}]).limits[0]
    assert (found.window, found.max, found.max_concurrent, found.lease_seconds) == (None, None, 2, 600)


def test_scope_is_grant_unless_said_otherwise():
    """P4.2."""
    assert _tool(limits=[_limit()]).limits[0].scope == ("grant",)
    assert _tool(limits=[_limit(scope="server")]).limits[0].scope == ("server",)
    assert _tool(limits=[_limit(scope=["user", "grant"])]).limits[0].scope == ("grant", "user")


def test_an_argument_scope_warns_only_when_nothing_stands_beside_it():
    """P4.2."""
    alone = {"limits": [_limit(scope="args.a")]}
    beside = {"limits": [_limit(scope="args.a"), _limit(counter="d")]}
    for keys, codes in ((alone, ["argument-scope-alone"]), (beside, [])):
        text = json.dumps({"version": "1", "default": "deny", "tools": {"t": keys}}).encode()
        assert [each.code for each in _problems(text)] == codes


def test_a_maximum_of_zero_is_a_maximum():
    assert _tool(limits=[_limit(max=0)]).limits[0].max == 0
    assert _tool(rate_limit="0/hour").limits[0].max == 0


def test_short_rate_limits_slide_for_each_grant():
    """P1.4: `N/minute` or `{max, window: seconds}`."""
    for written in ("10/minute", {"max": 10, "window": 60}):
        assert _tool(rate_limit=written, reason="slow down").limits == (
            Limit("/tools/t/rate_limit", "rate_60", Window(60), 10, message="slow down"),
        )
