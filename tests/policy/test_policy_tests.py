"""Tests of a policy: how their file is read, what they compare, what they exercise."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.policy.definition import Catalogue
from ostiary.policy.diagnostic import PolicyError
from ostiary.policy.load import document as load
from ostiary.policy.model import Document
from ostiary.policy.source import MAX_BYTES
from ostiary.policy.testing.document import TestFile, read_tests
from ostiary.policy.testing.matrix import MAX_CASES
from ostiary.policy.testing.report import report_json, report_lines
from ostiary.policy.testing.run import Result, run_tests
from tests.policy.world import definition

POLICY = b"""\
version: "1"
default: deny
hide: [secret]
tools:
  read:
    require:
      - conditions: [{path: args.path, op: path_within, value: /srv}]
    deny_if:
      - conditions: [{path: args.n, op: gt, value: 9}]
    approve_if:
      - conditions: [{path: args.n, op: gt, value: 3}]
        reason: much at a time
    limits:
      - {counter: calls, window: minute, max: 3}
      - {counter: much, window: day, max: 9, cost: args.n, cost_default: 1}
    validate: {required_args: true}
"""
TEST = {"name": "n", "tool": "read", "args": {"path": "/srv/x"}, "expect": "allow"}
CATALOGUE = Catalogue({"read": definition("read", {"required": ["path"]})})


def _policy(raw: bytes = POLICY) -> Document:
    return load(raw, file="p.yaml")


def _read(*tests: dict[str, Any], **more: Any) -> TestFile:
    return read_tests(json.dumps({"tests": list(tests), **more}).encode(), file="p.tests.json")


def _run(
    *tests: dict[str, Any], catalogue: Catalogue | None = None, policy: Document | None = None
) -> Result:
    return run_tests(_read(*tests), policy or _policy(), catalogue)


def _codes(raw: bytes, file: str = "p.tests.yaml") -> list[str]:
    with pytest.raises(PolicyError) as refused:
        read_tests(raw, file=file)
    return [each.code for each in refused.value.diagnostics]


# Reading


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty-document"),
        ("tests: []", "out-of-range"),
        ("tools: x.json", "missing-key"),
        ("- a", "empty-document"),
        ("tests: [{name: n, tool: t, expect: alow}]", "bad-choice"),
        ("tests: [{name: n, tool: t, expected: deny, expect: deny}]", "unknown-key"),
        ("tests: [{name: n, tool: t}]", "missing-key"),
        ("tests: [{name: n, tool: t, expect: deny, args: [1]}]", "wrong-type"),
        ("tests: [{name: n, tool: t, expect: deny, principal: {user: x, grant: g}}]", "unknown-key"),
        ("tests: [{name: n, tool: t, expect: deny}]\ntests: []", "duplicate-key"),
        ("tests: [{name: n, tool: &a t, expect: deny}]", "yaml-anchor"),
        ("tests: [{name: n, tool: t, expect: deny, args: {a: !x 1}}]", "yaml-tag"),
        ("tests: [{name: n, tool: t, expect: deny, args: {a: .nan}}]", "not-a-number"),
        ("tests: [{name: n, tool: t, expect: deny, matrix: {a: []}}]", "wrong-type"),
        ("tests: [{name: n, tool: t, expect: deny, matrix: {a: 1}}]", "wrong-type"),
        ("tests: [{name: '${b}', tool: t, expect: deny, matrix: {a b: [1]}}]", "bad-name"),
        ("tests: [{name: n, tool: t, expect: deny, matrix: {a: [1]}}]", "idle-key"),
        (
            "tests: [{name: '${a}', tool: t, expect: deny, args: {x: ['${aa}']}, matrix: {a: [1]}}]",
            "unknown-variable",
        ),
    ],
)
def test_a_tests_file_is_read_as_strictly_as_a_policy(text: str, code: str) -> None:
    """P1.7: what would be skipped silently is an error."""
    assert code in _codes(text.encode())


def test_problems_are_named_with_their_place_and_the_near_match() -> None:
    with pytest.raises(PolicyError) as refused:
        read_tests(b"tests:\n  - {name: n, tool: t, expct: deny}\n", file="p.tests.yaml")

    assert [each.render() for each in refused.value.diagnostics] == [
        "p.tests.yaml:2:5: error: the key `expect` is missing: what the decision must be [missing-key]",
        "p.tests.yaml:2:24: error: unknown key `expct` [unknown-key]\n  hint: did you mean `expect`",
    ]


def test_a_mistyped_variable_is_answered_with_the_near_match() -> None:
    with pytest.raises(PolicyError, match="`foldr` is not a variable") as refused:
        _read({**TEST, "args": {"path": "${folder}", "n": "${foldr}"}, "matrix": {"folder": [1]}})

    assert refused.value.hint == "did you mean `folder`"


def test_arguments_are_the_numbers_that_the_wire_would_give() -> None:
    """P3.4: a float only where its text is its own repr."""
    raw = b'{"tests": [{"name": "n", "tool": "t", "expect": "deny", "args": {"a": [1, 1.5, 1.50, 1e400]}}]}'
    with pytest.raises(PolicyError):
        read_tests(raw, file="t.json")

    [case] = read_tests(raw.replace(b", 1e400", b""), file="t.json").cases
    [other] = read_tests(
        b"tests: [{name: n, tool: t, expect: deny, args: {a: [0x10, +2, null, yes]}}]", file="t"
    ).cases

    numbers = cast("list[object]", case.arguments["a"])
    assert [(type(each), each) for each in numbers] == [(int, 1), (float, 1.5), (Decimal, Decimal("1.50"))]
    assert other.arguments["a"] == [16, 2, None, "yes"]


# Matrices


def test_a_matrix_is_every_combination_and_a_bare_variable_keeps_its_type() -> None:
    found = _read(
        {
            "name": "${who} reads ${n}",
            "tool": "${tool}",
            "args": {"n": "${n}", "text": "<${n}|${flag}>", "deep": [{"k": "${who}"}]},
            "expect": "deny",
            "matrix": {"who": ["ann", None], "n": [1, 2.5], "flag": [True], "tool": ["t"]},
        }
    )

    assert [case.name for case in found.cases] == [
        "ann reads 1",
        "ann reads 2.5",
        "null reads 1",
        "null reads 2.5",
    ]
    assert found.cases[0].arguments == {"n": 1, "text": "<1|true>", "deep": [{"k": "ann"}]}
    assert found.cases[3].arguments == {"n": 2.5, "text": "<2.5|true>", "deep": [{"k": None}]}
    assert {case.tool for case in found.cases} == {"t"}


def test_calls_of_one_name_are_numbered() -> None:
    found = _read({**TEST, "args": {"path": "/srv/${x}"}, "matrix": {"x": ["a", "b"]}})

    assert [case.name for case in found.cases] == ["n [1]", "n [2]"]


def test_without_a_matrix_a_dollar_means_itself_and_with_one_two_do() -> None:
    plain = _read({**TEST, "args": {"code": "echo ${HOME} $${X}"}})
    escaped = _read({**TEST, "args": {"code": "echo $${HOME} ${x} $5"}, "matrix": {"x": ["y"]}})

    assert plain.cases[0].arguments == {"code": "echo ${HOME} $${X}"}
    assert escaped.cases[0].arguments == {"code": "echo ${HOME} y $5"}


def _matrix(**values: list[Any]) -> dict[str, Any]:
    return {**TEST, "args": {name: f"${{{name}}}" for name in values}, "matrix": values}


def test_a_huge_matrix_is_refused_before_it_is_built() -> None:
    many = {f"v{at}": list(range(100)) for at in range(60)}
    within = _matrix(a=list(range(100)), b=list(range(100)))

    assert len(_read(within).cases) == MAX_CASES
    for tests in ([_matrix(**many)], [within, _matrix(a=[1])], [within, TEST]):
        assert "matrix-too-large" in _codes(json.dumps({"tests": tests}).encode(), "t.json")


@pytest.mark.parametrize("bare", [True, False])
def test_texts_that_multiply_are_refused_before_they_are_built(bare: bool) -> None:
    """Four gigabytes, if anybody built them."""
    text = "x" * 100_000
    args = {"a": "${t}", "b": "${n}"} if bare else {"a": "${t}" * 40_000, "b": "${n}"}
    test = {**TEST, "args": args, "matrix": {"t": [text], "n": list(range(1_000))}}

    assert _codes(json.dumps({"tests": [test]}).encode(), "t.json") == ["matrix-too-large"]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"tests": ' + b"[" * 5_000, "too-deep"),
        (b"tests: " + b"[" * 500, "too-deep"),
        (b" " * (MAX_BYTES + 1), "too-large"),
        (b"\xff\xfe", "byte-order-mark"),
        (b"tests: \xff", "not-utf8"),
    ],
)
def test_hostile_bytes_are_refused_by_the_bounds_of_a_policy(raw: bytes, code: str) -> None:
    """P1.7."""
    assert _codes(raw, "t.json" if raw.startswith(b"{") else "t.yaml") == [code]


_WORDS = st.sampled_from(
    [
        "tests",
        "tools",
        "name",
        "tool",
        "args",
        "expect",
        "matrix",
        "a",
        "${a}",
        "$${",
        "allow",
        "rule",
        "grant",
        "principal",
    ]
)
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=15,
)


@given(
    st.lists(st.dictionaries(_WORDS, _TREES, max_size=4).map(lambda more: {**TEST, **more}), max_size=2)
    | _TREES
)
def test_arbitrary_trees_are_read_or_refused_and_never_raise(tree: Any):
    raw = json.dumps({"tests": tree}).encode()
    try:
        found = read_tests(raw, file="t.json")
    except PolicyError:
        return
    run_tests(found, _policy(), None)


# Deciding


def test_a_failing_test_says_what_was_expected_what_came_by_which_rule_and_why() -> None:
    wanted = {**TEST, "name": "outside", "args": {"path": "/etc"}, "because": "secrets live there"}

    result = _run({**TEST}, wanted)

    assert report_lines(result, coverage=False)[:6] == [
        "p.tests.json:1:90: failed: `outside`",
        "  expected allow",
        "  came deny by `/tools/read/require/0` (p.yaml:7:9)",
        "  why: `/tools/read/require/0` does not hold (false)",
        "  because: `secrets live there`",
        "1 of 2 tests failed",
    ]


@pytest.mark.parametrize(
    ("more", "passes"),
    [
        ({"expect": "allow"}, True),
        ({"expect": "deny"}, False),
        ({"expect": "hold"}, False),
        ({"args": {}, "expect": "deny", "rule": "/tools/read/require/0"}, True),
        ({"args": {}, "expect": "deny", "rule": "/tools/read/deny_if/0"}, False),
        ({"args": {"n": 99}, "expect": "deny", "rule": "/tools/read/deny_if/0"}, True),
        ({"args": {"path": "/srv", "n": 4}, "expect": "hold", "rule": "/tools/read/approve_if/0"}, True),
        ({"args": {"path": "/srv", "n": 4}, "expect": "allow"}, False),
        ({"args": {"path": "/srv", "n": -1}, "expect": "deny", "rule": "/tools/read/limits/1"}, True),
        ({"tool": "secret", "expect": "deny", "rule": "(hidden)"}, True),
        ({"tool": "other", "expect": "deny", "rule": "(default deny)"}, True),
        ({"tool": "other", "expect": "deny", "rule": "(hidden)"}, False),
    ],
)  # fmt: skip
def test_a_test_passes_when_the_decision_and_the_rule_are_as_expected(
    more: dict[str, Any], passes: bool
) -> None:
    """P2.6, P2.7, P2.11, P2.14, P2.17."""
    assert (_run({**TEST, **more}).failures == ()) is passes


def test_a_rule_that_does_not_exist_is_answered_with_the_near_match() -> None:
    [failure] = _run({**TEST, "args": {}, "expect": "deny", "rule": "/tools/read/requires/0"}).failures

    assert failure.hint == "there is no rule `/tools/read/requires/0`: did you mean `/tools/read/require/0`"


def test_with_a_tool_list_schemas_are_asked_and_without_one_the_report_says_so() -> None:
    """P2.8, P2.10, P7.5."""
    refused = {**TEST, "args": {"n": 1}, "expect": "deny", "rule": "/tools/read/validate"}

    assert _run(refused, catalogue=CATALOGUE).failures == ()
    assert _run(refused).failures != ()
    assert _run(TEST).unchecked == ("P2.8", "P2.10")
    assert _run(TEST, catalogue=CATALOGUE).unchecked == ()
    assert "P2.10" in "\n".join(report_lines(_run(TEST), coverage=False))


SERVERS = b"""\
{"version": "1", "servers": {
  "a": {"default": "allow"},
  "b": {"default": "deny", "tools": {"x": {"action": "deny"}}}
}}
"""


def test_each_server_is_tested_by_its_own_policy() -> None:
    """P8.3."""
    policy = load(SERVERS, file="p.json")
    tests = [
        {"name": "n", "server": "a", "tool": "x", "expect": "allow"},
        {"name": "n", "server": "b", "tool": "x", "expect": "deny", "rule": "/servers/b/tools/x/action"},
    ]

    assert _run(*tests, policy=policy).failures == ()
    for server, hint in (("bb", "did you mean `b`"), (None, "it knows `a`, `b`")):
        test = {key: value for key, value in {**tests[0], "server": server}.items() if value}
        with pytest.raises(PolicyError) as refused:
            _run(test, policy=policy)
        assert (refused.value.diagnostics[0].code, refused.value.hint) == ("unknown-server", hint)


def test_the_grant_is_that_of_the_test() -> None:
    """P4.5: it names the counter."""
    policy = _policy()
    found = _read({**TEST, "principal": {"grant": "ci"}})

    assert found.cases[0].grant == "ci"
    assert run_tests(found, policy, None).failures == ()


# Coverage


def _missing(result: Result) -> dict[str, tuple[str, ...]]:
    return {gap.rule.removeprefix("/tools/read/"): gap.missing for gap in result.gaps}


def test_a_rule_is_covered_once_tests_saw_it_both_ways() -> None:
    one = _run(TEST)
    every = _run(
        TEST,
        {**TEST, "args": {"path": "/etc", "n": 99}, "expect": "deny"},
        {**TEST, "args": {"path": "/srv", "n": 4}, "expect": "hold"},
        {**TEST, "args": {"path": "/srv", "n": -1}, "expect": "deny"},
        {**TEST, "args": {"n": 1}, "expect": "deny"},
        catalogue=CATALOGUE,
    )

    assert _missing(one) == {
        "require/0": ("does not hold",),
        "deny_if/0": ("holds",),
        "approve_if/0": ("holds",),
        "limits/1": ("cannot count",),
        "validate": ("fits", "does not fit"),
    }
    assert _missing(every) == {}
    assert (one.rules, every.rules) == (6, 6)


def test_a_rule_that_could_not_be_judged_was_not_exercised() -> None:
    """P3.1: an error denies, and says nothing about what the rule is for."""
    result = _run({**TEST, "args": {"path": "/srv", "n": "many"}, "expect": "deny"})

    assert _missing(result)["deny_if/0"] == ("holds", "does not hold")


def test_a_call_that_is_refused_before_the_rules_exercises_none() -> None:
    """P2.6, P3.5."""
    for args, tool in (({"PATH": "/srv"}, "read"), ({}, "secret")):
        result = _run({**TEST, "tool": tool, "args": args, "expect": "deny"})
        assert len(result.gaps) == 6


def test_coverage_is_listed_with_the_place_of_each_rule() -> None:
    short = report_lines(_run(TEST), coverage=False)
    lines = report_lines(_run(TEST), coverage=True)

    assert "1 of 6 rules were exercised both ways" in short
    assert "p.yaml:7:9: `/tools/read/require/0`: no test in which it does not hold" in lines
    assert "p.yaml:16:5: `/tools/read/validate`: no test in which it fits or does not fit" in lines


def test_a_rule_without_conditions_has_one_way() -> None:
    """P3.2: it always holds."""
    policy = load(b'{"version": "1", "default": "deny", "tools": {"x": {"action": "deny"}}}', file="p.json")

    assert _run({"name": "n", "tool": "x", "expect": "deny"}, policy=policy).gaps == ()


def test_the_report_as_data_has_places_and_rules() -> None:
    found = report_json(_run({**TEST, "args": {}}))

    assert (found["v"], found["ok"], found["tests"]) == (1, False, 1)
    assert found["failures"] == [
        {
            "name": "n", "file": "p.tests.json", "line": 1, "column": 12,
            "expected": {"decision": "allow", "rule": None},
            "came": {
                "decision": "deny",
                "rules": [{"id": "/tools/read/require/0", "file": "p.yaml", "line": 7, "column": 9}],
                "reasons": ["`/tools/read/require/0` does not hold (absent)"],
            },
            "because": None, "hint": None,
        }
    ]  # fmt: skip
