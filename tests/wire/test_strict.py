"""Strict JSON: one reading, or none."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostiary.wire import strict
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from ostiary.wire.strict import Refused, fold, parse_json
from tests.wire.shapes import VALUES


def rule_of(data: bytes, **limits: int) -> str:
    """The rule that refuses `data`, or an empty string."""
    try:
        parse_json(data, **limits)
    except Refused as error:
        return error.refusal.rule
    return ""


def exact(value: object) -> object:
    """`value` with each float as the decimal that it is written as."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return value


def types(value: object) -> object:
    """The shape of `value` with bool and int told apart."""
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    if isinstance(value, list):
        return [types(item) for item in value]
    return "number" if isinstance(value, float | Decimal) else type(value).__name__


@given(VALUES, st.booleans(), st.sampled_from([None, 1]), st.sampled_from([(",", ":"), (", ", ": ")]))
@example({"a": -0.0, "b": 1e16, "c": 5e-324, "d": 2**70}, False, None, (",", ":"))
def test_what_is_accepted_reads_as_the_standard_library_reads_it_exactly(
    value: object, ensure_ascii: bool, indent: int | None, separators: tuple[str, str]
) -> None:
    """P3.4: numbers are exact decimals taken from the text, in every spelling of a document."""
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators)
    try:
        read = parse_json(text.encode())
    except Refused as error:
        assert error.refusal.rule in {"(key twin)", "(duplicate key)"}  # noqa: PT017
        return
    expected = json.loads(text, parse_float=Decimal)
    assert exact(read) == exact(expected)
    assert types(read) == types(expected)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    """No input ends in another exception."""
    rule_of(data)


@given(st.text(alphabet='{}[]",:\\u0dD8aEe+-.1 \n', max_size=40))
def test_any_json_like_text_is_read_or_refused_as_the_standard_library_would(text: str) -> None:
    """Nothing is accepted that a strict reading of RFC 8259 refuses."""
    if not rule_of(text.encode()):
        json.loads(text)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4))
def test_a_key_and_another_spelling_of_it_never_stand_together(key: str) -> None:
    """Keys of one object that fold to one are refused, however the text is spelled."""
    for other in {key.upper(), key.lower(), key.casefold(), key + "\0"} - {key}:
        if fold(other) != fold(key):
            continue
        for ascii_only in (True, False):
            text = json.dumps({"x": {key: 1, other: 2}}, ensure_ascii=ascii_only, separators=(",", ":"))
            assert rule_of(text.encode()) == "(key twin)"


@pytest.mark.parametrize(("left", "right"), [("\u017f", "s"), ("\u212a", "k"), ("\uff21", "a"), ("A\0", "a")])
def test_spellings_that_lenient_parsers_join_fold_together(left: str, right: str) -> None:
    """U+017F and U+212A are what a parser without case takes for s and k."""
    assert fold(left) == fold(right)


def test_repeated_clean_keys_stay_clean_and_unclean_ones_refused() -> None:
    """The memo of clean key tuples changes no verdict, in either order and when it overflows."""
    clean, twins = b'{"one":1,"two":2}', b'{"one":1,"One":2}'
    for _ in range(2):
        assert rule_of(clean) == ""
        assert rule_of(twins) == "(key twin)"
    for number in range(5000):
        parse_json(b'{"k%d":1}' % number)
    assert rule_of(twins) == "(key twin)"
    assert len(strict._clean) <= strict._MEMO_ENTRIES


def test_a_float_is_kept_only_where_its_text_is_its_own_spelling() -> None:
    """P3.4: what is compared is what the text says."""
    assert str(parse_json(b"[0.1]")) == "[0.1]"
    assert parse_json(b"[0.1000000000000000055511151231257827]") == [
        Decimal("0.1000000000000000055511151231257827")
    ]
    assert parse_json(b"[1e400]") == [Decimal("1e400")]
    assert parse_json(b"[1e9999999]") == [Decimal("1e9999999")]


def test_depth_limit_holds_for_both_parsers_and_counts_no_brackets_in_strings() -> None:
    """64 levels are read, 65 are not, canonical or not."""
    for space in (b"", b" "):
        assert rule_of(b"[" * 64 + space + b"]" * 64) == ""
        assert rule_of(b"[" * 65 + space + b"]" * 65) == "(depth)"
        assert rule_of(space + b'["' + b"[" * 500 + b'"]') == ""


def test_limits_are_the_callers() -> None:
    """Size and depth can be set."""
    assert rule_of(b"[[]]", max_depth=1) == "(depth)"
    assert rule_of(b"[[]]", max_bytes=3) == "(size)"
    assert rule_of(b"[[]]", max_bytes=4, max_depth=2) == ""


def test_a_refused_request_keeps_the_id_that_could_be_read() -> None:
    """A client is told which request was refused, unless its id is itself unclear."""
    for text, expected in (
        ('{"jsonrpc":"2.0","id":"7","method":"tools/call","params":[]}', "7"),
        ('{"jsonrpc":"2.0","id":7,"method":""}', 7),
        ('{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}', None),
        ('{"jsonrpc":"2.0","id":7.0,"method":"ping"}', None),
        ('{"jsonrpc":"2.0","id":7,"result":[]}', None),
    ):
        refusal = read_message(text.encode())
        assert not isinstance(refusal, Message | tuple)
        assert refusal.id == expected


def test_an_upstream_error_may_lack_its_id_where_that_is_allowed() -> None:
    """A server that could not read a request answers with a null id, or none."""
    for text in (
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}',
        '{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}',
    ):
        assert isinstance(read_message(text.encode(), null_id=True), Message)
        assert not isinstance(read_message(text.encode()), Message)
    assert not isinstance(read_message(b'{"jsonrpc":"2.0","id":null,"result":{}}', null_id=True), Message)


def test_members_of_a_batch_keep_their_own_bytes() -> None:
    """Each member is decided and forwarded as the bytes that it had in the batch."""
    one = '{"jsonrpc":"2.0", "id":1,"method":"ping"}'
    two = '{"jsonrpc":"2.0","method":"notifications/x","params":{"a":"],["}}'
    read = read_message(f"[ {one} ,\n{two}]".encode(), batches=True)
    assert isinstance(read, tuple)
    assert [member.raw for member in read] == [one.encode(), two.encode()]


@pytest.mark.parametrize("key", ["ResourceSubscriptions", "taskids", "toolslistchanged"])
def test_another_spelling_of_what_is_listened_to_is_refused(key: str) -> None:
    """Some server would read it, and the decision would not have."""
    params = b'{"notifications":{"%s":["x"]}}' % key.encode()

    found = read_message(b'{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":%s}' % params)

    assert not isinstance(found, Message | tuple)
    assert found.rule == "(protocol key)"
