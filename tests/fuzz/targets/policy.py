"""Policy text: loads whole or not at all, means one thing, and nothing but diagnostics comes out.

The text is tried under each of the names that tell its syntax.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.load import load_text
from ostiary.policy.model import Document
from tests.fuzz import plain_json
from tests.fuzz.seeds import policies

NAMES = ("p.json", "p.yaml", "p")
CALL = Question("x", {"a": 1, "path": "/tmp/a", "url": "http://a/b", "n": 2.5, "s": "text"})

WORDS = (
    b"version: ",
    b"default: deny",
    b"tools:",
    b"rules:",
    b"limits:",
    b"  - ",
    b'"tools": {',
    b'"version": 1',
    b"path_within",
    b"regex",
    b"max: ",
    b"per: ",
    b"1e400",
    b"0x1F",
    b"0o7",
    b".nan",
    b"~",
    b"&a ",
    b"*a",
    b"!!str ",
    b"<<: ",
    b"%YAML 1.2\n---\n",
    b"? ",
    b"|\n",
    b">-\n",
    b"'",
    b"mode: monitor",
    b"in: [1, 2]",
    b"$or",
)


def check(data: bytes) -> None:
    """One text."""
    found = {name: _load(data, name) for name in NAMES}
    as_json, as_yaml, unnamed = (found[name] for name in NAMES)
    if as_json is not None:
        _check_json(data)
        if as_yaml is not None:
            assert _meaning(as_json) == _meaning(as_yaml), "one text with two meanings"
    if unnamed is not None:
        assert _meaning(unnamed) in [_meaning(one) for one in (as_json, as_yaml) if one is not None]


def _check_json(data: bytes) -> None:
    """A document that loads as JSON is JSON. Keys that differ by case are names here, not twins."""
    try:
        plain_json.read(data)
    except plain_json.Unfit as unfit:
        fault = str(unfit)
    else:
        return
    assert "key" in fault, f"loaded: {fault}"
    pairs: list[list[str]] = []
    json.loads(data, object_pairs_hook=lambda found: pairs.append([key for key, _ in found]))
    assert all(len(set(keys)) == len(keys) for keys in pairs), "loaded: a key that stands twice"


def _meaning(document: Document) -> object:
    single = None if document.single is None else document.single.revision
    return single, {name: policy.revision for name, policy in document.servers.items()}


def _load(data: bytes, name: str) -> Document | None:
    document, diagnostics = load_text(data, file=name, unsafe_monitor=True)
    lines = data.count(b"\n") + data.count(b"\r") + 1
    for each in diagnostics:
        assert 1 <= each.line <= lines, "a diagnostic outside of the text"
        assert each.column >= 1, "a diagnostic outside of the text"
        assert "\n" not in each.render().rstrip("\n") or each.hint, "a diagnostic of two lines"
    failed = any(each.severity == "error" for each in diagnostics)
    assert (document is None) == failed or (document is None and not data.strip()), (
        "neither loaded nor refused"
    )
    if document is None:
        return None
    again, _ = load_text(data, file=name, unsafe_monitor=True)
    assert again is not None
    assert _meaning(again) == _meaning(document), "another meaning the second time"
    policies_found = [*document.servers.values(), *([] if document.single is None else [document.single])]
    for policy in policies_found:
        compiled = compile_policy(policy)
        for tool in ("x", *policy.tools):
            question = Question(tool, CALL.arguments)
            assert decide(compiled, question) == decide(compiled, question), "two decisions"
    return document


def seeds() -> Iterator[bytes]:
    """Policies of the tests and the examples."""
    yield from policies(longest=3_000)
