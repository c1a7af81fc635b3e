"""Whole gates and clients that use HTTP in odd ways: what is decided, what is forwarded, what is told."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.http_cases.world import HOST, GateProcess, asked, called, echoing, head_of, posted, text_of
from tests.proxy.http_world import answer, exchange, talking
from tests.weaknesses.world import (
    TOKENS,
    call,
    deny_but,
    encoded,
    http,
    modern,
    modern_headers,
    request,
    result,
    until,
    within,
    world,
)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ONE_AT_A_TIME = {
    "version": "1",
    "default": "deny",
    "tools": {"echo": {"limits": [{"counter": "together", "max_concurrent": 1}]}},
}
OK = {"content": [{"type": "text", "text": "done"}]}


def test_message_split_at_every_byte_is_the_same_call(gate: GateProcess) -> None:
    """Every valid message, cut at each offset, gives the same call to the upstream."""
    data = called("n", x="a" * 40)

    async def main() -> None:
        async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
            echoing(upstream)
            for cut in range(1, len(data)):
                writer.write(data[:cut])
                await asyncio.sleep(0)
                writer.write(data[cut:])
                assert (await answer(reader))[0] == 200
            bodies = {one.body for one in upstream.seen if not upstream.is_own(one)}
            assert bodies == {data.partition(b"\r\n\r\n")[2]}

    within(main, 20)


def test_pipelined_calls_are_decided_one_by_one_and_answered_in_order(tmp_path) -> None:
    """HTTP case 9: allowed, denied, refused by the parser of messages, then refused by that of HTTP."""
    messages = [call("echo", {}, "1"), call("other", {}, "2"), b"{", call("echo", {}, "3")]

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate, talking(gate.port) as (reader, writer):
            last = b"PUT /mcp HTTP/1.1\r\n" + HOST + b"\r\n\r\n"
            writer.write(b"".join(posted(one) for one in messages) + last + posted(messages[0]))
            answers = [await answer(reader) for _ in range(5)]
            assert [status for status, _, _ in answers] == [200, 200, 400, 200, 405]
            told = [json.loads(body) for _, _, body in answers[:4]]
            assert [one.get("id") for one in told] == ["1", "2", None, "3"]
            assert told[1]["result"]["isError"] is True
            assert answers[-1][1][b"connection"] == b"close"
            assert await reader.read() == b""
            assert gate.upstream.calls == ["echo", "echo"]

    within(main)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Host: evil.example"], 421),
        ([HOST, b"Origin: http://evil.example"], 403),
        ([HOST, b"Authorization: Bearer wrong"], 401),
    ],
)
def test_call_turned_away_at_the_door_is_never_invited_to_send_its_body(
    tmp_path, lines: list[bytes], status: int
) -> None:
    """HTTP case 10: 100 comes only after Host, Origin and token were found good."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            head = [b"POST /mcp HTTP/1.1", *lines, b"Content-Length: 9", b"Expect: 100-continue"]
            got = await exchange(gate.port, b"\r\n".join(head) + b"\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 %d " % status)
            assert b"100 Continue" not in got

    within(main)


def test_call_that_is_expected_is_invited_once_and_answered(gate: GateProcess) -> None:
    """HTTP case 10: the expectation itself is not forwarded."""
    body = encoded(call("echo", {}, "e"))

    async def main() -> None:
        async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
            writer.write(head_of(len(body), b"Expect: 100-continue"))
            assert await reader.readexactly(len(CONTINUE)) == CONTINUE
            writer.write(body)
            assert json.loads((await answer(reader))[2])["id"] == "e"
            assert "expect" not in upstream.seen[-1].headers

    within(main)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (b"HEAD", b"/mcp", 405),
        (b"OPTIONS", b"/mcp", 405),
        (b"HEAD", b"/other", 404),
        (b"POST", b"/", 404),
        (b"POST", b"/mcp/", 404),
        (b"POST", b"/mcp/../mcp", 404),
        (b"POST", b"//mcp", 404),
        (b"POST", b"/MCP", 404),
        (b"POST", b"/%6dcp", 404),
    ],
)
def test_method_or_path_that_is_not_served_gets_its_status(
    gate: GateProcess, method: bytes, path: bytes, status: int
) -> None:
    """HTTP case 11: one spelling of one path, three methods; a HEAD is answered without a body."""

    async def main() -> None:
        async with gate.upstream() as upstream:
            got = await exchange(
                gate.port,
                method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"\r\nOrigin: http://127.0.0.1\r\n\r\n",
            )
            head, _, body = got.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert (b"\r\nallow: POST, GET, DELETE" in head) == (status == 405)
            assert b"access-control" not in head
            assert (body == b"") == (method == b"HEAD")
            assert upstream.seen == []

    within(main)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"127.0.0.1", 200),
        (b"127.0.0.1:8787", 200),
        (b"localhost", 200),
        (b"LocalHost:80", 200),
        (b"localhost.", 200),
        (b"[::1]", 200),
        (b"[::1]:8787", 200),
        (b"evil.example", 421),
        (b"evil.example:8787", 421),
        (b"127.0.0.1.evil.example", 421),
        (b"127.0.0.1@evil.example", 421),
        (b"[::2]", 421),
        (b"[::1]evil.example", 421),
        (b"[::1]:80.evil.example", 421),
        (b"[::1", 421),
        (b"127.0.0.1, evil.example", 421),
        (b"127.1", 421),
        (b"2130706433", 421),
    ],
)
def test_host_must_name_this_gate(gate: GateProcess, host: bytes, status: int) -> None:
    """HTTP case 12: with a port, in upper case, as IPv6; anything else belongs to somebody else."""

    async def main() -> None:
        async with gate.upstream() as upstream:
            data = (
                called("h")
                .replace(HOST, b"Host: " + host)
                .replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
            )
            got = await exchange(gate.port, data)
            assert got.startswith(b"HTTP/1.1 %d " % status), got
            assert bool(upstream.calls) == (status == 200)

    within(main)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://127.0.0.1", 200),
        (b"http://localhost:5173", 200),
        (b"https://LOCALHOST", 200),
        (b"http://[::1]:80", 200),
        (b"null", 403),
        (b"", 403),
        (b"http://evil.example", 403),
        (b"http://evil.example:80", 403),
        (b"http://localhost.evil.example", 403),
        (b"http://localhost@evil.example", 403),
        (b"http://evil.example/http://localhost", 403),
        (b"localhost", 403),
        (b"ftp://localhost", 403),
        (b"http://lo\tcalhost", 403),
        (b"http://localhost:x", 403),
        (b"http://localhost#evil.example", 403),
        (b"http://localhost?", 403),
        (b"http://localhost/", 403),
    ],
)
def test_origin_must_be_of_this_machine(gate: GateProcess, origin: bytes, status: int) -> None:
    """HTTP case 12: a page from elsewhere cannot use the reader's own network."""

    async def main() -> None:
        async with gate.upstream() as upstream:
            got = await exchange(gate.port, called("o", b"Origin: " + origin, b"Connection: close"))
            assert got.startswith(b"HTTP/1.1 %d " % status), got
            assert bool(upstream.calls) == (status == 200)

    within(main)


def test_client_that_closed_its_sending_side_gets_the_answer_of_a_slow_call(tmp_path) -> None:
    """HTTP case 13: the call is forwarded, awaited and answered; half a call is not."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def late(seen) -> bytes:
            await go_on.wait()
            return http(result(seen.message, OK))

        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = late
            async with talking(gate.port) as (reader, writer), talking(gate.port) as (half, halved):
                writer.write(called("a"))
                writer.write_eof()
                halved.write(called("b")[:-1])
                halved.write_eof()
                assert (await half.read()).startswith(b"HTTP/1.1 400 ")
                await until(lambda: gate.upstream.calls)
                go_on.set()
                assert json.loads((await answer(reader))[2])["id"] == "a"
                assert await reader.read() == b""
            assert gate.upstream.calls == ["echo"]

    within(main)


async def ended(gate) -> list[str]:
    """How the calls on record ended, once one has."""
    while not (found := [one.status for one in await gate.records() if one.kind == "outcome"]):
        await asyncio.sleep(0.01)
    return found


def test_legacy_call_goes_on_after_its_client_has_gone(tmp_path) -> None:
    """HTTP case 14: the upstream is not cut off, the outcome is recorded, the slot is free again."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def late(seen) -> bytes:
            await go_on.wait()
            return http(result(seen.message, OK))

        async with world(ONE_AT_A_TIME, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = late
            async with gate.held(call("echo", {}, 1)):
                await until(lambda: gate.upstream.calls)
            assert (await gate.call("echo", 2)).denied
            go_on.set()
            assert await ended(gate) == ["ok"]
            assert not (await gate.call("echo", 3)).denied

    within(main)


def test_modern_call_is_cancelled_when_its_client_has_gone(tmp_path) -> None:
    """HTTP case 14: the upstream sees its connection end; the place is free on both sides.

    A counter of calls under way keeps counting it, since nobody knows whether the upstream stopped.
    """
    message = modern(call("echo", {}, 1))

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: None
            async with gate.held(message, *modern_headers(message)):
                await until(lambda: gate.upstream.calls)
                gate.upstream.script["tools/call"] = lambda seen: http(result(seen.message, OK))
            await until(lambda: not gate.client._lines)
            assert await ended(gate) == ["cancelled"]
            reply = await gate.post(message, *modern_headers(message))
            assert not reply.denied

    within(main)


def test_headers_of_one_hop_and_the_clients_secrets_end_at_the_gate(tmp_path) -> None:
    """HTTP case 25: hop-by-hop and named headers, Authorization and Cookie go no further."""
    lines = [
        b"Connection: keep-alive, X-Hop",
        b"X-Hop: 1",
        b"Keep-Alive: timeout=5",
        b"TE: trailers",
        b"Upgrade: h2c",
        b"Proxy-Authorization: Basic eA==",
        b"Proxy-Connection: keep-alive",
        b"Authorization: Bearer " + TOKENS["alice"].encode(),
        b"Cookie: a=b",
        b"Forwarded: for=10.0.0.1",
    ]

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate, talking(gate.port) as (reader, writer):
            writer.write(called("h", *lines))
            assert (await answer(reader))[0] == 200
            names = {"host", "accept-encoding", "content-type", "accept", "content-length"}
            assert gate.upstream.calls == ["echo"]  # and not only the gate's own listing
            arrived = gate.upstream.seen[-1].headers
            assert set(arrived) == names
            assert arrived["host"] == f"127.0.0.1:{gate.upstream.port}"

    within(main)


@pytest.mark.parametrize("name", [b"Mcp-Name", b"Authorization", b"Host", b"Content-Type", b"Connection"])
def test_trailers_change_nothing(gate: GateProcess, name: bytes) -> None:
    """HTTP case 4: what comes after the body is read, bounded and dropped; the connection goes on."""
    body = encoded(call("echo", {}, "t"))

    async def main() -> None:
        async with gate.upstream() as upstream, talking(gate.port) as (reader, writer):
            writer.write(head_of(None) + b"%x\r\n%b\r\n0\r\n%b: 1\r\n\r\n" % (len(body), body, name))
            assert json.loads((await answer(reader))[2])["id"] == "t"
            assert upstream.seen[-1].body == body
            assert not {"authorization", "mcp-name"} & set(upstream.seen[-1].headers)
            assert upstream.seen[-1].headers["host"] != "1"
            assert (await asked(reader, writer, "next"))["id"] == "next"

    within(main)


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding"])
def test_trailers_that_name_another_framing_are_refused(gate: GateProcess, name: bytes) -> None:
    """HTTP case 4: the body is known to be whole, but whoever sends this has two ideas of it."""
    body = encoded(call("echo", {}, "t"))

    async def main() -> None:
        async with gate.upstream() as upstream:
            chunks = b"%x\r\n%b\r\n0\r\n%b: 5\r\n\r\n" % (len(body), body, name)
            assert (await exchange(gate.port, head_of(None) + chunks)).startswith(b"HTTP/1.1 400 ")
            assert upstream.calls == []

    within(main)


def test_bytes_after_the_last_chunk_are_a_request_of_their_own(gate: GateProcess) -> None:
    """HTTP case 4: they never become part of the body before them."""
    body = encoded(call("echo", {}, "c"))

    async def main() -> None:
        async with gate.upstream() as upstream:
            got = await exchange(gate.port, head_of(None) + b"%x\r\n%b\r\n0\r\n\r\n{}" % (len(body), body))
            assert b'"id": "c"' in got
            assert got.count(b"HTTP/1.1 ") == 2
            assert b"HTTP/1.1 400 " in got
            assert upstream.calls == ["echo"]

    within(main)


def test_request_ids_and_arguments_of_many_clients_are_never_mixed(gate: GateProcess) -> None:
    """HTTP case 9: eight clients pipeline calls with equal ids; each reads its own answers, in order."""

    async def main() -> None:
        async with gate.upstream() as upstream:
            echoing(upstream)

            async def client(name: int) -> None:
                async with talking(gate.port) as (reader, writer):
                    writer.write(b"".join(called(n, client=name, n=n) for n in range(30)))
                    for n in range(30):
                        document = json.loads((await answer(reader))[2])
                        assert (document["id"], text_of(document)) == (n, {"client": name, "n": n})

            await asyncio.gather(*(client(name) for name in range(8)))

    within(main, 10)


def test_list_of_tools_is_answered_to_a_chunked_request(gate: GateProcess) -> None:
    """HTTP case 18: a body in chunks of one byte is the same message."""
    body = encoded(request("tools/list", {}, "l"))

    async def main() -> None:
        async with gate.upstream(), talking(gate.port) as (reader, writer):
            writer.write(head_of(None) + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
            document = json.loads((await answer(reader))[2])
            assert [one["name"] for one in document["result"]["tools"]] == ["echo"]

    within(main)
