"""Listeners that let everybody in, and answers that get lost, cut off or never end."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from ostiary.proxy.http.client import UpstreamLimits
from tests.weaknesses.world import (
    ALLOW_ALL,
    TOKENS,
    call,
    deny_but,
    encoded,
    events,
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

OK = {"content": [{"type": "text", "text": "done"}]}


@pytest.mark.parametrize(
    ("headers", "host", "status"),
    [
        ([], b"evil.example", 421),
        ([], b"127.0.0.1.evil.example", 421),
        ([], b"localhost@evil.example", 421),
        ([(b"origin", b"http://evil.example")], b"127.0.0.1", 403),
        ([(b"origin", b"null")], b"127.0.0.1", 403),
        ([(b"origin", b"http://localhost.evil.example")], b"127.0.0.1", 403),
        ([(b"origin", b"file://localhost")], b"127.0.0.1", 403),
        ([(b"authorization", b"Bearer wrong")], b"127.0.0.1", 401),
        ([(b"authorization", b"Basic " + TOKENS["alice"].encode())], b"127.0.0.1", 401),
        ([(b"authorization", b"")], b"127.0.0.1", 401),
    ],
)
def test_a_stranger_at_the_listener_is_turned_away_before_anything_is_read(
    tmp_path, headers: list[tuple[bytes, bytes]], host: bytes, status: int
) -> None:
    """W33: Host, Origin and token are checked."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            reply = await gate.post(call("echo"), *headers, host=host)
            assert reply.status == status
            assert gate.upstream.seen == []

    within(main)


def test_credentials_and_unknown_headers_of_the_client_stop_at_the_gate(tmp_path) -> None:
    """W33: the allow-list of headers, in both directions; no Ostiary header leaves either."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: http(
                result(seen.message, OK), b"application/json", 200,
                b"set-cookie: a=b", b"x-internal: secret", b"server: upstream/1",
            )  # fmt: skip
            sent = [
                (b"cookie", b"session=secret"),
                (b"x-forwarded-for", b"10.0.0.1"),
                (b"x-ostiary-grant", b"admin"),
                (b"origin", b"http://127.0.0.1"),
                (b"referer", b"http://a/secret"),
                (b"accept-encoding", b"gzip"),
                (b"proxy-authorization", b"Basic eA=="),
            ]
            reply = await gate.post(call("echo"), *sent, grant="alice")
            arrived = gate.upstream.seen[-1].headers
            assert set(arrived) == {"host", "accept-encoding", "content-type", "accept", "content-length"}
            assert arrived["accept-encoding"] == "identity"
            assert TOKENS["alice"] not in json.dumps(arrived)
            assert set(reply.headers) <= {"content-type", "content-length", "connection"}

    within(main)


def test_headers_of_the_operator_are_sent_upstream_with_every_request(tmp_path) -> None:
    """W34: also with the gate's own listing, and in place of the client's."""
    own = [(b"x-api-key", b"k1"), (b"user-agent", b"gate")]

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s", own_headers=own) as gate:
            await gate.post(call("echo"), (b"user-agent", b"client"))
            await gate.post(None, method="GET")
            assert gate.upstream.listings == 1
            assert {one.headers["x-api-key"] for one in gate.upstream.seen} == {"k1"}
            assert {one.headers["user-agent"] for one in gate.upstream.seen} == {"gate"}

    within(main)


@pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["open", "filtering"])
def test_a_large_event_passes_whole(tmp_path, policy: dict[str, Any]) -> None:
    """W35: 2 MiB in one event, cut into small pieces on the way."""
    text = "x" * (2 * 2**20)

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:

            async def slowly(seen):
                body = (
                    b"data: " + result(seen.message, {"content": [{"type": "text", "text": text}]}) + b"\n\n"
                )
                head = http(b"", b"text/event-stream").replace(
                    b"content-length: 0", b"content-length: %d" % len(body)
                )
                seen.writer.write(head)
                for at in range(0, len(body), 70_001):
                    seen.writer.write(body[at : at + 70_001])
                    await seen.writer.drain()

            gate.upstream.script["tools/call"] = slowly
            reply = await gate.call("echo")
            assert reply.events[0]["result"]["content"][0]["text"] == text

    within(main, 20)


@pytest.mark.parametrize(
    "trick",
    [
        lambda seen: seen.writer.transport.abort(),
        lambda seen: b"\x00\x01garbage\r\n\r\n",
        lambda seen: http(b"", b"", 302, b"location: http://127.0.0.1:1/"),
        lambda seen: http(b"\x1f\x8b", b"application/json", 200, b"content-encoding: gzip"),
        lambda seen: events(),
        lambda seen: events(b": ping\n\n"),
        lambda seen: events([json.loads(result(seen.message, OK))]),
        lambda seen: http(b"{"),
        lambda seen: http(b"<html>", b"text/html"),
        lambda seen: b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
        lambda seen: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
        lambda seen: b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        lambda seen: b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
    ids=["reset", "garbage", "redirect", "gzip", "no event", "only a comment", "a batch", "half", "html",
         "two lengths", "length and chunks", "coding", "upgrade"],
)  # fmt: skip
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_request_is_always_answered_with_its_id(tmp_path, era: str, trick: Any) -> None:
    """W37, W41: whatever the upstream does, nobody waits for an answer that will not come."""
    message = call("echo", number="c1")
    message = modern(message) if era == "modern" else message

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = trick
            reply = await gate.post(message, *(modern_headers(message) if era == "modern" else []))
            told = reply.events[-1] if "event-stream" in reply.headers["content-type"] else reply.json
            assert told["id"] == "c1"
            assert "error" in told
            statuses = [one.status for one in await gate.records() if one.kind == "outcome"]
            assert statuses in (["unknown"], ["error"])

    within(main)


def test_an_upstream_that_is_silent_is_given_up(tmp_path) -> None:
    """W37, W40: times are bounded."""

    async def main() -> None:
        limits = UpstreamLimits(head_timeout=0.1, body_timeout=0.1)
        async with world(ALLOW_ALL, tmp_path / "s", limits=limits) as gate:
            gate.upstream.script["tools/call"] = lambda seen: None
            assert (await gate.call("echo")).json["error"]["code"] == 4502
            gate.upstream.script["tools/call"] = lambda seen: http(b"")[:-4] + b"\r\nx: y\r\n"
            assert (await gate.call("echo", 2)).json["id"] == 2

    within(main)


def test_an_upstream_that_is_not_there_is_reported_with_the_id(tmp_path) -> None:
    """W37: as a JSON-RPC error; nothing is on record as forwarded with an unknown end."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            await gate.upstream.stop()
            assert (await gate.call("echo", "a")).json["id"] == "a"
            statuses = [one.status for one in await gate.records() if one.kind == "outcome"]
            assert statuses == ["not_sent"]
            await gate.upstream.start()

    within(main)


@pytest.mark.parametrize("method", ["notifications/whatever", "notifications/cancelled"])
def test_a_denied_notification_gets_no_answer(tmp_path, method: str) -> None:
    """W39: no response with `id: null`."""
    policy = {
        "version": "1",
        "default": "deny",
        "tools": {"echo": {}},
        "methods": {"deny": ["notifications/**", "notifications/*"]},
    }

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            reply = await gate.post({"jsonrpc": "2.0", "method": method, "params": {"requestId": 1}})
            assert (reply.status, reply.body) == (202, b"")
            assert gate.upstream.seen == []

    within(main)


def test_the_answer_to_a_notification_carries_no_message(tmp_path) -> None:
    """W39: what an upstream says there is not passed on where answers are filtered."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["notifications/initialized"] = http(
                encoded({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool("hidden")]}})
            )
            reply = await gate.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
            assert (reply.status, reply.body) == (200, b"")

    within(main)


def test_an_answer_that_must_be_checked_is_bounded(tmp_path) -> None:
    """W40: a list of more than 16 MiB is refused, not collected."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            sent = 0

            async def endless(seen):
                nonlocal sent
                head = http(b"", b"application/json").replace(
                    b"content-length: 0", b"transfer-encoding: chunked"
                )
                seen.writer.write(head)
                piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
                while not seen.writer.transport.is_closing():
                    seen.writer.write(piece)
                    sent += 65536
                    await seen.writer.drain()
                return b""

            gate.upstream.script["tools/list"] = endless
            reply = await gate.ask("tools/list", {})
            assert reply.json["error"]["code"] == 4502
            await until(lambda: sent < 200 * 2**20)

    within(main, 20)


def test_a_listing_of_our_own_is_a_request_that_a_compliant_server_answers(tmp_path) -> None:
    """W42: Accept, content type, session and version are sent, and an event stream is read."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = lambda seen: http(
                result(seen.message, {"protocolVersion": "2025-11-25"}),
                b"application/json",
                200,
                b"mcp-session-id: s1",
            )
            gate.upstream.script["own listing"] = lambda seen: events(
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/message",
                    "params": {"level": "info", "data": "x"},
                },
                json.loads(result(seen.message, {"tools": [tool("echo")]})),
            )
            session = [(b"mcp-session-id", await gate.session()), (b"mcp-protocol-version", b"2025-11-25")]
            assert not (await gate.post(call("echo"), *session)).denied
            listing = next(one for one in gate.upstream.seen if gate.upstream.is_own(one))
            assert listing.headers["accept"] == "application/json, text/event-stream"
            assert listing.headers["content-type"] == "application/json"
            assert listing.headers["mcp-session-id"] == "s1"
            assert listing.headers["mcp-protocol-version"] == "2025-11-25"

    within(main)


@pytest.mark.parametrize(
    "listing",
    [
        lambda seen: http(b"", status=500),
        lambda seen: http(b"[]"),
        lambda seen: events(),
        lambda seen: http(result(seen.message, {"tools": "x"})),
        lambda seen: http(result(seen.message, {"tools": [{"name": "echo", "Name": "x"}]})),
        lambda seen: http(result(seen.message, {"tools": [tool("echo")], "nextCursor": "more"})),
        lambda seen: seen.writer.transport.abort(),
    ],
    ids=["500", "batch", "no event", "not a list", "twin key", "endless pages", "reset"],
)
def test_a_list_that_cannot_be_read_denies_and_is_tried_again(tmp_path, listing: Any) -> None:
    """W42, W40: the gate neither guesses nor hangs nor remembers a failure."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["own listing"] = listing
            assert (await gate.call("echo")).denied
            assert gate.upstream.calls == []
            assert gate.upstream.listings <= 100
            del gate.upstream.script["own listing"]
            assert not (await gate.call("echo", 2)).denied

    within(main)


def test_a_list_that_fails_to_be_read_again_does_not_leave_the_old_one_in_force(tmp_path) -> None:
    """W10 (P7): after list_changed nothing is known until it was read."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            await gate.call("echo")
            gate.desk.catalogues.invalidate(("local", ""))
            gate.upstream.script["own listing"] = http(b"", status=500)
            assert [(await gate.call("echo", n)).denied for n in (2, 3)] == [True, True]

    within(main)


def test_events_reach_the_client_as_they_come(tmp_path) -> None:
    """W41: a stream is not collected before it is passed on."""
    progress = {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": 1, "progress": 1},
    }
    go_on = asyncio.Event()

    async def main() -> None:
        async def slowly(seen):
            seen.writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            first = b"data: " + encoded(progress) + b"\n\n"
            seen.writer.write(b"%x\r\n%b\r\n" % (len(first), first))
            await go_on.wait()
            last = b"data: " + result(seen.message, OK) + b"\n\n"
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last)

        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = slowly
            async with gate.held(call("echo")) as (reader, _):
                assert b"notifications/progress" in await reader.readuntil(b"\n\n")
                go_on.set()
                assert b'"done"' in await reader.readuntil(b"\n\n")

    within(main)


def test_session_ids_cannot_be_guessed_and_are_bound_to_their_grant(tmp_path) -> None:
    """W43: 144 bits of a keyed digest stand behind every id, however short the upstream's is."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = lambda seen: http(
                result(seen.message, {}), b"application/json", 200, b"mcp-session-id: 1"
            )
            mine = await gate.session("alice")
            before = len(gate.upstream.seen)
            for handle, grant in [
                (mine, "bob"),
                (b"1", "alice"),
                (b"2" + mine[1:], "alice"),
                (mine[:-1], "alice"),
                (b"", "alice"),
            ]:
                for method in ("POST", "GET", "DELETE"):
                    body = call("echo") if method == "POST" else None
                    reply = await gate.post(body, (b"mcp-session-id", handle), grant=grant, method=method)
                    assert reply.status == 404, (handle, method)
            assert len(gate.upstream.seen) == before
            assert (await gate.post(call("echo"), (b"mcp-session-id", mine), grant="alice")).status == 200
            assert gate.upstream.seen[-1].headers["mcp-session-id"] == "1"

    within(main)


def test_a_stdio_server_that_dies_is_reported_and_its_status_returned(tmp_path) -> None:
    """W36, W37: the client is answered and the exit status tells."""
    from tests.e2e.world import OSTIARY, environment

    server = "import sys\nsys.stdin.readline()\nsys.exit(7)\n"
    (tmp_path / "p.json").write_text(json.dumps(ALLOW_ALL))

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            *OSTIARY, "proxy", "-p", str(tmp_path / "p.json"), "--state-dir", str(tmp_path / "state"),
            "--", sys.executable, "-c", server,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=environment(),
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(encoded(request("ping", number=3)) + b"\n")
        told, _ = await process.communicate()
        assert json.loads(told)["id"] == 3
        assert process.returncode == 7

    within(main, 20)
