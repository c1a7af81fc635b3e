"""A client of HTTP+SSE (2024-11-05), seen by the gate as a streamable HTTP client."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest

from ostiary.proxy.gate import Gate as RealGate
from ostiary.proxy.keepalive import KeepAlive
from tests.proxy.sse_world import Asked, ask, gate, listening, shake_hands
from tests.weaknesses import world
from tests.weaknesses.world import modern, until, within

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
HELLO = {
    "protocolVersion": "2024-11-05",
    "capabilities": {},
    "clientInfo": {"name": "c", "version": "1"},
}
NOTE = {"jsonrpc": "2.0", "method": "notifications/x"}


def test_first_event_names_the_endpoint_with_an_id_of_128_random_bits() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as first, listening(one.port) as second:
            assert re.fullmatch(r"/messages\?session_id=[0-9a-f]{32}", first.path)
            assert first.path != second.path

    within(main)


def test_endpoint_stands_below_the_path_that_clients_see() -> None:
    async def main() -> None:
        async with gate(prefix="/tools/time") as one, listening(one.port) as stream:
            assert stream.path.startswith("/tools/time/messages?session_id=")

    within(main)


def test_post_is_accepted_and_its_answer_travels_on_the_stream() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port, "alice") as stream:
            trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            body = b'{"jsonrpc": "2.0",  "id":"a","method":"ping"}'
            reply = await stream.post(body, (b"traceparent", trace), (b"cookie", b"c=1"))
            assert (reply.status, reply.body) == (202, b"")
            asked = await one.asked.get()
            assert (asked.sent.method, asked.sent.path, asked.sent.query) == ("POST", "/mcp", b"")
            assert asked.sent.body == body
            assert asked.sent.grant is not None
            assert asked.sent.grant.name == "alice"
            assert (asked.header("traceparent"), asked.header("cookie")) == (trace.decode(), None)
            assert asked.header("authorization") is None
            asked.json(b'{"jsonrpc":"2.0",\r\n "id":"a","result":{}}')
            assert await stream.event() == ("message", b'{"jsonrpc":"2.0",   "id":"a","result":{}}')

    within(main)


def test_streamed_answer_becomes_one_event_for_each_message() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            await stream.post(PING)
            asked = await one.asked.get()
            progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
            asked.stream(progress)
            assert await stream.message() == progress
            asked.say({"jsonrpc": "2.0", "id": 1, "result": {}})
            asked.responder.finish()
            assert (await stream.message())["id"] == 1

    within(main)


def test_streams_with_equal_ids_get_their_own_answers() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as first, listening(one.port) as second:
            await first.post(PING)
            await second.post(PING)
            of_first, of_second = await one.asked.get(), await one.asked.get()
            of_second.result("second")
            of_first.result("first")
            assert (await first.message())["result"] == "first"
            assert (await second.message())["result"] == "second"

    within(main)


def test_session_of_one_grant_is_unknown_to_another() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port, "alice") as stream:
            strange = [await stream.post(PING, grant=grant) for grant in ("bob", "")]
            assert [reply.status for reply in strange] == [404, 404]
            assert one.asked.empty()
            assert (await stream.post(PING)).status == 202

    within(main)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?session_id=",
        "?session_id=" + "0" * 32,
        "?other={id}",
        "?session_id={id}&session_id={id}",
        "?session_id={id}x",
        "?session_id=%30{id}",
        "?session_id={id}&pad=" + "x" * 300,
    ],
)
def test_endpoint_without_the_one_known_id_is_answered_404(query: str) -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            session = stream.path.partition("=")[2]
            reply = await ask(one.port, "POST", "/messages" + query.replace("{id}", session), PING)
            assert reply.status == 404
            assert one.asked.empty()

    within(main)


def test_id_means_nothing_after_its_stream_has_ended() -> None:
    async def main() -> None:
        async with gate() as one:
            async with listening(one.port) as stream:
                pass
            await until(lambda: not one.downstream.sessions)
            assert (await stream.post(PING)).status == 404

    within(main)


def test_client_that_closes_its_connection_in_order_is_known_to_have_gone() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            stream.writer.close()
            await until(lambda: not one.downstream.sessions)

    within(main)


@pytest.mark.parametrize(
    ("status", "method", "path", "headers", "grant"),
    [
        (405, "POST", "/sse", (), "alice"),
        (405, "DELETE", "/sse", (), "alice"),
        (405, "GET", "/messages", (), "alice"),
        (405, "DELETE", "/messages", (), "alice"),
        (404, "GET", "/sse/", (), "alice"),
        (404, "POST", "/message", (), "alice"),
        (421, "GET", "/sse", ((b"host", b"evil.example"),), "alice"),
        (421, "POST", "/messages", ((b"host", b"evil.example"),), "alice"),
        (403, "GET", "/sse", ((b"origin", b"https://evil.example"),), "alice"),
        (403, "POST", "/messages", ((b"origin", b"null"),), "alice"),
        (401, "GET", "/sse", ((b"authorization", b"Bearer ost_wrong"),), ""),
        (401, "POST", "/messages", ((b"authorization", b"Bearer ost_wrong"),), ""),
    ],
)
def test_door_stands_before_both_paths(status: int, method: str, path: str, headers, grant: str) -> None:
    async def main() -> None:
        async with gate() as one:
            more = (*headers, (b"connection", b"close"))
            reply = await ask(one.port, method, path, PING if method == "POST" else None, *more, grant=grant)
            assert reply.status == status, reply
            assert not one.downstream.sessions

    within(main)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"what?",
        b"\xef\xbb\xbf{}",
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} {}',
        b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        b"[]",
        b'"ping"',
    ],
)
def test_body_that_is_not_one_message_is_refused_in_the_answer_to_its_post(
    body: bytes, tmp_path: Path
) -> None:
    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port) as stream,
        ):
            reply = await stream.post(body)
            assert reply.status == 400
            assert reply.json["error"]["code"] < 0
            assert [(row.kind, row.decision) for row in await behind.records()] == [("denial", "deny")]
            assert behind.upstream.seen == []

    within(main)


@pytest.mark.parametrize(
    ("body", "message_id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","NAME":"b"}}', 7),
        (b'{"jsonrpc":"2.0","id":"x","method":"ping","method":"tools/list"}', "x"),
        (b'{"jsonrpc":"1.0","id":8,"method":"ping"}', 8),
    ],
)
def test_message_with_two_readings_is_refused_on_the_stream_under_its_id(
    body: bytes, message_id: object, tmp_path: Path
) -> None:
    """An HTTP error would not do: the official Python client sends nothing more after one."""

    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port) as stream,
        ):
            assert (await stream.post(body)).status == 202
            answer = await stream.message()
            assert answer["id"] == message_id
            assert answer["error"]["code"] < 0
            assert behind.upstream.seen == []

    within(main)


@pytest.mark.parametrize(
    "headers",
    [
        ((b"content-type", b"text/plain"),),
        ((b"content-type", b"application/json; charset=latin1"),),
        ((b"content-encoding", b"gzip"),),
    ],
)
def test_body_that_can_be_read_in_two_ways_is_answered_415(headers, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port) as stream,
        ):
            assert (await stream.post(PING, *headers)).status == 415
            assert [row.rules for row in await behind.records()] == [("(media type)",)]
            assert behind.upstream.seen == []

    within(main)


def test_large_body_that_is_read_aside_is_refused_and_answered_like_a_small_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port) as stream,
        ):
            pad = b'"pad":"' + b"x" * 300_000 + b'"'
            broken = await stream.post(b"{" + pad)
            assert broken.status == 400
            twice = b'{"jsonrpc":"2.0","id":3,"method":"ping","params":{"a":1,"a":2,' + pad + b"}}"
            assert (await stream.post(twice)).status == 202
            assert (await stream.message())["id"] == 3
            assert behind.upstream.seen == []

    within(main)


def test_denied_call_is_answered_on_the_stream_and_recorded_and_an_allowed_one_too(tmp_path: Path) -> None:
    async def main() -> None:
        policy = world.deny_but("echo")
        async with (
            world.world(policy, tmp_path / "state", tools=("echo", "rm")) as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port, "alice") as stream,
        ):
            await stream.post(world.call("rm", number=1))
            denied = await stream.message()
            await stream.post(world.call("echo", number=2))
            allowed = await stream.message()
            assert (denied["id"], denied["result"]["isError"]) == (1, True)
            assert denied["result"]["content"][0]["text"].startswith("[POLICY DENIED] ")
            assert (allowed["id"], allowed["result"]["content"][0]["text"]) == (2, "done")
            assert behind.upstream.calls == ["echo"]
            kinds = [("denial", "rm"), ("intent", "echo"), ("outcome", "echo")]
            assert await behind.kinds() == kinds
            assert {row.grant for row in await behind.records()} == {"alice"}

    within(main)


def test_hidden_tools_are_missing_from_the_list_on_the_stream(tmp_path: Path) -> None:
    async def main() -> None:
        policy = {"version": "1", "default": "allow", "tools": {}, "hide": ["rm"]}
        async with (
            world.world(policy, tmp_path / "state", tools=("echo", "rm")) as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port) as stream,
        ):
            await stream.post(world.request("tools/list", {}))
            tools = (await stream.message())["result"]["tools"]
            assert [tool["name"] for tool in tools] == ["echo"]

    within(main)


def test_denied_notification_gets_no_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            world.world(None, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port) as stream,
        ):
            assert (await stream.post({"jsonrpc": "2.0", "method": "x/y"})).status == 202
            await stream.post(world.call("echo", number=9))
            assert (await stream.message())["id"] == 9
            assert behind.upstream.messages == []

    within(main)


def test_request_of_the_modern_era_is_told_the_revisions_of_this_transport() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            reply = await stream.post(modern({"jsonrpc": "2.0", "id": 4, "method": "server/discover"}))
            assert reply.status == 202
            answer = await stream.message()
            assert (answer["id"], answer["error"]["code"]) == (4, -32022)
            assert answer["error"]["data"]["requested"] == "2026-07-28"
            assert "2024-11-05" in answer["error"]["data"]["supported"]
            assert "2026-07-28" not in answer["error"]["data"]["supported"]
            assert one.asked.empty()

    within(main)


# --- the session behind ---------------------------------------------------------------------------


def test_session_and_version_are_kept_and_the_session_is_deleted_with_the_stream() -> None:
    async def main() -> None:
        async with gate() as one:
            async with listening(one.port, "alice") as stream:
                opened = await shake_hands(one, stream)
                assert (opened.sent.method, opened.header("accept")) == ("GET", "text/event-stream")
                await stream.post(PING)
                ping = await one.asked.get()
                ping.result({})
                await stream.message()
            deleted = await one.asked.get()
            assert deleted.sent.method == "DELETE"
            for sent in (opened, ping, deleted):
                assert sent.header("mcp-session-id") == "s.mac"
                assert sent.header("mcp-protocol-version") == "2024-11-05"
                assert sent.sent.grant is not None
                assert sent.sent.grant.name == "alice"
            assert opened.gone.is_set()
            deleted.empty(200)

    within(main)


def test_question_of_the_server_comes_on_the_stream_and_its_answer_is_posted() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            opened = await shake_hands(one, stream)
            opened.stream({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage"})
            assert (await stream.message())["method"] == "sampling/createMessage"
            await stream.post({"jsonrpc": "2.0", "id": "q", "result": {}})
            answer = await one.asked.get()
            assert answer.message == {"jsonrpc": "2.0", "id": "q", "result": {}}
            answer.empty(202)

    within(main)


def test_messages_wait_for_the_handshake_and_keep_their_order() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            await stream.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}})
            await stream.post({"jsonrpc": "2.0", "id": 1, "method": "a"})
            await stream.post({"jsonrpc": "2.0", "id": 2, "method": "b"})
            first = await one.asked.get()
            assert one.asked.empty()
            first.result({"protocolVersion": "2024-11-05"})
            assert [(await one.asked.get()).message["method"] for _ in range(2)] == ["a", "b"]

    within(main)


def test_call_goes_on_when_its_client_has_gone_and_only_then_the_session_ends(tmp_path: Path) -> None:
    async def main() -> None:
        state = tmp_path / "state"
        async with world.world(world.ALLOW_ALL, state) as behind:
            release = asyncio.Event()

            async def slow(seen: world.Seen) -> bytes:
                await release.wait()
                return world.http(world.result(seen.message, {"content": []}))

            def hello(seen: world.Seen) -> bytes:
                body = world.result(seen.message, {"protocolVersion": "2024-11-05"})
                return world.http(body, b"application/json", 200, b"mcp-session-id: up")

            behind.upstream.script |= {
                "tools/call": slow,
                "initialize": hello,
                "GET": world.http(b"", b"", 405),
            }
            async with gate(RealGate(behind.desk, None)) as one:
                async with listening(one.port) as stream:
                    await stream.post(world.request("initialize", HELLO, 0))
                    await stream.message()
                    await stream.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
                    await stream.post(world.call("echo", number=5))
                    await until(lambda: behind.upstream.calls)
                await until(lambda: not one.downstream.sessions)
                assert "DELETE" not in [seen.method for seen in behind.upstream.seen]
                release.set()
                await until(lambda: behind.upstream.seen[-1].method == "DELETE")
            outcomes = [row.status for row in await behind.records() if row.kind == "outcome"]
            assert outcomes == ["ok"]

    within(main)


def test_calls_of_clients_that_have_gone_are_awaited_for_a_bounded_time() -> None:
    async def main() -> None:
        async with gate(linger=0.01) as one:
            async with listening(one.port) as stream:
                opened = await shake_hands(one, stream)
                opened.empty(405)
                await stream.post(PING)
                asked = await one.asked.get()
            await asked.gone.wait()
            assert (await one.asked.get()).sent.method == "DELETE"

    within(main)


def test_oldest_call_is_given_up_when_too_many_clients_have_gone() -> None:
    async def main() -> None:
        async with gate(lingering=1) as one:
            left: list[Asked] = []
            for _ in range(2):
                async with listening(one.port) as stream:
                    await stream.post(PING)
                    left.append(await one.asked.get())
                await until(lambda: not one.downstream.sessions)
            await left[0].gone.wait()
            assert not left[1].gone.is_set()

    within(main)


GONE = {"code": -32600, "message": "unknown session: initialize again"}


def test_lost_session_is_begun_anew_and_the_stream_goes_on() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            opened = await shake_hands(one, stream)
            opened.empty(405)
            await stream.post(PING)
            (await one.asked.get()).json({"jsonrpc": "2.0", "id": None, "error": GONE}, 404)
            hello = await one.asked.get()
            assert hello.message["method"] == "initialize"
            hello.result({"protocolVersion": "2024-11-05"}, (b"mcp-session-id", b"s2.mac"))
            (await one.asked.get()).empty(202)
            (await one.asked.get()).empty(405)
            again = await one.asked.get()
            assert (again.message, again.header("mcp-session-id")) == (PING, "s2.mac")
            again.result({})
            assert await stream.message() == {"jsonrpc": "2.0", "id": 1, "result": {}}
            assert one.downstream.sessions == 1

    within(main)


def test_session_that_cannot_be_begun_anew_ends_the_stream() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            opened = await shake_hands(one, stream)
            opened.empty(405)
            await stream.post(PING)
            (await one.asked.get()).json({"jsonrpc": "2.0", "id": None, "error": GONE}, 404)
            (await one.asked.get()).empty(503)
            assert await stream.message() == {"jsonrpc": "2.0", "id": 1, "error": GONE}
            await stream.end()
            assert (await stream.post(PING)).status == 404

    within(main)


@pytest.mark.parametrize(
    ("fail", "text"),
    [
        (lambda asked: asked.empty(502), "HTTP status 502"),
        (lambda asked: asked.responder.abort(), "cut off"),
        (lambda asked: asked.json(b"<html>", 500), "HTTP status 500"),
        (lambda asked: asked.json({"jsonrpc": "2.0", "id": 99, "result": {}}), "sent no answer"),
    ],
)
def test_request_is_answered_on_the_stream_whatever_goes_wrong_behind(fail, text: str) -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            await stream.post(PING)
            fail(await one.asked.get())
            answer = await stream.message()
            assert answer["id"] == 1
            assert text in answer["error"]["message"]

    within(main)


# --- bounds ---------------------------------------------------------------------------------------


def test_streams_are_bounded_for_each_grant_and_for_the_gate() -> None:
    async def main() -> None:
        async with (
            gate(sessions=3, per_grant=2) as one,
            listening(one.port, "alice") as first,
            listening(one.port, "alice"),
        ):
            async with listening(one.port, "alice") as third:
                assert third.status == 503
            async with listening(one.port, "bob") as other, listening(one.port) as fourth:
                assert (other.status, fourth.status) == (200, 503)
            await until(lambda: one.downstream.sessions == 2)
            first.leave()
            await until(lambda: one.downstream.sessions == 1)
            async with listening(one.port, "alice") as again:
                assert again.status == 200

    within(main)


def test_requests_over_the_bound_of_a_session_are_answered_with_an_error_and_go_no_further() -> None:
    async def main() -> None:
        async with gate(active=2) as one, listening(one.port) as stream:
            for number in (1, 2):
                await stream.post({**PING, "id": number})
            assert (await stream.post({**PING, "id": 3})).status == 202
            answer = await stream.message()
            assert (answer["id"], "too many requests" in answer["error"]["message"]) == (3, True)
            assert (await stream.post(NOTE)).status == 503
            response = {"jsonrpc": "2.0", "id": "q", "result": {}}
            assert (await stream.post(response)).status == 202
            asked = [await one.asked.get() for _ in range(3)]
            assert [one.message.get("id") for one in asked] == [1, 2, "q"]
            assert one.asked.empty()

    within(main)


def small_window(stream) -> None:
    """From now on the kernel takes hardly anything for a client that does not read."""
    stream.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.reads(False)


def test_client_that_does_not_read_pauses_its_answers_and_is_served_when_it_reads_again() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            await stream.post(PING)
            asked = await one.asked.get()
            stream.reads(False)
            asked.stream()
            sent = 0
            while not asked.paused.is_set():
                asked.say(
                    {"jsonrpc": "2.0", "method": "notifications/x", "params": {"n": sent, "p": "x" * 60_000}}
                )
                sent += 1
                await asyncio.sleep(0)
            stream.reads(True)
            numbers = [(await stream.message())["params"]["n"] for _ in range(sent)]
            assert numbers == list(range(sent))
            await until(lambda: not asked.paused.is_set())
            asked.say({"jsonrpc": "2.0", "id": 1, "result": {}})
            assert (await stream.message())["id"] == 1

    within(main)


def test_session_of_a_client_that_does_not_read_ends_when_too_much_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with gate(unread=1_000_000) as one, listening(one.port) as stream:
            await stream.post(PING)
            asked = await one.asked.get()
            small_window(stream)
            asked.stream()
            for _ in range(400):  # a server that heeds no pause; 24 MB, were they kept
                asked.say({**NOTE, "params": {"p": "x" * 60_000}})
                await asyncio.sleep(0)
                if not one.downstream.sessions:
                    break
            assert not one.downstream.sessions
            assert "over 1000000 bytes wait for a client that does not read" in caplog.text

    within(main)


def test_session_of_a_client_that_has_stopped_reading_ends_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with gate(stalled=0.05) as one, listening(one.port) as stream:
            await stream.post(PING)
            asked = await one.asked.get()
            small_window(stream)
            asked.stream()
            while not asked.paused.is_set():
                asked.say({**NOTE, "params": {"p": "x" * 60_000}})
                await asyncio.sleep(0)
            await until(lambda: not one.downstream.sessions)
            assert "a client has not read for" in caplog.text

    within(main)


def test_idle_stream_gets_comments() -> None:
    async def main() -> None:
        async with gate(streams=KeepAlive(period=0.01)) as one, listening(one.port) as stream:
            await stream.post(PING)
            asked = await one.asked.get()
            await asyncio.wait_for(_comments(stream, asked), 4)

    async def _comments(stream, asked: Asked) -> None:
        reading = asyncio.get_running_loop().create_task(stream.message())
        await until(lambda: stream.comments >= 2)
        asked.result({})
        assert (await reading)["id"] == 1

    within(main)


def test_stream_that_has_ended_is_kept_open_no_more() -> None:
    async def main() -> None:
        streams = KeepAlive(period=60)
        async with gate(streams=streams) as one:
            async with listening(one.port):
                assert len(streams._idle) == 1
            await until(lambda: not one.downstream.sessions)
            assert not streams._idle

    within(main)


# --- the end --------------------------------------------------------------------------------------


def test_drain_waits_for_what_runs_and_then_ends_stream_and_session() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream, listening(one.port) as idle:
            opened = await shake_hands(one, stream)
            opened.stream()
            await stream.post(PING)
            asked = await one.asked.get()
            closing = asyncio.get_running_loop().create_task(one.downstream.close(4))
            await idle.end()
            async with listening(one.port) as late:
                assert late.status == 503
            await stream.post({**PING, "id": 2})
            declined = await stream.message()
            assert (declined["id"], declined["error"]["message"]) == (2, "the gate is stopping")
            opened.say({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
            assert (await stream.message())["id"] == "q"
            assert (await stream.post({"jsonrpc": "2.0", "id": "q", "result": {}})).status == 202
            reply = await one.asked.get()
            assert reply.message["id"] == "q"
            reply.empty(202)
            asked.result({})
            assert (await stream.message())["id"] == 1
            await stream.end()
            (await one.asked.get()).empty(200)
            await closing

    within(main)


def test_drain_answers_what_is_not_done_in_time_with_an_error() -> None:
    async def main() -> None:
        async with gate() as one, listening(one.port) as stream:
            await stream.post(PING)
            asked = await one.asked.get()
            closing = asyncio.get_running_loop().create_task(one.downstream.close(0.02))
            answer = await stream.message()
            assert (answer["id"], "the gate stopped" in answer["error"]["message"]) == (1, True)
            await stream.end()
            await closing
            assert asked.gone.is_set()

    within(main)


def test_everything_else_goes_to_the_handler_as_it_is() -> None:
    async def main() -> None:
        async with gate() as one:
            asking = asyncio.get_running_loop().create_task(ask(one.port, "POST", "/mcp", PING))
            asked = await one.asked.get()
            assert (asked.sent.path, asked.message) == ("/mcp", PING)
            asked.result({})
            assert (await asking).json["result"] == {}

    within(main)
