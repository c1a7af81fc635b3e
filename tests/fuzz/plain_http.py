"""A second opinion on HTTP/1.1 messages, by the grammar of RFC 9112 and nothing else.

Reads one message at a position of a byte string. Lax in three places, where no byte of the
message can be taken for another: any CR and LF before a first line are passed over (section 2.2 asks
servers for at least one empty line), so are further spaces around the target (section 3 allows it);
a reason phrase, which nobody reads and which is not passed on, may hold anything but a line end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") +([\x21-\x7e\x80-\xff]+) +HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(rb"HTTP/([0-9])\.([0-9]) ([0-9]{3})(?: [^\r\n]*)?")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)([ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(rb"[0-9]+")
NO_BODY = (204, 304)


class Malformed(Exception):
    """Not a message of RFC 9112."""


class Unfinished(Exception):
    """The beginning of a message, perhaps."""


@dataclass
class Parsed:
    """One message. `end` is the position after it; `until_close` that only the end ends its body."""

    first: tuple[bytes, ...]
    version: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    end: int = 0
    chunked: bool = False
    until_close: bool = False
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]


def request(data: bytes, at: int) -> Parsed:
    """The request at `at`: `first` is method and target."""
    line, at = _line(data, _start(data, at))
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Malformed("request line")
    headers, at = _fields(data, at)
    parsed = Parsed((found[1], found[2]), f"{int(found[3])}.{int(found[4])}", headers, end=at)
    coding, length = _framing(parsed)
    if coding:
        _chunks(data, parsed)
    elif length:
        _counted(data, parsed, length)
    return parsed


def response(data: bytes, at: int, *, bodiless: bool = False) -> Parsed:
    """The response at `at`: `first` is the status. `bodiless`: it answers HEAD."""
    line, at = _line(data, _start(data, at))
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise Malformed("status line")
    headers, at = _fields(data, at)
    parsed = Parsed((found[3],), f"{int(found[1])}.{int(found[2])}", headers, end=at)
    status = int(found[3])
    coding, length = _framing(parsed)
    if bodiless or status < 200 or status in NO_BODY:
        return parsed
    if coding:
        _chunks(data, parsed)
    elif length is None:
        parsed.until_close = True
        parsed.body = data[at:]
        parsed.end = len(data)
    else:
        _counted(data, parsed, length)
    return parsed


def _start(data: bytes, at: int) -> int:
    while data[at : at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Unfinished
    line = data[at:end]
    if b"\r" in line or b"\n" in line:
        raise Malformed("a bare line end")
    return line, end + 2


def _fields(data: bytes, at: int) -> tuple[list[tuple[bytes, bytes]], int]:
    headers: list[tuple[bytes, bytes]] = []
    while True:
        line, at = _line(data, at)
        if not line:
            return headers, at
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Malformed("field line")
        headers.append((found[1].lower(), found[2].strip(b" \t")))


def _framing(parsed: Parsed) -> tuple[bool, int | None]:
    """Whether the body is chunked, and its length if one is given (sections 6.1 to 6.3)."""
    codings = parsed.values(b"transfer-encoding")
    lengths = parsed.values(b"content-length")
    if codings:
        if codings != [codings[0]] or codings[0].lower() != b"chunked":
            raise Malformed("transfer-encoding")
        if lengths:
            raise Malformed("two framings")
        if parsed.version != "1.1":
            raise Malformed("transfer-encoding before 1.1")
        parsed.chunked = True
        return True, None
    if not lengths:
        return False, None
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise Malformed("content-length")
    return False, int(lengths[0])


def _counted(data: bytes, parsed: Parsed, length: int) -> None:
    start = parsed.end
    if len(data) - start < length:
        raise Unfinished
    parsed.end = start + length
    parsed.body = data[start : parsed.end]


def _chunks(data: bytes, parsed: Parsed) -> None:
    at = parsed.end
    pieces: list[bytes] = []
    while True:
        line, at = _line(data, at)
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise Malformed("chunk size")
        size = int(found[1], 16)
        if size == 0:
            break
        if len(data) < at + size + 2:
            raise Unfinished
        if data[at + size : at + size + 2] != b"\r\n":
            raise Malformed("chunk end")
        pieces.append(data[at : at + size])
        at += size + 2
    parsed.trailers, parsed.end = _fields(data, at)
    parsed.body = b"".join(pieces)
