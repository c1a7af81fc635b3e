"""Which bytes become requests, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.proxy.http.request import IDLE, SLICE, Limits, RequestReader
from tests.proxy.http_world import post

TINY = Limits(body=1000, head=2000, headers=20, target=200)


def read(data: bytes, *, step: int = SLICE, cut: int = 0, limits: Limits = TINY) -> RequestReader:
    """Feed `data` in two parts, each in steps."""
    reader = RequestReader(limits, None)
    for part in (data[:cut], data[cut:]):
        for at in range(0, len(part), step):
            if not reader.deaf:
                reader.feed(part[at : at + step])
    return reader


def seen(reader: RequestReader) -> tuple[object, ...]:
    """All that a reader has to say, comparable."""
    refused = reader.refused and (reader.refused.head.status, reader.refused.body)
    return ([(c.request, c.version, c.persistent) for c in reader.ready], refused, reader.phase == IDLE)


def chunked(*lines: bytes, body: bytes = b"2\r\n{}\r\n0\r\n\r\n") -> bytes:
    """A request with a chunked body and extra header lines."""
    extra = b"".join(line + b"\r\n" for line in lines)
    return b"POST /mcp HTTP/1.1\r\nHost: a\r\n%bTransfer-Encoding: chunked\r\n\r\n%b" % (extra, body)


def head(*lines: bytes, first: bytes = b"POST /mcp HTTP/1.1") -> bytes:
    """A request head from its lines."""
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


REFUSED = {
    # Case 1
    "length_and_transfer_coding": (400, chunked(b"Content-Length: 2")),
    "transfer_coding_and_length": (
        400,
        head(b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 2"),
    ),
    # Case 2
    "two_equal_lengths": (400, head(b"Host: a", b"Content-Length: 2", b"Content-Length: 2") + b"{}"),
    "two_different_lengths": (400, head(b"Host: a", b"Content-Length: 2", b"Content-Length: 3") + b"{}x"),
    "length_with_plus": (400, head(b"Host: a", b"Content-Length: +5") + b"hello"),
    "length_as_list": (400, head(b"Host: a", b"Content-Length: 5,5") + b"hello"),
    "length_in_hex": (400, head(b"Host: a", b"Content-Length: 0x5") + b"hello"),
    "length_empty": (400, head(b"Host: a", b"Content-Length:") + b"hello"),
    "length_negative": (400, head(b"Host: a", b"Content-Length: -5") + b"hello"),
    "length_of_20_digits": (400, head(b"Host: a", b"Content-Length: 18446744073709551621") + b"hello"),
    # Case 3
    "chunked_twice": (400, head(b"Host: a", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    "xchunked": (400, head(b"Host: a", b"Transfer-Encoding: xchunked")),
    "chunked_identity": (400, head(b"Host: a", b"Transfer-Encoding: chunked, identity")),
    "identity_chunked": (400, head(b"Host: a", b"Transfer-Encoding: identity, chunked")),
    "gzip_chunked": (400, head(b"Host: a", b"Transfer-Encoding: gzip, chunked")),
    "gzip_then_chunked_in_two_lines": (
        400,
        head(b"Host: a", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
    ),
    "identity": (400, head(b"Host: a", b"Transfer-Encoding: identity")),
    "chunked_upper_case": (400, head(b"Host: a", b"Transfer-Encoding: CHUNKED") + b"0\r\n\r\n"),
    "chunked_folded": (400, head(b"Host: a", b"Transfer-Encoding:", b" chunked")),
    "chunked_before_tab": (400, head(b"Host: a", b"Transfer-Encoding: chunked\t")),
    "chunked_on_http_1_0": (400, head(b"Host: a", b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0")),
    "chunked_on_http_1_0_kept_alive": (
        400,
        head(b"Host: a", b"Connection: keep-alive", b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"),
    ),
    # Case 4
    "chunk_size_with_sign": (400, chunked(body=b"+2\r\n{}\r\n0\r\n\r\n")),
    "chunk_size_after_space": (400, chunked(body=b" 2\r\n{}\r\n0\r\n\r\n")),
    "chunk_size_before_space": (400, chunked(body=b"2 \r\n{}\r\n0\r\n\r\n")),
    "chunk_size_of_17_digits": (400, chunked(body=b"10000000000000002\r\n{}\r\n0\r\n\r\n")),
    "chunk_longer_than_its_size": (400, chunked(body=b"2\r\n{}}\r\n0\r\n\r\n")),
    "chunk_without_line_end": (400, chunked(body=b"2\r\n{}0\r\n\r\n")),
    "chunk_extension_without_end": (400, chunked(body=b"2;" + b"x" * 3 * SLICE + b"\r\n{}\r\n0\r\n\r\n")),
    "trailer_without_end": (400, chunked(body=b"0\r\nX: " + b"x" * 3 * SLICE + b"\r\n\r\n")),
    "too_many_trailers": (431, chunked(body=b"0\r\n" + b"X: y\r\n" * 21 + b"\r\n")),
    # Case 5
    "bare_line_feeds": (400, b"POST /mcp HTTP/1.1\nHost: a\n\n"),
    "bare_line_feed_after_header": (400, b"POST /mcp HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    "bare_carriage_return": (400, b"POST /mcp HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    "nul_in_value": (400, head(b"Host: a", b"X: a\0b")),
    "control_character_in_value": (400, head(b"Host: a", b"X: a\x01b")),
    "space_before_colon": (400, head(b"Host: a", b"X : y")),
    "folded_line": (400, head(b"Host: a", b"X: y", b" z")),
    "empty_name": (400, head(b"Host: a", b": y")),
    "name_with_parenthesis": (400, head(b"Host: a", b"X(: y")),
    "line_without_colon": (400, head(b"Host: a", b"X")),
    # Case 6
    "target_too_long": (414, head(b"Host: a", first=b"GET /" + b"a" * 200 + b" HTTP/1.1")),
    "head_too_large": (431, head(b"Host: a", b"X: " + b"y" * 2000)),
    "head_without_end": (431, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 3 * SLICE),
    "too_many_headers": (431, head(b"Host: a", *[b"X-%d: y" % n for n in range(20)])),
    # Case 7
    "length_over_the_limit": (413, head(b"Host: a", b"Content-Length: 1001")),
    "chunks_over_the_limit": (413, chunked(body=b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx")),
    # Case 11
    "trace": (405, head(b"Host: a", first=b"TRACE / HTTP/1.1")),
    "connect": (405, head(b"Host: a", first=b"CONNECT a:80 HTTP/1.1")),
    "put": (405, head(b"Host: a", first=b"PUT / HTTP/1.1")),
    "unknown_method": (501, head(b"Host: a", first=b"BREW / HTTP/1.1")),
    "lower_case_method": (501, head(b"Host: a", first=b"get / HTTP/1.1")),
    "tls_on_the_plain_port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "asterisk": (400, head(b"Host: a", first=b"OPTIONS * HTTP/1.1")),
    "absolute_form": (400, head(b"Host: a", first=b"GET http://a/mcp HTTP/1.1")),
    "fragment": (400, head(b"Host: a", first=b"GET /mcp#x HTTP/1.1")),
    "target_not_ascii": (400, head(b"Host: a", first=b"GET /\xc3\xa9 HTTP/1.1")),
    "http_0_9": (400, b"GET /mcp\r\n\r\n"),
    "http_2_preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "http_2": (505, head(b"Host: a", first=b"GET / HTTP/2.0")),
    "get_with_length": (400, head(b"Host: a", b"Content-Length: 2", first=b"GET / HTTP/1.1") + b"{}"),
    "get_with_chunks": (400, head(b"Host: a", b"Transfer-Encoding: chunked", first=b"GET / HTTP/1.1")),
    # Case 12
    "no_host": (400, head(b"X: y")),
    "no_host_on_http_1_0": (400, head(b"X: y", first=b"POST / HTTP/1.0")),
    "empty_host": (400, head(b"Host:")),
    "two_hosts": (400, head(b"Host: a", b"Host: a")),
    # Case 25
    "connection_names_mcp_name": (400, post(b"{}", b"Mcp-Name: x", b"Connection: mcp-name")),
    "connection_names_content_type": (400, post(b"{}", b"Connection: keep-alive, Content-Type")),
    "connection_names_authorization": (400, post(b"{}", b"Connection: close", b"Connection: Authorization")),
    "connection_names_host": (400, post(b"{}", b"Connection: host")),
    "connection_malformed": (400, post(b"{}", b"Connection: a b")),
    "authorization_twice": (400, post(b"{}", b"Authorization: Bearer a", b"Authorization: Bearer b")),
    "mcp_name_twice": (400, post(b"{}", b"Mcp-Name: a", b"MCP-NAME: a")),
    "content_type_twice": (400, post(b"{}", b"Content-Type: a/b", b"Content-Type: c/d")),
    "upgrade_without_host": (400, head(b"Upgrade: h2c", b"Connection: upgrade")),
    "upgrade_with_chunks_over_the_limit": (
        413,
        chunked(b"Upgrade: h2c", b"Connection: upgrade", body=b"3e9\r\n" + b"x" * 1001),
    ),
    "upgrade_with_malformed_chunks": (400, chunked(b"Upgrade: h2c", b"Connection: upgrade", body=b"x")),
    "unknown_expectation": (417, post(b"{}", b"Expect: tea")),
}

ACCEPTED = {
    "plain": post(b'{"a":1}', b"Accept: */*"),
    "empty_body": post(b""),
    "chunked": chunked(b"Accept: */*"),
    "two_chunks_with_extension": chunked(body=b'1;a="b"\r\n{\r\n1\r\n}\r\n0\r\n\r\n'),
    "trailers": chunked(body=b"2\r\n{}\r\n0\r\nMcp-Name: x\r\nAuthorization: y\r\nHost: z\r\n\r\n"),
    "get": head(b"Host: a", first=b"GET /mcp?x=1&y HTTP/1.1"),
    "get_with_length_0": head(b"Host: a", b"Content-Length: 0", first=b"GET /mcp HTTP/1.1"),
    "white_space_around_values": post(b"{}", b"X: \t a b \t", b"Y:"),
    "close": post(b"{}", b"Connection: close"),
    "http_1_0": head(b"Host: a", b"Content-Length: 2", first=b"POST /mcp HTTP/1.0") + b"{}",
    "leading_line_ends": b"\r\n\r\n" + post(b"{}"),
    "two_in_a_row": post(b"{}") + post(b"[]"),
    "offer_of_h2c": post(
        b"{}", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"
    ),
    "offer_of_websocket": head(
        b"Host: a", b"Upgrade: websocket", b"Connection: upgrade", first=b"GET / HTTP/1.1"
    ),
    "offer_then_another": post(b"{}", b"Connection: upgrade", b"Upgrade: h2c") + post(b"[]"),
    "expectation": post(b"{}", b"Expect: 100-Continue"),
    "connection_names_its_own": post(b"{}", b"X-Hop: y", b"Connection: x-hop"),
    "repeatable_header_twice": post(b"{}", b"X-Forwarded-For: a", b"X-Forwarded-For: b"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_request_is_refused_with_its_status(name: str) -> None:
    """Cases 1-7, 11, 12, 25: nothing malformed becomes a request."""
    status, data = REFUSED[name]

    reader = read(data)

    assert not reader.ready
    assert reader.refused is not None
    assert reader.refused.head.status == status
    assert reader.deaf


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_request_is_refused_byte_by_byte(name: str) -> None:
    """Cases 1-7: where reads end changes neither the refusal nor its status class."""
    _, data = REFUSED[name]

    reader = read(data, step=1)

    assert not reader.ready
    assert reader.refused is not None
    assert reader.refused.head.status >= 400


@pytest.mark.parametrize("name", ACCEPTED)
def test_valid_request_split_anywhere_gives_the_same_request(name: str) -> None:
    """Every offset and one byte at a time: identical requests."""
    data = ACCEPTED[name]
    whole = seen(read(data))

    assert len(read(data).ready) == (2 if name in ("two_in_a_row", "offer_then_another") else 1)
    assert whole[1:] == (None, True)
    assert seen(read(data, step=1)) == whole
    for cut in range(1, len(data)):
        assert seen(read(data, cut=cut)) == whole, cut


def test_white_space_around_values_is_stripped_and_names_are_lower_case() -> None:
    """RFC 9110 5.5: optional white space is no part of a value."""
    request = read(ACCEPTED["white_space_around_values"]).ready[0].request

    assert request.header(b"x") == b"a b"
    assert request.header(b"y") == b""


def test_trailers_are_dropped() -> None:
    """Trailers named Mcp-Name, Authorization or Host change nothing."""
    request = read(ACCEPTED["trailers"]).ready[0].request

    assert request.headers == [(b"host", b"a")]
    assert request.body == b"{}"


def test_upgrade_is_ignored_and_the_body_is_read() -> None:
    """RFC 9110 7.8: an offer to upgrade may be ignored; the request is answered as usual."""
    request = read(ACCEPTED["offer_of_h2c"]).ready[0].request

    assert request.body == b"{}"
    assert request.headers == [(b"host", b"a")]


def test_header_named_by_connection_is_removed() -> None:
    """Case 25: hop-by-hop headers end here."""
    request = read(ACCEPTED["connection_names_its_own"]).ready[0].request

    assert request.header(b"x-hop") is None


def test_path_and_query_are_apart() -> None:
    """The path excludes the query."""
    request = read(ACCEPTED["get"]).ready[0].request

    assert (request.method, request.path, request.query) == ("GET", "/mcp", b"x=1&y")


def test_nothing_is_read_after_the_last_request() -> None:
    """Case 9: `Connection: close` ends the connection's requests, also on HTTP/1.0."""
    late = post(b"[]")

    for name in ("close", "http_1_0"):
        assert len(read(ACCEPTED[name] + late).ready) == 1
    assert len(read(head(b"Host: a", b"Connection: keep-alive", first=b"GET / HTTP/1.0") + late).ready) == 1


def test_requests_before_a_malformed_one_are_kept() -> None:
    """Case 9: each pipelined request stands for itself."""
    reader = read(post(b"{}") + post(b"[]") + b"nonsense\r\n\r\n")

    assert [complete.request.body for complete in reader.ready] == [b"{}", b"[]"]
    assert reader.refused is not None


def test_head_check_refuses_before_the_body_is_read() -> None:
    """Case 10: what the check refuses never becomes a request."""
    from ostiary.proxy.exchange import Head

    bodies: list[bytes] = []

    def check(request):
        bodies.append(request.body)
        return Head(401, ((b"www-authenticate", b"Bearer"),)), b"no"

    reader = RequestReader(TINY, check)
    reader.feed(post(b"{}"))

    assert bodies == [b""]
    assert not reader.ready
    assert reader.refused is not None
    assert reader.refused.head == Head(401, ((b"www-authenticate", b"Bearer"),), 2)


PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            b"POST /mcp HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.0\r\n",
            b"Host: a\r\n",
            b"Content-Length: 2\r\n",
            b"Content-Length: 02\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"Connection: upgrade\r\nUpgrade: h2c\r\n",
            b"Expect: 100-continue\r\n",
            b"X: y\r\n",
            b"\r\n",
            b"{}",
            b"2\r\n{}\r\n",
            b"0\r\n\r\n",
            b"\n",
            b"\0",
            b" ",
        ]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=14), st.integers(1, 40))
def test_arbitrary_bytes_never_crash_and_never_become_an_unsound_request(
    pieces: list[bytes], step: int
) -> None:
    """Fuzz: whatever comes out has one host, a known method and a path, and splits do not matter."""
    data = b"".join(pieces)

    reader = read(data)

    for complete in reader.ready:
        request = complete.request
        assert request.method in ("POST", "GET", "DELETE", "HEAD", "OPTIONS")
        assert request.path.startswith("/")
        assert [name for name, _ in request.headers].count(b"host") == 1
        assert request.body in data or b"chunked" in data
        assert request.method != "GET" or not request.body
    assert seen(read(data, step=step))[0] == seen(reader)[0]
