"""Batches of revision 2025-03-26: each member is a call of its own, and nothing else is a batch."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ostiary.proxy import batch as batches
from ostiary.proxy.exchange import Callback, Head, nothing
from ostiary.proxy.keepalive import KeepAlive
from ostiary.wire.envelope import read_message
from tests.weaknesses.world import (
    ALLOW_ALL,
    MODERN,
    Reply,
    Seen,
    World,
    call,
    deny_but,
    encoded,
    events,
    http,
    request,
    result,
    until,
    within,
    world,
)

Json = dict[str, Any]
JSON_ONLY = (b"accept", b"application/json")
LIMIT_OF_TWO = {
    "version": "1",
    "default": "allow",
    "tools": {"echo": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]}},
}


def notification(method: str, **params: object) -> Json:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def response(number: object = 1) -> Json:
    return {"jsonrpc": "2.0", "id": number, "result": {}}


def initialize(version: str) -> Json:
    client = {"name": "c", "version": "1"}
    return request(
        "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": client}, "init"
    )


def negotiates(version: str, *, in_events: bool = False):
    """The upstream's answer to initialize."""

    def answer(seen: Seen) -> bytes:
        about = {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
        told = result(seen.message, about)
        line = b"mcp-session-id: s1"
        return events(told, lines=[line]) if in_events else http(told, b"application/json", 200, line)

    return answer


class Client:
    """A client of one session."""

    def __init__(self, gate: World, session: bytes) -> None:
        self.gate = gate
        self.header = (b"mcp-session-id", session)

    async def send(self, *messages: object, json_only: bool = False) -> Reply:
        return await self.post(list(messages), *([JSON_ONLY] if json_only else []))

    async def post(self, body: object, *headers: tuple[bytes, bytes]) -> Reply:
        return await self.gate.post(body, self.header, *headers)


@contextlib.asynccontextmanager
async def session(
    policy: Mapping[str, Any],
    state: Path,
    *,
    version: str = "2025-03-26",
    in_events: bool = False,
    tools: Sequence[str] = ("echo", "other", "danger"),
    **more: Any,
) -> AsyncIterator[tuple[World, Client]]:
    """A gate, and a client whose session negotiated `version`."""
    async with world(policy, state, tools=tools, **more) as gate:
        gate.upstream.script["initialize"] = negotiates(version, in_events=in_events)
        reply = await gate.post(initialize(version))
        assert reply.status == 200
        gate.upstream.seen.clear()
        yield gate, Client(gate, reply.headers["mcp-session-id"].encode())


def array(reply: Reply) -> list[Json]:
    """The answer as an array."""
    return json.loads(reply.body)


def answers(reply: Reply) -> dict[object, Json]:
    """The answers of a batch by id, from an array or from events."""
    assert reply.whole
    assert reply.status == 200
    found = reply.events if reply.headers["content-type"] == "text/event-stream" else array(reply)
    told = [one for one in found if "method" not in one]
    by_id: dict[object, Json] = {one["id"]: one for one in told}
    assert len(by_id) == len(told)
    return by_id


def text(answer: Json) -> str:
    return answer["result"]["content"][0]["text"]


# What is a batch.


@pytest.mark.parametrize("json_only", [True, False], ids=["array", "events"])
@pytest.mark.parametrize("in_events", [True, False], ids=["settled in an event", "settled in json"])
def test_each_member_is_forwarded_alone_and_answered(
    tmp_path: Path, *, in_events: bool, json_only: bool
) -> None:
    members = [call("echo", {"n": 1}, 1), call("other", {}, "1"), request("ping", None, 3)]

    async def main() -> None:
        async with session(deny_but("echo", "other"), tmp_path / "s", in_events=in_events) as (gate, client):
            reply = await client.send(*members, json_only=json_only)

            found = answers(reply)
            assert set(found) == {1, "1", 3}
            assert text(found[1]) == "done"
            assert sorted(gate.upstream.messages, key=str) == sorted(members, key=str)
            assert {one.headers["mcp-session-id"] for one in gate.upstream.seen} == {"s1"}

    within(main)


def test_the_bytes_of_a_member_are_forwarded_as_they_stood_in_the_array(tmp_path: Path) -> None:
    one = b'{ "jsonrpc":"2.0", "id": 1,\n "method":"tools/call","params":{"name":"\\u0065cho","x":1.50}}'

    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, client):
            await client.post(b" [\n" + one + b" ] ")

            assert [seen.body for seen in gate.upstream.seen if not gate.upstream.is_own(seen)] == [one]

    within(main)


def test_the_array_of_answers_keeps_the_order_of_the_requests(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            first = asyncio.Event()

            async def later(seen: Seen) -> bytes:
                if seen.message["id"] == 1:
                    await first.wait()
                else:
                    first.set()
                return http(result(seen.message, {"content": []}))

            gate.upstream.script["tools/call"] = later
            reply = await client.send(call("echo", {}, 1), call("echo", {}, 2), json_only=True)

            assert [one["id"] for one in array(reply)] == [1, 2]

    within(main)


def test_answers_are_events_as_they_come(tmp_path: Path) -> None:
    """The second is read while the first is still awaited."""

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            read = asyncio.Event()

            async def later(seen: Seen) -> bytes:
                if seen.message["id"] == 1:
                    await read.wait()
                return http(result(seen.message, {"content": []}))

            gate.upstream.script["tools/call"] = later
            body = [call("echo", {}, 1), call("echo", {}, 2)]
            async with gate.held(body, client.header) as (reader, _):
                await reader.readuntil(b'"id": 2')
                read.set()
                await reader.readuntil(b'"id": 1')

    within(main)


def test_progress_and_questions_travel_with_the_answers(tmp_path: Path) -> None:
    policy = {"version": "1", "default": "allow", "tools": {}}
    progress = notification("notifications/progress", progressToken=1, progress=1)
    question = request("roots/list", None, "q1")

    async def main() -> None:
        async with session(policy, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = lambda seen: events(
                progress, question, result(seen.message, {"content": []})
            )
            reply = await client.send(call("echo", {}, 1))

            assert [one for one in reply.events if "method" in one] == [progress, question]
            answered = await client.send(response("q1"))
            assert answered.status == 202
            assert gate.upstream.messages[-1] == response("q1")

    within(main)


def test_notifications_alone_are_accepted(tmp_path: Path) -> None:
    sent = [
        notification("notifications/initialized"),
        notification("notifications/progress", progressToken=1, progress=1),
    ]

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            reply = await client.send(*sent)

            assert (reply.status, reply.body) == (202, b"")
            assert gate.upstream.messages == sent

    within(main)


def test_a_notification_among_requests_has_no_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            note = notification("notifications/progress", progressToken=1, progress=1)
            reply = await client.send(note, call("echo", {}, 7), json_only=True)

            assert [one["id"] for one in array(reply)] == [7]
            assert len(gate.upstream.messages) == 2

    within(main)


def test_32_members_are_a_batch(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            reply = await client.send(*[call("echo", {}, number) for number in range(32)])

            assert set(answers(reply)) == set(range(32))
            assert len(gate.upstream.calls) == 32

    within(main)


def test_a_large_batch_is_read_elsewhere_and_handled_alike(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, client):
            large = call("echo", {"text": "x" * 300_000}, 1)
            reply = await client.send(large, call("danger", {}, 2))

            assert text(answers(reply)[1]) == "done"
            assert gate.upstream.calls == ["echo"]

    within(main)


# What is none.

NO_BATCHES: dict[str, object] = {
    "nothing in it": [],
    "33 members": [call("echo", {}, number) for number in range(33)],
    "one id twice": [call("echo", {}, 1), call("other", {}, 1)],
    "one id twice as text": [call("echo", {}, "a"), request("ping", None, "a")],
    "an array inside": [[call("echo")]],
    "initialize": [initialize("2025-03-26"), call("echo")],
    "requests and responses": [call("echo"), response(9)],
    "notifications and responses": [notification("notifications/initialized"), response(9)],
    "a member that is no message": [call("echo"), 7],
    "a call without an id": [call("echo"), {"jsonrpc": "2.0", "method": "tools/call", "params": {}}],
    "a twin key in one member": b'[%b,{"jsonrpc":"2.0","id":2,"method":"ping","Method":"x"}]'
    % encoded(call("echo")),
    "a member of the other era": [
        call("echo"),
        request("ping", {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}, 2),
    ],
}


@pytest.mark.parametrize("body", NO_BATCHES.values(), ids=list(NO_BATCHES))
def test_what_is_not_a_batch_is_refused_as_a_whole(tmp_path: Path, body: object) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            before = len(await gate.records())
            reply = await client.post(body)
            recorded = (await gate.records())[before:]

            assert reply.status == 400
            assert reply.json["error"]["code"] in (-32700, -32600, -32602)
            assert reply.json["id"] is None
            assert gate.upstream.seen == []
            assert [one.kind for one in recorded] == ["denial"]

    within(main)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", "2026-01-01"])
def test_a_session_of_another_revision_has_no_batches(tmp_path: Path, version: str) -> None:
    """TypeScript servers run an array on any revision, so the gate itself must refuse it."""

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s", version=version) as (gate, client):
            reply = await client.send(call("echo"))

            assert (reply.status, reply.json["error"]["code"]) == (400, -32600)
            assert gate.upstream.seen == []

    within(main)


def test_the_revision_that_the_server_settled_counts_not_the_one_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = negotiates("2025-06-18")
            opened = await gate.post(initialize("2025-03-26"))
            client = Client(gate, opened.headers["mcp-session-id"].encode())

            assert (await client.send(call("echo"))).status == 400
            assert gate.upstream.calls == []

    within(main)


def test_a_batch_without_a_session_or_in_that_of_another_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            without = await gate.post([call("echo")])
            foreign = await gate.post([call("echo")], client.header, grant="bob")

            assert (without.status, foreign.status) == (400, 404)
            assert gate.upstream.seen == []

    within(main)


@pytest.mark.parametrize(
    "header",
    [
        (b"mcp-protocol-version", b"2025-06-18"),
        (b"mcp-protocol-version", MODERN.encode()),
        (b"mcp-name", b"echo"),
        (b"mcp-method", b"tools/call"),
    ],
    ids=["older", "modern", "name", "method"],
)
def test_headers_that_are_untrue_of_a_member_refuse_the_batch(
    tmp_path: Path, header: tuple[bytes, bytes]
) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            reply = await client.post([call("echo"), request("ping", None, 2)], header)

            assert (reply.status, reply.json["error"]["code"]) == (400, -32600)
            assert gate.upstream.seen == []

    within(main)


def test_a_batch_may_name_its_own_revision(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (_, client):
            reply = await client.post([call("echo")], (b"mcp-protocol-version", b"2025-03-26"))

            assert set(answers(reply)) == {1}

    within(main)


# Decisions, limits, records.


@pytest.mark.parametrize("json_only", [True, False], ids=["array", "events"])
def test_exactly_the_allowed_members_reach_the_upstream(tmp_path: Path, *, json_only: bool) -> None:
    async def main() -> None:
        async with session(deny_but("echo", "other"), tmp_path / "s") as (gate, client):
            reply = await client.send(
                call("echo", {}, 1), call("danger", {}, 2), call("other", {}, 3),
                request("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"},
                                                "argument": {"name": "a", "value": ""}}, 4),
                json_only=json_only,
            )  # fmt: skip
            kinds = await gate.kinds()

            found = answers(reply)
            assert text(found[1]) == text(found[3]) == "done"
            assert found[2]["result"]["isError"] is True
            assert "[POLICY DENIED]" in text(found[2])
            assert found[4]["error"]["code"] == 4403
            assert gate.upstream.calls == ["echo", "other"]
            assert sorted(kinds) == sorted(
                [("intent", "echo"), ("outcome", "echo"), ("denial", "danger"), ("intent", "other"),
                 ("outcome", "other"), ("denial", "")]
            )  # fmt: skip

    within(main)


def test_a_list_in_a_batch_is_filtered(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (_, client):
            reply = await client.send(request("tools/list", {}, 1), call("echo", {}, 2))

            assert [one["name"] for one in answers(reply)[1]["result"]["tools"]] == ["echo"]

    within(main)


def test_the_member_that_exceeds_a_limit_is_the_one_that_is_denied(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(LIMIT_OF_TWO, tmp_path / "s") as (gate, client):
            reply = await client.send(*[call("echo", {}, number) for number in (1, 2, 3)])

            found = answers(reply)
            assert [found[number]["result"].get("isError", False) for number in (1, 2, 3)] == [
                False, False, True,
            ]  # fmt: skip
            assert gate.upstream.calls == ["echo", "echo"]

    within(main)


def test_the_brake_counts_every_member(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s", brake=9) as (gate, client):
            first = await client.send(*[call("echo", {}, number) for number in range(6)])
            braked = await client.send(*[call("echo", {}, number) for number in range(4)])

            assert set(answers(first)) == set(range(6))
            assert braked.status == 429  # with initialize, 7 had passed; the 8th asked for 4
            assert len(gate.upstream.calls) == 6
            assert (await client.send(call("echo"))).status == 200

    within(main)


def test_an_id_in_flight_is_refused_for_its_member_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = lambda seen: (
                None if seen.message["id"] == 1 else http(result(seen.message, {"content": []}))
            )
            async with gate.held(call("echo", {}, 1), client.header):
                await until(lambda: gate.upstream.calls)
                reply = await client.send(call("echo", {}, 1), call("echo", {}, 2))

            found = answers(reply)
            assert found[1]["error"]["code"] == -32600
            assert "result" in found[2]
            assert len(gate.upstream.calls) == 2

    within(main)


# Failures.


def test_the_failure_of_one_member_is_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):

            def answer(seen: Seen) -> bytes | None:
                if seen.message["id"] == 1:
                    seen.writer.transport.abort()
                    return None
                if seen.message["id"] == 2:
                    return http(b"busy", b"text/plain", 503)
                return http(result(seen.message, {"content": []}))

            gate.upstream.script["tools/call"] = answer
            reply = await client.send(*[call("echo", {}, number) for number in (1, 2, 3)])

            found = answers(reply)
            assert [found[number].get("error", {}).get("code") for number in (1, 2, 3)] == [4502, 4502, None]

    within(main)


@pytest.mark.parametrize("json_only", [True, False], ids=["array", "events"])
def test_a_session_that_is_gone_is_told_as_such(tmp_path: Path, *, json_only: bool) -> None:
    """A client initializes anew on 404, and only on that."""

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gone = encoded(
                {"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32001, "message": "x"}}
            )
            gate.upstream.script["tools/call"] = http(gone, status=404)
            reply = await client.send(call("echo", {}, 1), call("echo", {}, 2), json_only=json_only)

            assert (reply.status, reply.body) == (404, gone)

    within(main)


def test_a_session_that_is_found_gone_while_the_tools_are_read_is_told_as_such(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, client):
            gate.upstream.script["own listing"] = http(b"", b"", 404)
            reply = await client.send(call("echo", {}, 1), call("echo", {}, 2))

            assert reply.status == 404
            assert gate.upstream.calls == []

    within(main)


class Recorded:
    """A responder that remembers."""

    def __init__(self) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self.heads: list[Head] = []
        self.body = b""
        self.finished = False

    def start(self, head: Head) -> None:
        self.heads.append(head)

    def write(self, data: bytes) -> None:
        self.body += data

    def finish(self) -> None:
        self.finished = True

    def abort(self) -> None:
        raise AssertionError


def batch_of(*messages: object, form: batches.Form = "events") -> tuple[batches.Batch, Recorded, KeepAlive]:
    read = read_message(encoded(list(messages)), batches=True)
    assert isinstance(read, tuple)
    responder, streams = Recorded(), KeepAlive(0.01)
    return batches.Batch(read, responder, form, streams), responder, streams


def test_a_client_that_falls_behind_pauses_every_member() -> None:
    """Also one that was forwarded only after the client had fallen behind."""

    async def main() -> None:
        batch, responder, _ = batch_of(call("echo", {}, 1), call("echo", {}, 2))
        paused: list[object] = []
        first, second = batch.members
        first.on_pause = lambda: paused.append(1)
        first.on_resume = lambda: paused.remove(1)
        responder.on_pause()
        second.on_pause = lambda: paused.append(2)
        second.start(Head(200, ((b"content-type", b"text/event-stream"),)))
        second.write(b"data: {}\n\n")

        assert paused == [1, 2]
        responder.on_resume()
        assert paused == [2]

    within(main)


@pytest.mark.parametrize("form", ["events", "lines"])
def test_a_stream_that_waits_for_answers_is_kept_open(form: batches.Form) -> None:
    async def main() -> None:
        batch, responder, _ = batch_of(call("echo", {}, 1), form=form)
        await until(lambda: responder.body == b":\n\n")
        batch.members[0].start(Head(200, ((b"content-type", b"application/json"),)))
        batch.members[0].write(encoded(response(1)))
        batch.members[0].finish()

        assert responder.finished
        assert responder.body.endswith(b"\n\n")
        assert len(responder.heads) == 1

    within(main)


def test_a_stream_that_ends_without_an_answer_is_an_error_for_its_member(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = events(notification("notifications/message", data=1))
            reply = await client.send(call("echo", {}, 1))

            assert answers(reply)[1]["error"]["code"] == 4502

    within(main)


def test_answers_that_are_too_large_together_are_errors_and_not_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_HELD", 50_000)

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = lambda seen: http(
                result(seen.message, {"content": [{"type": "text", "text": "x" * 20_000}]})
            )
            reply = await client.send(*[call("echo", {}, number) for number in range(4)], json_only=True)

            failed = [one["error"]["code"] for one in array(reply) if "error" in one]
            assert set(failed) == {4502}
            assert 1 <= len(failed) <= 3
            assert {one["id"] for one in array(reply)} == set(range(4))

    within(main)


def test_a_client_that_leaves_stops_no_member(tmp_path: Path) -> None:
    """On this era going away is no cancellation; what became of the calls is recorded."""

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            go_on = asyncio.Event()

            async def later(seen: Seen) -> bytes:
                await go_on.wait()
                return http(result(seen.message, {"content": []}))

            gate.upstream.script["tools/call"] = later
            async with gate.held([call("echo", {}, 1), call("echo", {}, 2)], client.header):
                await until(lambda: len(gate.upstream.calls) == 2)
            go_on.set()
            done: list[str] = []
            while len(done) < 2:
                done = [one.status for one in await gate.records() if one.kind == "outcome"]

            assert done == ["ok", "ok"]
            assert len(gate.desk.orphans) == 0

    within(main)


def test_a_member_can_cancel_another_that_was_not_forwarded_yet(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, client):
            cancel = notification("notifications/cancelled", requestId=1)
            reply = await client.send(call("echo", {}, 1), cancel)

            assert answers(reply)[1]["error"]["code"] == -32800
            assert gate.upstream.calls == []

    within(main)


def test_a_member_that_failed_and_is_answered_elsewhere_is_answered_once(tmp_path: Path) -> None:
    """A hostile server refuses one member, then answers it on the stream of another."""

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):

            async def answer(seen: Seen) -> bytes:
                if seen.message["id"] == 1:
                    return http(b"no", b"text/plain", 500)
                while not any(one.kind == "outcome" for one in await gate.records()):
                    pass
                return events(response(1), response(2))

            gate.upstream.script["tools/call"] = answer
            reply = await client.send(call("echo", {}, 1), call("echo", {}, 2))

            assert answers(reply) == {1: response(1), 2: response(2)}

    within(main)


def test_a_server_that_speaks_although_it_was_asked_nothing_ends_the_answer_nevertheless(
    tmp_path: Path,
) -> None:
    told = notification("notifications/message", level="info", data=1)

    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gate.upstream.script["notifications/initialized"] = lambda seen: events(told)
            reply = await client.send(notification("notifications/initialized"))

            assert (reply.status, reply.whole, reply.events) == (200, True, [told])

    within(main)


@pytest.mark.parametrize("json_only", [True, False], ids=["array", "events"])
def test_words_of_an_http_error_are_no_answer_to_a_member(tmp_path: Path, *, json_only: bool) -> None:
    """They pass unread, so what looks like an answer in them was judged by nobody."""

    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/list"] = lambda seen: http(
                result(seen.message, {"tools": [{"name": "danger"}]}), b"text/plain", 400
            )
            reply = await client.send(
                request("tools/list", {}, 1), request("ping", None, 2), json_only=json_only
            )

            assert answers(reply)[1]["error"]["code"] == 4502
            assert b"danger" not in reply.body

    within(main)


def test_what_cannot_be_read_is_dropped_with_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = lambda seen: events(
                *[b"data: no message\n\n"] * 100, response(seen.message["id"])
            )
            reply = await client.send(call("echo", {}, 1))

            assert set(answers(reply)) == {1}
            assert len([one for one in caplog.messages if "dropped" in one]) == 1

    within(main)


# Arrays of the server.


@pytest.mark.parametrize("in_events", [True, False], ids=["in an event", "in json"])
def test_an_array_of_the_server_is_judged_member_by_member_and_joined_again(
    tmp_path: Path, *, in_events: bool
) -> None:
    """What may not pass is cut out; the bytes of the rest stay."""
    policy = {**deny_but("echo"), "methods": {"deny": ["notifications/message"]}}
    kept = (
        b'{"jsonrpc":"2.0","method":"notifications/progress", "params":{"progressToken":1,"progress":1.50}}'
    )

    async def main() -> None:
        async with session(policy, tmp_path / "s") as (gate, client):

            def answer(seen: Seen) -> bytes:
                told = [
                    encoded(notification("notifications/message", data="secret")),
                    kept,
                    result(
                        seen.message, {"tools": [{"name": "echo", "inputSchema": {}}, {"name": "danger"}]}
                    ),
                    encoded(response(99)),
                ]
                body = b"[" + b" ,".join(told) + b"]"
                return events(body) if in_events else http(body)

            gate.upstream.script["tools/list"] = answer
            reply = await client.post(request("tools/list", {}, 1))

            told: Any = reply.events[0] if in_events else array(reply)
            assert [one.get("method", one.get("id")) for one in told] == ["notifications/progress", 1]
            assert kept in reply.body
            assert [one["name"] for one in told[1]["result"]["tools"]] == ["echo"]
            assert b"secret" not in reply.body

    within(main)


@pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["open", "guarded"])
def test_an_array_with_nothing_to_cut_passes_byte_for_byte(tmp_path: Path, policy: Json) -> None:
    async def main() -> None:
        async with session(policy, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = lambda seen: events(
                b"[ " + result(seen.message, {"content": []}) + b" ]"
            )
            reply = await client.post(call("echo"))
            outcome = [one.status for one in await gate.records() if one.kind == "outcome"]

            assert reply.body == b'data: [ {"jsonrpc": "2.0", "id": 1, "result": {"content": []}} ]\n\n'
            assert outcome == ["ok"]

    within(main)


def test_an_array_answer_to_a_member_is_taken_apart(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(ALLOW_ALL, tmp_path / "s") as (gate, client):
            gate.upstream.script["tools/call"] = lambda seen: http(
                b"[" + result(seen.message, {"isError": True, "content": []}) + b"]"
            )
            reply = await client.send(call("echo", {}, 1), call("echo", {}, 2), json_only=True)
            outcomes = [one.status for one in await gate.records() if one.kind == "outcome"]

            assert [one["id"] for one in array(reply)] == [1, 2]
            assert outcomes == ["tool_error", "tool_error"]

    within(main)


ODD_ARRAYS: dict[str, Any] = {
    "nested": lambda told: [[told]],
    "empty": lambda told: [],
    "of another's answer": lambda told: [{**told, "id": 99}],
    "too long": lambda told: [told, *[notification("notifications/message", data=n) for n in range(32)]],
}


@pytest.mark.parametrize("make", ODD_ARRAYS.values(), ids=list(ODD_ARRAYS))
@pytest.mark.parametrize("in_events", [True, False], ids=["in an event", "in json"])
def test_an_array_of_the_server_that_cannot_be_told_is_withheld(
    tmp_path: Path, make: Any, *, in_events: bool
) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, client):

            def answer(seen: Seen) -> bytes:
                told = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "danger"}]}}
                return events(make(told)) if in_events else http(encoded(make(told)))

            gate.upstream.script["tools/list"] = answer
            reply = await client.post(request("tools/list", {}, 1))

            assert b"danger" not in reply.body
            found = reply.events if in_events else [reply.json]
            assert [(one["id"], one["error"]["code"]) for one in found] == [(1, 4502)]

    within(main)


def test_an_array_in_a_session_of_another_revision_is_withheld(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s", version="2025-06-18") as (gate, client):
            gate.upstream.script["tools/list"] = lambda seen: events(
                [json.loads(result(seen.message, {"tools": [{"name": "danger"}]}))]
            )
            reply = await client.post(request("tools/list", {}, 1))

            assert b"danger" not in reply.body

    within(main)
