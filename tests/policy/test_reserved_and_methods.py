"""Clauses of what is reserved (P2.9, P2.12) and of methods other than `tools/call` (P6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.policy.load import load_text
from ostiary.policy.methods import decide_method
from tests.policy.world import compiled_from

CLOSED: dict[str, Any] = {"version": "1", "default": "deny", "tools": {"x": {}}}
OPEN: dict[str, Any] = {"version": "1", "default": "allow", "tools": {"x": {}}}
READS = [
    ("resources/read", {"uri": "file:///a"}),
    ("resources/subscribe", {"uri": "file:///a"}),
    ("prompts/get", {"name": "p"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}),
    ("unheard/of", {}),
]
ASKED_BY_THE_SERVER = ["sampling/createMessage", "elicitation/create", "roots/list"]


def asked(
    policy: dict[str, Any], method: str, params: dict[str, Any], *, from_server: bool = False
) -> tuple[str, tuple[str, ...]]:
    decision = decide_method(compiled_from(policy), method, params, from_server=from_server)
    return decision.effect, decision.rules


@pytest.mark.parametrize(
    ("where", "key", "value"),
    [
        ("tool", "rewrite", [{"path": "args.timeout", "clamp_max": 1}]),  # P2.9
        ("tool", "code", [{"arg": "code", "language": "python"}]),  # P2.12
        ("top", "flows", [{"after": {"label": "a"}, "then_deny": {"label": "b"}}]),  # P2.12
        ("top", "loops", {"identical_calls": 5, "window": "1m"}),  # P2.12
    ],
)
def test_a_step_that_is_reserved_cannot_be_asked_for_yet(where: str, key: str, value: object) -> None:
    """P2.9, P2.12: what would be skipped in silence does not load."""
    tool = {key: value} if where == "tool" else {}
    top = {key: value} if where == "top" else {}
    text = json.dumps({"version": "1", "default": "deny", "tools": {"x": tool}, **top})

    document, diagnostics = load_text(text.encode(), file="x.json")

    assert document is None
    assert [(item.code, item.severity) for item in diagnostics] == [("needs-later-version", "error")]
    assert f"`{key}`" in diagnostics[0].message


@pytest.mark.parametrize(("method", "params"), READS)
def test_reading_and_unknown_methods_are_denied_under_default_deny(
    method: str, params: dict[str, Any]
) -> None:
    """P6.3: what was not allowed is not forwarded."""
    assert asked(CLOSED, method, params) == ("deny", ("(default deny)",))


@pytest.mark.parametrize("method", ASKED_BY_THE_SERVER)
def test_questions_of_the_server_are_denied_under_default_deny(method: str) -> None:
    """P6.3: a server may not have the client's model, person or folders unless it was allowed to."""
    assert asked(CLOSED, method, {}, from_server=True) == ("deny", ("(default deny)",))


@pytest.mark.parametrize(("method", "params"), READS)
def test_every_method_of_the_client_passes_under_default_allow(method: str, params: dict[str, Any]) -> None:
    """P6.4: an open policy hides nothing."""
    assert asked(OPEN, method, params) == ("allow", ())


@pytest.mark.parametrize("method", ASKED_BY_THE_SERVER)
def test_every_question_of_the_server_passes_under_default_allow(method: str) -> None:
    """P6.4: in the other direction too."""
    assert asked(OPEN, method, {}, from_server=True) == ("allow", ())


def test_deny_beats_allow_beats_the_default_in_each_of_the_three() -> None:
    """P6.5: one shape for resources, prompts and methods."""
    rules = {"default": "deny", "allow": ["file:///srv/**"], "deny": ["file:///srv/secret/**"]}
    prompts = {"default": "deny", "allow": ["review-*"], "deny": ["review-secret"]}
    methods = {"allow": ["custom/*"], "deny": ["custom/secret"]}
    policy = {**OPEN, "resources": rules, "prompts": prompts}

    read = {uri: asked(policy, "resources/read", {"uri": uri})[0] for uri in URIS}
    got = {name: asked(policy, "prompts/get", {"name": name})[0] for name in NAMES}
    called = {name: asked({**CLOSED, "methods": methods}, name, {})[0] for name in METHODS}

    assert list(read.values()) == ["allow", "deny", "deny"]
    assert list(got.values()) == ["allow", "deny", "deny"]
    assert list(called.values()) == ["allow", "deny", "deny"]


URIS = ["file:///srv/a", "file:///srv/secret/a", "file:///etc/a"]
NAMES = ["review-code", "review-secret", "other"]
METHODS = ["custom/one", "custom/secret", "other/one"]
