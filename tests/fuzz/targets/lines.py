"""Pipes: LF ends a line and nothing else does; what leaves is one line for every reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ostiary.wire.lines import LineSplitter, TooLong, to_line
from ostiary.wire.strict import Refused
from tests.fuzz import plain_json
from tests.fuzz.cuts import deliveries

LONGEST = 40
WORDS = (
    b"\n",
    b"\r",
    b"\r\n",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\0",
    b'"',
    b'\\"',
    b"\\n",
    b'{"a":"',
    b'"}',
    b" " * 41,
)


def check(data: bytes) -> None:
    """One stream, and one message that becomes a line."""
    whole = _read([data])
    parts = data.split(b"\n")
    expected = [
        TooLong(LONGEST) if len(part) > LONGEST else part
        for part in parts
        if len(part) > LONGEST or part.strip(b" \t\r")
    ]
    assert whole == expected, "other lines"
    for pieces in deliveries(data):
        assert _read(pieces) == whole, "other lines for other reads"
    _check_line(data)


def _read(pieces: Iterable[bytes]) -> list[bytes | TooLong]:
    splitter = LineSplitter(LONGEST)
    found: list[bytes | TooLong] = []
    for piece in pieces:
        found += splitter.feed(piece)
        assert len(splitter._buffer) <= LONGEST, "memory without bound"
    return found + splitter.finish()


def _check_line(data: bytes) -> None:
    try:
        line = to_line(data)
    except Refused:
        line = None
    if line is not None:
        assert b"\r" not in line, "two lines to some readers"
        assert b"\n" not in line, "two lines"
        assert len(line) == len(data), "another length"
        assert all(one == other or one in b"\r\n" for one, other in zip(data, line, strict=True)), (
            "another byte"
        )
    try:
        value = plain_json.read(data)
    except plain_json.Unfit:
        return
    assert line is not None, "JSON that cannot be written as a line"
    assert plain_json.same(plain_json.read(line), value), "another value"


def seeds() -> Iterator[bytes]:
    """Line ends inside and outside of strings."""
    yield b'{"a":\r\n"b\\n"}\n{}\r\n\n \r\nlast'
    yield '{"a":"\u2028\u0085\u2029"}\x0b\x0c\x1c\n'.encode()
    yield b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":\r{"id":2}\r}}}'
    yield b"x" * 41 + b"\nb\n" + b'"\\"\n"'
