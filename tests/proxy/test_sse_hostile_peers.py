"""HTTP+SSE (2024-11-05) against peers that mean harm: what they can use up, and what they can hide."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ostiary.calls.stop import Scope, Stop
from ostiary.proxy.bridge.stream import LONGEST_DELAY, GetStream, StreamPort
from ostiary.proxy.exchange import Head
from ostiary.proxy.gate import Gate as RealGate
from ostiary.proxy.http.call import UpstreamLine
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.sse.either import EitherUpstream
from ostiary.proxy.sse.link import LinkLimits
from ostiary.proxy.sse.listener import SseLimits
from ostiary.proxy.sse.upstream import SessionLimits
from ostiary.wire import answers
from tests.proxy.sse_world import (
    Asked,
    Stream,
    answer,
    ask,
    gate,
    listening,
    say,
    server,
    shake_hands,
)
from tests.proxy.stdio_world import Remembering, notification, post, request
from tests.proxy.test_sse_upstream import INITIALIZE, opened, over, result
from tests.proxy.test_sse_upstream import ask as send
from tests.weaknesses import world
from tests.weaknesses.world import Reply, modern, until, within

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
NOWHERE = "/messages?session_id=" + "0" * 32


def later(stream: Stream, message: object) -> asyncio.Task[Reply]:
    """A POST whose answer is not waited for yet."""
    return asyncio.get_running_loop().create_task(stream.post(message))


# --- what is turned away is counted and on record -------------------------------------------------


def test_streams_and_messages_without_a_session_count_with_the_brake(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state", brake=2) as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port, "alice") as first,
        ):
            stray = await ask(one.port, "POST", NOWHERE, PING, grant="alice")
            async with listening(one.port, "alice") as late, listening(one.port, "bob") as other:
                statuses = [first.status, stray.status, late.status, other.status]
            braked = await ask(one.port, "POST", NOWHERE, PING, grant="alice")
            assert statuses == [200, 404, 429, 200]
            assert braked.status == 429
            assert braked.json["error"]["code"] == answers.LIMITED
            assert [row.rules for row in await behind.records()] == [("(unknown session)",)]

    within(main)


def test_a_stopped_client_hears_so_on_its_stream_and_opens_no_other(tmp_path: Path) -> None:
    """P2.5: the stream is where answers come, so it stays; what is under way ends on it."""

    async def hang(_: world.Seen) -> None: ...

    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port, "alice") as stream,
        ):
            behind.upstream.script["tools/call"] = hang
            assert (await stream.post(world.call("echo", {}, 7))).status == 202
            await until(lambda: behind.upstream.calls)
            alice = Stop(1, Scope("grant", "alice"))
            behind.desk.stops._take((alice,))

            ended = await stream.message()
            assert (ended["id"], ended["result"]["isError"]) == (7, True)
            assert (await stream.post(world.call("echo", {}, 8))).status == 202
            assert (await stream.message())["result"]["isError"] is True
            async with listening(one.port, "alice") as late, listening(one.port, "bob") as other:
                assert [late.status, other.status] == [423, 200]
            assert behind.upstream.calls == ["echo"]

    within(main)


def test_message_for_a_session_of_another_grant_leaves_a_record_of_its_refusal(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None)) as one,
            listening(one.port, "alice") as stream,
        ):
            assert (await stream.post(PING, grant="bob")).status == 404
            rows = [(row.kind, row.decision, row.grant, row.rules) for row in await behind.records()]
            assert rows == [("denial", "deny", "bob", ("(unknown session)",))]
            assert behind.upstream.seen == []

    within(main)


def test_requests_that_are_refused_on_the_stream_leave_a_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            world.world(world.ALLOW_ALL, tmp_path / "state") as behind,
            gate(RealGate(behind.desk, None), active=1) as one,
            listening(one.port, "alice") as stream,
        ):
            release = asyncio.Event()

            async def slow(seen: world.Seen) -> bytes:
                await release.wait()
                return world.http(world.result(seen.message, {"content": []}))

            behind.upstream.script["tools/call"] = slow
            await stream.post(modern({"jsonrpc": "2.0", "id": 4, "method": "server/discover"}))
            assert (await stream.message())["error"]["code"] == -32022
            await stream.post(world.call("echo", number=5))
            await until(lambda: behind.upstream.calls)
            await stream.post(world.call("echo", number=6))
            assert (await stream.message())["id"] == 6
            closing = asyncio.get_running_loop().create_task(one.downstream.close(4))
            await until(lambda: one.downstream.draining)
            await stream.post(world.call("echo", number=7))
            assert (await stream.message())["id"] == 7
            release.set()
            await closing
            denials = [(row.rules, row.method) for row in await behind.records() if row.kind == "denial"]
            assert denials == [
                (("(version)",), "server/discover"),
                (("(too many)",), "tools/call"),
                (("(draining)",), "tools/call"),
            ]
            assert behind.upstream.calls == ["echo"]

    within(main)


# --- what a client can use up ---------------------------------------------------------------------


def test_unreadable_bodies_that_wait_for_the_handshake_are_bounded() -> None:
    """Their connections may be gone, so nothing else bounds them."""

    async def main() -> None:
        async with gate(held=2) as one, listening(one.port) as stream:
            await stream.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}})
            hello = await one.asked.get()
            waiting = [later(stream, b"what?") for _ in range(2)]
            await until(lambda: next(iter(one.downstream._sessions.values()))._bridge.held == 2)
            assert (await stream.post(b"what?")).status == 503
            hello.result({"protocolVersion": "2024-11-05"})
            for _ in waiting:
                (await one.asked.get()).json({"jsonrpc": "2.0", "id": None, "error": {}}, 400)
            assert [(await reply).status for reply in waiting] == [400, 400]

    within(main)


def test_bytes_of_the_messages_under_way_are_bounded() -> None:
    async def main() -> None:
        async with gate(size=1_500) as one, listening(one.port) as stream:
            padded = {**PING, "params": {"pad": "x" * 1_000}}
            for number in (1, 2, 3):
                assert (await stream.post({**padded, "id": number})).status == 202
            declined = await stream.message()
            assert (declined["id"], "too many requests" in declined["error"]["message"]) == (3, True)
            first, _ = [await one.asked.get() for _ in range(2)]
            first.result({})
            assert (await stream.message())["id"] == 1
            await stream.post({**padded, "id": 4})
            assert (await one.asked.get()).message["id"] == 4

    within(main)


def test_answers_of_a_client_have_room_beyond_its_requests_but_not_without_end() -> None:
    async def main() -> None:
        async with gate(active=1) as one, listening(one.port) as stream:
            await stream.post(PING)
            response = {"jsonrpc": "2.0", "id": "q", "result": {}}
            assert [(await stream.post(response)).status for _ in range(2)] == [202, 503]
            assert one.asked.qsize() == 2

    within(main)


def test_calls_of_clients_that_have_gone_are_bounded_while_others_take_their_leave() -> None:
    async def main() -> None:
        async with gate(lingering=1, farewell=4) as one:
            left: list[Asked] = []
            for _ in range(3):
                async with listening(one.port) as stream:
                    (await shake_hands(one, stream)).empty(405)
                    await stream.post(PING)
                    left.append(await one.asked.get())
                await until(lambda: not one.downstream.sessions)
                if len(left) == 2:  # the first one is over, and its DELETE is never answered
                    await left[0].gone.wait()
                    first = await one.asked.get()
                    assert first.sent.method == "DELETE"
            await left[1].gone.wait()
            assert not left[2].gone.is_set()
            second = await one.asked.get()
            left[2].result({})
            third = await one.asked.get()
            for farewell in (first, second, third):
                farewell.empty(200)

    within(main)


def test_farewell_that_is_not_answered_is_given_up() -> None:
    async def main() -> None:
        async with gate(farewell=0.02) as one:
            async with listening(one.port) as stream:
                (await shake_hands(one, stream)).empty(405)
            farewell = await one.asked.get()
            assert farewell.sent.method == "DELETE"
            await farewell.gone.wait()

    within(main)


def test_streams_leave_room_for_the_messages_that_belong_to_them() -> None:
    assert SseLimits.within(10_000) == SseLimits()
    small = SseLimits.within(100)
    assert (small.sessions, small.per_grant) == (50, 50)
    assert SessionLimits.within(4_096) == SessionLimits()
    few = SessionLimits.within(100)
    assert (few.max_sessions, few.per_grant) == (50, 25)


# --- what a tenant can use up at the server -------------------------------------------------------


def test_one_grant_cannot_take_all_sessions_with_the_server() -> None:
    async def main() -> None:
        limits = SessionLimits(max_sessions=3, per_grant=2, idle_after=0)
        async with server(session_limits=limits) as (one, upstream):
            for _ in range(2):
                session, _ = await opened(one, upstream, "mallory")
                send(upstream, request("tools/call", 1), session, "mallory")
                await one.next("tools/call")
            more = await over(send(upstream, INITIALIZE, None, "mallory"))
            assert more.failed is not None
            assert (more.failed.written, "in use" in more.failed.message) == (False, True)
            await opened(one, upstream, "alice")

    within(main)


def test_grant_at_its_bound_makes_room_among_its_own_sessions_only() -> None:
    async def main() -> None:
        limits = SessionLimits(max_sessions=3, per_grant=1, idle_after=0)
        async with server(session_limits=limits) as (one, upstream):
            of_alice, stream = await opened(one, upstream, "alice")
            of_mallory, _ = await opened(one, upstream, "mallory")
            await opened(one, upstream, "mallory")
            gone = await over(send(upstream, request("ping", 1), of_mallory, "mallory"))
            kept = send(upstream, request("ping", 1), of_alice, "alice")
            await one.next("ping")
            say(stream, result(1))
            assert (gone.status, (await over(kept)).messages) == (404, [result(1)])

    within(main)


def test_session_that_nobody_was_told_of_is_ended() -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            flow = upstream.send(post(INITIALIZE), Remembering())
            await one.next("initialize")
            flow.cancel()
            await one.ended.wait()
            assert upstream.sessions == 0

    within(main)


@pytest.mark.parametrize("way", ["error", "status", "fault"])
def test_session_whose_handshake_fails_is_ended(way: str) -> None:
    async def main() -> None:
        async with server() as (one, upstream):
            one.accept = {
                "error": lambda _: answer(202, b""),
                "status": lambda _: answer(500, b""),
                "fault": lambda _: b"nonsense\r\n\r\n",
            }[way]
            sink = send(upstream, INITIALIZE, None)
            stream = await one.streams.get()
            if way == "error":
                say(stream, {"jsonrpc": "2.0", "id": 0, "error": {"code": -32602, "message": "no"}})
            await sink.over.wait()
            await one.ended.wait()
            assert upstream.sessions == 0
            assert way == "fault" or sink.messages[0]["id"] == 0

    within(main)


def test_number_of_messages_that_a_server_does_not_take_is_bounded() -> None:
    async def main() -> None:
        limits = LinkLimits(max_waiting=2, accepted_within=60)
        async with server(link_limits=limits) as (one, upstream):
            session, _ = await opened(one, upstream)
            one.accept = lambda _: None
            await over(send(upstream, notification("notifications/initialized"), session))
            await one.next("notifications/initialized")
            for _ in range(2):
                assert (await over(send(upstream, notification("notifications/x"), session))).status == 202
            sink = await over(send(upstream, notification("notifications/x"), session))
            assert sink.failed is not None
            assert (sink.failed.written, "does not take" in sink.failed.message) == (False, True)

    within(main)


# --- what a server can bring about ----------------------------------------------------------------


def test_each_message_is_waited_for_from_when_it_was_sent() -> None:
    """Else a slow answer to one POST lets a request overtake the `initialized` that came next."""

    async def main() -> None:
        async with server(link_limits=LinkLimits(accepted_within=60)) as (one, upstream):
            session, _ = await opened(one, upstream)
            link = upstream._by_ref["g", session]
            one.accept = lambda _: None
            send(upstream, request("a", 1), session)
            await one.next("a")
            send(upstream, notification("notifications/initialized"), session)
            send(upstream, request("b", 2), session)
            await until(lambda: link._patience is not None)
            of_a = link._patience
            assert of_a is not None
            one.writer_of["a"].write(answer(202, b""))
            await one.next("notifications/initialized")
            assert of_a.cancelled()
            assert link._patience is not None
            assert one.said.empty()
            one.writer_of["notifications/initialized"].write(answer(202, b""))
            await one.next("b")
            assert link._patience is None

    within(main)


def test_refusal_without_end_does_not_keep_the_other_transport_from_being_tried() -> None:
    async def main() -> None:
        async with server() as (one, sse):
            endless = answer(404, None) + b"x" * 70_000
            one.accept = lambda said: endless if said.target == "/sse" else answer(202, b"")
            http = sse._http
            assert isinstance(http, HttpUpstream)
            sink = send(EitherUpstream(http, sse), INITIALIZE, None)
            stream = await one.streams.get()
            assert [(await one.said.get()).target for _ in range(2)] == ["/sse", "/messages?session=1"]
            say(stream, result(0))
            assert (await over(sink)).messages == [result(0)]

    within(main)


def test_close_does_not_wait_for_a_connection_that_is_given_up_just_when_it_is_made() -> None:
    async def main() -> None:
        async with server() as (one, _):
            http = HttpUpstream(f"http://127.0.0.1:{one.port}/sse")
            closing: list[asyncio.Task[None]] = []
            opened_before = http.opened

            def opened_now(line: UpstreamLine) -> None:
                opened_before(line)
                closing.append(asyncio.get_running_loop().create_task(http.close()))

            http.opened = opened_now
            sink = Remembering()
            http.send(post(PING), sink)
            await sink.over.wait()
            await closing[0]
            assert sink.failed is not None
            assert not http._lines

    within(main)


def test_stream_that_fails_again_and_again_is_asked_for_ever_more_seldom_whatever_was_named() -> None:
    async def main() -> None:
        asked: list[bytes | None] = []
        stream = GetStream(StreamPort(lambda _, last_id: asked.append(last_id), lambda _: None))

        def delay() -> float:
            timer = stream._timer
            assert timer is not None
            wait = timer.when() - asyncio.get_running_loop().time()
            timer.cancel()
            stream.connect()
            return wait

        def attempt(status: int, data: bytes = b"") -> float:
            stream.start(Head(status))
            stream.write(data)
            stream.finish()
            return delay()

        assert attempt(200, b"id: 7\nretry: 200\ndata:\n\n") == pytest.approx(0.2, abs=0.1)
        waits = [attempt(503) for _ in range(10)]
        assert waits == sorted(waits)
        assert waits[-1] == pytest.approx(LONGEST_DELAY, abs=0.1)
        assert attempt(200, b"data: {}\n\n") == pytest.approx(0.2, abs=0.1)
        assert asked == [b"7"] * 12
        stream.close()

    within(main)
