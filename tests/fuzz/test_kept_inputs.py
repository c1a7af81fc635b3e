"""Every kept input goes through its oracle in each run; and every oracle can fail.

Fuzzing itself is `make fuzz`. The inputs with a name are faults that were found, or differences from
the standard that are known and harmless; the others are the fewest that reach what fuzzing reached.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.proxy.http.request import RequestReader
from ostiary.proxy.http.response import ResponseReader
from ostiary.wire.message import Message
from tests.fuzz import plain_http, registry
from tests.fuzz.cuts import deliveries
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

KEPT = [(name, path) for name in registry.names() for path in registry.kept(name)]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{name}-{path.name}" for name, path in KEPT])
def test_kept_input_is_read_as_its_oracle_says(name: str, path: Path) -> None:
    registry.target(name).check(path.read_bytes())


@pytest.mark.parametrize("name", registry.names())
def test_seeds_are_read_as_their_oracle_says(name: str) -> None:
    target = registry.target(name)
    seeds = list(target.seeds())

    for seed in seeds:
        target.check(seed)

    assert len(seeds) >= 3
    assert all(target.WORDS)
    assert registry.kept(name)


def test_kept_inputs_stay_few_and_small() -> None:
    sizes = [path.stat().st_size for _, path in KEPT]

    assert len(sizes) < 1_000
    assert sum(sizes) < 500_000


def last_wins(data: bytes, **_: object) -> object:
    """JSON as a lax reader reads it."""
    return json.loads(data)


def unsplit(data: bytes, **_: object) -> object:
    """A message that claims to be another one."""
    return Message(data, "request", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, "tools/list", 1)


def trusting(message: Message, headers: object, **_: object) -> str:
    """Headers that nobody compares."""
    return "modern"


POST = b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
CALL = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
LIST = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}}'


@pytest.mark.parametrize(
    ("check", "module", "broken", "with_what", "data"),
    [
        (strict_json.check, strict_json, "parse_json", last_wins, b'{"a":1,"a":2}'),
        (strict_json.check, strict_json, "parse_json", last_wins, b"NaN"),
        (strict_json.check, strict_json, "to_line", lambda data: data, b"[\r1]"),
        (envelope.check, envelope, "read_message", unsplit, CALL),
        (headers.check, headers, "check_headers", trusting, b"mcp-method: x\n\n" + CALL),
        (headers.check, headers, "decode_value", lambda value: value, b"x: =?base64?eA==?=\n\n"),
        (routing.check, routing, "glance", lambda data: None, CALL),
        (routing.check, routing, "plain_id", lambda data: 2, b'{"jsonrpc":"2.0","id":1,"result":{}}'),
        (routing.check, routing, "asked", lambda epoch, data: data, CALL),
        (lines.check, lines, "to_line", lambda data: data, b'{"a":\r1}'),
        (spans.check, spans, "without", lambda spans, keep: [], b"[1,2,3,4,5,6]"),
        (spans.check, spans, "filter_tools", lambda message, keep, modern: message.raw, LIST),
        (sse.check, sse, "replace_data", lambda event, data: event.raw, b"data: 1\n\n"),
        (
            policy.check,
            policy,
            "decide",
            lambda compiled, question: object(),
            b"version: '1'\ndefault: allow\ntools: {}\n",
        ),
    ],
)
def test_every_oracle_notices_a_broken_reader(
    check: Callable[[bytes], None],
    module: object,
    broken: str,
    with_what: object,
    data: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check(data)
    monkeypatch.setattr(module, broken, with_what)

    with pytest.raises(AssertionError):
        check(data)


def test_the_oracles_of_connections_notice_a_broken_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is cut, an answer that loses a byte."""
    take = RequestReader.on_body
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    http_request.check(POST)
    http_connection.check(POST)
    http_response.check(answer)
    monkeypatch.setattr(RequestReader, "on_body", lambda self, body: take(self, body[:1]))
    monkeypatch.setattr(ResponseReader, "on_body", lambda self, body: self.pieces.append(body[:1]))

    with pytest.raises(AssertionError):
        http_request.check(POST)
    with pytest.raises(AssertionError):
        http_response.check(answer)


@pytest.mark.parametrize(
    "data",
    [
        b"POST /mcp HTTP/1.1\nHost: a\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost : a\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}",
        b"POST /mcp HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /mcp HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /mcp HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /mcp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n 2\r\n{}\r\n0\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n",
        b"GET /mcp\r\n\r\n",
    ],
)
def test_the_plain_reading_of_http_is_strict(data: bytes) -> None:
    with pytest.raises(plain_http.Malformed):
        plain_http.request(data, 0)


@given(st.binary(max_size=300))
def test_what_arrives_in_pieces_is_all_that_was_sent(data: bytes) -> None:
    for pieces in deliveries(data):
        assert b"".join(pieces) == data
