"""An upstream that wants more than it is allowed, or the gate on its knees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from ostiary.proxy import catalogue as catalogues
from ostiary.proxy import collect
from ostiary.proxy.sessions import MAX_REPLIES
from tests.weaknesses.world import (
    ALLOW_ALL,
    Seen,
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

SAMPLING = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}
QUESTION = {"jsonrpc": "2.0", "id": "q1", **SAMPLING}
OK: dict[str, Any] = {"content": [{"type": "text", "text": "done"}]}
ONLY_ECHO = deny_but("echo")


def answered(seen: Seen, **more: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": seen.message["id"], "result": {**OK, **more}}


def session_start(seen: Seen) -> bytes:
    return http(result(seen.message, {}), b"application/json", 200, b"mcp-session-id: s1")


def test_a_denied_question_is_answered_by_the_gate_in_the_server_s_own_terms(tmp_path) -> None:
    """P6.2: the client never sees it, and the tool does not hang."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = session_start
            gate.upstream.script["tools/call"] = lambda seen: events(QUESTION, answered(seen))
            session = [(b"mcp-session-id", await gate.session()), (b"mcp-protocol-version", b"2025-11-25")]
            reply = await gate.post(
                call("echo"), *session, (b"mcp-method", b"tools/call"), (b"mcp-name", b"echo")
            )
            assert [one["id"] for one in reply.events] == [1]
            await until(lambda: [one for one in gate.upstream.messages if "error" in one])
            ours = gate.upstream.seen[-1]
            assert ours.message["id"] == "q1"
            assert ours.message["error"]["code"] == 4403
            assert ours.headers["accept"] == "application/json, text/event-stream"
            assert ours.headers["content-type"] == "application/json"
            assert ours.headers["mcp-session-id"] == "s1"
            assert "mcp-name" not in ours.headers
            assert "mcp-method" not in ours.headers

    within(main)


def test_a_flood_of_denied_questions_opens_few_connections_and_writes_few_rows(tmp_path) -> None:
    """A server that does not take the answers gets no more of them."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["response"] = lambda seen: None
            flood = [{**QUESTION, "id": n} for n in range(2_000)]
            gate.upstream.script["tools/call"] = lambda seen: events(*flood, answered(seen))
            reply = await gate.call("echo")
            assert len(reply.events) == 1
            rows = [one for one in await gate.records() if one.method == "server-request-denied"]
            assert len(rows) == MAX_REPLIES
            await until(lambda: len([one for one in gate.upstream.messages if "error" in one]) == MAX_REPLIES)

    within(main)


def test_an_answer_to_our_answer_that_never_ends_is_dropped(tmp_path) -> None:
    """The place it held is free again."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            gate.upstream.script["response"] = head
            gate.upstream.script["tools/call"] = lambda seen: events(QUESTION, answered(seen))
            await gate.call("echo")
            session = gate.desk.sessions.get("local", "", exclusive=False)
            await until(lambda: session.replies == 0)

    within(main)


SMUGGLED: dict[str, dict[str, Any]] = {
    "a question": {"inputRequests": {"a": SAMPLING}},
    "one denied among others": {"inputRequests": {"a": {"method": "ping"}, "b": SAMPLING}},
    "a list": {"inputRequests": [SAMPLING]},
    "a question that is none": {"inputRequests": {"a": "sampling/createMessage"}},
    "no method": {"inputRequests": {"a": {"params": {}}}},
    "another spelling": {"InputRequests": {"a": SAMPLING}},
    "in a task": {"task": {"taskId": "t", "inputRequests": {"a": SAMPLING}}},
    "in the result of a task": {"result": {"inputRequests": {"a": SAMPLING}}},
}


@pytest.mark.parametrize("form", SMUGGLED)
@pytest.mark.parametrize("carrier", ["json", "events"])
def test_a_question_inside_a_result_is_denied_like_any_other(tmp_path, form: str, carrier: str) -> None:
    """W9 (P6.2): `input_required` asks the client for what the policy denies."""
    message = modern(call("echo"))

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            wrap = (lambda one: http(encoded(one))) if carrier == "json" else events
            gate.upstream.script["tools/call"] = lambda seen: wrap(answered(seen, **SMUGGLED[form]))
            reply = await gate.post(message, *modern_headers(message))
            told = reply.json if carrier == "json" else reply.events[0]
            assert told["error"]["code"] == 4403
            assert b"sampling" not in reply.body

    within(main)


def test_a_question_inside_a_task_notification_is_not_passed_on(tmp_path) -> None:
    """W9 (P6.2): the same questions travel there."""
    asking = {
        "jsonrpc": "2.0",
        "method": "notifications/tasks",
        "params": {"taskId": "t", **SMUGGLED["a question"]},
    }

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: events(asking, answered(seen))
            assert [one.get("id") for one in (await gate.call("echo")).events] == [1]

    within(main)


@pytest.mark.parametrize("policy", [ONLY_ECHO, ALLOW_ALL], ids=["deny", "allow"])
def test_an_error_that_asks_for_a_url_elicitation_is_an_elicitation(tmp_path, policy: dict[str, Any]) -> None:
    """W9 (P6.2): -32042 makes a client open a page."""
    error = {
        "code": -32042,
        "message": "go",
        "data": {"elicitations": [{"mode": "url", "url": "https://evil"}]},
    }

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: http(
                encoded({"jsonrpc": "2.0", "id": seen.message["id"], "error": error})
            )
            assert ((await gate.call("echo")).json["error"]["code"] == -32042) is (policy is ALLOW_ALL)

    within(main)


def test_list_changed_all_the_time_costs_one_listing_for_each_call(tmp_path) -> None:
    """W10: no loop of listings, and no growth."""
    changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: events(*[changed] * 50, answered(seen))
            gate.upstream.script["own listing"] = lambda seen: events(
                *[changed] * 50, json.loads(result(seen.message, {"tools": [tool("echo")]}))
            )
            for n in range(10):
                assert (await gate.call("echo", n)).events[-1]["id"] == n
            assert gate.upstream.listings == 10

    within(main)


def test_a_client_that_lists_in_a_loop_causes_no_listings_of_our_own(tmp_path) -> None:
    """W40: as long as it is shown what the gate knows."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=["echo", "other"]) as gate:
            for n in range(10):
                await gate.listed()
                await gate.call("echo", n)
            assert gate.upstream.listings == 1
            gate.upstream.tools.append(tool("third"))
            await gate.listed()
            await gate.call("echo")
            assert gate.upstream.listings == 2

    within(main)


def test_a_list_of_our_own_that_drips_forever_is_given_up(tmp_path, monkeypatch) -> None:
    """W40: everybody waits for it, so it has a deadline that no byte extends."""
    monkeypatch.setattr(collect, "DEADLINE", 1.0)

    async def main() -> None:
        async def drip(seen):
            seen.writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            while not seen.writer.transport.is_closing():
                seen.writer.write(b"8\r\n: ping\n\n\r\n")
                await asyncio.sleep(0.02)
            return b""

        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["own listing"] = drip
            answers = await asyncio.gather(*(gate.call("echo", n) for n in range(5)))
            assert all(one.denied for one in answers)
            assert gate.upstream.listings == 1

    within(main)


def test_what_is_kept_of_links_is_bounded(tmp_path, monkeypatch) -> None:
    """W40: neither lists nor marks of stale ones outlive their place."""
    monkeypatch.setattr(catalogues, "MAX_LINKS", 3)

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            numbers = iter(range(100))
            gate.upstream.script["initialize"] = lambda seen: http(
                result(seen.message, {}), b"application/json", 200, b"mcp-session-id: s%d" % next(numbers)
            )
            kept = gate.desk.catalogues
            for n in range(10):
                session = (b"mcp-session-id", await gate.session())
                await gate.post(call("echo"), session)
                kept.invalidate(("local", f"s{n}"))
            assert len(kept._lists) == 3
            assert len(kept._stale) <= 3
            assert kept._waiting == {}

    within(main)


def test_two_answers_to_one_request_are_both_judged(tmp_path) -> None:
    """W30: the second one does not pass because the first did."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            page = {"tools": [tool("echo"), tool("hidden")]}
            gate.upstream.script["tools/list"] = lambda seen: events(
                *[{"jsonrpc": "2.0", "id": seen.message["id"], "result": page}] * 2
            )
            reply = await gate.ask("tools/list", {})
            assert b"hidden" not in reply.body

    within(main)


DEEP = b"[" * 5_000 + b"]" * 5_000


@pytest.mark.parametrize(("policy", "passes"), [(ALLOW_ALL, True), (ONLY_ECHO, False)])
@pytest.mark.parametrize("form", [http, events])
def test_an_answer_that_is_nested_without_end_is_an_answer_like_any_other(
    tmp_path,
    caplog: pytest.LogCaptureFixture,
    policy: dict[str, Any],
    passes: bool,
    form: Callable[..., bytes],
) -> None:
    """W30: where nothing is looked for it passes, elsewhere an error does; the gate is never at a loss."""

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = lambda seen: form(
                b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"x":%b}}' % DEEP
            )
            reply = await gate.ask("tools/call", {"name": "echo", "arguments": {}})
            assert reply.status == 200
            assert (DEEP in reply.body) == passes
            assert passes or b"withheld" in reply.body
            ended = "error" if passes and form is http else "unknown"  # in a stream it may be no answer
            assert [row.status for row in await gate.records() if row.kind == "outcome"] == [ended]

    within(main)
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []


def test_an_answer_without_a_reader_is_not_followed_forever(tmp_path, monkeypatch) -> None:
    """W40: a stream whose client has gone ends by its size."""
    from ostiary.proxy import relay

    monkeypatch.setattr(relay, "MAX_UNREAD", 100_000)

    async def main() -> None:
        async def endless(seen):
            seen.writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            while not seen.writer.transport.is_closing():
                seen.writer.write(b"2710\r\n: " + b"x" * 9_996 + b"\n\n\r\n")
                await asyncio.sleep(0.001)
            return b""

        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = endless
            async with gate.held(call("echo")):
                await until(lambda: gate.upstream.calls)
            while not [one for one in await gate.records() if one.kind == "outcome"]:
                await asyncio.sleep(0.01)
            assert len(gate.desk.orphans) == 0

    within(main)


def test_a_session_that_the_upstream_ends_is_forgotten(tmp_path) -> None:
    """W40: 404 reaches the client, and nothing of the session is kept."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = session_start
            session = (b"mcp-session-id", await gate.session())
            await gate.post(call("echo"), session)
            gate.upstream.script["tools/call"] = http(b"", b"", 404)
            assert (await gate.post(call("echo", number=2), session)).status == 404
            assert len(gate.desk.catalogues._lists) == 0

    within(main)


OVER = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Session not found"}}'


@pytest.mark.parametrize("method", ["tools/list", "resources/list", "prompts/list"])
@pytest.mark.parametrize("body", [OVER, b""])
def test_the_end_of_a_session_is_told_where_lists_are_filtered(tmp_path, method: str, body: bytes) -> None:
    """A client starts a new session on 404 and on nothing else."""

    async def main() -> None:
        allowing = {**ONLY_ECHO, "resources": {"allow": ["a:*"]}, "prompts": {"allow": ["a"]}}
        async with world(allowing, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = session_start
            session = (b"mcp-session-id", await gate.session())
            gate.upstream.script[method] = http(body, status=404)
            reply = await gate.post(request(method, {}), session)
            assert (reply.status, reply.body) == (404, body)

    within(main)


def test_the_end_of_a_session_is_told_where_the_gate_itself_learns_of_it(tmp_path) -> None:
    """Before a call the gate reads the list, and so is the first to hear that the session is over."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = session_start
            session = (b"mcp-session-id", await gate.session())
            gate.upstream.script["own listing"] = http(OVER, status=404)
            reply = await gate.post(call("echo"), session)
            assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (404, 1, -32600)
            assert [one["method"] for one in gate.upstream.messages].count("tools/call") == 0

    within(main)


def test_a_question_that_is_allowed_can_be_answered_once_and_by_its_client_only(tmp_path) -> None:
    """P6.2: an answer needs an open question of that session."""
    policy = {**ONLY_ECHO, "methods": {"allow": ["sampling/createMessage"]}}
    answer = {"jsonrpc": "2.0", "id": "q1", "result": {}}

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            gate.upstream.script["initialize"] = session_start
            gate.upstream.script["tools/call"] = lambda seen: events(QUESTION, answered(seen))
            alice = (b"mcp-session-id", await gate.session("alice"))
            bob = (b"mcp-session-id", await gate.session("bob"))
            reply = await gate.post(call("echo"), alice, grant="alice")
            assert reply.events[0] == QUESTION
            statuses = [
                (await gate.post(answer, bob, grant="bob")).status,
                (await gate.post({**answer, "id": "q2"}, alice, grant="alice")).status,
                (await gate.post(answer, alice, grant="alice")).status,
                (await gate.post(answer, alice, grant="alice")).status,
            ]
            assert statuses == [400, 400, 202, 400]
            assert [one for one in gate.upstream.messages if "result" in one] == [answer]

    within(main)


@pytest.mark.parametrize("name", ["\u202eecho", "a" * 200_000, "\x00", "🦊", "__proto__"])
def test_strange_names_in_a_list_break_nothing(tmp_path, name: str) -> None:
    """W10: a list is hostile input."""

    async def main() -> None:
        async with world(
            {"version": "1", "default": "allow", "hide": ["x"], "tools": {}},
            tmp_path / "s",
            tools=["echo", name],
        ) as gate:
            assert "echo" in await gate.listed()
            assert not (await gate.call("echo")).denied

    within(main)


def test_a_request_for_no_tool_at_all_is_not_taken_for_ours(tmp_path) -> None:
    """A client cannot pick an id of the gate's own requests and be answered with its list."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=["echo", "hidden"]) as gate:
            gate.upstream.script["own listing"] = lambda seen: None
            async with gate.held(call("echo", number=5)):
                await until(lambda: gate.upstream.listings)
                ours = next(one.message["id"] for one in gate.upstream.seen)
                gate.upstream.script["own listing"] = lambda seen: http(
                    result(seen.message, {"tools": gate.upstream.tools})
                )
                reply = await gate.post(request("tools/list", {}, ours))
                assert b"hidden" not in reply.body

    within(main)
