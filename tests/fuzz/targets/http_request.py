"""Requests out of bytes: what is accepted, a plain reading of RFC 9112 and llhttp itself read alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import httptools

from ostiary.proxy.http.repeats import Allowance, Repeats
from ostiary.proxy.http.request import IDLE, SLICE, Complete, Limits, RequestReader
from tests.fuzz import plain_http
from tests.fuzz.cuts import deliveries

LIMITS = Limits(body=300, head=600, headers=12, target=60)
HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

WORDS = (
    b"POST /mcp HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 2\r\n",
    b"\r\n\r\n",
    b"{}",
    b"Transfer-Encoding: chunked\r\n",
    b"2\r\n{}\r\n",
    b"0\r\n\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
    b";a=b",
    b"Connection: keep-alive\r\n",
    b"HTTP/1.0",
    b" \t",
    b"\r",
    b"\n",
    b"Mcp-Name: x\r\n",
    b"DELETE ",
    b"OPTIONS ",
    b"HEAD ",
    b"RTSP/1.1",
    b"ICE/1.0",
    b"\xff",
)


def check(data: bytes) -> None:
    """One connection's bytes."""
    whole = _read([data])
    requests, refused, phase = _seen(whole)
    _check_accepted(data, whole)
    for pieces in deliveries(data):
        again, other, at = _seen(_read(pieces))
        assert again == requests, "other requests for other reads"
        assert (other is None) == (refused is None), "refused for some reads only"
        assert at == phase, "another state for other reads"
    _check_repeats(data)


def _check_repeats(data: bytes) -> None:
    """A client that sends the same again and again is read as if each time were the first."""
    plain, knowing = (RequestReader(LIMITS, None, repeats) for repeats in (None, Repeats(Allowance())))
    for piece in [data] * 4 + [data.replace(b"2", b"3", 1), data + b"\r", data]:
        for reader in (plain, knowing):
            if not reader.deaf:
                reader.feed(piece)
        assert _seen(knowing) == _seen(plain), "a head that is remembered as another"


def _seen(reader: RequestReader) -> tuple[list[object], int | None, bool]:
    refused = None if reader.refused is None else reader.refused.head.status
    requests: list[object] = []
    for each in reader.ready:
        one = each.request
        said = (one.method, one.path, one.query, list(one.headers), one.body)
        requests.append((said, each.version, each.persistent))
    return requests, refused, reader.phase == IDLE


def _read(pieces: Iterable[bytes]) -> RequestReader:
    reader = RequestReader(LIMITS, None)
    for piece in pieces:
        for at in range(0, len(piece), SLICE):
            if not reader.deaf:
                reader.feed(piece[at : at + SLICE])
                _check_bounds(reader)
    return reader


def _check_bounds(reader: RequestReader) -> None:
    if reader.deaf:
        assert reader._pieces == [], "bytes of a request that will never be"
        return
    assert len(reader._target) <= LIMITS.target, "a target without bound"
    assert sum(map(len, reader._pieces)) <= LIMITS.body, "a body without bound"
    headers = (*reader._headers, *reader._control)
    assert sum(len(name) + len(value) for name, value in headers) <= LIMITS.head + 2 * SLICE, (
        "a head without bound"
    )


def _check_accepted(data: bytes, reader: RequestReader) -> None:
    at = 0
    theirs = _llhttp(data) if b"pgrade" not in data and b"PGRADE" not in data else None
    for number, complete in enumerate(reader.ready):
        parsed = plain_http.request(data, at)
        _check_same(complete, parsed)
        at = parsed.end
        if theirs is not None:
            method, target, headers, body = theirs[number]
            assert (method, target) == parsed.first, "llhttp reads another request line"
            assert body == parsed.body, "llhttp reads another body"
            assert headers == parsed.headers + parsed.trailers, "llhttp reads other headers"


def _check_same(complete: Complete, parsed: plain_http.Parsed) -> None:
    request = complete.request
    assert request.method.encode() == parsed.first[0], "another method"
    target = request.path.encode() + (b"?" + request.query if b"?" in parsed.first[1] else b"")
    assert target == parsed.first[1], "another target"
    assert complete.version == parsed.version in ("1.0", "1.1"), "another version"
    assert request.body == parsed.body, "another body"
    options = {
        option.strip(b" \t").lower() for value in parsed.values(b"connection") for option in value.split(b",")
    }
    dropped = HOP | options
    expected = [header for header in parsed.headers if header[0] not in dropped and header[0] != b"host"]
    (host,) = parsed.values(b"host")
    assert sorted(request.headers) == sorted([*expected, (b"host", host)]), "other headers"
    assert len(parsed.headers) <= LIMITS.headers, "too many headers"
    if b"close" in options or parsed.version == "1.0":
        assert not complete.persistent, "a connection kept that was to close"
    else:
        assert complete.persistent, "a connection closed that was to be kept"


class _Collecting:
    """What llhttp says by itself."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]] = []

    def on_message_begin(self) -> None:
        self.target = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.found.append((self.parser.get_method(), self.target, self.headers, self.body))

    parser: httptools.HttpRequestParser


def _llhttp(data: bytes) -> list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]]:
    collecting = _Collecting()
    collecting.parser = httptools.HttpRequestParser(collecting)
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        collecting.parser.feed_data(data)
    return collecting.found


def _post(*lines: bytes, body: bytes = b"{}", first: bytes = b"POST /mcp HTTP/1.1") -> bytes:
    return b"\r\n".join((first, b"Host: a", *lines)) + b"\r\n\r\n" + body


def seeds() -> Iterator[bytes]:
    """Requests of every framing, well-formed and not."""
    two = b"Content-Length: 2"
    chunked = b"Transfer-Encoding: chunked"
    yield _post(two, b"Accept: */*")
    yield _post(two) + _post(two, b"X: \t a b \t", b"Y:") + _post(first=b"GET /mcp?x=1&y HTTP/1.1", body=b"")
    yield _post(chunked, body=b'1;a="b"\r\n{\r\n1\r\n}\r\n0\r\n\r\n')
    yield _post(chunked, body=b"2\r\n{}\r\n0\r\nMcp-Name: x\r\nHost: z\r\n\r\n") + _post(two)
    yield _post(two, b"Connection: close") + _post(two)
    yield _post(two, first=b"POST /mcp HTTP/1.0") + _post(two)
    yield b"\r\n\r\n" + _post(two, b"Expect: 100-Continue")
    yield _post(two, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA") + _post(
        two
    )
    yield _post(b"Upgrade: websocket", b"Connection: upgrade", first=b"GET / HTTP/1.1", body=b"")
    yield _post(chunked, b"Upgrade: h2c", b"Connection: upgrade", body=b"2\r\n{}\r\n0\r\n\r\n")
    yield _post(two, b"X-Hop: y", b"Connection: x-hop", b"X: 1", b"X: 2")
    yield _post(two, two)
    yield _post(two, chunked)
    yield _post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")
    yield _post(b"Content-Length: 301", body=b"x" * 301)
    yield _post(chunked, body=b"12c\r\n" + b"x" * 300 + b"\r\n1\r\nx\r\n0\r\n\r\n")
    yield _post(two, b"X : y")
    yield _post(two, b"X: y", b" z")
    yield _post(first=b"HEAD / HTTP/1.1", body=b"") + _post(first=b"OPTIONS / HTTP/1.1", body=b"")
    yield _post(first=b"TRACE / HTTP/1.1", body=b"")
    yield _post(first=b"GET http://a/ HTTP/1.1", body=b"")
    yield _post(first=b"GET / HTTP/2.0", body=b"")
    yield b"POST /mcp HTTP/1.1\nHost: a\n\n"
    yield b"GET /mcp\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01"
    yield _post(two) * 8
