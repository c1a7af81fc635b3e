"""The legacy era: sessions, streams, cancellation and batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.endpoint import EndpointLimits
from ostiary.servers.core.resource import Resource
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Tool
from tests.servers.core.world import LEGACY, Client, call, modern, request, within

SPEED = EndpointLimits(patience=0)


class Held:
    """A tool that waits until it is let go, and tells what happens to it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go = asyncio.Event()
        self.ended = asyncio.Event()
        self.cancelled = False

    async def __call__(self, arguments: dict[str, Any], context: CallContext) -> ToolResult:
        self.started.set()
        try:
            await context.progress(1, 2)
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()
        return ToolResult([text("at last")])


async def none(*_: object) -> list[Any]:
    return []


def server(held: Held) -> Server:
    async def quick(arguments: dict[str, Any], context: CallContext) -> ToolResult:
        return ToolResult([text(f"{context.owner} {context.session}")])

    return Server(
        "s",
        "1",
        instructions="Use it.",
        tools=[Tool(name="held", handler=held), Tool(name="quick", handler=quick)],
        resources=[Resource(uri="a://b", name="b", read=none)],
    )


@pytest.mark.parametrize("version", LEGACY)
def test_a_known_revision_is_taken_and_an_unknown_one_is_answered_with_the_newest(version: str) -> None:
    async def main() -> None:
        client = Client(server(Held()))
        result = await client.initialize(version)
        assert result["protocolVersion"] == version
        assert result["instructions"] == "Use it."
        assert (await client.initialize("1999-01-01"))["protocolVersion"] == LEGACY[-1]

    within(main)


def test_a_session_is_needed_known_and_of_one_owner() -> None:
    async def main() -> None:
        client = Client(server(Held()))
        assert (await client.post(request("ping"))).status == 400
        client.owner = "alice"
        await client.initialize()
        assert (await client.post(request("ping"))).result == {}
        assert (await client.post(call("quick"))).said.startswith("alice ")
        client.owner = "bob"
        assert (await client.post(request("ping"))).status == 404
        assert client.listen().status == 404
        assert (await client.delete()).status == 404
        client.owner = "alice"
        assert (await client.delete()).status == 200
        assert (await client.post(request("ping"))).status == 404

    within(main)


def test_the_end_of_a_session_cancels_its_calls_and_is_told() -> None:
    async def main() -> None:
        held, over = Held(), []
        client = Client(server(held), ended=lambda owner, name: over.append((owner, name)))
        await client.initialize()
        stream = client.listen()
        reply = client.begin(call("held"))
        await held.started.wait()
        await client.delete()
        await held.ended.wait()
        assert held.cancelled
        await reply.done.wait()
        await stream.done.wait()
        assert client.session is not None
        assert over == [("local", client.session.decode())]

    within(main)


def test_a_cancelled_call_ends_without_a_response() -> None:
    async def main() -> None:
        held = Held()
        client = Client(server(held))
        await client.initialize()
        reply = client.begin(call("held", number="seven"))
        await held.started.wait()
        for wrong in (7, "eight"):
            await client.post(
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": wrong}}
            )
        assert not held.ended.is_set()
        await client.post(
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "seven"}}
        )
        await held.ended.wait()
        await reply.done.wait()
        assert held.cancelled
        assert reply.streams
        assert reply.messages == []

    within(main)


def test_a_client_that_goes_away_has_not_cancelled_and_fetches_its_answer() -> None:
    async def main() -> None:
        held = Held()
        client = Client(server(held), SPEED)
        await client.initialize()
        reply = client.begin(call("held", number=5))
        await held.started.wait()
        reply.leave()
        held.go.set()
        await held.ended.wait()
        assert not held.cancelled
        again = client.listen((b"last-event-id", reply.ids[-1].encode()))
        await again.done.wait()
        assert [message["id"] for message in again.messages] == [5]
        assert again.said == "at last"
        twice = client.listen((b"last-event-id", reply.ids[-1].encode()))
        await twice.done.wait()
        assert twice.messages == again.messages
        nothing = client.listen((b"last-event-id", again.ids[-1].encode()))
        await nothing.done.wait()
        assert nothing.messages == []
        assert client.listen((b"last-event-id", b"s99.1")).status == 400

    within(main)


def test_an_answer_that_takes_longer_than_our_patience_becomes_a_stream() -> None:
    async def main() -> None:
        held = Held()
        client = Client(server(held), EndpointLimits(patience=0.5))
        await client.initialize()
        reply = client.begin(call("held"))
        await reply.until(lambda: reply.ids)
        held.go.set()
        await reply.done.wait()
        assert reply.said == "at last"
        quick = await client.post(call("quick"))
        assert not quick.streams

    within(main)


def test_an_id_in_flight_is_refused_and_free_again_afterwards() -> None:
    async def main() -> None:
        held = Held()
        client = Client(server(held))
        await client.initialize()
        first = client.begin(call("held"))
        await held.started.wait()
        assert (await client.post(request("ping"))).error["code"] == -32600
        assert (await client.post(request("ping", number="1"))).result == {}
        held.go.set()
        await first.done.wait()
        assert (await client.post(request("ping"))).result == {}

    within(main)


def test_a_batch_is_answered_as_one_on_the_one_revision_that_has_them() -> None:
    async def main() -> None:
        client = Client(server(Held()))
        batch = [
            request("ping", number=1),
            call("quick", number=2),
            {"jsonrpc": "2.0", "method": "notifications/x"},
        ]
        for version in LEGACY:
            await client.initialize(version)
            reply = await client.post(batch)
            if version == "2025-03-26":
                assert sorted(one["id"] for one in reply.json) == [1, 2]
                single = await client.post([request("ping")])
                assert single.json == [{"jsonrpc": "2.0", "id": 1, "result": {}}]
                quiet = await client.post([{"jsonrpc": "2.0", "method": "notifications/x"}])
                assert quiet.status == 202
            else:
                assert (reply.status, reply.error["code"]) == (400, -32600)

    within(main)


def test_changes_are_told_on_the_stream_of_a_session() -> None:
    async def main() -> None:
        offered = server(Held())
        client = Client(offered)
        client.owner = "alice"
        await client.initialize()
        stream = client.listen()
        await client.post(request("resources/subscribe", {"uri": "a://b"}))
        offered.changed("tools")
        offered.updated("a://b", owner="bob")
        offered.updated("a://c")
        offered.updated("a://b", owner="alice")
        assert [(one["method"], one.get("params")) for one in stream.messages] == [
            ("notifications/tools/list_changed", None),
            ("notifications/resources/updated", {"uri": "a://b"}),
        ]
        await client.post(request("resources/unsubscribe", {"uri": "a://b"}))
        offered.updated("a://b")
        assert len(stream.messages) == 2
        newer = client.listen()
        await stream.done.wait()
        offered.changed("resources")
        assert len(newer.messages) == 1

    within(main)


def test_sessions_are_bounded_and_an_idle_one_makes_room() -> None:
    async def main() -> None:
        held, over = Held(), []
        client = Client(
            server(held), EndpointLimits(max_sessions=2), ended=lambda owner, name: over.append(name)
        )
        await client.initialize()
        busy = client.session
        client.begin(call("held"))
        await held.started.wait()
        await client.initialize()
        idle = client.session
        await client.initialize()
        assert idle is not None
        assert over == [idle.decode()]
        client.session = busy
        assert (await client.post(request("ping", number=2))).result == {}
        await client.endpoint.close()

    within(main)


def test_a_session_ends_when_nothing_happens_in_it_for_an_hour() -> None:
    async def main() -> None:
        held, over = Held(), []
        client = Client(server(held), ended=lambda owner, name: over.append(name))
        await client.initialize()
        quiet = client.session
        await client.initialize()
        busy = client.begin(call("held"))
        await held.started.wait()
        for session in client.endpoint._sessions:
            session.used -= 3_601
        assert (await client.post(request("ping", number=2))).result == {}, "a call runs in it"
        held.go.set()
        await busy.done.wait()
        client.session = quiet
        assert (await client.post(request("ping"))).status == 404
        assert quiet is not None
        assert over == [quiet.decode()]

    within(main)


def test_calls_are_bounded_and_what_is_no_call_still_runs() -> None:
    async def main() -> None:
        held = Held()
        client = Client(server(held), EndpointLimits(max_working=1))
        await client.initialize()
        first = client.begin(call("held"))
        await held.started.wait()
        assert (await client.post(call("quick", number=2))).error["code"] == 4429
        assert (await client.post(modern(call("quick")))).error["code"] == 4429
        assert (await client.post(request("tools/list", number=3))).result["tools"]
        held.go.set()
        await first.done.wait()
        assert not (await client.post(call("quick", number=4))).result["isError"]

    within(main)


def test_a_log_level_is_kept_for_the_session() -> None:
    async def main() -> None:
        async def talk(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            await context.log("debug", "low")
            await context.log("error", {"high": 1}, "us")
            return ToolResult()

        client = Client(Server("s", "1", tools=[Tool(name="talk", handler=talk)]))
        await client.initialize()
        told = [message["params"] for message in (await client.post(call("talk"))).messages[:-1]]
        assert told == [{"level": "error", "data": {"high": 1}, "logger": "us"}]
        await client.post(request("logging/setLevel", {"level": "debug"}))
        assert len((await client.post(call("talk"))).messages) == 3
        await client.post(request("logging/setLevel", {"level": "critical"}))
        assert not (await client.post(call("talk"))).streams
        wrong = await client.post(request("logging/setLevel", {"level": "loud"}))
        assert wrong.error["code"] == -32602

    within(main)


def test_who_begins_many_sessions_ends_none_of_others() -> None:
    async def main() -> None:
        client = Client(server(Held()), EndpointLimits(max_sessions=2))
        client.owner = "alice"
        await client.initialize()
        first = client.session
        client.owner = "bob"
        for _ in range(3):
            await client.initialize()
        client.owner, client.session = "alice", first
        assert (await client.post(request("ping"))).result == {}

    within(main)


def test_a_session_is_refused_where_all_are_in_use() -> None:
    async def main() -> None:
        client = Client(server(Held()), EndpointLimits(max_sessions=1))
        await client.initialize()
        stream = client.listen()
        params = {
            "protocolVersion": LEGACY[-1],
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        }
        refused = await client.post(request("initialize", params))
        assert (refused.status, refused.error["code"]) == (503, 4429)
        assert not stream.done.is_set()
        stream.leave()
        assert (await client.post(request("initialize", params))).status == 200

    within(main)


def test_a_stream_that_has_not_begun_cannot_be_resumed() -> None:
    async def main() -> None:
        held = Held()
        client = Client(server(held), EndpointLimits(patience=60))
        await client.initialize()
        reply = client.begin(call("held"))
        await held.started.wait()
        assert client.listen((b"last-event-id", b"s1.0")).status == 400
        held.go.set()
        await reply.done.wait()
        assert reply.said == "at last"

    within(main)


def test_a_batch_is_no_way_around_the_newest_revision() -> None:
    async def main() -> None:
        client = Client(server(Held()))
        await client.initialize("2025-03-26")
        batch = [modern(request("tools/list", number=number)) for number in (1, 2)]
        reply = await client.post(
            batch, (b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/list")
        )
        assert (reply.status, reply.error["code"]) == (400, -32600)

    within(main)


def test_a_handler_that_is_broken_off_from_within_is_answered() -> None:
    async def main() -> None:
        async def breaks(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            raise asyncio.CancelledError

        client = Client(Server("s", "1", tools=[Tool(name="breaks", handler=breaks)]))
        await client.initialize()
        assert (await client.post(call("breaks"))).error["message"] == "the call was broken off"

    within(main)


@pytest.mark.parametrize("value", [{1, 2}, "\ud800", object()])
def test_a_result_that_json_cannot_hold_is_an_error(value: object) -> None:
    async def main() -> None:
        async def odd(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            return ToolResult([text("x")], structured={"value": value})

        client = Client(Server("s", "1", tools=[Tool(name="odd", handler=odd)]))
        reply = await client.post(modern(call("odd")))
        if isinstance(value, set):
            assert reply.result["structuredContent"] == {"value": [1, 2]}
        else:
            assert reply.error == {"code": -32603, "message": "the result cannot be written as JSON"}

    within(main)
