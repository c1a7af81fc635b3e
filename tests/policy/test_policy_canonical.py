"""The revision names what a policy means (P2.17)."""

from __future__ import annotations

import json
from typing import Any

from ostiary.policy.canonical import canonical
from ostiary.policy.load import document
from ostiary.policy.model import Policy


def _load(text: str | dict[str, Any], file: str = "p") -> Policy:
    raw = text if isinstance(text, str) else json.dumps(text)
    found = document(raw.encode(), file=file).single
    assert found is not None
    return found


def _of(**keys: Any) -> Policy:
    return _load({"version": "1", "default": "deny", "tools": {"t": keys}})


LIMIT = {"counter": "c", "window": "minute", "max": 1}


def test_formatting_and_the_order_of_keys_do_not_matter():
    text = 'default: deny\nversion: "1"\ntools: {b: {}, a: {}}\nhide: [y, x]'
    same = {"version": "1", "hide": ["x", "y"], "tools": {"a": {}, "b": {}}, "default": "deny"}
    assert _load(text).revision == _load(same).revision


def test_three_formats_that_mean_the_same_have_one_revision():
    """P1.1-P1.4."""
    short = _load("tools: {t: {rules: [{action: deny, reason: no}]}}")
    intercept = _load(
        'version: "1"\ndefault: deny\ntools: {t: {rules: [{name: n, action: deny, on_deny: no}]}}'
    )
    own = _of(deny_if=[{"conditions": [], "on_deny": "no"}])
    keyed = _of(action="deny", reason="no")
    assert short.revision == intercept.revision == own.revision == keyed.revision


def test_spellings_of_one_value_have_one_revision():
    """P3.4: numbers are compared by value."""
    pairs = [
        (_of(limits=[{**LIMIT, "window": "60s"}]), _of(limits=[LIMIT])),
        (
            _of(limits=[{**LIMIT, "scope": ["user", "grant"]}]),
            _of(limits=[{**LIMIT, "scope": ["grant", "user"]}]),
        ),
        (_of(limits=[{**LIMIT, "align": "sliding"}]), _of(limits=[LIMIT])),
        (
            _load(
                '{"version":"1","default":"deny","tools":{"t":{"deny_if":[{"conditions":[{"path":"args.a","op":"eq","value":100}]}]}}}'
            ),
            _load(
                '{"version":"1","default":"deny","tools":{"t":{"deny_if":[{"conditions":[{"path":["a"],"op":"eq","value":1.00e2}]}]}}}'
            ),
        ),
    ]
    for left, right in pairs:
        assert left.revision == right.revision


def test_every_difference_in_meaning_changes_the_revision():
    rule = {"conditions": [{"path": "args.a", "op": "eq", "value": 1}]}
    text = {"conditions": [{"path": "args.a", "op": "eq", "value": "1"}]}
    dotted = {"conditions": [{"path": ["a.b"], "op": "eq", "value": 1}]}
    nested = {"conditions": [{"path": "args.a.b", "op": "eq", "value": 1}]}
    each = {"conditions": [{"path": "args.a", "any_of": {"op": "eq", "value": 1}}]}
    every = {"conditions": [{"path": "args.a", "all_of": {"op": "eq", "value": 1}}]}
    variants = [
        _of(),
        _load({"version": "1", "default": "allow", "tools": {"t": {}}}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "hide": ["x"]}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "hide": ["*"]}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "methods": {"default": "deny"}}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "methods": {"default": "allow"}}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "resources": {"default": "allow"}}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "prompts": {"deny": ["x"]}}),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "all_tools": {"limits": [LIMIT]}}),
        *(_of(deny_if=[found]) for found in (rule, text, dotted, nested, each, every)),
        _of(require=[rule]),
        _of(deny_if=[{**rule, "on_deny": "no"}]),
        _of(deny_if=[rule, text]),
        _of(deny_if=[text, rule]),
        _of(deny_if=[{"conditions": [{"not": rule["conditions"][0]}]}]),
        _of(deny_if=[{"conditions": [{"any": rule["conditions"]}]}]),
        _of(deny_if=[{"conditions": [{"all": rule["conditions"]}]}]),
        _of(wide_numbers=True),
        _of(approve_if=[rule]),
        _of(approve_if=[text]),
        _of(approve_if=[rule, text]),
        _of(approve_if=[{**rule, "reason": "look"}]),
        _of(action="require_approval"),
        *(_of(action="require_approval", approval=found) for found in _TERMS),
        _load({"version": "1", "default": "deny", "tools": {"t": {}}, "all_tools": {"approve_if": [rule]}}),
        *(
            _of(validate=found)
            for found in ({"schema": "advertised"}, {"extra": "deny"}, {"required_args": True})
        ),
        *(_of(limits=[{**LIMIT, **extra}]) for extra in _LIMIT_EXTRAS),
    ]
    assert len({policy.revision for policy in variants}) == len(variants)


_TERMS: list[dict[str, Any]] = [
    {"timeout": "1h"},
    {"hold": "45s"},
    {"hold": "0s"},
    {"approvers": ["user:a"]},
    {"approvers": ["user:a", "user:b"]},
    {"message": "look"},
    {"convenience": True},
]

_LIMIT_EXTRAS: list[dict[str, Any]] = [
    {},
    {"counter": "d"},
    {"window": "hour"},
    {"max": 2},
    {"scope": "user"},
    {"scope": "args.a"},
    {"align": "calendar"},
    {"cost": "args.n"},
    {"cost": "args.n", "cost_default": 1},
    {"cost": "args.n", "per": 2},
    {"refund": "on_error"},
    {"max_concurrent": 1},
    {"max_concurrent": 1, "lease": "1m"},
    {"on_deny": "no"},
]


def test_spellings_of_the_same_terms_have_one_revision():
    """P5.2: defaults, orders and places of terms do not matter, only what a rule asks on."""
    terms = {"approvers": ["user:a", "user:b"], "timeout": "60m"}
    shared = _load(
        {
            "version": "1",
            "default": "deny",
            "all_tools": {"approval": terms},
            "tools": {"t": {"action": "require_approval"}},
        }
    )
    for same in (
        {"approvers": ["user:b", "user:a"], "timeout": "1h"},
        {**terms, "convenience": False},
    ):
        assert _of(action="require_approval", approval=same).revision == shared.revision
    plain = _of(action="require_approval").revision
    assert _of(action="require_approval", approval={"timeout": "30m"}).revision == plain
    assert _of(approve_if=[{"conditions": []}]).revision == plain
    assert _load("tools: {t: {rules: [{action: require_approval}]}}").revision == plain
    intercept = 'version: "1"\ndefault: deny\ntools: {t: {rules: [{name: n, action: require_approval}]}}'
    assert _load(intercept).revision == plain
    assert _of(approve_if=[]).revision == _of().revision


def test_comparing_by_text_is_another_meaning():
    """P3.3: the same words in Intercept's format compare numeric text."""
    condition = '{path: args.a, op: eq, value: "1"}'
    intercept = (
        f'version: "1"\ndefault: deny\ntools: {{t: {{rules: [{{name: n, conditions: [{condition}]}}]}}}}'
    )
    own = _of(require=[{"conditions": [{"path": "args.a", "op": "eq", "value": "1"}]}])
    assert _load(intercept).revision != own.revision


def test_monitor_has_a_revision_of_its_own():
    """P8.1: a record's revision tells whether it was enforced."""
    text = b'{"version": "1", "default": "deny", "mode": "monitor"}'
    watched = document(text, file="p", unsafe_monitor=True).single
    assert watched is not None
    assert watched.revision != _load({"version": "1", "default": "deny"}).revision


def test_the_canonical_text_is_sorted_json_without_floats():
    text = canonical(_of(limits=[{**LIMIT, "cost": "args.n", "cost_default": 0.1}]))
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).encode() == text
    assert b'{"number":"1e-1"}' in text


def test_the_revision_does_not_change_by_accident():
    """A stored revision must still be found after an upgrade; change this only with a migration."""
    found = _load({"version": "1", "default": "deny", "tools": {"t": {"limits": [LIMIT]}}}).revision
    assert found == "sha256:9dbe07b63054216576d0e1ed7dd5608b144ff0fe812eb33b6d2a7e641522774b"
