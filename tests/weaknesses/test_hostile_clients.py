"""A client that plays with ids, sessions, headers, time and its own departure."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import pytest

from ostiary.calls.journal import NotStored
from ostiary.proxy import orphans, sessions
from ostiary.store.query import Reader
from ostiary.store.state import find_state
from tests.weaknesses.world import (
    ALLOW_ALL,
    Seen,
    World,
    call,
    compiled,
    deny_but,
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

OK: dict[str, Any] = {"content": [{"type": "text", "text": "done"}]}
ONLY_ECHO = deny_but("echo")
SCHEMA = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "text": {"type": "string"}},
}


def session_start(seen: Seen) -> bytes:
    return http(result(seen.message, {}), b"application/json", 200, b"mcp-session-id: s1")


async def in_session(gate: World) -> tuple[bytes, bytes]:
    gate.upstream.script["initialize"] = session_start
    return b"mcp-session-id", await gate.session()


def cancelled(number: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}


async def turns() -> None:
    """Let the gate see that a client has gone: by turns of the loop, since a busy machine takes away time."""
    for _ in range(25):
        await asyncio.sleep(0.002)


def test_an_id_in_flight_is_refused_and_free_again_after_the_answer(tmp_path) -> None:
    """Two calls of one id in a session could be told apart by nobody."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            session = await in_session(gate)
            gate.upstream.script["tools/call"] = lambda seen: None
            async with gate.held(call("echo", number=7), session):
                await until(lambda: gate.upstream.calls)
                for method in ("tools/call", "tools/list", "ping"):
                    params = {"name": "echo"} if method == "tools/call" else {}
                    reply = await gate.post(request(method, params, 7), session)
                    assert (reply.status, reply.json["error"]["code"]) == (400, -32600)
                del gate.upstream.script["tools/call"]
                assert (await gate.post(call("echo", number="7"), session)).json["id"] == "7"
                assert len(gate.upstream.calls) == 2
                gate.upstream.seen[-2].writer.write(b"")
            gate.upstream.script["tools/call"] = lambda seen: http(result(seen.message, OK))
            assert (await gate.post(call("echo", number=8), session)).status == 200
            assert (await gate.post(call("echo", number=8), session)).status == 200

    within(main)


def test_two_clients_without_a_session_may_use_one_id_and_get_their_own_answers(tmp_path) -> None:
    """The list of one is filtered although the other's call has the same id."""

    async def main() -> None:
        async def late(seen):
            await go_on.wait()
            return http(result(seen.message, {"tools": gate.upstream.tools}))

        go_on = asyncio.Event()
        async with world(ONLY_ECHO, tmp_path / "s", tools=["echo", "hidden"]) as gate:
            gate.upstream.script["tools/list"] = late
            listing = asyncio.ensure_future(gate.ask("tools/list", {}, 1))
            await until(lambda: gate.upstream.messages)
            held = {"jsonrpc": "2.0", "id": 1, "result": {"tools": gate.upstream.tools}}
            gate.upstream.script["tools/call"] = lambda seen: events(
                held, {"jsonrpc": "2.0", "id": seen.message["id"], "result": OK}
            )
            async with gate.held(call("echo", number=1)):
                await until(lambda: gate.upstream.calls)
                reply = await gate.call("echo", 2)
                assert b"hidden" not in reply.body
            go_on.set()
            assert b"hidden" not in (await listing).body

    within(main)


@pytest.mark.parametrize("how", ["cancelled", "gone"])
def test_a_call_that_was_withdrawn_before_it_was_forwarded_is_not_forwarded(tmp_path, how: str) -> None:
    """It waits for the tool list; meanwhile its client cancels it, or leaves (modern era)."""
    go_on = asyncio.Event()

    async def late(seen):
        await go_on.wait()
        return http(result(seen.message, {"tools": [tool("echo")]}))

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["own listing"] = late
            if how == "cancelled":
                session = await in_session(gate)
                async with gate.held(call("echo", number=3), session) as (reader, _):
                    await until(lambda: gate.upstream.listings)
                    assert (await gate.post(cancelled(3), session)).status == 202
                    go_on.set()
                    assert b"-32800" in await reader.read()
            else:
                message = modern(call("echo", number=3))
                async with gate.held(message, *modern_headers(message)):
                    await until(lambda: gate.upstream.listings)
                await turns()
                go_on.set()
            while "outcome" not in {kind for kind, _ in await gate.kinds()}:
                await asyncio.sleep(0.01)
            assert [one.status for one in await gate.records() if one.kind == "outcome"] == ["not_sent"]
            assert gate.upstream.calls == []
            assert [one for one in gate.upstream.messages if one["method"] == "notifications/cancelled"] == []

    within(main)


def test_nobody_cancels_the_call_of_another_client(tmp_path) -> None:
    """Without sessions an id belongs to whoever used it, so a cancel by id settles nothing here."""
    go_on = asyncio.Event()

    async def late(seen):
        await go_on.wait()
        return http(result(seen.message, {"tools": [tool("echo")]}))

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["own listing"] = late
            asking = asyncio.ensure_future(gate.call("echo", 1))
            await until(lambda: gate.upstream.listings)
            await gate.post(cancelled(1))
            go_on.set()
            assert not (await asking).denied

    within(main)


def test_a_large_call_whose_client_has_left_before_it_was_read_is_not_forwarded(
    tmp_path, monkeypatch
) -> None:
    """Reading goes on elsewhere; what comes of it must find somebody to answer."""
    from ostiary.proxy import gate as gates

    reading = asyncio.Event()
    go_on = asyncio.Event()

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            loop = asyncio.get_running_loop()
            read = gates.read_message

            def slowly(data, **how):
                loop.call_soon_threadsafe(reading.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(4)
                return read(data, **how)

            monkeypatch.setattr(gates, "read_message", slowly)
            async with gate.held(call("echo", {"text": "x" * 300_000})):
                await reading.wait()
            await turns()
            go_on.set()
            await asyncio.sleep(0.1)
            assert gate.upstream.seen == []
            assert await gate.kinds() == []

    within(main)


def test_a_client_that_asks_and_leaves_again_and_again_holds_few_connections(tmp_path, monkeypatch) -> None:
    """Legacy answers are awaited after their client has gone, but not any number of them."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            monkeypatch.setattr(gate.desk, "orphans", orphans.Orphans(4))
            await gate.call("echo")
            gate.upstream.script["tools/call"] = lambda seen: None
            for n in range(20):
                before = len(gate.upstream.calls)
                async with gate.held(call("echo", number=n)):
                    await until(lambda before=before: len(gate.upstream.calls) > before)
            while len([one for one in await gate.records() if one.status == "unknown"]) < 16:
                await asyncio.sleep(0.01)
            assert len(gate.client._lines) <= 4

    within(main)


def test_what_is_kept_of_sessions_is_bounded_and_busy_ones_stay(tmp_path, monkeypatch) -> None:
    """Ids come from outside; a flood of sessions must not wash away a call that runs."""
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 5)

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            numbers = iter(range(100))
            gate.upstream.script["initialize"] = lambda seen: http(
                result(seen.message, {}), b"application/json", 200, b"mcp-session-id: s%d" % next(numbers)
            )
            busy = (b"mcp-session-id", await gate.session())
            gate.upstream.script["tools/call"] = lambda seen: None
            async with gate.held(call("echo", number=1), busy):
                await until(lambda: gate.upstream.calls)
                for _ in range(10):
                    other = (b"mcp-session-id", await gate.session())
                    await gate.post(request("ping"), other)
                assert len(gate.desk.sessions) == 5
                assert (await gate.post(request("ping", number=1), busy)).status == 400

    within(main)


def test_nothing_of_a_call_is_kept_after_it(tmp_path) -> None:
    """Runs, questions, replies and waiting answers end with the calls they belong to."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            session = await in_session(gate)
            for n in range(50):
                await gate.post(call("echo" if n % 2 else "denied", number=n), session)
                await gate.post(request("ping", number=n), session)
            kept = gate.desk.sessions.get("local", "s1", exclusive=True)
            assert (kept.runs, dict(kept.asked), kept.replies, dict(kept._past)) == ({}, {}, 0, {})
            assert len(gate.desk.orphans) == 0

    within(main)


@pytest.mark.parametrize(
    ("headers", "reaches"),
    [
        ([(b"mcp-param-region", b"eu")], True),
        ([(b"mcp-param-region", b"us")], False),
        ([], False),
        ([(b"mcp-param-region", b"eu"), (b"mcp-param-region", b"us")], False),
        ([(b"mcp-param-region", b"=?base64?ZXU=?=")], True),
        ([(b"mcp-param-region", b"=?base64?dXM=?=")], False),
        ([(b"mcp-param-region", b"eu"), (b"mcp-param-other", b"x")], True),
    ],
)
def test_a_header_that_repeats_an_argument_must_say_the_same(
    tmp_path, headers: list[tuple[bytes, bytes]], reaches: bool
) -> None:
    """W1: a router in front of the tool would read another call than the policy did."""
    message = modern(call("echo", {"region": "eu"}))

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=[{"name": "echo", "inputSchema": SCHEMA}]) as gate:
            first = (b"mcp-param-region", b"eu")
            await gate.post(message, *modern_headers(message), first)
            reply = await gate.post(message, *modern_headers(message), *headers)
            assert (reply.status == 200) is reaches
            assert len(gate.upstream.calls) == 1 + reaches
            if not reaches and len(headers) < 2:
                assert reply.json["error"]["code"] == -32020

    within(main)


@pytest.mark.parametrize(
    "message",
    [call("echo"), request("resources/read", {"uri": "a:b"}), request("prompts/get", {"name": "p"}),
     request("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a"}}),
     request("tasks/get", {"taskId": "t"}), request("vendor/thing", {})],
    ids=lambda one: one["method"],
)  # fmt: skip
def test_the_intent_is_on_record_when_a_call_reaches_the_upstream(tmp_path, message: dict[str, Any]) -> None:
    """P2.15: first the record, then the call."""
    found: list[str] = []

    def look(seen: Seen) -> bytes:
        reader = Reader(find_state(tmp_path / "s"))
        try:
            rows = [one.record for one in reader.tail(100) if one.record is not None]
        finally:
            reader.close()
        found.extend(one.method for one in rows if one.kind == "intent")
        return http(result(seen.message, OK))

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script[message["method"]] = look
            gate.hand_out(message)
            await gate.post(message)
            assert found == [message["method"]]

    within(main)


def test_without_a_record_nothing_is_forwarded(tmp_path, monkeypatch) -> None:
    """P2.15: a store that does not take the intent stops the call."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            monkeypatch.setattr(
                gate.store, "commit", lambda entries, wait_ms=0: [NotStored("no")] * len(entries)
            )
            for message in (call("echo"), request("resources/read", {"uri": "a:b"}), request("vendor/thing")):
                reply = await gate.post(message)
                assert b"could not record" in reply.body
            assert gate.upstream.seen == []

    within(main)


def test_a_store_that_fails_unexpectedly_stops_the_call_and_answers_it(tmp_path, monkeypatch) -> None:
    """P2.15: a defect is a denial."""

    def broken(entries, wait_ms=0):
        raise sqlite3.DatabaseError("malformed")

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            monkeypatch.setattr(gate.store, "commit", broken)
            assert (await gate.call("echo")).denied
            assert gate.upstream.seen == []
            monkeypatch.undo()

    within(main)


def test_calls_that_race_with_changes_of_the_policy_are_each_judged_by_one(tmp_path) -> None:
    """P8.2: 300 calls while two policies take turns: what is on record fits its revision."""
    first, second = deny_but("a"), deny_but("b")
    allowed = {compiled(first).revision: "a", compiled(second).revision: "b"}

    async def main() -> None:
        async with world(first, tmp_path / "s", tools=["a", "b"]) as gate:

            async def swap():
                for n in range(100):
                    gate.reload(second if n % 2 else first)
                    await asyncio.sleep(0.003)

            swapping = asyncio.ensure_future(swap())
            for n in range(0, 300, 20):
                await asyncio.gather(*(gate.call("ab"[m % 2], m) for m in range(n, n + 20)))
            await swapping
            rows = [one for one in await gate.records() if one.kind in ("intent", "denial")]
            assert len(rows) == 300
            assert all((one.kind == "intent") is (allowed[one.revision] == one.tool) for one in rows)
            assert len(gate.upstream.calls) == sum(one.kind == "intent" for one in rows)

    within(main, 20)


def test_a_fault_of_the_gate_answers_the_client_and_forwards_nothing(tmp_path, monkeypatch) -> None:
    """Whatever breaks while a call is decided: denied, on time."""
    from ostiary.calls import machine

    def broken(*_):
        raise ValueError("a defect")

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            monkeypatch.setattr(machine, "decide", broken)
            assert (await gate.call("echo")).denied
            assert gate.upstream.calls == []

    within(main)


@pytest.mark.parametrize("place", ["head", "data", "end"])
def test_a_fault_while_relaying_ends_the_answer(tmp_path, monkeypatch, place: str) -> None:
    """The client hears of it, the call is on record, and the next one works."""
    from ostiary.proxy import relay

    def broken(*_):
        raise ValueError("a defect")

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            await gate.call("echo")
            names = {"head": "_take_head", "data": "_take", "end": "_finish_whole"}
            with monkeypatch.context() as patch:
                patch.setattr(relay.Relay, names[place], broken)
                assert (await gate.call("echo", 2)).json["error"]["code"] == 4502
            assert (await gate.call("echo", 3)).json["result"] == OK
            statuses = [one.status for one in await gate.records() if one.kind == "outcome"]
            assert statuses == ["ok", "unknown", "ok"]

    within(main)


def test_pipelined_requests_are_each_judged(tmp_path) -> None:
    """What follows an allowed call on the same connection is not allowed with it."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=["echo", "danger"]) as gate:
            parts = []
            for n, name in enumerate(("echo", "danger", "echo")):
                body = json.dumps(call(name, number=n)).encode()
                head = gate.head(body)
                parts.append((head if n == 2 else head.replace(b"connection: close\r\n", b"")) + body)
            reply = await gate.send(b"".join(parts))
            assert reply.status == 200
            assert sorted(gate.upstream.calls) == ["echo", "echo"]

    within(main)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-type", b"application/json; charset=utf-16")], 415),
        ([(b"content-type", b"text/plain")], 415),
        ([(b"content-type", b"application/json-rpc")], 415),
        ([(b"content-encoding", b"gzip")], 415),
        (
            [(b"content-type", b"application/json"), (b"content-type", b"application/json; charset=utf-16")],
            400,
        ),
        ([(b"connection", b"content-type")], 400),
        ([(b"transfer-encoding", b"chunked")], 400),
    ],
)
def test_a_body_with_two_readings_is_refused(
    tmp_path, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    """W4: what the body is, is said once and plainly."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            assert (await gate.post(call("echo"), *headers)).status == status
            assert gate.upstream.seen == []
            if status == 415:
                assert [kind for kind, _ in await gate.kinds()] == ["denial"]

    within(main)


def test_a_legacy_call_is_not_held_up_for_headers_that_its_era_does_not_have(tmp_path) -> None:
    """A client names its revision in `_meta`, too: no list is read for it, nor kept for other clients."""
    version = "2025-11-25"
    message = call("echo")
    message["params"]["_meta"] = {"io.modelcontextprotocol/protocolVersion": version}

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.desk.headers_end_here = True
            reply = await gate.post(message, (b"mcp-protocol-version", version.encode()))

            assert reply.status == 200
            assert gate.upstream.calls == ["echo"]
            assert gate.upstream.listings == 0

    within(main)
