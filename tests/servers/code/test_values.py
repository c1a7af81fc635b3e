"""What code gets of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.servers.code.values import value_of

IMAGE = {"type": "image", "data": "AAAA", "mimeType": "image/png"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ({"content": [text('{"a": 1}')]}, {"a": 1}),
        ({"content": [text("plain words")]}, "plain words"),
        ({"content": [text('{"a": ')]}, '{"a": '),
        ({"content": [text("12")]}, 12),
        ({"content": [text("a"), text("[1]")]}, ["a", [1]]),
        ({"content": [IMAGE]}, IMAGE),
        ({"content": []}, None),
        ({}, None),
        ({"content": [text("x")], "structuredContent": {"a": [1]}}, {"a": [1]}),
        ({"content": [text("x")], "structuredContent": {"result": [1]}}, [1]),
        ({"content": [text("\ud800")]}, "\ud800"),
    ],
)
def test_an_answer_is_its_data_else_its_text_as_json_else_its_text(result: Any, value: Any) -> None:
    assert value_of(result) == value


def test_an_error_of_a_tool_is_raised_with_its_words() -> None:
    with pytest.raises(ToolFault, match="no such table") as told:
        value_of({"content": [text("no such table")], "isError": True})

    assert told.value.code == 0


def test_a_denial_is_raised_with_its_code() -> None:
    meta = {"io.ostiary/decision": {"v": 1, "decision": "deny"}}

    with pytest.raises(ToolFault) as told:
        value_of({"content": [text("[POLICY DENIED] no")], "isError": True, "_meta": meta})

    assert told.value.code == 4403


def test_a_call_that_waits_for_a_person_is_told_apart() -> None:
    meta = {"io.ostiary/decision": {"v": 1, "decision": "hold", "approval": {"id": "ap_1"}}}

    with pytest.raises(ToolHeld) as told:
        value_of({"content": [text("ask")], "isError": True, "_meta": meta})

    assert (told.value.code, told.value.ticket) == (4202, "ap_1")
