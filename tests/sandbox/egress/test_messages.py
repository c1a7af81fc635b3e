"""Requests and answers that are looked into: what two readers could read differently is refused."""

from __future__ import annotations

import pytest

from ostiary.sandbox.egress.head import Refused
from ostiary.sandbox.egress.messages import chunk_size, read_reply, read_request, request_head
from ostiary.sandbox.egress.places import Place

PLACE = Place("api.example.org", 443)
HOST = b"\r\nHost: api.example.org"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.0" + HOST, 400),
        (b"GET http://api.example.org/ HTTP/1.1" + HOST, 400),
        (b"TRACE / HTTP/1.1" + HOST, 400),
        (b"GET /#x HTTP/1.1" + HOST, 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: other.example.org", 400),
        (b"GET / HTTP/1.1\r\nHost: api.example.org:8443", 400),
        (b"GET / HTTP/1.1" + HOST + HOST, 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nContent-Length: 1", 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: gzip, chunked", 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: +1", 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nContent-Length: 99999999999", 413),
        (b"GET / HTTP/1.1" + HOST + b"\r\nUpgrade: h2c", 403),
        (b"GET / HTTP/1.1" + HOST + b"\r\n folded: 1", 400),
        (b"GET / HTTP/1.1" + HOST + b"\nX: 1", 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nX : 1", 400),
        (b"GET / HTTP/1.1" + HOST + b"\r\nX: " + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1" + HOST + b"\r\nX: " + b" " * 15_000 + b"\x01", 400),  # and at once
    ],
)
def test_a_request_that_readers_could_differ_about_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read_request(head, PLACE)
    assert refused.value.status == status


def test_spaces_around_the_value_of_a_field_are_not_of_it() -> None:
    request = read_request(b"GET / HTTP/1.1" + HOST + b"\r\nX:\t a  b \t \r\nY:", PLACE)
    assert request.fields == [("x", "a  b"), ("y", "")]


def test_what_goes_on_asks_for_the_whole_plain_answer_of_one_exchange() -> None:
    head = (
        HOST + b"\r\nRange: bytes=0-1\r\nAccept-Encoding: gzip\r\nX-Mine: 1\r\nConnection: x-hop\r\nX-Hop: 2"
    )
    request = read_request(b"POST /a?b HTTP/1.1" + head + b"\r\nTransfer-Encoding: chunked", PLACE)
    assert request.body is None
    assert request_head(request, request.fields, PLACE, 3).split(b"\r\n") == [
        b"POST /a?b HTTP/1.1",
        b"host: api.example.org",
        b"x-mine: 1",
        b"accept-encoding: identity",
        b"connection: close",
        b"content-length: 3",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200",
        b"HTTP/1.1 20",
        b"HTTP/1.1 101 Switching",
        b"HTTP/1.1 206 Partial",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Encoding: identity",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: deflate",
        b"HTTP/1.1 200 OK\r\nContent-Length: x",
        b"HTTP/1.1 200 OK\r\n folded",
    ],
)
def test_an_answer_that_cannot_be_looked_into_is_refused(head: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_reply(head, "GET")
    assert refused.value.status == 502


def test_the_end_of_an_answer_is_known_beforehand() -> None:
    assert read_reply(b"HTTP/1.1 200 OK\r\nContent-Length: 7", "GET").body == 7
    assert read_reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "GET").body == -1
    assert read_reply(b"HTTP/1.1 200 OK", "GET").body is None
    assert read_reply(b"HTTP/1.1 200 OK\r\nContent-Length: 7", "HEAD").body == 0
    assert read_reply(b"HTTP/1.1 204 None", "GET").body == 0


@pytest.mark.parametrize("line", [b"", b"5;a=b", b"0x5", b" 5", b"-1", b"123456789"])
def test_the_size_of_a_chunk_is_a_number_and_nothing_more(line: bytes) -> None:
    with pytest.raises(Refused):
        chunk_size(line)
    assert chunk_size(b"1f") == 31
