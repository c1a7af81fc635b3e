"""A server of HTTP+SSE (2024-11-05), towards the gate a streamable HTTP server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ostiary.errors import GatewayFault
from ostiary.proxy.exchange import UpstreamRequest
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.sse.either import EitherUpstream
from ostiary.proxy.sse.endpoint import endpoint_target
from ostiary.proxy.sse.link import LinkLimits
from ostiary.proxy.sse.upstream import SessionLimits, SseUpstream
from tests.proxy.sse_world import Server, answer, say, server
from tests.proxy.stdio_world import Remembering, modern, notification, post, request
from tests.weaknesses import world
from tests.weaknesses.world import until, within

INITIALIZE = request("initialize", 0)


def ask(
    upstream: SseUpstream | EitherUpstream,
    message: dict[str, Any] | bytes,
    session: bytes | None,
    grant: str = "g",
) -> Remembering:
    """Send one message and remember its answer."""
    sink = Remembering()
    upstream.send(post(message, session=session, grant=grant), sink)
    return sink


async def over(sink: Remembering) -> Remembering:
    await sink.over.wait()
    return sink


async def opened(one: Server, upstream: SseUpstream, grant: str = "g") -> tuple[bytes, asyncio.StreamWriter]:
    """A session that is initialized: its id, and the server's end of the stream."""
    sink = ask(upstream, INITIALIZE, None, grant)
    stream = await one.streams.get()
    assert (await one.next("initialize"))["id"] == 0
    say(stream, {"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2024-11-05"}})
    await sink.over.wait()
    assert sink.session is not None, sink.failed
    return sink.session, stream


def result(message_id: object, value: object = None) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": message_id, "result": {} if value is None else value}


# --- a session ------------------------------------------------------------------------------------


def test_message_is_posted_to_the_endpoint_and_answered_on_the_stream() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            body = b'{"jsonrpc": "2.0",  "id":5, "method":"ping"}'
            sink = ask(upstream, body, session)
            said = await one.said.get()
            assert (said.target, said.body) == ("/messages?session=1", body)
            say(stream, result(5))
            await sink.over.wait()
            assert (sink.status, sink.kind) == (200, b"application/json")
            assert (sink.messages, sink.session) == ([result(5)], session)

    within(main)


def test_headers_of_the_operator_go_with_the_stream_and_with_every_message() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            headers = (
                (b"content-type", b"application/json"),
                (b"accept", b"application/json, text/event-stream"),
                (b"mcp-protocol-version", b"2024-11-05"),
                (b"user-agent", b"client/1"),
                (b"x-team", b"platform"),
            )
            body = json.dumps(INITIALIZE).encode()
            upstream.send(UpstreamRequest("POST", headers, body, grant="g"), Remembering())
            said = await one.said.get()
            assert one.stream_headers["accept"] == "text/event-stream"
            assert "mcp-protocol-version" not in one.stream_headers
            for sent in (one.stream_headers, said.headers):
                assert (sent["x-team"], sent["user-agent"]) == ("platform", "client/1")
                assert "mcp-session-id" not in sent
            assert said.headers["content-type"] == "application/json"

    within(main)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_stream_is_read_whatever_its_line_ends_and_wherever_it_is_cut(ends: bytes) -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            one.endpoint = None
            sink = ask(upstream, INITIALIZE, None)
            stream = await one.streams.get()
            stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            text = (
                b": welcome\n\nretry: 10\n\nevent: unknown\ndata: x\n\nevent: endpoint\ndata: /m\n\n"
                b'id: 1\nevent: message\ndata: {"jsonrpc":"2.0",\ndata: "id":0,"result":{}}\n\n'
            ).replace(b"\n", ends)
            place = text.index(b"id: 1")
            for index in range(place):
                stream.write(text[index : index + 1])
                await asyncio.sleep(0)
            said = await one.said.get()
            assert said.target == "/m"
            for index in range(place, len(text)):
                stream.write(text[index : index + 1])
                await asyncio.sleep(0)
            await sink.over.wait()
            assert sink.messages == [result(0)]

    within(main)


def test_each_session_has_a_stream_of_its_own_and_belongs_to_one_grant() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            first, of_first = await opened(one, upstream, "alice")
            second, of_second = await opened(one, upstream, "bob")
            assert first != second
            sinks = [ask(upstream, request("ping", 1), first, "alice")]
            await one.next("ping")
            sinks.append(ask(upstream, request("ping", 1), second, "bob"))
            await one.next("ping")
            say(of_second, result(1, "second"))
            say(of_first, result(1, "first"))
            await asyncio.gather(*(sink.over.wait() for sink in sinks))
            assert [sink.messages[0]["result"] for sink in sinks] == ["first", "second"]
            assert (await over(ask(upstream, request("ping", 2), first, "bob"))).status == 404
            assert one.said.empty()

    within(main)


def test_progress_and_questions_find_their_way_to_the_client() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            fetched = Remembering()
            upstream.send(UpstreamRequest("GET", ((b"mcp-session-id", session),), b"", grant="g"), fetched)
            sink = ask(upstream, request("tools/call", 7, _meta={"progressToken": "t"}), session)
            await one.next("tools/call")
            progress = notification("notifications/progress", progressToken="t", progress=1)
            question = request("sampling/createMessage", "q")
            say(stream, progress)
            say(stream, question)
            say(stream, result(7))
            await sink.over.wait()
            assert sink.messages == [progress, result(7)]
            await fetched.until(lambda: fetched.body.endswith(b"\n\n"))
            assert fetched.messages == [question]
            reply = ask(upstream, {"jsonrpc": "2.0", "id": "q", "result": {}}, session)
            assert (await over(reply)).status == 202
            assert (await one.next("response"))["id"] == "q"

    within(main)


def test_answer_to_a_request_that_nobody_made_is_dropped_with_a_word() -> None:
    async def main() -> None:
        log: list[str] = []
        async with server(log=log.append) as (one, upstream):
            session, stream = await opened(one, upstream)
            sink = ask(upstream, request("ping", 1), session)
            await one.next("ping")
            say(stream, result(99))
            say(stream, result("1"))
            stream.write(b"event: message\ndata: {nonsense\n\n")
            say(stream, result(1))
            await sink.over.wait()
            assert sink.messages == [result(1)]
            assert "nobody made" in log[0]
            assert "nonsense" not in "".join(log)

    within(main)


def test_delete_ends_the_stream_and_the_session() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, _ = await opened(one, upstream)
            sink = Remembering()
            upstream.send(UpstreamRequest("DELETE", ((b"mcp-session-id", session),), b"", grant="g"), sink)
            await sink.over.wait()
            assert sink.status == 200
            await one.ended.wait()
            assert (await over(ask(upstream, request("ping", 1), session))).status == 404

    within(main)


def test_end_of_the_stream_fails_what_is_in_flight_and_ends_the_session() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            fetched = Remembering()
            upstream.send(UpstreamRequest("GET", ((b"mcp-session-id", session),), b"", grant="g"), fetched)
            sink = ask(upstream, request("tools/call", 7), session)
            await one.next("tools/call")
            stream.close()
            await asyncio.gather(sink.over.wait(), fetched.over.wait())
            assert sink.failed is not None
            assert (sink.failed.written, "ended its event stream" in sink.failed.message) == (True, True)
            again = await over(ask(upstream, request("ping", 8), session))
            assert (again.status, again.messages[0]["id"]) == (404, 8)
            assert upstream.sessions == 0
            await opened(one, upstream)

    within(main)


def test_stream_that_is_cut_in_the_middle_of_an_event_fails_what_is_in_flight() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            sink = ask(upstream, request("tools/call", 7), session)
            await one.next("tools/call")
            stream.write(b'data: {"jsonrpc":"2.0","id":7,"result":{}}\n')
            await stream.drain()
            stream.transport.abort()
            await sink.over.wait()
            assert sink.failed is not None
            assert sink.failed.written

    within(main)


# --- the endpoint ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "named", "target"),
    [
        ("http://a.example/sse", "/messages?session=1", "/messages?session=1"),
        ("http://a.example/x/sse", "messages/", "/x/messages/"),
        ("http://a.example/x/sse?key=1", "?session=1", "/x/sse?session=1"),
        ("http://a.example/sse", "http://a.example/m", "/m"),
        ("http://a.example:80/sse", "http://A.example/m", "/m"),
        ("https://a.example/sse", "https://a.example:443", "/"),
        ("https://a.example:8443/sse", "//a.example:8443/m", "/m"),
        ("http://[::1]:9/sse", "http://[::1]:9/m#part", "/m"),
        ("http://a.example/sse", "/a/../b/./m", "/b/m"),
        ("http://a.example/sse", "HTTP://A.EXAMPLE/m", "/m"),
        ("http://a.example/sse", "///evil.example/m", "/evil.example/m"),
        ("http://a.example/sse", "\\\\evil.example\\m", "/\\\\evil.example\\m"),
    ],
)
def test_endpoint_is_resolved_against_the_configured_url(configured: str, named: str, target: str) -> None:
    assert endpoint_target(configured, named.encode()) == target


@pytest.mark.parametrize(
    "named",
    [
        "https://a.example/m",
        "http://b.example/m",
        "http://a.example:81/m",
        "http://a.example:0/m",
        "http://a.example\\@evil.example/m",
        "http://a.example./m",
        "http://a.example%2eevil.example/m",
        "/m\r\nx-admin: 1",
        "/m\nx",
        "http://a.example.evil.example/m",
        "http://a.example@evil.example/m",
        "http://user@a.example/m",
        "//evil.example/m",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://a.example:0x50/m",
        "http://[::1/m",
        "/m m",
        "/m\tm",
        "/m\x7f",
        "/é",
        "",
        "/" + "m" * 8192,
    ],
)
def test_endpoint_of_another_origin_or_form_is_refused(named: str) -> None:
    with pytest.raises(GatewayFault):
        endpoint_target("http://a.example/sse", named.encode())


def test_server_that_names_another_origin_is_sent_nothing() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            one.endpoint = b"http://127.0.0.1:1/messages"
            sink = await over(ask(upstream, INITIALIZE, None))
            assert sink.failed is not None
            assert (sink.failed.written, "another origin" in sink.failed.message) == (False, True)
            assert one.said.empty()
            assert upstream.sessions == 0

    within(main)


def test_absolute_endpoint_of_the_same_origin_is_used() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            one.endpoint = f"http://127.0.0.1:{one.port}/there?s=1".encode()
            await opened(one, upstream)

    within(main)


def test_server_that_names_no_endpoint_is_given_up() -> None:
    async def main() -> None:
        async with server(link_limits=LinkLimits(endpoint_within=0.5)) as (one, upstream):
            one.endpoint = None
            sink = await over(ask(upstream, INITIALIZE, None))
            assert sink.failed is not None
            assert (sink.failed.written, "named no endpoint" in sink.failed.message) == (False, True)
            await one.ended.wait()

    within(main)


def test_second_endpoint_ends_the_session_unless_it_is_the_same() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            say(stream, b"/messages?session=1", b"endpoint")
            sink = ask(upstream, request("ping", 1), session)
            assert (await one.said.get()).target == "/messages?session=1"
            say(stream, b"/messages?session=2", b"endpoint")
            await sink.over.wait()
            assert sink.failed is not None
            assert "changed its endpoint" in sink.failed.message
            assert upstream.sessions == 0

    within(main)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (answer(404, b"no"), "HTTP status 404"),
        (answer(401, b"", b"www-authenticate: Bearer"), "HTTP status 401"),
        (answer(307, b"", b"location: /elsewhere"), "HTTP status 307"),
        (answer(200, b"{}", b"content-type: application/json"), "not answer with an event stream"),
        (
            answer(200, None, b"content-type: text/event-stream", b"content-encoding: gzip"),
            "not answer with an event stream",
        ),
    ],
)
def test_server_without_a_stream_to_read_is_given_up(reply: bytes, text: str) -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            one.open = reply
            one.endpoint = None
            sink = await over(ask(upstream, INITIALIZE, None))
            assert sink.failed is not None
            assert (sink.failed.written, text in sink.failed.message) == (False, True)
            assert one.said.empty()

    within(main)


# --- POSTs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 413, 429, 500, 503])
def test_refusal_of_a_post_is_the_answer_to_its_request_and_to_no_other(status: int) -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            other = ask(upstream, request("ping", 1), session)
            await one.next("ping")
            one.accept = lambda _: answer(status, b"<html>", b"www-authenticate: Bearer", b"set-cookie: a=b")
            sink = await over(ask(upstream, request("tools/call", 2), session))
            assert (sink.status, sink.messages[0]["id"]) == (status, 2)
            assert f"HTTP status {status}" in sink.messages[0]["error"]["message"]
            assert sink.heads[0].header(b"www-authenticate") == b"Bearer"
            assert sink.heads[0].header(b"set-cookie") is None
            say(stream, result(1))
            await other.over.wait()
            assert other.messages == [result(1)]

    within(main)


def test_server_that_does_not_know_the_session_any_more_ends_it() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda _: answer(404, b"")
            first = await over(ask(upstream, request("tools/call", 2), session))
            assert (first.status, first.messages[0]["id"]) == (404, 2)
            assert (await over(ask(upstream, request("ping", 3), session))).status == 404
            await one.next("tools/call")
            assert one.said.empty()

    within(main)


def test_redirect_of_a_post_is_never_followed() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda _: answer(308, b"", b"location: /elsewhere")
            sink = await over(ask(upstream, request("tools/call", 2), session))
            assert sink.failed is not None
            assert (sink.failed.written, "redirect" in sink.failed.message) == (True, True)
            await one.next("tools/call")
            assert one.said.empty()

    within(main)


def test_connection_that_breaks_before_a_post_is_accepted_leaves_its_outcome_unknown() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            one.accept = lambda _: b"HTTP/1.1 nonsense\r\n\r\n"
            sink = await over(ask(upstream, request("tools/call", 2), session))
            assert sink.failed is not None
            assert sink.failed.written
            one.accept = lambda _: answer(202, b"")
            say(stream, result(2))  # late: nobody may get it
            after = ask(upstream, request("ping", 3), session)
            await one.next("tools/call")
            await one.next("ping")
            say(stream, result(3))
            await after.over.wait()
            assert after.messages == [result(3)]

    within(main)


def test_answer_counts_even_where_its_post_is_never_answered() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            one.accept = lambda _: None
            sink = ask(upstream, request("tools/call", 2), session)
            await one.next("tools/call")
            say(stream, result(2))
            await sink.over.wait()
            assert sink.messages == [result(2)]

    within(main)


def test_post_that_breaks_after_it_was_accepted_is_answered_all_the_same() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            one.accept = lambda _: (
                answer(202, b"").replace(b"content-length: 0", b"content-length: 9") + b"Acc"
            )
            sink = ask(upstream, request("tools/call", 2), session)
            await one.next("tools/call")
            one.close_posts()
            other = ask(upstream, notification("notifications/x"), session)
            await over(other)
            await one.next("notifications/x")  # on a new connection: the broken one is known to be
            assert not sink.over.is_set()
            say(stream, result(2))
            await sink.over.wait()
            assert sink.messages == [result(2)]

    within(main)


def test_long_answer_to_a_post_is_not_read_to_its_end() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            one.accept = lambda _: answer(202, b"x" * 5_000_000)
            sink = ask(upstream, request("ping", 2), session)
            await one.next("ping")
            say(stream, result(2))
            await sink.over.wait()
            assert sink.messages == [result(2)]

    within(main)


def test_nothing_overtakes_a_notification_that_is_not_accepted_yet() -> None:
    async def main() -> None:
        async with server(link_limits=LinkLimits(accepted_within=60)) as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda said: None if b"notifications/" in said.body else answer(202, b"")
            told = await over(ask(upstream, notification("notifications/initialized"), session))
            assert told.status == 202
            ask(upstream, request("tools/list", 1), session)
            ask(upstream, {"jsonrpc": "2.0", "id": "q", "result": {}}, session)
            await one.next("notifications/initialized")
            await one.next("response")  # which may be what the server waits for
            assert one.said.empty()

    within(main)


def test_requests_run_side_by_side_and_a_cancellation_stays_behind_its_request() -> None:
    async def main() -> None:
        async with server(link_limits=LinkLimits(accepted_within=60)) as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda _: None
            ask(upstream, request("tools/call", 1), session)
            ask(upstream, request("tools/call", 2), session)
            ask(upstream, notification("notifications/cancelled", requestId=1), session)
            assert {(await one.next("tools/call"))["id"] for _ in range(2)} == {1, 2}
            assert one.said.empty()

    within(main)


def test_server_that_does_not_answer_a_post_holds_up_the_next_ones_for_a_moment_only() -> None:
    async def main() -> None:
        async with server(link_limits=LinkLimits(accepted_within=0.02)) as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda _: None
            ask(upstream, notification("notifications/initialized"), session)
            ask(upstream, request("tools/list", 1), session)
            await one.next("notifications/initialized")
            await one.next("tools/list")

    within(main)


def test_call_that_is_withdrawn_before_the_endpoint_is_known_is_never_sent() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            one.endpoint = None
            sink = Remembering()
            flow = upstream.send(post(INITIALIZE), sink)
            stream = await one.streams.get()
            flow.cancel()
            say(stream, b"/m", b"endpoint")
            say(stream, b"/other", b"endpoint")
            await one.ended.wait()  # the second one was read, so the first one was, too
            assert one.said.empty()

    within(main)


# --- bounds ---------------------------------------------------------------------------------------


def test_event_of_16_mebibytes_is_delivered_and_a_longer_one_ends_the_session() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            sink = ask(upstream, request("ping", 1), session)
            await one.next("ping")
            frame = b'{"jsonrpc":"2.0","id":1,"result":{"p":"%b"}}'
            around = len(frame) - 2 + len(b"event: message\ndata: \n\n")
            say(stream, frame % (b"x" * (16 * 1024 * 1024 - around)))
            await sink.over.wait()
            assert len(sink.body) > 16_777_000
            sink = ask(upstream, request("ping", 2), session)
            await one.next("ping")
            say(stream, frame % (b"x" * (16 * 1024 * 1024 - around + 1)))
            await sink.over.wait()
            assert sink.failed is not None
            assert (sink.failed.written, "over 16777216 bytes" in sink.failed.message) == (True, True)
            assert upstream.sessions == 0

    within(main, 20)


def test_stream_is_not_read_while_its_consumer_is_far_behind() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, stream = await opened(one, upstream)
            sink = Remembering()
            flow = upstream.send(
                post(request("tools/call", 1, _meta={"progressToken": 1}), session=session), sink
            )
            await one.next("tools/call")
            flow.pause()
            note = notification("notifications/progress", progressToken=1, progress=1, message="x" * 500_000)
            sent = 0
            while stream.transport.get_write_buffer_size() < 1_000_000:
                say(stream, note)
                sent += 1
                await asyncio.sleep(0.001)
                assert sent < 100
            assert sink.body == b""
            flow.resume()
            say(stream, result(1))
            await sink.over.wait()
            assert len(sink.messages) == sent + 1

    within(main)


def test_messages_that_a_server_does_not_take_are_bounded() -> None:
    async def main() -> None:
        async with server(link_limits=LinkLimits(max_queued=1_200, accepted_within=60)) as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda _: None
            ask(upstream, notification("notifications/initialized"), session)
            ask(upstream, request("a", 1, pad="x" * 900), session)
            await one.next("notifications/initialized")
            sink = await over(ask(upstream, request("b", 2, pad="x" * 900), session))
            assert sink.failed is not None
            assert (sink.failed.written, "does not take" in sink.failed.message) == (False, True)

    within(main)


def test_number_of_sessions_is_bounded_and_an_idle_one_makes_room() -> None:
    async def main() -> None:
        limits = SessionLimits(max_sessions=2, idle_after=0)
        async with server(session_limits=limits) as (one, upstream):
            idle, _ = await opened(one, upstream)
            busy, stream = await opened(one, upstream)
            waiting = ask(upstream, request("ping", 1), busy)
            await one.next("ping")
            await opened(one, upstream)
            assert (await over(ask(upstream, request("ping", 2), idle))).status == 404
            say(stream, result(1))
            assert (await over(waiting)).messages == [result(1)]

    within(main)


def test_no_session_is_taken_from_who_uses_it() -> None:
    async def main() -> None:
        async with server(session_limits=SessionLimits(max_sessions=1, idle_after=0)) as (one, upstream):
            session, _ = await opened(one, upstream)
            ask(upstream, request("ping", 1), session)
            sink = await over(ask(upstream, INITIALIZE, None))
            assert sink.failed is not None
            assert (sink.failed.written, "in use" in sink.failed.message) == (False, True)

    within(main)


# --- what does not belong here --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["server/discover", "tools/call", "tools/list"])
def test_modern_request_is_told_the_revisions_of_this_transport(method: str) -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            sink = await over(ask(upstream, modern(method, 3), None))
            assert (sink.status, sink.messages[0]["id"]) == (400, 3)
            error = sink.messages[0]["error"]
            assert (error["code"], error["data"]["requested"]) == (-32022, "2026-07-28")
            assert "2026-07-28" not in error["data"]["supported"]
            assert one.streams.empty()
            assert one.said.empty()

    within(main)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(request("tools/list", 1)), 400),
        (post(notification("notifications/initialized")), 400),
        (post(request("tools/list", 1), session=b"sse-0"), 404),
        (post(request("initialize", 1), session=b"sse-0"), 404),
        (post(b"[]"), 400),
        (UpstreamRequest("GET", (), b"", grant="g"), 405),
        (UpstreamRequest("DELETE", (), b"", grant="g"), 405),
        (UpstreamRequest("GET", ((b"mcp-session-id", b"sse-0"),), b"", grant="g"), 404),
        (UpstreamRequest("DELETE", ((b"mcp-session-id", b"sse-0"),), b"", grant="g"), 404),
    ],
)
def test_what_belongs_to_no_session_reaches_no_server(sent: UpstreamRequest, status: int) -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            sink = Remembering()
            upstream.send(sent, sink)
            await sink.over.wait()
            assert sink.status == status
            assert one.streams.empty()

    within(main)


def test_close_ends_everything() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            session, _ = await opened(one, upstream)
            sink = ask(upstream, request("ping", 1), session)
            await one.next("ping")
            await upstream.close()
            assert sink.failed is not None
            assert sink.failed.written
            late = await over(ask(upstream, INITIALIZE, None))
            assert late.failed is not None

    within(main)


# --- which transport it is ------------------------------------------------------------------------


class Both:
    """A server by hand whose URL also takes POSTs, and the upstream that finds out what it is."""

    def __init__(self, one: Server, upstream: EitherUpstream) -> None:
        self.one = one
        self.upstream = upstream


def both(run: Callable[[Both], Any], reply: bytes, log: list[str] | None = None) -> None:
    """Run `run` in front of a server that answers what is POSTed to its own URL with `reply`."""

    async def main() -> None:
        async with server(log=(log if log is not None else []).append) as (one, sse):
            one.accept = lambda said: reply if said.target == "/sse" else answer(202, b"")
            http = sse._http
            assert isinstance(http, HttpUpstream)
            await run(Both(one, EitherUpstream(http, sse)))

    within(main)


@pytest.mark.parametrize("status", [400, 404, 405])
def test_server_that_refuses_initialize_is_asked_for_an_event_stream(status: int) -> None:
    async def run(both: Both) -> None:
        sink = ask(both.upstream, INITIALIZE, None)
        stream = await both.one.streams.get()
        assert [(await both.one.said.get()).target for _ in range(2)] == ["/sse", "/messages?session=1"]
        say(stream, result(0))
        assert (await over(sink)).messages == [result(0)]
        session = sink.session
        assert session is not None
        called = ask(both.upstream, request("tools/call", 1), session)
        assert (await both.one.said.get()).target == "/messages?session=1"
        say(stream, result(1))
        assert (await over(called)).messages == [result(1)]
        stream.close()
        await until(lambda: not both.upstream._sse.sessions)
        assert (await over(ask(both.upstream, request("ping", 2), session))).status == 404
        assert both.one.said.empty()

    both(run, answer(status, b"Cannot POST"))


@pytest.mark.parametrize("status", [401, 403, 406, 413, 429, 500, 502, 503])
def test_other_refusals_of_initialize_are_passed_on(status: int) -> None:
    async def run(both: Both) -> None:
        sink = await over(ask(both.upstream, INITIALIZE, None))
        assert (sink.status, sink.body) == (status, b"no")
        assert both.one.streams.empty()

    both(run, answer(status, b"no"))


def test_refusal_stands_where_there_is_no_event_stream_either() -> None:
    error = b'{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"no"}}'

    async def run(both: Both) -> None:
        both.one.open, both.one.endpoint = answer(405, b""), None
        sink = await over(ask(both.upstream, INITIALIZE, None))
        assert (sink.status, sink.body) == (400, error)
        assert sink.heads[0].header(b"content-type") == b"application/json"

    both(run, answer(400, error, b"content-type: application/json"))


def test_endpoint_of_another_origin_is_refused_with_a_word_here_too() -> None:
    log: list[str] = []

    async def run(both: Both) -> None:
        both.one.endpoint = b"http://127.0.0.1:1/m"
        assert (await over(ask(both.upstream, INITIALIZE, None))).status == 404
        assert "another origin" in log[0]

    both(run, answer(404, b""), log)


@pytest.mark.parametrize(
    "message", [request("tools/call", 1), request("tools/list", 1), modern("initialize", 1)]
)
def test_no_other_message_is_sent_twice(message: dict[str, Any]) -> None:
    async def run(both: Both) -> None:
        assert (await over(ask(both.upstream, message, None))).status == 404
        assert (await both.one.said.get()).target == "/sse"
        assert both.one.said.empty()
        assert both.one.streams.empty()

    both(run, answer(404, b""))


def test_server_of_streamable_http_is_left_as_it_is() -> None:
    async def run(both: Both) -> None:
        sink = await over(ask(both.upstream, INITIALIZE, None))
        assert (sink.messages, sink.session) == ([result(0)], b"theirs")
        await over(ask(both.upstream, request("ping", 1), b"theirs"))
        assert both.one.streams.empty()

    body = json.dumps(result(0)).encode()
    both(run, answer(200, body, b"content-type: application/json", b"mcp-session-id: theirs"))


# --- behind a gate --------------------------------------------------------------------------------


def test_calls_to_such_a_server_are_decided_and_recorded_like_all_others(tmp_path: Path) -> None:
    async def main() -> None:
        policy = world.deny_but("echo")
        async with server() as (one, upstream), world.world(policy, tmp_path / "state") as gate:
            gate.desk.upstream = upstream
            gate.desk.catalogues._upstream = upstream
            serving = asyncio.get_running_loop().create_task(_serve(one))
            session = (b"mcp-session-id", await gate.session("alice"))
            call = await gate.post(world.call("echo", number=1), session, grant="alice")
            denied = await gate.post(world.call("rm", number=2), session, grant="alice")
            stranger = await gate.post(world.call("echo", number=3), session, grant="bob")
            serving.cancel()
            assert call.json["result"] == {"content": []}
            assert denied.denied
            assert stranger.status == 404
            kinds = [("intent", "echo"), ("outcome", "echo"), ("denial", "rm"), ("denial", "")]
            assert await gate.kinds() == kinds

    within(main)


async def _serve(one: Server) -> None:
    """Answer everything, as a server with one tool does."""
    stream = await one.streams.get()
    answers = {
        "initialize": {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {}},
        "tools/list": {"tools": [world.tool("echo"), world.tool("rm")]},
        "tools/call": {"content": []},
    }
    while True:
        message = (await one.said.get()).message
        if "id" in message and "method" in message:
            say(stream, result(message["id"], answers[message["method"]]))
