"""Answers of the gate, byte for byte."""

from __future__ import annotations

import json

import pytest

from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message, Refusal

NOTE = answers.Note("deny", "no", "r1", "e1")


def test_a_denied_call_has_exactly_these_bytes() -> None:
    assert answers.denied_call(7, NOTE, modern=True) == (
        b'{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text",'
        b'"text":"[POLICY DENIED] no"}],"isError":true,"_meta":{"io.ostiary/decision":{"v":1,'
        b'"decision":"deny","message":"no","revision":"r1","evaluation_id":"e1"}}}}'
    )
    assert b"resultType" not in answers.denied_call(7, NOTE, modern=False)


def test_a_note_says_rules_retry_and_approval_only_where_given() -> None:
    note = answers.Note("deny", "x", "r", "e", rules=["/a"], retry_after_ms=5, approval={"id": "1"})
    told = json.loads(answers.denied_call("1", note, modern=False))["result"]["_meta"]["io.ostiary/decision"]
    assert (told["rules"], told["retry_after_ms"], told["approval"]) == (["/a"], 5, {"id": "1"})


@pytest.mark.parametrize("message_id", [0, -1, 2**53 - 1, "", "1", 'a"\\\u2028\x00', "\u00e9"])
def test_every_id_comes_back_as_it_was(message_id: str | int) -> None:
    for body in (
        answers.denied_call(message_id, NOTE, modern=True),
        answers.denied_method(message_id, NOTE, answers.LIMITED),
        answers.empty_list(message_id, "prompts/list", modern=True),
        answers.error(message_id, answers.STOPPED, "stopped"),
    ):
        read = read_message(body)
        assert isinstance(read, Message)
        assert (type(read.id), read.id) == (type(message_id), message_id)
        assert b"\n" not in body


def test_codes_are_ours_and_outside_the_reserved_range() -> None:
    codes = (answers.DENIED, answers.LIMITED, answers.NO_GRANT, answers.STOPPED, answers.PENDING)
    assert codes == (4403, 4429, 4401, 4423, 4202)
    error = json.loads(answers.denied_method(1, NOTE))["error"]
    assert (error["code"], error["data"]["io.ostiary/decision"]["evaluation_id"]) == (4403, "e1")


def test_a_refusal_is_answered_with_its_code_data_and_null_for_an_unknown_id() -> None:
    refused = Refusal(-32700, 400, "not JSON", "(syntax)")
    assert answers.refusal(refused) == (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON"}}'
    )
    told = Refusal(-32022, 400, "no", "(version)", 1, {"supported": ["x"], "requested": "y"})
    assert json.loads(answers.refusal(told))["error"]["data"] == {"supported": ["x"], "requested": "y"}


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
        ("tools/list", "tools"),
    ],
)
def test_empty_lists_fit_their_era(method: str, key: str) -> None:
    old = json.loads(answers.empty_list(1, method, modern=False))["result"]
    new = json.loads(answers.empty_list(1, method, modern=True))["result"]
    assert old == {key: []}
    assert new == {"resultType": "complete", key: [], "ttlMs": 30_000, "cacheScope": "private"}
