"""A stop as clients and servers see it: in one process, with real sockets and the real table (P2.5)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ostiary.audit.record import Record
from ostiary.calls.stop import Scope, Stop
from ostiary.errors import GatewayFault
from ostiary.proxy.mint import Mint
from ostiary.proxy.stops import UNREAD_FOR
from ostiary.store.state import open_state
from ostiary.store.stops import StopBoard
from ostiary.store.switching import Action, switch
from tests.weaknesses.world import (
    ALLOW_ALL,
    SERVER,
    Reply,
    Seen,
    Streams,
    World,
    call,
    deny_but,
    encoded,
    http,
    modern,
    modern_headers,
    parse,
    request,
    result,
    until,
    within,
    world,
)

Json = dict[str, Any]
ALL = Scope("all")
ALICE = Scope("grant", "alice")
LOCAL = Scope("grant", "local")
OPEN_STREAM = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\r\n"
TOKEN_ONLY = (b"x-nothing", b"1")
SOON = 4
"""Seconds, less than a test may last: what ends by itself does so later. How soon it is with processes
is measured in `e2e/test_stop.py`."""
SLOTS = {
    "version": "1",
    "default": "deny",
    "tools": {"echo": {"limits": [{"counter": "together", "max_concurrent": 1}]}},
}


def press(gate: World, scope: Scope, action: Action = "on") -> None:
    """What the command does, without its process."""
    state = open_state(gate.state)
    switch(state, action, scope, who="user:ada", reason="why", mint=lambda clock: Mint(clock)())


def stop(gate: World, scope: Scope) -> None:
    """Set a stop and have the gate look."""
    press(gate, scope)
    gate.desk.stops.look()


def lift(gate: World, scope: Scope) -> None:
    press(gate, scope, "off")
    gate.desk.stops.look()


@contextlib.asynccontextmanager
async def gate_of(policy: Mapping[str, Any] | None, state: Path, **more: Any) -> AsyncIterator[World]:
    board = StopBoard(open_state(state))
    async with world(policy, state, board=board, **more) as gate:
        yield gate
        gate.desk.stops.close()


def with_session(seen: Seen) -> bytes:
    about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}}
    return http(result(seen.message, about), b"application/json", 200, b"mcp-session-id: s1")


async def never(_: Seen) -> None:
    """Keep the caller waiting."""


@contextlib.asynccontextmanager
async def sent(
    gate: World, message: object, *headers: tuple[bytes, bytes], method: str = "POST", grant: str = ""
) -> AsyncIterator[Streams]:
    """A request that has reached the upstream, which does not answer."""
    before = len(gate.upstream.seen)
    body = b"" if message is None else encoded(message)
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(gate.head(body, headers, method=method, grant=grant) + body)
    await until(lambda: len(gate.upstream.seen) > before and not gate.upstream.is_own(gate.upstream.seen[-1]))
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> Reply:
    """All that comes until the gate closes."""
    return parse(await asyncio.wait_for(reader.read(), SOON))


async def rows(gate: World, kind: str, tool: str = "") -> list[Record]:
    return [one for one in await gate.records() if one.kind == kind and (not tool or one.tool == tool)]


def is_stopped(reply: Reply) -> bool:
    """Whether it is what a stopped tool call is answered."""
    text = reply.json["result"]["content"][0]["text"]
    return reply.status == 200 and reply.denied and text.startswith("[POLICY DENIED] stopped: ")


# New calls.


def test_a_stopped_grant_is_denied_and_another_one_is_not_disturbed(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(deny_but("echo"), tmp_path / "s") as gate:
            assert not (await gate.post(call("echo"), grant="alice")).denied
            stop(gate, ALICE)

            assert is_stopped(await gate.post(call("echo"), grant="alice"))
            assert not (await gate.post(call("echo"), grant="bob")).denied
            assert gate.upstream.calls == ["echo", "echo"]
            lift(gate, ALICE)
            assert not (await gate.post(call("echo"), grant="alice")).denied

    within(main)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [(ALL, True), (Scope("server", SERVER), True), (Scope("server", "other"), False), (LOCAL, True)],
)
def test_a_stop_covers_what_it_names(scope: Scope, covered: bool, tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            stop(gate, scope)

            assert (await gate.call("echo")).denied is covered
            assert gate.upstream.calls == ([] if covered else ["echo"])

    within(main)


def test_nothing_at_all_of_a_stopped_client_reaches_the_server(tmp_path: Path) -> None:
    """Also what a policy lets through unseen: handshakes, lists, pings, notifications, streams, ends."""

    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = with_session
            header = (b"mcp-session-id", await gate.session())
            reached = len(gate.upstream.seen)
            stop(gate, LOCAL)

            for number, method in enumerate(
                ("ping", "tools/list", "resources/list", "logging/setLevel", "x/y")
            ):
                reply = await gate.post(request(method, {"level": "info"}, number), header)
                assert (reply.status, reply.json["error"]["code"]) == (200, 4423), method
                assert reply.json["id"] == number
                assert reply.json["error"]["data"]["io.ostiary/decision"]["decision"] == "deny"
            again = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "c", "version": "1"},
            }
            assert (await gate.ask("initialize", again)).json["error"]["code"] == 4423
            note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            assert (await gate.post(note, header)).status == 202
            for method in ("GET", "DELETE"):
                reply = await gate.post(None, header, method=method)
                assert (reply.status, reply.json["error"]["code"]) == (423, 4423)
            listen = modern(request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}))
            assert (await gate.post(listen, *modern_headers(listen))).json["error"]["code"] == 4423
            denied = modern(call("echo"))
            reply = await gate.post(denied, *modern_headers(denied))
            assert is_stopped(reply)
            assert reply.json["result"]["resultType"] == "complete"

            assert len(gate.upstream.seen) == reached
            lift(gate, LOCAL)
            assert (await gate.post(request("ping"), header)).json["result"] == {
                "content": [{"type": "text", "text": "done"}]
            }

    within(main)


def test_each_refusal_and_each_change_is_on_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            stop(gate, LOCAL)
            await gate.call("echo")
            await gate.post(None, method="GET")
            lift(gate, LOCAL)

            found = [(one.method, one.rules, one.note, one.reasons) for one in await gate.records()]
            assert found == [
                ("stop-on", (), "stop 1: grant `local`", ("why",)),
                ("stop-in-force", (), "stop 1: grant `local`", ()),
                ("tools/call", ("(stopped)",), "", ("stop 1: grant `local`",)),
                ("HTTP GET", ("(stopped)",), "", ("refused with 4423",)),
                ("stop-off", (), "stop 1: grant `local`", ("why",)),
                ("stop-lifted", (), "stop 1: grant `local`", ()),
            ]

    within(main)


def test_a_stop_that_is_not_about_this_server_is_not_on_its_record(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            stop(gate, Scope("server", "other"))

            assert [one.method for one in await gate.records()] == ["stop-on"]

    within(main)


def test_two_stops_that_cover_a_call_are_both_to_be_lifted(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            stop(gate, ALL)
            stop(gate, LOCAL)
            lift(gate, ALL)
            assert (await gate.call("echo")).denied
            lift(gate, LOCAL)
            assert not (await gate.call("echo")).denied

    within(main)


# Calls under way.


def test_a_legacy_call_is_answered_and_its_server_told_to_cancel_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script |= {"initialize": with_session, "tools/call": never}
            header = (b"mcp-session-id", await gate.session())
            async with sent(gate, call("echo", {}, 7), header) as (reader, _):
                stop(gate, LOCAL)

                reply = await rest(reader)
                assert is_stopped(reply)
                assert reply.json["id"] == 7
                assert "under way" in reply.json["result"]["content"][0]["text"]
            await until(
                lambda: "notifications/cancelled" in [one.get("method") for one in gate.upstream.messages]
            )
            told = gate.upstream.seen[-1]
            assert told.message["params"] == {"requestId": 7, "reason": "stopped by the operator"}
            assert told.headers["mcp-session-id"] == "s1"
            [outcome] = await rows(gate, "outcome")
            assert (outcome.status, outcome.note) == ("cancelled", "stop 1: grant `local`")

    within(main)


def test_the_connection_of_a_modern_call_is_given_up(tmp_path: Path) -> None:
    """On that era going away is the cancellation."""

    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = never
            message = modern(call("echo", {}, "a"))
            async with sent(gate, message, *modern_headers(message)) as (reader, _):
                upstream = gate.upstream.seen[-1].writer
                stop(gate, ALL)

                reply = await rest(reader)
                assert is_stopped(reply)
                assert reply.json["id"] == "a"
            await until(upstream.is_closing)
            assert [one.get("method") for one in gate.upstream.messages] == ["tools/call"]

    within(main)


def test_only_what_the_stop_covers_is_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = never
            async with (
                sent(gate, call("echo"), grant="bob") as (other, _),
                sent(gate, call("echo"), grant="alice") as (reader, _),
            ):
                of_bob = gate.upstream.seen[0]
                stop(gate, ALICE)

                assert is_stopped(await rest(reader))
                of_bob.writer.write(http(result(of_bob.message, {"content": []})))
                assert parse(await other.read()).json["result"] == {"content": []}

    within(main)


def test_another_method_under_way_ends_with_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["resources/read"] = never
            async with sent(gate, request("resources/read", {"uri": "file:///a"}, 3)) as (reader, _):
                stop(gate, LOCAL)

                reply = await rest(reader)
                assert (reply.status, reply.json["error"]["code"], reply.json["id"]) == (200, 4423, 3)

    within(main)


def test_a_call_whose_answer_comes_as_events_gets_its_end_as_an_event(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = OPEN_STREAM + b": hello\n\n"
            async with sent(gate, call("echo", {}, 5)) as (reader, _):
                await reader.readuntil(b"hello\n\n")
                stop(gate, LOCAL)

                raw = await asyncio.wait_for(reader.read(), SOON)
                event = next(line for line in raw.split(b"\n") if line.startswith(b"data: "))
                assert json.loads(event[6:])["result"]["isError"] is True
                assert raw.endswith(b"0\r\n\r\n")
            [outcome] = await rows(gate, "outcome")
            assert outcome.status == "cancelled"

    within(main)


def test_a_call_that_has_its_answer_already_keeps_it(tmp_path: Path) -> None:
    """Its stream goes on a little after it; only that is ended."""

    async def main() -> None:
        async with gate_of(deny_but("echo"), tmp_path / "s") as gate:
            done = {"jsonrpc": "2.0", "id": 5, "result": {"content": []}}
            gate.upstream.script["tools/call"] = OPEN_STREAM + b"data: " + encoded(done) + b"\n\n"
            async with sent(gate, call("echo", {}, 5)) as (reader, _):
                await reader.readuntil(b"[]}}\n\n")
                stop(gate, LOCAL)

                assert b"data:" not in await asyncio.wait_for(reader.read(), SOON)
            [outcome] = await rows(gate, "outcome")
            assert outcome.status == "ok"

    within(main)


def test_an_ended_call_whose_stream_can_be_resumed_may_still_have_its_answer_later(tmp_path: Path) -> None:
    """Until then its outcome is not known; afterwards there is a second one (R2: a late answer)."""
    done = {"jsonrpc": "2.0", "id": 5, "result": {"content": []}}

    def resumed(seen: Seen) -> bytes:
        late = b"id: e-2\ndata: " + encoded(done) + b"\n\n"
        return http(late, b"text/event-stream") if "last-event-id" in seen.headers else OPEN_STREAM

    async def main() -> None:
        async with gate_of(SLOTS, tmp_path / "s") as gate:
            gate.upstream.script |= {"initialize": with_session, "GET": resumed}
            header = (b"mcp-session-id", await gate.session())
            gate.upstream.script["tools/call"] = OPEN_STREAM + b"id: e-1\ndata: \n\n"
            async with sent(gate, call("echo", {}, 5), header) as (reader, _):
                await reader.readuntil(b"e-1")
                stop(gate, LOCAL)
                assert b'"isError":true' in await asyncio.wait_for(reader.read(), SOON)
            place = (b"last-event-id", b"e-1")
            assert (await gate.post(None, header, place, method="GET")).status == 423
            assert [one.status for one in await rows(gate, "outcome")] == ["unknown"]
            lift(gate, LOCAL)

            assert b'"content":' in (await gate.post(None, header, place, method="GET")).body
            first, second = await rows(gate, "outcome")
            assert (first.note, second.status) == ("stop 1: grant `local`", "ok")
            assert len(second.refunds) == 1  # the slot

    within(main)


def test_streams_of_the_server_and_subscriptions_are_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script |= {
                "initialize": with_session,
                "GET": OPEN_STREAM,
                "subscriptions/listen": OPEN_STREAM,
            }
            header = (b"mcp-session-id", await gate.session())
            listen = modern(request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}))
            async with (
                sent(gate, None, header, method="GET") as (stream, _),
                sent(gate, listen, *modern_headers(listen)) as (subscription, _),
            ):
                await stream.readuntil(b"\r\n\r\n")
                await subscription.readuntil(b"\r\n\r\n")
                servers = [one.writer for one in gate.upstream.seen[-2:]]
                stop(gate, LOCAL)

                assert (await asyncio.wait_for(stream.read(), SOON)).endswith(b"0\r\n\r\n")
                assert b'"code":4423' in await asyncio.wait_for(subscription.read(), SOON)
            for writer in servers:
                await until(writer.is_closing)
            await until(lambda: not len(gate.desk.stops) and not len(gate.desk.changes))

    within(main)


def test_every_member_of_a_batch_is_ended(tmp_path: Path) -> None:
    def initialized(seen: Seen) -> bytes:
        about = {"protocolVersion": "2025-03-26", "capabilities": {}, "serverInfo": {"name": "s"}}
        return http(result(seen.message, about), b"application/json", 200, b"mcp-session-id: s1")

    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = initialized
            header = (b"mcp-session-id", await gate.session())
            gate.upstream.script["tools/call"] = never
            async with sent(gate, [call("echo", {}, number) for number in range(4)], header) as (reader, _):
                await until(lambda: len(gate.upstream.calls) == 4)
                stop(gate, LOCAL)

                raw = await asyncio.wait_for(reader.read(), SOON)
                found = [json.loads(line[6:]) for line in raw.split(b"\n") if line.startswith(b"data: ")]
                assert sorted(one["id"] for one in found) == [0, 1, 2, 3]
                assert all(one["result"]["isError"] for one in found)
            denied = await gate.post([call("echo", {}, number) for number in range(2)], header)
            assert b"stopped: " in denied.body
            assert len(gate.upstream.calls) == 4

    within(main)


def test_a_call_whose_client_has_gone_is_ended_as_well(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = never
            async with sent(gate, call("echo")) as (_, writer):
                upstream = gate.upstream.seen[-1].writer
                writer.transport.abort()
                await until(lambda: len(gate.desk.orphans) == 1)
                stop(gate, LOCAL)

                await until(upstream.is_closing)
            [outcome] = await rows(gate, "outcome")
            assert outcome.status == "cancelled"
            assert len(gate.desk.orphans) == 0

    within(main)


def test_a_client_that_does_not_read_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            big = OPEN_STREAM + b"data: " + b"x" * 60_000 + b"\n\n"
            gate.upstream.script["tools/call"] = big
            async with sent(gate, call("echo")) as (_, _writer):
                upstream = gate.upstream.seen[-1].writer
                for _ in range(200):
                    upstream.write(b": " + b"x" * 60_000 + b"\n\n")
                stop(gate, LOCAL)

                await until(upstream.is_closing)
                await until(lambda: len(gate.desk.stops) == 0)

    within(main)


def test_the_slot_of_an_ended_call_is_held_since_its_server_may_go_on(tmp_path: Path) -> None:
    """P4.4."""

    async def main() -> None:
        async with gate_of(SLOTS, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = never
            async with sent(gate, call("echo")) as (reader, _):
                stop(gate, LOCAL)
                assert is_stopped(await rest(reader))
            lift(gate, LOCAL)

            reply = await gate.call("echo")
            assert reply.denied
            assert "limit" in reply.json["result"]["content"][0]["text"]

    within(main)


def test_thousands_of_calls_end_without_holding_up_the_loop(tmp_path: Path) -> None:
    """They are ended in parts; every one of them is ended."""

    class Busy:
        def __init__(self) -> None:
            self.ended = 0

        def stop(self, stop: Stop) -> None:
            self.ended += 1
            gate_stops.discard(self)
            if self.ended and len(gate_stops) % 7 == 0:
                raise RuntimeError("one that cannot be ended")

    async def main() -> None:
        nonlocal gate_stops
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate_stops = gate.desk.stops
            running = [Busy() for _ in range(2_000)]
            for one in running:
                gate_stops.add(one, "local")
            stop(gate, LOCAL)
            await until(lambda: any(one.ended for one in running))
            assert sum(one.ended for one in running) < 2_000

            await until(lambda: not len(gate_stops))
            assert [one.ended for one in running] == [1] * 2_000

    gate_stops: Any = None
    within(main)


# Between the decision and the server.


def test_a_stop_between_the_record_and_the_server_keeps_the_call_from_it(tmp_path: Path) -> None:
    """Nothing leaves after the gate has seen the stop, whatever was decided before."""

    async def main() -> None:
        async with gate_of(SLOTS, tmp_path / "s") as gate:
            await gate.call("other")  # the list of tools is known from here on
            submit = gate.desk.journal.submit

            def stop_after_intent(entry: Any, done: Any) -> None:
                def look_and_go_on(reply: Any) -> None:
                    gate.desk.stops.look()
                    done(reply)

                is_intent = entry is not None and entry.record.kind == "intent"
                if is_intent:
                    press(gate, LOCAL)
                submit(entry, look_and_go_on if is_intent else done)

            gate.desk.journal.submit = stop_after_intent
            assert is_stopped(await gate.call("echo"))
            assert gate.upstream.calls == []
            [outcome] = await rows(gate, "outcome")
            assert (outcome.status, len(outcome.refunds)) == ("not_sent", 1)

    within(main)


def test_a_stop_while_the_gate_lists_the_tools_ends_the_call_and_the_listing(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["own listing"] = never
            asked = asyncio.ensure_future(gate.call("echo"))
            await until(lambda: gate.upstream.listings == 1)
            upstream = gate.upstream.seen[-1].writer
            stop(gate, LOCAL)

            assert is_stopped(await asyncio.wait_for(asked, SOON))
            await until(upstream.is_closing)
            del gate.upstream.script["own listing"]
            lift(gate, LOCAL)
            assert not (await gate.call("echo")).denied

    within(main)


# Tasks.


def task_made(seen: Seen) -> bytes:
    modern_one = "_meta" in seen.message["params"]
    made: Json = {"taskId": "t-1", "status": "working", "createdAt": "x", "ttl": 60_000, "ttlMs": 60_000}
    return http(result(seen.message, {"resultType": "task", **made} if modern_one else {"task": made}))


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_task_is_cancelled_at_its_server(confirmed: bool, tmp_path: Path) -> None:
    """What the server does not confirm has no known outcome, and keeps what it holds."""

    def cancelled(seen: Seen) -> bytes:
        status = "cancelled" if confirmed else "working"
        return http(result(seen.message, {"taskId": seen.message["params"]["taskId"], "status": status}))

    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script |= {
                "initialize": with_session,
                "tools/call": task_made,
                "tasks/cancel": cancelled,
            }
            header = (b"mcp-session-id", await gate.session())
            params = {"name": "echo", "arguments": {}, "task": {"ttl": 60_000}}
            await gate.post(request("tools/call", params, 1), header)
            assert gate.desk.book.tasks.following("local") == 1
            stop(gate, LOCAL)

            await until(lambda: not gate.desk.book.tasks.following("local"))
            told = gate.upstream.seen[-1]
            assert told.message["method"] == "tasks/cancel"
            assert told.message["params"] == {"taskId": "t-1"}
            assert told.headers["mcp-session-id"] == "s1"
            [outcome] = await rows(gate, "outcome")
            assert outcome.status == ("cancelled" if confirmed else "unknown")

    within(main)


def test_a_task_of_the_modern_era_is_cancelled_in_its_own_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script |= {"tools/call": task_made, "tasks/cancel": never}
            message = modern(call("echo"))
            await gate.post(message, *modern_headers(message))
            stop(gate, LOCAL)

            await until(lambda: gate.upstream.seen[-1].message.get("method") == "tasks/cancel")
            told = gate.upstream.seen[-1]
            assert told.headers["mcp-method"] == "tasks/cancel"
            assert told.headers["mcp-name"] == "t-1"
            assert told.message["params"]["_meta"] == message["params"]["_meta"]
            await until(lambda: not gate.desk.book.tasks.following("local"))
            [outcome] = await rows(gate, "outcome")
            assert (outcome.status, outcome.note) == ("unknown", "stop 1: grant `local`")

    within(main)


def test_a_task_of_a_grant_that_is_not_stopped_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script |= {"tools/call": task_made}
            message = modern(call("echo"))
            await gate.post(message, *modern_headers(message), grant="bob")
            stop(gate, LOCAL)
            await gate.call("echo")

            assert gate.desk.book.tasks.following("bob") == 1
            assert "tasks/cancel" not in [one.get("method") for one in gate.upstream.messages]

    within(main)


# Doubt.


class Unsure:
    """A board that can be made unreadable."""

    def __init__(self) -> None:
        self.broken = False

    def look(self) -> tuple[Stop, ...] | None:
        if self.broken:
            raise GatewayFault("cannot use it")
        return ()

    def close(self) -> None:
        pass


def test_while_the_stops_cannot_be_read_nothing_is_forwarded(tmp_path: Path) -> None:
    async def main() -> None:
        board = Unsure()
        async with world(ALLOW_ALL, tmp_path / "s", board=board) as gate:
            gate.desk.stops.look()
            assert not (await gate.call("echo")).denied
            board.broken = True
            gate.desk.stops.look()

            assert is_stopped(await gate.call("echo"))
            [denial] = await rows(gate, "denial")
            assert (denial.rules, denial.reasons) == (("(stopped)",), ("the stops cannot be read",))
            assert gate.upstream.calls == ["echo"]
            board.broken = False
            gate.desk.stops.look()
            assert not (await gate.call("echo")).denied

    within(main)


def test_what_runs_is_ended_when_the_stops_stay_unreadable(tmp_path: Path) -> None:
    async def main() -> None:
        board = Unsure()
        async with world(ALLOW_ALL, tmp_path / "s", board=board) as gate:
            gate.upstream.script["tools/call"] = never
            async with sent(gate, call("echo")) as (reader, _):
                board.broken = True
                for _ in range(UNREAD_FOR - 1):
                    gate.desk.stops.look()
                assert len(gate.desk.stops) == 1
                gate.desk.stops.look()

                assert is_stopped(await rest(reader))

    within(main)


def test_a_gate_that_watches_sees_a_stop_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with gate_of(ALLOW_ALL, tmp_path / "s") as gate:
            gate.desk.stops.watch(0.01)
            assert not (await gate.call("echo")).denied
            press(gate, ALL)
            await until(lambda: gate.desk.stops.covering("local"))

            assert (await gate.call("echo")).denied

    within(main)
