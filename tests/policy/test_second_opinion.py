"""Generated policies and calls, judged twice: by the package and by the naive evaluator."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.policy.explain import explain
from tests.needs import size
from tests.policy import naive
from tests.policy.world import decide_case

NUMBERS = (
    "0",
    "-0.0",
    "1",
    "1.0",
    "1e0",
    "2",
    "5",
    "-3",
    "0.1",
    "0.10",
    "99.99",
    "1e19",
    "1e300",
    "1e309",
    "5e-324",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993.0",
    "0.12345678901234567890",
    "1e9999999",
)
TEXTS = (
    "",
    "a",
    "A",
    "main",
    " main",
    "admin",
    "5",
    "true",
    "/app",
    "/app/src/x",
    "/app/../etc/passwd",
    "//app//x",
    "app/x",
    "/app/%2e%2e/x",
    "https://example.org/x",
    "HTTPS://Example.ORG.",
    "https://me@example.org/",
    "http://2130706433/",
    "http://0x7f.1/",
    "127.0.0.1",
    "::1",
    "[::ffff:127.0.0.1]:80",
    "a.example.org",
    "example.org\\x",
    "1.2.3",
    "1.2.3-rc.1",
    "v1.2.3",
    "2.0.0-alpha",
    "re\u0301",
    "ｍain",
    "x\u0000",
)
NAMES: tuple[str, ...] = ("a", "b", "opts", "A", "a\u200b", "ａ", "list", "x.y")

numbers = st.sampled_from(NUMBERS)
safe_numbers = st.sampled_from(("0", "1", "2.5", "100", "-3", "0.1"))
scalar_texts = st.one_of(
    st.sampled_from(TEXTS).map(json.dumps), numbers, st.sampled_from(("true", "false", "null"))
)


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON objects as text; keys that fold alike may not meet, as on the wire."""
    pairs = st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    return pairs.filter(_wire_accepts).map(
        lambda found: "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in found.items()) + "}"
    )


def _wire_accepts(found: dict[str, str]) -> bool:
    return len({naive.fold(key) for key in found}) == len(found)


values = st.recursive(
    scalar_texts,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"), objects(inner)
    ),
    max_leaves=5,
)
arguments = objects(values) | st.builds(
    '{{"a":{},"list":[{}],"opts":{{"a":{}}},"x.y":{}}}'.format, values, *[scalar_texts] * 3
)
paths = st.sampled_from(("args.a", "args.b", "args.opts.a", "args.list", "args.opts.a.b")) | st.just(
    ["args", "x.y"]
)


def comparison(op: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An operator and a value that fits it."""
    return st.fixed_dictionaries({"op": st.just(op), "value": value})


number_values = safe_numbers.map(json.loads)
text_values = st.sampled_from([text for text in TEXTS if text.isprintable()])
scalars = st.one_of(text_values, number_values, st.booleans())
lists = st.one_of(
    st.lists(text_values, min_size=1, max_size=3),
    st.lists(number_values, min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=2),
)
comparisons = st.one_of(
    *(comparison(op, scalars) for op in ("eq", "neq", "contains")),
    *(comparison(op, lists) for op in ("in", "not_in")),
    *(comparison(op, number_values) for op in ("lt", "lte", "gt", "gte")),
    *(comparison(op, st.integers(0, 4)) for op in ("len_eq", "len_lte", "len_gte")),
    comparison("exists", st.booleans()),
    comparison("regex", st.sampled_from(("a", "^main$", "[0-9]+", "(?i)EXAMPLE"))),
    comparison("glob", st.sampled_from(("*", "**", "/app/*", "/app/**", "ma?n", "[a-m]*", "[!a]*"))),
    comparison("path_within", st.sampled_from(("/app", ["/etc", "/app/src"], "/"))),
    comparison("host_in", st.sampled_from((["example.org"], ["*.example.org", "127.0.0.1"], "::1"))),
    comparison("url_scheme_in", st.sampled_from((["https"], ["http", "HTTPS"]))),
    comparison("cidr_in", st.sampled_from((["127.0.0.0/8"], "::/0"))),
    comparison(
        "semver", st.sampled_from(("^1.2.0", "~1.2.3", ">=1.0.0 <2.0.0", "=1.2.3 || >1.9.0", "^0.0.1"))
    ),
    comparison(
        "json_schema",
        st.sampled_from(
            ({"type": "string"}, {"required": ["a"]}, {"maximum": 5}, {"items": {"type": "integer"}})
        ),
    ),
)
leaves = st.one_of(
    st.builds(lambda path, test: {"path": path, **test}, paths, comparisons),
    st.builds(
        lambda path, word, test: {"path": path, word: test},
        paths,
        st.sampled_from(("any_of", "all_of")),
        comparisons,
    ),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda part: {"not": part}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
    ),
    max_leaves=4,
)
limits = st.one_of(
    st.just({"counter": "c", "window": "minute", "max": 5}),
    st.just({"counter": "c", "window": "minute", "max": 5, "scope": "args.b"}),
    st.just({"counter": "c", "window": "day", "max": 5, "cost": "args.a"}),
    st.just({"counter": "c", "window": "day", "max": 5, "cost": "args.opts.a", "cost_default": 2}),
)
schemas = st.sampled_from(
    (
        None,
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {
            "properties": {"a": {"type": "integer", "default": 3}, "opts": {"properties": {"A": {}}}},
            "required": ["a"],
        },
        {"properties": {"list": {"type": "array", "items": {"properties": {"b": {}}}}}},
        {"$ref": "http://127.0.0.1:1/x"},
    )
)


def predicates(least: int) -> st.SearchStrategy[dict[str, Any]]:
    """One predicate with at least `least` conditions."""
    return st.fixed_dictionaries({"conditions": st.lists(conditions, min_size=least, max_size=3)})


def asking_rules() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rules under `approve_if`, half of them with a reason."""
    said = st.sampled_from(({}, {"reason": "look"}, {"on_deny": "why"}))
    return st.lists(st.builds(lambda found, words: {**found, **words}, predicates(0), said), max_size=2)


terms = st.fixed_dictionaries(
    {},
    optional={
        "timeout": st.sampled_from(("10s", "90s", "30m", "2h", "7d")),
        "hold": st.sampled_from(("0s", "45s", "4m")),
        "approvers": st.lists(st.sampled_from(("user:a", "user:b")), min_size=1, max_size=2, unique=True),
        "message": st.sampled_from(("first", "second")),
        "convenience": st.booleans(),
    },
)
rules = st.fixed_dictionaries(
    {},
    optional={
        "approve_if": asking_rules(),
        "approval": terms,
        "action": st.sampled_from(("allow", "deny", "require_approval", "require_approval")),
        "require": st.lists(predicates(1), max_size=2),
        "deny_if": st.lists(predicates(0), max_size=2),
        "limits": st.lists(limits, max_size=1),
        "validate": st.sampled_from(
            ({"schema": "advertised"}, {"required_args": True}, {"schema": "advertised", "extra": "deny"})
        ),
        "wide_numbers": st.just(False),
    },
)
tool_names = st.sampled_from(("x", "x", "x", "y", "X", "x ", "ｘ", "*"))


def without_idle_terms(policy: dict[str, Any]) -> dict[str, Any]:
    """The policy without the terms that no rule asks on, which do not load."""
    unserved = not policy.get("all_tools", {}).get("approve_if")
    for tool in policy["tools"].values():
        if not tool.get("approve_if") and tool.get("action") != "require_approval":
            tool.pop("approval", None)
        elif "approval" not in tool:
            unserved = False
    if unserved:
        policy.get("all_tools", {}).pop("approval", None)
    return policy


policies = st.fixed_dictionaries(
    {
        "version": st.just("1"),
        "default": st.sampled_from(("allow", "deny")),
        "tools": st.dictionaries(st.sampled_from(("x", "y")), rules, min_size=1),
    },
    optional={
        "hide": st.lists(st.sampled_from(("z", "w")), unique=True, min_size=1),
        "all_tools": st.fixed_dictionaries({}, optional={"approve_if": asking_rules(), "approval": terms}),
    },
).map(without_idle_terms)
calls = st.fixed_dictionaries(
    {
        "policy": policies,
        "tool": tool_names,
        "arguments": arguments,
        "tools": st.none()
        | st.lists(
            st.builds(
                lambda name, schema: {"name": name, "inputSchema": schema},
                tool_names.filter("*".__ne__),
                schemas,
            ),
            unique_by=lambda item: item["name"],
            max_size=3,
        ),
        "locked": st.booleans(),
        "stopped": st.just(False),
        "drifted": st.sampled_from(([], [], ["y"])),
    }
)


@settings(max_examples=size(small=200, full=20_000))
@given(calls)
def test_both_evaluators_decide_alike(case: dict[str, Any]) -> None:
    """P2, P3, P4.2, P4.3, P5.4, P7: same effect, same rule ids in the same order, same hold."""
    decision = decide_case(case)
    assert (decision.effect, list(decision.rules)) == naive.decide(case), decision.reasons
    if decision.effect == "hold":
        assert explain(decision)["hold"] == naive.hold(case)
    else:
        assert decision.hold is None


plain = st.sampled_from(([], [], [{"path": "args.a", "op": "eq", "value": 1}]))
plain_rules = st.lists(
    st.builds(
        lambda found, words: {"conditions": found, **words},
        plain,
        st.sampled_from(({}, {"reason": "look"}, {"on_deny": "why"})),
    ),
    max_size=2,
)
people = st.sampled_from((["user:a"], ["user:b"], ["user:a", "user:b"], ["user:b", "user:a"]))
named = st.builds(lambda found, names: {**found, "approvers": names}, terms, people)
askers = st.one_of(
    st.fixed_dictionaries({"approve_if": plain_rules, "approval": named}),
    st.fixed_dictionaries({"approve_if": plain_rules}, optional={"approval": terms}),
)
asking_policies = st.builds(
    lambda own, every, action: {
        "version": "1",
        "default": "allow",
        "all_tools": every,
        "tools": {"x": {**own, "action": action}},
    },
    askers,
    askers,
    st.sampled_from(("allow", "require_approval")),
).map(without_idle_terms)


@settings(max_examples=size(small=300, full=20_000))
@given(asking_policies, st.sampled_from(("x", "y")), st.sampled_from(('{"a":1}', '{"a":2}', "{}")))
def test_both_evaluators_merge_holds_alike(policy: dict[str, Any], tool: str, text: str) -> None:
    """P5.2, P5.4: rules that ask nearly always, of a tool and of all tools, on every mixture of terms."""
    case = {"policy": policy, "tool": tool, "arguments": text}
    decision = decide_case(case)
    assert (decision.effect, list(decision.rules)) == naive.decide(case)
    if decision.effect == "hold":
        assert explain(decision)["hold"] == naive.hold(case)


@settings(max_examples=size(small=200, full=20_000))
@given(conditions, arguments)
def test_both_evaluators_give_a_condition_the_same_outcome(condition: dict[str, Any], text: str) -> None:
    """P3: told apart through a require, a deny_if, an approve_if and a require of the negation."""
    outcome = naive.evaluate(naive.parse(json.dumps(condition)), naive.parse(text))
    each = [{word: [{"conditions": [condition]}]} for word in ("require", "deny_if", "approve_if")]
    found = []
    for part in [*each, {"require": [{"conditions": [{"not": condition}]}]}]:
        policy = {"version": "1", "default": "deny", "tools": {"x": part}}
        decision = decide_case({"policy": policy, "tool": "x", "arguments": text})
        if decision.rules == ("(argument twin)",):
            return
        found.append(decision.effect)
    expected = {
        "true": ["allow", "deny", "hold", "deny"],
        "false": ["deny", "allow", "allow", "allow"],
        "absent": ["deny", "allow", "allow", "deny"],
        "error": ["deny", "deny", "deny", "deny"],
    }
    assert found == expected[outcome]
