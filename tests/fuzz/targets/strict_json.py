"""JSON: accepted exactly when the second opinion accepts it, with the same value."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ostiary.wire.lines import to_line
from ostiary.wire.strict import MAX_BYTES, Refused, parse_json
from tests.fuzz import plain_json

WORDS = (
    b"\\u0000",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"1e400",
    b"-0",
    b"0.1",
    b"1E+2",
    b"\xef\xbb\xbf",
    b"NaN",
    b"\xe2\x84\xaa",
    b"\xc5\xbf",
    b"\xef\xbc\xa1",
    b"[[[[[[[[[[",
    b'{"a":',
    b"9007199254740993",
)


def check(data: bytes) -> None:
    """One input through the reader and its second opinion."""
    try:
        expected = plain_json.read(data)
    except plain_json.Unfit as unfit:
        _refused(data, str(unfit))
        return
    value = parse_json(data)
    assert plain_json.same(value, expected), "another value"
    assert plain_json.same(parse_json(data), expected), "another value the second time"
    # Every reader that is lax about more reads the same, up to what a double can hold.
    assert json.loads(data) == json.loads(json.dumps(expected, default=float)), "another value to lax readers"
    line = to_line(data)
    assert not set(line) & set(b"\r\n"), "a line end on a pipe"
    assert plain_json.same(parse_json(line), expected), "another value on a pipe"


def _refused(data: bytes, why: str) -> None:
    try:
        parse_json(data)
    except Refused as refused:
        refusal = refused.refusal
        assert refusal.code in (-32700, -32600, -32602), "an unknown code"
        assert refusal.status == (413 if len(data) > MAX_BYTES else 400), "an unknown status"
        assert refusal.message.isascii(), "a message that repeats the input"
        assert refusal.message.isprintable(), "a message that repeats the input"
        return
    raise AssertionError(f"accepted: {why}")


def seeds() -> Iterator[bytes]:
    """Small values of every kind."""
    yield b'{"a":[1,2.5,-0,1e3,true,false,null,"\\u00e9\\ud83d\\ude00"],"b":{"c":{}}}'
    yield b' [ 0.1000000000000000055511151231257827 , 1e400 , "\\/\\b" ] \r\n'
    yield b'{"k":1,"\\u212a":2}'
