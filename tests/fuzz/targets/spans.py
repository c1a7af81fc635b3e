"""Edits in place: the edited text reads as the edited value, and no other byte moves."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from decimal import Decimal

from ostiary.wire.arrays import taken_apart
from ostiary.wire.envelope import read_message
from ostiary.wire.ids import CANCELLED_ID, ID, OFFERED_TOKEN, with_ids
from ostiary.wire.lists import ListPage, filter_tools, make_private, read_page
from ostiary.wire.loose import read_answer
from ostiary.wire.message import Message
from ostiary.wire.spans import (
    Span,
    elements,
    find,
    members,
    replaced,
    splice,
    whole,
    with_member,
    without,
    without_members,
)
from ostiary.wire.strict import Refused, parse_json
from tests.fuzz import plain_json
from tests.fuzz.cuts import chance
from tests.fuzz.seeds import corpus

WORDS = (
    b'"tools":[',
    b'{"name":"a"}',
    b'"ttlMs":600000',
    b'"cacheScope":"public"',
    b'"nextCursor":"n"',
    b'"_meta":{',
    b'"result":{',
    b'"requestId":1',
    b'"progressToken":"t"',
    b" , ",
    b"\r\n",
    b'"\\u0061"',
    b"[[],{}]",
)


def check(data: bytes) -> None:
    """One accepted value with edits chosen by its own bytes, and one message with the gate's edits."""
    _check_loose(data)
    try:
        parse_json(data)
    except Refused:
        return
    value = plain_json.read(data)
    span = whole(data)
    assert plain_json.same(plain_json.read(span.of(data)), value), "another whole"
    choice = chance(data)
    _walk(data, span, value, choice)
    for null_id in (False, True):
        message = read_message(data, null_id=null_id)
        if isinstance(message, Message):
            _check_ids(message)
            if message.kind == "response":
                _check_lists(message, choice)


def _walk(raw: bytes, span: Span, value: object, choice: random.Random) -> None:
    """Every value is found at its own bytes; one container on the way is edited."""
    if isinstance(value, dict):
        found = members(raw, span)
        assert [member.key for member in found] == list(value), "other keys"
        for member in found:
            assert json.loads(member.name.of(raw)) == member.key, "another key"
            assert plain_json.same(plain_json.read(member.value.of(raw)), value[member.key]), "another value"
            assert find(raw, [member.key], span) == member.value, "another place"
            _walk(raw, member.value, value[member.key], choice)
        _edit_object(raw, span, value, choice)
    elif isinstance(value, list):
        spans = elements(raw, span)
        assert len(spans) == len(value), "another number of elements"
        for index, (each, item) in enumerate(zip(spans, value, strict=True)):
            assert plain_json.same(plain_json.read(each.of(raw)), item), "another element"
            assert find(raw, [index], span) == each, "another place"
            _walk(raw, each, item, choice)
        keep = [choice.random() < 0.5 for _ in spans]
        out = _within(raw, span, splice(raw, without(spans, keep)))
        assert plain_json.same(out, [item for item, kept in zip(value, keep, strict=True) if kept]), (
            "a wrong cut"
        )
    else:
        assert members(raw, span) == []
        assert elements(raw, span) == []


def _edit_object(raw: bytes, span: Span, value: dict[str, object], choice: random.Random) -> None:
    gone = {key for key in value if choice.random() < 0.5}
    out = _within(raw, span, splice(raw, without_members(raw, span, gone)))
    assert plain_json.same(out, {key: item for key, item in value.items() if key not in gone}), "a wrong cut"
    key = choice.choice([*value, "new\n\u00e9"])
    out = _within(raw, span, splice(raw, [with_member(raw, span, key, b"[7]")]))
    assert plain_json.same(out, {**value, key: [7]}), "a wrong member"
    same = [replaced(member.value, member.value.of(raw)) for member in members(raw, span)]
    assert splice(raw, same) == raw, "other bytes"


def _within(raw: bytes, span: Span, out: bytes) -> object:
    """The value that stands where `span` stood; what is around it has not moved."""
    after = len(raw) - span.end
    assert out[: span.start] == raw[: span.start], "bytes before an edit"
    assert out[len(out) - after :] == raw[span.end :], "bytes after an edit"
    return plain_json.read(out[span.start : len(out) - after])


def _check_ids(message: Message) -> None:
    out = with_ids(message.raw, [(ID, 41), (OFFERED_TOKEN, "\u00e9"), (CANCELLED_ID, 9)])
    value = plain_json.read(message.raw)
    assert isinstance(value, dict)
    for path, new in ((ID, 41), (OFFERED_TOKEN, "\u00e9"), (CANCELLED_ID, 9)):
        inner = value
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and path[-1] in inner:
            inner[path[-1]] = new
    assert plain_json.same(plain_json.read(out), value), "another message under another id"


def _check_lists(message: Message, choice: random.Random) -> None:
    value = plain_json.read(message.raw)
    assert isinstance(value, dict)
    result = value.get("result")
    page = read_page(message) if "result" in value else None
    hidden = choice.choice("abc")
    for modern in (False, True):
        out = plain_json.read(filter_tools(message, lambda name: name != hidden, modern=modern))
        assert isinstance(out, dict)
        if page is None:
            assert plain_json.same(out, value), "an error changed"
        elif isinstance(page, str):
            # A cursor is of no concern to a filter, and hides nothing.
            assert "nextCursor" in page or list(out) == ["jsonrpc", "id", "error"], (
                "an unreliable list passed"
            )
        else:
            assert isinstance(result, dict)
            _check_page(page, result, out["result"], hidden, modern=modern)
            private = plain_json.read(make_private(message, modern=modern))
            assert isinstance(private, dict)
            _check_page(page, result, private["result"], None, modern=modern)


def _check_page(
    page: ListPage, result: dict[str, object], out: object, hidden: str | None, *, modern: bool
) -> None:
    tools = result["tools"]
    assert isinstance(tools, list)
    assert isinstance(out, dict)
    assert [name for name, _, _ in page.tools] == [tool["name"] for tool in tools], "other names"
    for (_, raw, _), tool in zip(page.tools, tools, strict=True):
        assert plain_json.same(plain_json.read(raw), tool), "another definition"
    expected = {**result, "tools": [tool for tool in tools if tool["name"] != hidden]}
    if modern or "cacheScope" in result:
        expected["cacheScope"] = "private"
    if modern or "ttlMs" in result:
        expected["ttlMs"] = _capped(result.get("ttlMs", 0))
    assert sorted(out) == sorted(expected), "other members"
    assert all(plain_json.same(out[key], expected[key]) for key in out), "another list"


def _capped(ttl: object) -> object:
    if isinstance(ttl, bool) or not isinstance(ttl, int | Decimal) or ttl < 0:
        return 0
    return min(ttl, 30_000)


def _check_loose(data: bytes) -> None:
    """A lax look at an answer finds the id and the members that every reader finds."""
    parts = taken_apart(data)
    if parts != [data]:
        with contextlib.suppress(ValueError):  # what is in the members is looked at later, one by one
            values = json.loads(data.decode())
            assert [json.loads(part) for part in parts] == values, "another array"
        assert 1 <= len(parts) <= 32, "an array without bound"
    answer = read_answer(data)
    if answer is None:
        return
    assert answer.raw == data
    value = json.loads(data)
    assert (type(value["id"]), value["id"]) == (type(answer.id), answer.id), "another id"
    assert set(value) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"}), "another member"
    strict = read_message(data)
    if isinstance(strict, Message):
        assert (strict.kind, strict.id) == ("response", answer.id), "another answer"


def seeds() -> Iterator[bytes]:
    """Listings, cancellations and whatever the corpus has."""
    yield (
        b'{"jsonrpc":"2.0", "id":"\\u0061", "result":{"x":[1.50, "\\u00e9"],\n "tools":[ '
        b'{"name":"a","inputSchema":{"n":1.0}} , {"n\\u0061me":"b","title":"]"},{"name":"c" }],'
        b'"nextCursor":"n","ttlMs":600000,"cacheScope":"public"}}'
    )
    yield b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}'
    yield b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}'
    yield b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":1}}}'
    yield b' [ 1 , [ ] , { "a" : { } } ] '
    yield from corpus(longest=300)
