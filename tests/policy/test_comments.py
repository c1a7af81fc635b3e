"""`$comment`: for people, without any meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.policy.load import load_text
from ostiary.policy.model import Policy
from ostiary.policy.understanding import understood


def _document() -> dict[str, Any]:
    rule = {"conditions": [{"path": "args.a", "op": "eq", "value": 1}]}
    limit = {"counter": "c", "window": "minute", "max": 1}
    return {
        "version": "1",
        "default": "deny",
        "all_tools": {"limits": [dict(limit)]},
        "tools": {"x": {"require": [rule], "limits": [dict(limit)]}},
    }


def _places(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    tool = document["tools"]["x"]
    return {
        "document": document,
        "all_tools": document["all_tools"],
        "tool": tool,
        "rule": tool["require"][0],
        "limit": tool["limits"][0],
    }


def _load(document: object) -> Policy:
    found, diagnostics = load_text(json.dumps(document).encode(), file="p.json")
    assert found is not None, diagnostics
    assert diagnostics == []
    assert found.single is not None
    return found.single


@pytest.mark.parametrize("comment", ["why it is so", ["one line", "and another"]])
@pytest.mark.parametrize("place", ["document", "all_tools", "tool", "rule", "limit"])
def test_a_comment_may_stand_wherever_there_is_something_to_explain_and_changes_nothing(
    place: str, comment: object
) -> None:
    """P1.4: the revision is that of the meaning, and a comment has none."""
    plain = _load(_document())
    commented = _document()
    _places(commented)[place]["$comment"] = comment

    found = _load(commented)

    assert found.revision == plain.revision
    assert (found.tools, found.all_tools) == (plain.tools, plain.all_tools)


def test_a_comment_may_stand_in_a_server() -> None:
    """P8.3."""
    document = {"version": "1", "servers": {"s": {"$comment": "theirs", "default": "deny"}}}

    found, diagnostics = load_text(json.dumps(document).encode(), file="p.json")

    assert diagnostics == []
    assert found is not None
    assert "theirs" not in understood(found)


@pytest.mark.parametrize(
    ("comment", "code"),
    [(1, "wrong-type"), ({"a": "b"}, "wrong-type"), ([1], "wrong-type"), ([], "out-of-range")],
)
def test_a_comment_is_a_text_or_a_list_of_texts(comment: object, code: str) -> None:
    found, diagnostics = load_text(json.dumps({**_document(), "$comment": comment}).encode(), file="p.json")

    assert found is None
    assert [each.code for each in diagnostics] == [code]


def test_a_condition_and_the_other_formats_have_no_comment() -> None:
    """P1.7: an unknown key is an error, wherever it stands."""
    document = _document()
    document["tools"]["x"]["require"][0]["conditions"][0]["$comment"] = "no"
    _, in_condition = load_text(json.dumps(document).encode(), file="p.json")
    short = b'$comment: "no"\ntools: {x: {rules: [{name: n, action: deny}]}}'
    _, in_short = load_text(short.replace(b"name: n, ", b""), file="p.yaml")
    _, in_intercept = load_text(b'version: "1"\ndefault: deny\n' + short, file="p.yaml")

    for found in (in_condition, in_short, in_intercept):
        assert [each.code for each in found] == ["unknown-key"]


def test_a_document_of_nothing_but_a_comment_is_empty() -> None:
    """P1.6."""
    found, diagnostics = load_text(b'{"version": "1", "$comment": "later"}', file="p.json")

    assert found is None
    assert [each.code for each in diagnostics] == ["empty-document"]
