"""Pipes: LF ends a line, nothing else does, and no line that leaves holds a CR or LF."""

from __future__ import annotations

import json
import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.lines import LineSplitter, TooLong, to_line
from ostiary.wire.strict import Refused, parse_json
from tests.wire.shapes import VALUES


def read(stream: bytes, cuts: list[int], limit: int = 1000) -> list[bytes | TooLong]:
    splitter = LineSplitter(limit)
    found: list[bytes | TooLong] = []
    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        found += splitter.feed(stream[at:cut])
        at = cut
    return found + splitter.finish()


def test_only_lf_ends_a_line() -> None:
    """CR, U+2028, U+0085, form feed and friends stay inside."""
    inside = '{"a":\r"\u2028\u0085\u2029"}\x0b\x0c\x1c'.encode()
    assert read(inside + b"\n{}\r\n\n \r\nlast", []) == [inside, b"{}\r", b"last"]


def test_a_line_over_the_limit_is_reported_once_and_the_next_one_is_read() -> None:
    """W36: one long line must not end the connection in silence."""
    stream = b"a\n" + b"x" * 50 + b"\nb\n" + b"y" * 11 + b"\n" + b"z" * 10 + b"\nc"
    for size in (1, 3, 60, 1000):
        cuts = list(range(0, len(stream), size))
        found = read(stream, cuts, limit=10)
        assert found == [b"a", TooLong(10), b"b", TooLong(10), b"z" * 10, b"c"]
    assert TooLong(10).refusal().status == 413


def test_a_long_line_is_not_kept_while_it_is_dropped() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"x" * 20) == [TooLong(10)]
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
    assert len(splitter._buffer) == 0
    assert splitter.feed(b"\nok\n") == [b"ok"]
    assert read(b"x" * 20, [], limit=10) == [TooLong(10)]


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b"xxxxxxxx", b" "]), max_size=20), st.data())
def test_lines_are_the_same_wherever_the_stream_is_split(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    assert read(stream, cuts, limit=12) == read(stream, [], limit=12)


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b" \t", b"xxxxxxxx", b" " * 13]), max_size=20), st.data()
)
def test_every_blank_line_is_counted_wherever_the_stream_is_split(
    parts: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter = LineSplitter(12)
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        splitter.feed(stream[begin:end])

    lines = stream.split(b"\n")[:-1]
    assert splitter.blank == sum(len(line) <= 12 and not line.strip(b" \t\r") for line in lines)


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n", b"\n \t\r\n"])
def test_blank_lines_are_passed_over_without_a_step_for_each(blank: bytes) -> None:
    steps = 0

    def count(_frame: FrameType, _event: str, _arg: object) -> None:
        nonlocal steps
        steps += 1

    splitter = LineSplitter()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = splitter.feed(b"{}\n" + blank * 10_000 + b"{}\n")
    finally:
        sys.setprofile(before)

    assert found == [b"{}", b"{}"]
    assert steps < 100
    assert splitter.blank == 10_000 * blank.count(b"\n")


@given(VALUES, st.sampled_from(["\n", "\r", "\r\n", " \n\t"]))
def test_a_message_becomes_one_line_with_every_token_unchanged(value: object, gap: str) -> None:
    raw = json.dumps({"a": value, "b": value}, separators=("," + gap, gap + ":"), ensure_ascii=False).encode()
    line = to_line(raw)
    assert b"\n" not in line
    assert b"\r" not in line
    assert len(line) == len(raw)
    assert json.loads(line) == json.loads(raw)
    assert line.replace(b" ", b"") == raw.translate(bytes.maketrans(b"\r\n", b"  ")).replace(b" ", b"")


def test_a_smuggled_second_message_stays_inside_the_first() -> None:
    """A CR between tokens would end a frame for servers with universal newlines."""
    raw = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":\r{"id":2}\r\n}}}'
    assert b"\r" in raw
    line = to_line(raw)
    assert line.splitlines() == [line]
    assert parse_json(line) == parse_json(raw)


@pytest.mark.parametrize("raw", [b'{"a":"x\ny"}', b'{"a":"x\ry"}', b'{"a":"\\\n"}', b'{"a":"x\n', b'"\\"\n'])
def test_a_line_end_inside_a_string_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as error:
        to_line(raw)
    assert error.value.refusal.rule == "(line)"


def test_escaped_line_ends_are_tokens_and_stay() -> None:
    raw = b'{"a":"\\n\\r\\\\","b":"\\""}'
    assert to_line(raw) is raw
    assert to_line(raw + b"\n") == raw + b" "
