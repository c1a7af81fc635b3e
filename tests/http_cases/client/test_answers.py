"""Hostile upstreams behind a whole gate: one answer to the client, the next call not touched by it.

Where it can be, a wrong answer is a complete good one to a laxer reader.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest

from ostiary.proxy.http.call import UpstreamLimits
from tests.http_cases.world import called, echoing, text_of
from tests.proxy.http_world import answer, talking
from tests.weaknesses.world import (
    ALLOW_ALL,
    call,
    deny_but,
    encoded,
    http,
    modern,
    modern_headers,
    request,
    result,
    tool,
    until,
    within,
    world,
)

GOOD = encoded({"jsonrpc": "2.0", "id": "first", "result": {"content": [{"type": "text", "text": "x"}]}})
STOLEN = http(encoded({"jsonrpc": "2.0", "id": "next", "result": {"content": [], "stolen": True}}))
JSON = b"Content-Type: application/json"
CHUNKS = b"Transfer-Encoding: chunked"
POLICIES = pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["open", "filtering"])


def head(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((first, JSON, *lines)) + b"\r\n\r\n"


def sized(body: bytes = GOOD, *lines: bytes, length: int | None = None) -> bytes:
    return head(*lines, b"Content-Length: %d" % (len(body) if length is None else length)) + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return head(CHUNKS) + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def in_chunk(size: bytes = b"%x" % len(GOOD), end: bytes = b"\r\n0\r\n\r\n") -> bytes:
    """The good answer as one chunk whose size is written like this."""
    return size + b"\r\n" + GOOD + end


def coded(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """The good answer in a proper chunk, under a head that says something else or more."""
    return head(*lines, first=first) + in_chunk()


WRONG: dict[int, dict[str, bytes]] = {
    1: {
        "length and chunks": head(b"Content-Length: %d" % len(GOOD), CHUNKS) + GOOD,
        "chunks and length": coded(CHUNKS, b"Content-Length: 5"),
    },
    2: {
        "two equal lengths": sized(GOOD, b"Content-Length: %d" % len(GOOD)),
        "two different lengths": sized(GOOD, b"Content-Length: 5"),
        "length with plus": head(b"Content-Length: +%d" % len(GOOD)) + GOOD,
        "length as list": head(b"Content-Length: %d,%d" % (len(GOOD), len(GOOD))) + GOOD,
        "length in hex": head(b"Content-Length: 0x5") + GOOD,
        "empty length": head(b"Content-Length:") + GOOD,
        "negative length": head(b"Content-Length: -1") + GOOD,
        "length of 20 digits": head(b"Content-Length: 18446744073709551621") + GOOD,
    },
    3: {
        "xchunked": coded(b"Transfer-Encoding: xchunked"),
        "gzip, chunked": coded(b"Transfer-Encoding: gzip, chunked"),
        "gzip and chunked in two lines": coded(b"Transfer-Encoding: gzip", CHUNKS),
        "chunked, identity": coded(b"Transfer-Encoding: chunked, identity"),
        "identity, chunked": coded(b"Transfer-Encoding: identity, chunked"),
        "identity": head(b"Transfer-Encoding: identity") + GOOD,
        "chunked twice": coded(CHUNKS, CHUNKS),
        "folded": coded(b"Transfer-Encoding:\r\n chunked"),
        "on http/1.0": coded(CHUNKS, first=b"HTTP/1.0 200 OK"),
    },
    4: {
        "size with sign": head(CHUNKS) + in_chunk(b"+%x" % len(GOOD)),
        "size after space": head(CHUNKS) + in_chunk(b" %x" % len(GOOD)),
        "size before space": head(CHUNKS) + in_chunk(b"%x " % len(GOOD)),
        "size of 17 digits": head(CHUNKS) + in_chunk(b"1%016x" % len(GOOD)),
        "chunk longer than its size": head(CHUNKS) + in_chunk(b"%x" % (len(GOOD) - 1)),
        "chunk without line end": head(CHUNKS) + in_chunk(end=b"0\r\n\r\n"),
        "extension without end": head(CHUNKS) + b"%x;" % len(GOOD) + b"x" * 200_000,
        "trailers without end": chunked(GOOD, end=b"0\r\nX: " + b"x" * 200_000),
        "no last chunk": chunked(GOOD, end=b""),
    },
    5: {
        "bare line feeds": sized().replace(b"\r\n", b"\n"),
        "bare carriage return": head(b"X: a\rY: b", b"Content-Length: %d" % len(GOOD)) + GOOD,
        "nul in value": sized(GOOD, b"X: a\0b"),
        "space before colon": sized(GOOD, b"X : y"),
        "folded line": sized(GOOD, b"X: y\r\n z"),
        "empty name": sized(GOOD, b": y"),
        "no status line": JSON + b"\r\n\r\n" + GOOD,
        "not http": b"\x00\x01\x02\x03\r\n\r\n" + STOLEN,
    },
    6: {
        "head of 70 kB": sized(GOOD, b"X: " + b"y" * 70_000),
        "head without end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
        "101 headers": sized(GOOD, *[b"X-%d: y" % n for n in range(101)]),
    },
    17: {
        "shorter than its length": sized(GOOD[:-5], length=len(GOOD)),
        "switching protocols": head(b"Upgrade: x", b"Connection: upgrade", first=b"HTTP/1.1 101 X") + STOLEN,
        "interim answers without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
        "http/2": head(b"Content-Length: %d" % len(GOOD), first=b"HTTP/2.0 200 OK") + GOOD,
        "redirect": head(b"Location: http://127.0.0.1:1/", b"Content-Length: 0", first=b"HTTP/1.1 307 X"),
    },
}
"""What upstreams answer that is not an HTTP/1.1 message, by the number of its case."""


def cases(*numbers: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("wrong", [name for number in numbers for name in WRONG[number]])


async def broken_off(gate, wrong: bytes) -> None:
    """Call an upstream that answers `wrong` and sends no more, then once more; and read the records."""

    def hostile(seen):
        gate.upstream.script["tools/call"] = lambda seen: http(result(seen.message, {"content": []}))
        seen.writer.write(wrong)
        seen.writer.write_eof()

    gate.upstream.script["tools/call"] = hostile
    async with talking(gate.port) as (reader, writer):
        writer.write(called("first"))
        status, _, body = await answer(reader)
        told = json.loads(body)
        assert (status, told["id"], told["error"]["code"]) == (200, "first", 4502), told
        writer.write(called("next"))
        assert json.loads((await answer(reader))[2]) == {
            "jsonrpc": "2.0",
            "id": "next",
            "result": {"content": []},
        }
    ends = [one.status for one in await gate.records() if one.kind == "outcome"]
    assert ends == ["unknown", "ok"]
    assert len(gate.upstream.calls) == 2


def check(tmp_path, case: int, wrong: str) -> None:
    async def main() -> None:
        # An answer that never comes to its end is given up soon.
        limits = UpstreamLimits(head_timeout=1.0, body_timeout=1.0)
        async with world(deny_but("echo"), tmp_path / "s", limits=limits) as gate:
            await broken_off(gate, WRONG[case][wrong])

    within(main)


@cases(1)
def test_answer_with_length_and_transfer_coding(tmp_path, wrong: str) -> None:
    """HTTP case 1: two framings of one body."""
    check(tmp_path, 1, wrong)


@cases(2)
def test_answer_with_a_length_that_is_not_one_plain_number(tmp_path, wrong: str) -> None:
    """HTTP case 2: where the next answer begins would be a guess."""
    check(tmp_path, 2, wrong)


@cases(3)
def test_answer_with_a_transfer_coding_that_is_not_exactly_chunked(tmp_path, wrong: str) -> None:
    """HTTP case 3: nothing else is decoded here."""
    check(tmp_path, 3, wrong)


@cases(4)
def test_answer_in_malformed_chunks(tmp_path, wrong: str) -> None:
    """HTTP case 4: a chunk is as long as it says, and what stands between chunks is bounded."""
    check(tmp_path, 4, wrong)


@cases(5)
def test_answer_with_malformed_header_lines(tmp_path, wrong: str) -> None:
    """HTTP case 5: lines end in CR LF, names are tokens, values are printable."""
    check(tmp_path, 5, wrong)


@cases(6)
def test_answer_with_a_head_that_is_too_large(tmp_path, wrong: str) -> None:
    """HTTP case 6: 64 KiB and 100 headers."""
    check(tmp_path, 6, wrong)


@cases(17)
def test_answer_that_is_cut_switched_or_not_final(tmp_path, wrong: str) -> None:
    """HTTP case 17: what is not one whole final answer is an error, and its connection is closed."""
    check(tmp_path, 17, wrong)


@POLICIES
@pytest.mark.parametrize(
    "extra",
    [
        STOLEN,
        b"x",
        b"\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_bytes_after_an_answer_never_answer_the_next_call(
    tmp_path, policy: dict[str, Any], extra: bytes
) -> None:
    """HTTP case 17: the answer stands, its connection is discarded, the next call gets its own."""

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate, talking(gate.port) as (reader, writer):
            writers = []

            def twice(seen) -> bytes:
                writers.append(seen.writer)
                return http(result(seen.message, {"content": []})) + (extra if len(writers) == 1 else b"")

            gate.upstream.script["tools/call"] = twice
            for number in ("first", "next"):
                writer.write(called(number))
                assert json.loads((await answer(reader))[2]) == {
                    "jsonrpc": "2.0",
                    "id": number,
                    "result": {"content": []},
                }
            # A lone line end is allowed before a status line (RFC 9112 2.2); it answers nothing.
            assert writers[0] is not writers[1] or extra == b"\r\n"

    within(main)


@pytest.mark.parametrize("status", [204, 304])
def test_body_of_an_answer_that_has_none_never_answers_the_next_call(tmp_path, status: int) -> None:
    """HTTP case 17: 204 and 304 end with their head, whatever follows."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            lines = [b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(STOLEN)]
            answers = iter([b"\r\n".join(lines) + b"\r\n\r\n" + STOLEN])

            def hostile(seen) -> bytes:
                return next(answers, None) or http(result(seen.message, {"content": []}))

            gate.upstream.script["tools/call"] = hostile
            await gate.call("echo", "first")
            assert (await gate.call("echo", "next")).json["result"] == {"content": []}

    within(main)


def test_early_refusal_of_a_large_call_is_passed_on(tmp_path) -> None:
    """HTTP case 17: the upstream need not read the body; the rest of it starts no new request."""
    large = call("echo", {"x": "a" * 3_000_000}, "first")
    refusal = http(b"large", b"text/plain", 413, b"connection: close")

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            await gate.call("echo", "warm")
            patient = gate.upstream._read

            async def impatient(reader, writer):
                gate.upstream._read = patient
                await reader.readuntil(b"\r\n\r\n")
                writer.write(refusal)
                await writer.drain()
                raise ConnectionAbortedError

            gate.upstream._read = impatient
            for line in list(gate.client._lines):
                line.cut()
            reply = await gate.post(large)
            assert (reply.status, reply.body) == (413, b"large")
            assert (await gate.call("echo", "next")).json["id"] == "next"

    within(main)


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
def test_answer_that_must_be_looked_into_and_is_too_large(tmp_path, framing: str, method: str) -> None:
    """HTTP case 7: over 16 MiB it is neither collected further nor passed unseen."""
    piece = b"x" * 2**18
    begin = b'{"jsonrpc":"2.0","id":"first","result":{"a":"'

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            sent = 0

            async def endless(seen) -> None:
                nonlocal sent
                line = b"Content-Length: %d" % 2**40 if framing == "length" else CHUNKS
                seen.writer.write(head(line))
                for part in (begin, *[piece] * 400):
                    if seen.writer.transport.is_closing():
                        return
                    seen.writer.write(part if framing == "length" else b"%x\r\n%b\r\n" % (len(part), part))
                    sent += len(part)
                    await seen.writer.drain()

            gate.upstream.script[method] = endless
            params = {"name": "echo", "arguments": {}} if method == "tools/call" else {}
            reply = await gate.post(request(method, params, "first"))
            assert (reply.json["id"], reply.json["error"]["code"]) == ("first", 4502)
            assert len(reply.body) < 1000
            assert sent < 64 * 2**20
            assert gate.client.idle == 0

    within(main, 20)


@POLICIES
@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 X\r\nLink: x\r\n\r\n"])
def test_interim_answers_are_skipped(tmp_path, policy: dict[str, Any], interim: bytes) -> None:
    """HTTP case 10: nobody asked for a 100; it is not passed on and not taken for the answer."""

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: interim * 3 + http(result(seen.message, {}))
            reply = await gate.call("echo", "i")
            assert (reply.status, reply.json["id"]) == (200, "i")
            assert "link" not in reply.headers

    within(main)


@POLICIES
@pytest.mark.parametrize("framing", ["length", "chunks", "one chunk a byte", "until close", "http/1.0"])
def test_answer_in_any_framing_is_the_same_answer(tmp_path, policy: dict[str, Any], framing: str) -> None:
    """HTTP case 18: by length, in chunks, or until the end of the connection."""
    body = encoded(
        {"jsonrpc": "2.0", "id": "f", "result": {"content": [{"type": "text", "text": "x" * 999}]}}
    )
    framed = {
        "length": sized(body),
        "chunks": chunked(body[:100], body[100:]),
        "one chunk a byte": chunked(*(bytes((byte,)) for byte in body)),
        "until close": head() + body,
        "http/1.0": head(b"Connection: keep-alive", first=b"HTTP/1.0 200 OK") + body,
    }[framing]

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:

            def answered(seen) -> None:
                seen.writer.write(framed)
                if framing in ("until close", "http/1.0"):
                    seen.writer.write_eof()

            gate.upstream.script["tools/call"] = answered
            reply = await gate.call("echo", "f")
            assert (reply.status, reply.body, reply.whole) == (200, body, True)
            assert [one.status for one in await gate.records() if one.kind == "outcome"] == ["ok"]

    within(main)


@POLICIES
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "GZIP"])
@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
def test_compressed_answer_is_refused_and_no_filter_is_skipped(
    tmp_path, policy: dict[str, Any], coding: str, method: str
) -> None:
    """HTTP case 18: identity was asked for; what cannot be looked into does not pass."""
    body = encoded({"jsonrpc": "2.0", "id": "z", "result": {"tools": [tool("hidden")]}})
    packed = zlib.compress(body) if coding == "deflate" else gzip.compress(body)

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            lines = [b"Content-Encoding: " + coding.encode()]
            gate.upstream.script[method] = lambda seen: sized(packed, *lines)
            params = {"name": "echo", "arguments": {}} if method == "tools/call" else {}
            reply = await gate.post(request(method, params, "z"))
            assert (reply.json["id"], reply.json["error"]["code"]) == ("z", 4502)
            assert b"hidden" not in reply.body
            assert gate.upstream.seen[-1].headers["accept-encoding"] == "identity"

    within(main)


def test_call_on_a_connection_that_the_upstream_resets_is_not_sent_again(tmp_path) -> None:
    """HTTP case 15: on record as unknown, on the wire once."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            assert not (await gate.call("echo", "warm")).denied
            gate.upstream.script["tools/call"] = lambda seen: seen.writer.transport.abort()
            assert (await gate.call("echo", "first")).json["error"]["code"] == 4502
            assert len(gate.upstream.calls) == 2
            ends = [one.status for one in await gate.records() if one.kind == "outcome"]
            assert ends == ["ok", "unknown"]

    within(main)


@pytest.mark.parametrize("way", ["silently", "told"])
def test_connection_closed_by_the_upstream_between_two_calls_costs_no_call(tmp_path, way: str) -> None:
    """HTTP case 16: with `Connection: close` or without a word, a hundred times."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate, talking(gate.port) as (reader, writer):

            def closing(seen) -> None:
                lines = [b"connection: close"] if way == "told" else []
                made = result(seen.message, {"content": []})
                seen.writer.write(http(made, b"application/json", 200, *lines))
                seen.writer.close()

            gate.upstream.script["tools/call"] = closing
            for number in range(100):
                writer.write(called(number))
                assert json.loads((await answer(reader))[2])["result"] == {"content": []}
            assert len(gate.upstream.calls) == 100

    within(main)


def test_late_answer_to_a_call_that_was_given_up_reaches_nobody(tmp_path) -> None:
    """HTTP case 21: timed out by the gate, or cancelled by its client; both connections are discarded."""
    message = modern(call("echo", {}, "cancelled"))

    async def main() -> None:
        late = asyncio.Event()
        limits = UpstreamLimits(head_timeout=1.0)
        async with world(deny_but("echo"), tmp_path / "s", limits=limits) as gate:

            async def hold(seen) -> bytes:
                await late.wait()
                return http(result(seen.message, {"late": True}))

            gate.upstream.script["tools/call"] = hold
            async with gate.held(message, *modern_headers(message)):
                await until(lambda: gate.upstream.calls)
            assert (await gate.call("echo", "slow")).json["error"]["code"] == 4502
            echoing(gate.upstream)
            late.set()
            for number in range(20):
                assert text_of((await gate.call("echo", number, n=number)).json) == {"n": number}
            ends = {one.status for one in await gate.records() if one.kind == "outcome"}
            assert ends == {"cancelled", "unknown", "ok"}

    within(main)


def test_upstream_that_closes_its_side_is_answered_from_and_left(tmp_path) -> None:
    """HTTP case 13: after a whole answer that is its right; in the middle of one it is an error."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            for part, told in ((GOOD, "result"), (GOOD[:-1], "error")):

                def half(seen, part=part) -> None:
                    seen.writer.write(sized(part, length=len(GOOD)))
                    seen.writer.write_eof()

                gate.upstream.script["tools/call"] = half
                assert told in (await gate.call("echo", "first")).json
            assert gate.client.idle <= 1

    within(main)


def test_headers_of_the_upstream_stop_at_the_gate(tmp_path) -> None:
    """HTTP case 25: Set-Cookie, Server, what Connection names, and all else that is not on the list."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            lines = [
                b"Set-Cookie: a=b", b"Server: up/1", b"X-Powered-By: x", b"Retry-After: 7",
                b"Connection: keep-alive, Retry-After", b"Keep-Alive: timeout=99", b"Via: 1.1 x",
                b"Alt-Svc: h3", b"Trailer: X", b"Access-Control-Allow-Origin: *",
                b"Location: http://evil.example/",
            ]  # fmt: skip
            gate.upstream.script["tools/call"] = lambda seen: sized(result(seen.message, {}), *lines)
            reply = await gate.call("echo", "h")
            assert set(reply.headers) == {"content-type", "content-length", "connection"}
            assert reply.headers["connection"] == "close"

    within(main)


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\x00b", "a\r\nX: y"])
def test_line_break_in_a_value_that_is_injected_never_reaches_a_connection(tmp_path, value: str) -> None:
    """HTTP case 25: a session id or a header of the operator cannot become a second header."""

    async def main() -> None:
        own = [(b"x-key", value.encode())]
        async with world(ALLOW_ALL, tmp_path / "s", own_headers=own) as gate:
            assert (await gate.call("echo", "c")).json["error"]["code"] == 4502
            assert gate.upstream.seen == []

    within(main)
