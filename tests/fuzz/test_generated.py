"""The oracles of the fuzz targets on generated input: well-formed, then broken in one or two places."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.envelope import PROTOCOL_VERSION, read_message
from ostiary.wire.message import Message
from ostiary.wire.mirror import mirrored_headers
from tests.differential.messages import Messages
from tests.fuzz import registry
from tests.fuzz.targets import (
    envelope,
    headers,
    http_connection,
    http_request,
    http_response,
    lines,
    policy,
    routing,
    spans,
    sse,
    strict_json,
)
from tests.wire.shapes import calls

MESSAGE = st.integers(0, 2**40).map(lambda seed: Messages(seed).one())
TOKEN = st.sampled_from(
    [b"Accept", b"X", b"x-hop", b"Mcp-Name", b"MCP-NAME", b"Authorization", b"Cookie", b"X-A_1~"]
)
VALUE = st.sampled_from(
    [b"", b"a", b" \t a b \t", b"\xc3\xa9", b"x-hop", b"close", b"=?base64?eA==?=", b"a, b"]
)
FIELD = st.builds(lambda name, value: name + b":" + value, TOKEN, VALUE)
HOP = st.sampled_from(
    [
        b"Connection: close",
        b"Connection: keep-alive, X-Hop",
        b"Upgrade: h2c",
        b"Connection: upgrade",
        b"TE: trailers",
        b"Expect: 100-continue",
        b"Keep-Alive: 5",
        b"Trailer: X",
    ]
)


def broken(whole: st.SearchStrategy[bytes], words: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """`whole`, or `whole` with a few places cut out or with a word of the language put in."""
    edit = st.tuples(st.integers(0, 10_000), st.integers(0, 6), st.sampled_from([b"", *words]))

    def apply(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        for at, gone, put in edits:
            place = at % (len(data) + 1)
            data = data[:place] + put + data[place + gone :]
        return data

    return st.builds(apply, whole, st.lists(edit, max_size=2))


@st.composite
def framed(draw: st.DrawFn, first: bytes) -> bytes:
    """An HTTP message with a body by length or in chunks."""
    fields = draw(st.lists(st.one_of(FIELD, FIELD, HOP), max_size=4))
    body = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        fields.append(b"Content-Length: %d" % len(body))
        after = body
    else:
        fields.append(b"Transfer-Encoding: chunked")
        cuts = sorted({0, len(body), *draw(st.lists(st.integers(0, len(body)), max_size=3))})
        pieces = [body[start:end] for start, end in pairwise(cuts)]
        extension = draw(st.sampled_from([b"", b";a", b';a="b"']))
        chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
        after = (
            b"".join(chunks) + b"0\r\n" + draw(st.sampled_from([b"", b"X: y\r\n", b"Host: z\r\n"])) + b"\r\n"
        )
    fields = draw(st.permutations(fields))
    return b"\r\n".join([first, *fields]) + b"\r\n\r\n" + after


REQUEST_LINE = st.builds(
    lambda method, target, version: method + b" " + target + b" HTTP/" + version + b"\r\nHost: a",
    st.sampled_from([b"POST", b"POST", b"GET", b"DELETE", b"HEAD", b"OPTIONS", b"PUT"]),
    st.sampled_from([b"/mcp", b"/", b"/mcp?a=b&c", b"*", b"http://a/", b"/%2e%2e/\xc3\xa9", b"/a#b"]),
    st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0"]),
)
STATUS_LINE = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 x"]
)
REQUESTS = st.lists(REQUEST_LINE.flatmap(framed), min_size=1, max_size=4).map(b"".join)
RESPONSES = st.builds(
    lambda interim, answer, more: interim + answer + more,
    st.sampled_from(
        [b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"]
    ),
    STATUS_LINE.flatmap(framed),
    st.sampled_from([b"", b"", b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]),
)


@given(broken(MESSAGE, strict_json.WORDS + envelope.WORDS))
def test_generated_messages(data: bytes) -> None:
    for target in (strict_json, envelope, spans, lines):
        target.check(data)


@given(broken(MESSAGE, routing.WORDS))
def test_generated_messages_to_route(data: bytes) -> None:
    routing.check(data)


@given(st.lists(MESSAGE, max_size=3), st.sampled_from([b", ", b",\n", b",,"]))
def test_generated_batches(members: list[bytes], gap: bytes) -> None:
    envelope.check(b"[ " + gap.join(members) + b"]")


@given(calls(), st.lists(st.integers(0, 6), max_size=2), broken(st.just(b""), headers.WORDS))
def test_generated_headers(call: dict[str, object], gone: list[int], more: bytes) -> None:
    """What a client would send, with headers left out and others added."""
    params = call["params"]
    assert isinstance(params, dict)
    params["_meta"] = {PROTOCOL_VERSION: headers.MODERN}
    body = json.dumps(call).encode()
    message = read_message(body)
    if not isinstance(message, Message):
        return
    built = [
        (b"mcp-protocol-version", headers.MODERN.encode()),
        *mirrored_headers(message, headers.PARAMETERS),
    ]
    kept = [header for number, header in enumerate(built) if number not in gone]
    head = b"".join(name + b": " + value + b"\n" for name, value in kept) + more.rstrip(b"\n")
    headers.check(head.rstrip(b"\n") + b"\n\n" + body)


@given(broken(REQUESTS, http_request.WORDS))
def test_generated_requests(data: bytes) -> None:
    http_request.check(data)
    http_connection.check(data)


@given(broken(RESPONSES, http_response.WORDS))
def test_generated_answers(data: bytes) -> None:
    http_response.check(data)


@given(broken(st.lists(st.sampled_from(sse.WORDS), max_size=25).map(b"".join), sse.WORDS))
def test_generated_event_streams(data: bytes) -> None:
    sse.check(data)


@given(st.lists(st.one_of(MESSAGE, st.sampled_from(lines.WORDS)), max_size=6).map(b"".join))
def test_generated_pipes(data: bytes) -> None:
    lines.check(data)


POLICIES = [seed for seed in registry.target("policy").seeds() if len(seed) < 1_500]


@given(broken(st.sampled_from(POLICIES), policy.WORDS))
def test_generated_policies(data: bytes) -> None:
    policy.check(data)
