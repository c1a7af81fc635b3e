"""Listings are filtered by cutting."""

from __future__ import annotations

import json

import pytest

from ostiary.wire.envelope import read_message
from ostiary.wire.lists import ListPage, filter_list, filter_tools, make_private, read_page
from ostiary.wire.message import Message

TOOLS = (
    '{"jsonrpc":"2.0", "id":"\\u0061", "result":{"x-own":[1.50, "\\u00e9"],\n "tools":[ '
    '{"name":"a","inputSchema":{"type":"object","n":1.0}} , {"n\\u0061me":"b","title":"]"},{"name":"c" }],'
    '"nextCursor":"n","_meta":{"k":"v"}%s}}'
)


def everything(_name: str) -> bool:
    return True


def nothing(_name: str) -> bool:
    return False


def read(text: str) -> Message:
    message = read_message(text.encode())
    assert isinstance(message, Message)
    return message


def test_a_filtered_list_keeps_every_other_byte() -> None:
    """A filter that rebuilds the result drops `_meta` and unknown members; this one cuts."""
    text = TOOLS % ""
    out = filter_tools(read(text), lambda name: name != "b", modern=False).decode()
    assert out == text.replace(' , {"n\\u0061me":"b","title":"]"}', "")
    assert filter_tools(read(text), everything, modern=False).decode() == text
    none = json.loads(filter_tools(read(text), nothing, modern=False))
    assert none["result"]["tools"] == []
    assert none["result"]["_meta"] == {"k": "v"}


def test_the_list_is_filtered_however_its_request_id_is_spelled() -> None:
    """A request id spelled with an escape must not dodge the filter."""
    for spelled in ('"a"', '"\\u0061"'):
        text = (TOOLS % "").replace('"\\u0061"', spelled, 1)
        message = read(text)
        assert message.id == "a"
        assert b'"title"' not in filter_tools(message, lambda name: name == "a", modern=False)


@pytest.mark.parametrize(
    ("fields", "modern", "scope", "ttl"),
    [
        (',"cacheScope":"public","ttlMs":600000', True, "private", 30_000),
        (',"cacheScope":"public","ttlMs":600000', False, "private", 30_000),
        (',"cacheScope":"private","ttlMs":5000', True, "private", 5000),
        (',"ttlMs":1e9999999', True, "private", 30_000),
        (',"ttlMs":-1', True, "private", 0),
        (',"ttlMs":"600000"', True, "private", 0),
        (',"ttlMs":true', True, "private", 0),
        (',"ttlMs":30000.5', False, None, 30_000),
        ("", True, "private", 0),
        ("", False, None, None),
    ],
)
def test_a_filtered_list_is_private_and_short_lived(
    fields: str, modern: bool, scope: str | None, ttl: int | None
) -> None:
    """A list that varies with the credential is cacheable only by its client, at most 30 s."""
    for make in (
        lambda message: filter_tools(message, lambda name: name != "a", modern=modern),
        lambda message: make_private(message, modern=modern),
    ):
        result = json.loads(make(read(TOOLS % fields)))["result"]
        assert (result.get("cacheScope"), result.get("ttlMs")) == (scope, ttl)


@pytest.mark.parametrize(
    "result",
    [
        '{"tools":{}}',
        "{}",
        '{"tools":[1]}',
        '{"tools":[{"title":"x"}]}',
        '{"tools":[{"name":1}]}',
        '{"tools":[{"name":""}]}',
        '{"tools":[{"Name":"hidden"}]}',
        '{"Tools":[{"name":"hidden"}]}',
        '{"tool\\u017f":[{"name":"hidden"}]}',
        '{"tools":[],"nextcursor":"x"}',
    ],
)
def test_a_list_that_cannot_be_relied_on_is_replaced_by_an_error(result: str) -> None:
    """Nothing of an answer that could be read in two ways reaches the client."""
    message = read(f'{{"jsonrpc":"2.0","id":3,"result":{result}}}')
    assert isinstance(read_page(message), str)
    answer = json.loads(filter_tools(message, everything, modern=True))
    assert (answer["id"], answer["error"]["code"]) == (3, -32603)
    assert "hidden" not in json.dumps(answer)


def test_an_error_answer_passes_unchanged() -> None:
    text = '{"jsonrpc":"2.0","id":1, "error":{"code":-32601,"message":"no"}}'
    assert filter_tools(read(text), nothing, modern=True) == text.encode()


def test_definitions_come_with_their_exact_bytes_and_the_next_cursor() -> None:
    page = read_page(read(TOOLS % ""))
    assert isinstance(page, ListPage)
    assert [name for name, _, _ in page.tools] == ["a", "b", "c"]
    assert page.tools[0][1] == b'{"name":"a","inputSchema":{"type":"object","n":1.0}}'
    assert page.tools[2][1:] == (b'{"name":"c" }', {"name": "c"})
    assert page.next_cursor == "n"


def test_other_listings_are_filtered_alike() -> None:
    text = '{"jsonrpc":"2.0","id":1,"result":{"prompts":[{"name":"p"},{"name":"q"}],"ttlMs":1}}'
    out = filter_list(read(text), lambda name: name == "q", key="prompts", modern=False)
    assert out == text.replace('{"name":"p"},', "").encode()
