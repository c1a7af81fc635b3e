"""Edits in place: what is not edited stays byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.envelope import read_message
from ostiary.wire.ids import CANCELLED_ID, ID, OFFERED_TOKEN, id_at, id_key, with_ids
from ostiary.wire.message import Message
from ostiary.wire.spans import (
    Edit,
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
from tests.wire.shapes import KEYS, OBJECTS, VALUES

SPELLINGS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")])


def spell(value: object, separators: tuple[str, str], ascii_only: bool) -> bytes:
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    return f" {text}\n".encode()


@given(OBJECTS, SPELLINGS, st.booleans())
def test_each_member_is_found_at_its_own_bytes(
    value: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    raw = spell(value, separators, ascii_only)
    found = members(raw, whole(raw))
    assert [member.key for member in found] == list(value)
    assert [json.loads(member.name.of(raw)) for member in found] == list(value)
    assert [json.loads(member.value.of(raw)) for member in found] == list(value.values())
    for key, item in value.items():
        span = find(raw, (key,))
        assert span is not None
        assert json.loads(span.of(raw)) == item


@given(st.lists(VALUES, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6), SPELLINGS)
def test_removed_elements_take_one_comma_each_and_no_other_byte(
    value: list[object], choice: list[bool], separators: tuple[str, str]
) -> None:
    raw = spell(value, separators, True)
    spans = elements(raw, whole(raw))
    keep = choice[: len(value)]
    out = splice(raw, without(spans, keep))
    assert json.loads(out) == [item for item, kept in zip(value, keep, strict=True) if kept]
    for span, kept in zip(spans, keep, strict=True):
        assert not kept or span.of(raw) in out
    if all(keep):
        assert out == raw


@given(OBJECTS, KEYS, VALUES, SPELLINGS)
def test_a_member_is_replaced_or_added_and_the_others_stay(
    value: dict[str, object], key: str, new: object, separators: tuple[str, str]
) -> None:
    raw = spell(value, separators, False)
    out = splice(raw, [with_member(raw, whole(raw), key, json.dumps(new).encode())])
    assert json.loads(out) == {**value, key: new}
    rest = splice(out, without_members(out, whole(out), [key]))
    assert json.loads(rest) == {name: item for name, item in value.items() if name != key}


@given(OBJECTS, SPELLINGS, st.booleans())
def test_replacing_a_value_by_itself_changes_nothing(
    value: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    raw = spell(value, separators, ascii_only)
    edits = [replaced(member.value, member.value.of(raw)) for member in members(raw, whole(raw))]
    assert splice(raw, edits) == raw


def test_keys_are_compared_as_they_decode_and_not_as_they_are_spelled() -> None:
    raw = b'{"p\\u0061rams":{"n\\u0061me":"a","x":"\\"name\\":"}}'
    span = find(raw, ("params", "name"))
    assert span is not None
    assert span.of(raw) == b'"a"'
    assert find(raw, ("params", "nam")) is None
    assert find(b'{"a":[1,[2]]}', ("a", 1, 0)) is not None
    assert find(b'{"a":[1]}', ("a", 1)) is None
    assert find(b'{"a":[1]}', ("a", "b")) is None


@pytest.mark.parametrize("edits", [[Edit(1, 3, b""), Edit(2, 4, b"")], [Edit(3, 2, b"")], [Edit(0, 9, b"")]])
def test_edits_that_overlap_or_leave_the_message_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        splice(b"12345", edits)


def test_a_deep_or_long_message_is_edited_in_one_pass_without_recursion() -> None:
    raw = b'{"a":[' + b",".join(b'{"n":%d}' % number for number in range(20_000)) + b"]}"
    span = find(raw, ("a",))
    assert span is not None
    spans = elements(raw, span)
    out = splice(raw, without(spans, [number == 7 for number in range(20_000)]))
    assert out == b'{"a":[{"n":7}]}'


def read(text: str) -> Message:
    message = read_message(text.encode())
    assert isinstance(message, Message)
    return message


def test_ids_and_tokens_are_replaced_in_place_on_a_shared_pipe() -> None:
    meta = '"_meta":{"progressToken":1, "k":[1.50]}'
    text = f'{{ "id" : "\\u0061", "jsonrpc":"2.0","method":"tools/call","params":{{"name":"x",{meta}}}}}'
    message = read(text)
    assert (id_at(message, ID), id_at(message, OFFERED_TOKEN)) == ("a", 1)
    out = with_ids(message.raw, [(ID, 41), (OFFERED_TOKEN, "t"), (CANCELLED_ID, 9)])
    assert out.decode() == text.replace('"\\u0061"', "41").replace('"progressToken":1', '"progressToken":"t"')


def test_a_cancelled_request_is_named_by_type_and_value() -> None:
    number = read('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')
    text = read('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1"}}')
    one, other = id_at(number, CANCELLED_ID), id_at(text, CANCELLED_ID)
    assert one is not None
    assert other is not None
    assert id_key(one) != id_key(other)
    assert with_ids(text.raw, [(CANCELLED_ID, 5)]).endswith(b'{"requestId":5}}')
