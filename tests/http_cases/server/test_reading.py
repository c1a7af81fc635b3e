"""Which bytes become requests, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.proxy.http.request import IDLE, SLICE, Limits, RequestReader
from tests.http_cases.refused import by_case, chunked, head
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


REFUSED = {name: kind for kinds in by_case(TINY).values() for name, kind in kinds.items()}

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
    "rtsp_in_header_and_body": post(b'{"a":\n\n"GET /mcp RTSP/1.0"}', b"X: GET /mcp RTSP/1.0"),
    "odd_coding_in_body": post(b"\ntransfer-encoding:\tchunked\n"),
    "chunks_then_odd_coding_in_chunk": chunked(body=b"17\r\n\ntransfer-encoding: \tx\n\r\n0\r\n\r\n"),
    "rtsp_request_in_body": post(b"POST /mcp RTSP/1.0\r\nHost: a\r\n"),
    "repeatable_header_twice": post(b"{}", b"X-Forwarded-For: a", b"X-Forwarded-For: b"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_request_never_becomes_a_request_and_nothing_after_it_is_read(name: str) -> None:
    """Read whole: its status; one byte at a time: where reads end does not change that it is refused."""
    status, data = REFUSED[name]

    reader, dripped = read(data), read(data, step=1)

    assert not reader.ready
    assert not dripped.ready
    assert reader.refused is not None
    assert dripped.refused is not None
    assert reader.refused.head.status == status
    assert dripped.refused.head.status >= 400
    assert reader.deaf


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

    assert request.headers == [(b"host", b"127.0.0.1")]
    assert request.body == b"{}"


def test_upgrade_is_ignored_and_the_body_is_read() -> None:
    """RFC 9110 7.8: an offer to upgrade may be ignored; the request is answered as usual."""
    request = read(ACCEPTED["offer_of_h2c"]).ready[0].request

    assert request.body == b"{}"
    assert request.headers == [(b"host", b"a")]


def test_header_named_by_connection_is_removed() -> None:
    """HTTP case 25: hop-by-hop headers end here."""
    request = read(ACCEPTED["connection_names_its_own"]).ready[0].request

    assert request.header(b"x-hop") is None


def test_path_and_query_are_apart() -> None:
    """The path excludes the query."""
    request = read(ACCEPTED["get"]).ready[0].request

    assert (request.method, request.path, request.query) == ("GET", "/mcp", b"x=1&y")


def test_nothing_is_read_after_the_last_request() -> None:
    """HTTP case 9: `Connection: close` ends the connection's requests, also on HTTP/1.0."""
    late = post(b"[]")

    for name in ("close", "http_1_0"):
        assert len(read(ACCEPTED[name] + late).ready) == 1
    assert len(read(head(b"Host: a", b"Connection: keep-alive", first=b"GET / HTTP/1.0") + late).ready) == 1


def test_requests_before_a_malformed_one_are_kept() -> None:
    """HTTP case 9: each pipelined request stands for itself."""
    reader = read(post(b"{}") + post(b"[]") + b"nonsense\r\n\r\n")

    assert [complete.request.body for complete in reader.ready] == [b"{}", b"[]"]
    assert reader.refused is not None


@pytest.mark.parametrize("before", [b"", b"\r\n", post(b"{}"), post(b"A"), chunked()])
def test_rtsp_is_not_taken_for_http_wherever_it_begins(before: bytes) -> None:
    """The parser reads it as HTTP of the same version, so that a request would come of it."""
    data = before + b"POST  /mcp  RTSP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    for cut in range(len(data)):
        reader = read(data, cut=cut)
        assert len(reader.ready) == (len(before) > 2), cut
        assert reader.refused is not None, cut
        assert reader.refused.head.status == 505, cut
    assert read(data, step=1).refused is not None


def test_request_before_one_with_an_odd_transfer_coding_is_kept_wherever_reads_end() -> None:
    """HTTP case 3: a tab before the coding is no part of it to one reader, and is to the next."""
    data = chunked() + head(b"Host: a", b"transfer-ENCODING:\tchunked") + b"0\r\n\r\n"
    for cut in range(len(data)):
        reader = read(data, cut=cut)
        assert len(reader.ready) == 1, cut
        assert reader.refused is not None, cut
    assert len(read(data, step=1).ready) == 1
    assert read(data, step=1).refused is not None


def test_head_check_refuses_before_the_body_is_read() -> None:
    """HTTP case 10: what the check refuses never becomes a request."""
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
