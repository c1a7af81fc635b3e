"""Handles of an upstream: known to the grant that got them, after a restart too, and to nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.audit.record import Record
from ostiary.proxy import sessions as known
from ostiary.proxy.handles import events, tasks
from tests.weaknesses.world import (
    ALLOW_ALL,
    Reply,
    Seen,
    Upstream,
    World,
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
from tests.weaknesses.world import (
    events as stream,
)

UNKNOWN = -32602
GRANTS = ("alice", "bob")


# What the upstream answers.


def task(name: str = "t1", status: str = "working", ttl: object = 60_000, **more: object) -> dict[str, Any]:
    made = {"taskId": name, "status": status, "createdAt": "2026-01-01T00:00:00Z"}
    return {**made, "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": ttl, **more}


def answers(upstream: Upstream, method: str, body: object) -> None:
    upstream.script[method] = lambda seen: http(result(seen.message, body))


def makes_task(upstream: Upstream, name: str = "t1", **more: Any) -> None:
    answers(upstream, "tools/call", {"task": task(name, **more)})


def modern_task(name: str, status: str = "working", **more: object) -> dict[str, Any]:
    return {"resultType": "task", **task(name, status), "ttlMs": 60_000, **more}


def sessions(upstream: Upstream) -> None:
    """Each initialize opens a session of its own."""
    opened = iter(range(1, 100))
    version = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": True}}}
    upstream.script["initialize"] = lambda seen: http(
        result(seen.message, version), b"application/json", 200, b"mcp-session-id: s%d" % next(opened)
    )


def event(name: bytes, data: object = None) -> bytes:
    return b"id: " + name + b"\ndata: " + (b"" if data is None else encoded(data)) + b"\n\n"


# What a client sends.


def as_task(number: object = 1) -> dict[str, Any]:
    made = call("echo", number=number)
    made["params"]["task"] = {"ttl": 60_000}
    return made


async def about(gate: World, method: str, name: str = "t1", grant: str = "alice") -> Reply:
    return await gate.post(request(method, {"taskId": name}, 9), grant=grant)


async def say_modern(gate: World, message: dict[str, Any], grant: str = "alice") -> Reply:
    message = modern(message)
    capabilities = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities
    more = []
    if "taskId" in message["params"]:
        more = [(b"mcp-name", message["params"]["taskId"].encode())]
    if "uri" in message["params"]:
        more = [(b"mcp-name", message["params"]["uri"].encode())]
    return await gate.post(message, *modern_headers(message, *more), grant=grant)


async def resume(gate: World, session: bytes, place: bytes, grant: str = "alice") -> Reply:
    headers = ((b"mcp-session-id", session), (b"last-event-id", place))
    return await gate.post(None, *headers, grant=grant, method="GET")


def refused(reply: Reply, status: int = 200) -> bool:
    return reply.status == status and reply.json["error"]["code"] == UNKNOWN


async def outcomes(gate: World, method: str = "tools/call") -> list[Record]:
    return [one for one in await gate.records() if one.kind == "outcome" and one.method == method]


async def intent(gate: World, method: str = "tools/call") -> Record:
    (found,) = [one for one in await gate.records() if one.kind == "intent" and one.method == method]
    return found


# Tasks.


@pytest.mark.parametrize("method", ["tasks/get", "tasks/result", "tasks/update", "tasks/cancel"])
def test_a_task_is_known_to_the_grant_that_made_it_and_to_no_other(tmp_path, method: str) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            assert (await gate.post(as_task(), grant="alice")).json["result"]["task"]["taskId"] == "t1"
            before = len(gate.upstream.seen)
            assert refused(await about(gate, method, grant="bob"))
            assert refused(await about(gate, method, "t2"))
            assert len(gate.upstream.seen) == before
            assert "result" in (await about(gate, method)).json
            denials = [one for one in await gate.records() if one.kind == "denial"]
            assert [(one.grant, one.method, one.rules) for one in denials] == [
                ("bob", method, ("(unknown handle)",)),
                ("alice", method, ("(unknown handle)",)),
            ]

    within(main)


def test_a_task_that_a_message_is_said_to_belong_to_must_be_known_too(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            meta = {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}}
            ping = request("ping", meta)
            assert refused(await gate.post(ping, grant="bob"))
            assert "result" in (await gate.post(ping, grant="alice")).json

    within(main)


def test_an_answer_that_was_not_asked_to_become_a_task_is_none(tmp_path) -> None:
    """Else an upstream could put off the outcome of any call."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(call("echo"), grant="alice")
            assert refused(await about(gate, "tasks/get"))
            assert [one.status for one in await outcomes(gate)] == ["ok"]

    within(main)


@pytest.mark.parametrize(
    ("status", "recorded"), [("completed", "ok"), ("failed", "error"), ("cancelled", "cancelled")]
)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["allow all", "deny"])
def test_the_outcome_of_a_call_that_became_a_task_is_written_at_its_end(
    tmp_path, policy: dict[str, Any], status: str, recorded: str, *, streamed: bool
) -> None:
    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            made = {"task": task()}
            gate.upstream.script["tools/call"] = lambda seen: (
                stream(result(seen.message, made)) if streamed else http(result(seen.message, made))
            )
            await gate.post(as_task(), grant="alice")
            answers(gate.upstream, "tasks/get", task())
            await about(gate, "tasks/get")
            assert await outcomes(gate) == []
            answers(gate.upstream, "tasks/get", task(status=status))
            await about(gate, "tasks/get")
            await about(gate, "tasks/get")
            (row,) = await outcomes(gate)
            assert (row.id, row.status, row.tool, row.grant) == (
                (await intent(gate)).id, recorded, "echo", "alice",
            )  # fmt: skip

    within(main)


@pytest.mark.parametrize(
    ("body", "recorded"), [({"content": []}, "ok"), ({"content": [], "isError": True}, "tool_error")]
)
def test_the_result_of_a_task_is_the_outcome_of_its_call(
    tmp_path, body: dict[str, Any], recorded: str
) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            answers(gate.upstream, "tasks/result", body)
            await about(gate, "tasks/result")
            assert [one.status for one in await outcomes(gate)] == [recorded]

    within(main)


def test_a_slot_is_held_until_the_task_is_over(tmp_path) -> None:
    """P4.4: a call that goes on as a task is still under way."""
    policy = {
        "version": "1", "default": "deny",
        "tools": {"echo": {"limits": [{"counter": "runs", "max_concurrent": 1, "scope": "grant"}]}},
    }  # fmt: skip

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            assert (await gate.post(as_task(2), grant="alice")).denied
            answers(gate.upstream, "tasks/cancel", task(status="cancelled"))
            await about(gate, "tasks/cancel")
            assert not (await gate.post(as_task(3), grant="alice")).denied

    within(main)


def test_a_task_whose_time_is_over_has_the_outcome_unknown_and_a_later_end_is_added(tmp_path) -> None:
    policy = {
        "version": "1", "default": "deny",
        "tools": {"echo": {"limits": [{"counter": "runs", "max_concurrent": 1, "scope": "grant"}]}},
    }  # fmt: skip

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            makes_task(gate.upstream, ttl=20)
            await gate.post(as_task(), grant="alice")
            await until(lambda: gate.desk.book.tasks.following("alice") == 0)
            (row,) = await outcomes(gate)
            assert (row.status, row.note) == ("unknown", tasks.EXPIRED)
            answers(gate.upstream, "tasks/get", task(status="completed", ttl=20))
            await about(gate, "tasks/get")
            assert [one.status for one in await outcomes(gate)][:2] == ["unknown", "ok"]

    within(main)


def test_the_tasks_that_are_followed_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tasks, "MAX_LIVE", 3)

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            for number in range(5):
                makes_task(gate.upstream, f"t{number}")
                await gate.post(as_task(number), grant="alice")
            assert gate.desk.book.tasks.following("alice") == 3
            assert [one.note for one in await outcomes(gate)] == [tasks.TOO_MANY] * 2
            assert "result" in (await about(gate, "tasks/get", "t0")).json  # the handle is still good

    within(main)


@pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["allow all", "deny"])
def test_a_list_of_tasks_shows_a_grant_its_own(tmp_path, policy: dict[str, Any]) -> None:
    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            for name, grant in (("t1", "alice"), ("t2", "bob"), ("t3", "alice")):
                makes_task(gate.upstream, name)
                await gate.post(as_task(), grant=grant)
            listed = b'{"jsonrpc":"2.0","id":9,"result":{"x":1.50,"tasks":[%b , %b,%b,%b],"nextCursor":"c"}}'
            entries = [json.dumps(task(name)).encode() for name in ("t1", "t2", "t3", "t4")]
            gate.upstream.script["tasks/list"] = http(listed % tuple(entries))
            reply = await gate.post(request("tasks/list", number=9), grant="alice")
            shown = b'{"jsonrpc":"2.0","id":9,"result":{"x":1.50,"tasks":[%b ,%b],"nextCursor":"c"}}'
            assert [one["taskId"] for one in reply.json["result"]["tasks"]] == ["t1", "t3"]
            assert reply.body.replace(b" ,", b",") == (shown % (entries[0], entries[2])).replace(b" ,", b",")

    within(main)


def test_a_list_of_tasks_that_cannot_be_read_is_withheld_whatever_the_policy(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            twice = (
                b'{"jsonrpc":"2.0","id":9,"result":{"tasks":[],"tasks":[{"taskId":"t2","status":"working"}]}}'
            )
            gate.upstream.script["tasks/list"] = http(twice)
            reply = await gate.post(request("tasks/list", number=9), grant="alice")
            assert b"t2" not in reply.body

    within(main)


def test_after_a_restart_a_task_is_known_and_its_end_adds_a_late_outcome(tmp_path) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            assert refused(await about(gate, "tasks/get", grant="bob"))
            answers(gate.upstream, "tasks/get", task(status="completed"))
            assert "result" in (await about(gate, "tasks/get")).json
            await about(gate, "tasks/get")
            rows = await outcomes(gate)
            assert [(one.id, one.status) for one in rows] == [
                ((await intent(gate)).id, "unknown"), ((await intent(gate)).id, "ok"),
            ]  # fmt: skip

    within(main)


def test_a_notification_about_a_task_ends_it_for_its_grant_and_reaches_nobody_else(tmp_path) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            note = {"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": task(status="failed")}
            gate.upstream.script["GET"] = stream(note)
            assert (await gate.post(None, method="GET", grant="bob")).events == []
            assert await outcomes(gate) == []
            assert (await gate.post(None, method="GET", grant="alice")).events == [note]
            assert [one.status for one in await outcomes(gate)] == ["error"]

    within(main)


@pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["allow all", "deny"])
def test_a_modern_task_is_followed_to_its_result(tmp_path, policy: dict[str, Any]) -> None:
    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            answers(gate.upstream, "tools/call", modern_task("t1"))
            await say_modern(gate, call("echo"))
            get, cancel = (
                request("tasks/get", {"taskId": "t1"}, 2),
                request("tasks/cancel", {"taskId": "t1"}, 3),
            )
            assert refused(await say_modern(gate, get, "bob"))
            answers(gate.upstream, "tasks/cancel", {"resultType": "complete"})
            await say_modern(gate, cancel)
            assert await outcomes(gate) == []  # a wish, not an end
            failed = {"content": [], "isError": True}
            answers(
                gate.upstream,
                "tasks/get",
                {**modern_task("t1", "completed"), "resultType": "complete", "result": failed},
            )
            await say_modern(gate, get)
            assert [one.status for one in await outcomes(gate)] == ["tool_error"]

    within(main)


def test_questions_of_a_task_are_judged_by_the_policy_that_it_was_made_under(tmp_path) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            answers(gate.upstream, "tools/call", modern_task("t1"))
            await say_modern(gate, call("echo"))
            gate.reload(ALLOW_ALL)
            asking = {"inputRequests": {"a": {"method": "roots/list", "params": {}}}}
            answers(
                gate.upstream,
                "tasks/get",
                {**modern_task("t1", "input_required"), "resultType": "complete", **asking},
            )
            reply = await say_modern(gate, request("tasks/get", {"taskId": "t1"}, 2))
            assert reply.json["error"]["code"] == 4403

    within(main)


def test_a_question_on_behalf_of_a_task_is_judged_by_the_policy_that_it_was_made_under(tmp_path) -> None:
    meta = {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}}
    question = {"jsonrpc": "2.0", "id": "q", "method": "roots/list", "params": meta}

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            makes_task(gate.upstream)
            await gate.post(as_task(), grant="alice")
            gate.reload(ALLOW_ALL)
            gate.upstream.script["GET"] = stream(question, {**question, "id": "p", "params": {}})
            shown = (await gate.post(None, method="GET", grant="alice")).events
            assert [one["id"] for one in shown] == ["p"]

    within(main)


# States.


def with_state(name: str, state: str, number: int = 1) -> dict[str, Any]:
    made = call(name, number=number)
    made["params"]["requestState"] = state
    return made


@pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo", "other")], ids=["allow all", "deny"])
def test_a_state_is_good_for_the_request_that_it_was_given_for(tmp_path, policy: dict[str, Any]) -> None:
    async def main() -> None:
        async with world(policy, tmp_path / "s", tools=["echo", "other"]) as gate:
            answers(gate.upstream, "tools/call", {"resultType": "input_required", "requestState": "é1"})
            await say_modern(gate, call("echo"))
            reached = len(gate.upstream.calls)
            for message, grant in (
                (with_state("echo", "é1"), "bob"),
                (with_state("other", "é1"), "alice"),
                (with_state("echo", "é2"), "alice"),
            ):
                assert refused(await say_modern(gate, message, grant))
            assert len(gate.upstream.calls) == reached
            for number in (2, 3):  # a retry may be lost on its way, and each round is on record
                await say_modern(gate, with_state("echo", "é1", number))
            assert len(gate.upstream.calls) == reached + 2
            rows = await gate.records()
            assert len([one for one in rows if one.kind == "intent"]) == 3
        async with world(policy, tmp_path / "s", tools=["echo", "other"]) as gate:
            await say_modern(gate, with_state("echo", "é1"))
            assert len(gate.upstream.calls) == 1

    within(main)


# Places in streams.


def test_a_stream_is_resumed_only_where_this_client_was_in_this_session(tmp_path) -> None:
    """Servers may replay any session's events to whoever names one of its ids."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            sessions(gate.upstream)
            gate.upstream.script["ping"] = lambda seen: stream(event(b"e-1"), event(b"e-2", result_of(seen)))
            gate.upstream.script["GET"] = stream(
                event(b"e-3", {"jsonrpc": "2.0", "method": "notifications/message"})
            )
            alice, again, bob = [await gate.session(grant) for grant in ("alice", "alice", "bob")]
            await gate.post(request("ping"), (b"mcp-session-id", alice), grant="alice")
            before = len(gate.upstream.seen)
            for session, place, grant in (
                (bob, b"e-1", "bob"),
                (again, b"e-1", "alice"),
                (alice, b"e-4", "alice"),
            ):
                reply = await resume(gate, session, place, grant)
                assert refused(reply, 400)
            assert len(gate.upstream.seen) == before
            assert [one.rules for one in await gate.records() if one.kind == "denial"] == [
                ("(unknown handle)",)
            ] * 3
            for place in (b"e-1", b"e-2"):
                assert (await resume(gate, alice, place)).status == 200
                assert gate.upstream.seen[-1].headers["last-event-id"] == place.decode()
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["GET"] = stream(event(b"e-9"))
            assert refused(await resume(gate, bob, b"e-1", "bob"), 400)
            assert (await resume(gate, alice, b"e-1")).status == 200
            assert (await resume(gate, alice, b"e-3")).status == 200

    within(main)


def result_of(seen: Seen) -> bytes:
    return result(seen.message, {})


def test_a_place_in_a_stream_is_forwarded_with_get_and_with_nothing_else(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            for method, message in (("POST", request("ping")), ("DELETE", None)):
                await gate.post(message, (b"last-event-id", b"e-1"), method=method)
                assert "last-event-id" not in gate.upstream.seen[-1].headers

    within(main)


def test_the_newest_places_of_a_session_are_known_and_an_unanswered_request_keeps_its_own(tmp_path) -> None:
    """1,024 of each session, and where a stream ended without its answer."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            sessions(gate.upstream)
            alice = await gate.session("alice")
            header = (b"mcp-session-id", alice)
            gate.upstream.script["tools/call"] = stream(event(b"quiet"))
            await gate.post(call("echo"), header, grant="alice")
            many = [event(b"n%d" % number) for number in range(events.KEPT + 10)]
            gate.upstream.script["ping"] = lambda seen: stream(*many, event(b"last", result_of(seen)))
            await gate.post(request("ping", number=2), header, grant="alice")
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            gate.upstream.script["GET"] = stream(event(b"more"))
            known = {place: (await resume(gate, alice, place)).status == 200 for place in
                     (b"n0", b"n5", b"n20", b"n1000", b"last", b"quiet")}  # fmt: skip
            assert known == {
                b"n0": False, b"n5": False, b"n20": True, b"n1000": True, b"last": True, b"quiet": True,
            }  # fmt: skip

    within(main, 10)


# What comes later.


async def polled(gate: World, session: bytes, message: dict[str, Any]) -> Reply:
    """Send a request whose stream the server closes after the first event."""
    gate.upstream.script[message["method"]] = stream(b"retry: 10\n" + event(b"p1"))
    return await gate.post(message, (b"mcp-session-id", session), grant="alice")


@pytest.mark.parametrize("restart", [False, True])
def test_a_call_that_is_answered_on_a_resumed_stream_has_a_late_outcome(tmp_path, *, restart: bool) -> None:
    limits = [{"counter": "runs", "max_concurrent": 1, "scope": "grant"}]
    policy = {"version": "1", "default": "deny", "tools": {"echo": {"limits": limits}}}
    answer = {"jsonrpc": "2.0", "id": 5, "result": {"content": []}}

    async def first(gate: World) -> bytes:
        sessions(gate.upstream)
        session = await gate.session("alice")
        reply = await polled(gate, session, call("echo", number=5))
        assert reply.body == b"retry: 10\n" + event(b"p1")
        assert [one.status for one in await outcomes(gate)] == ["unknown"]
        return session

    async def second(gate: World, session: bytes) -> None:
        gate.upstream.script["GET"] = stream(event(b"p2", answer))
        for _ in range(2):  # replayed once more, it is no third outcome
            assert (await resume(gate, session, b"p1")).events == [answer]
        assert [(one.id, one.status) for one in await outcomes(gate)] == [
            ((await intent(gate)).id, "unknown"), ((await intent(gate)).id, "ok"),
        ]  # fmt: skip
        if not restart:  # after one, what the call held is freed by its lease
            gate.upstream.script.pop("tools/call")
            reply = await gate.post(call("echo", number=6), (b"mcp-session-id", session), grant="alice")
            assert not reply.denied

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            session = await first(gate)
            if not restart:
                await second(gate, session)
                return
        async with world(policy, tmp_path / "s") as gate:
            await second(gate, session)

    within(main)


@pytest.mark.parametrize("restart", [False, True])
def test_a_list_that_comes_on_a_resumed_stream_is_filtered(tmp_path, *, restart: bool) -> None:
    listed = {
        "jsonrpc": "2.0",
        "id": 5,
        "result": {"tools": [{"name": n, "inputSchema": {}} for n in ("echo", "x")]},
    }

    async def again(gate: World, session: bytes) -> None:
        unknown = {"jsonrpc": "2.0", "id": 77, "result": listed["result"]}
        gate.upstream.script["GET"] = stream(event(b"p2", listed), event(b"p3", unknown))
        (shown,) = (await resume(gate, session, b"p1")).events
        assert [one["name"] for one in shown["result"]["tools"]] == ["echo"]
        # With the same id, an innocent method would open what is hidden.
        reply = await gate.post(call("echo", number=5), (b"mcp-session-id", session), grant="alice")
        assert reply.status == 400
        assert "used before" in reply.json["error"]["message"]

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            sessions(gate.upstream)
            session = await gate.session("alice")
            await polled(gate, session, request("tools/list", {}, 5))
            if not restart:
                await again(gate, session)
                return
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            await again(gate, session)

    within(main)


def test_the_id_of_a_list_that_can_be_replayed_never_stands_for_anything_else(tmp_path, monkeypatch) -> None:
    """However many requests lie in between: the list would come back as an innocent answer."""
    monkeypatch.setattr(known, "MAX_PAST", 2)
    monkeypatch.setattr(known, "MAX_OPEN", 4)
    tools = {"tools": [{"name": "hidden", "inputSchema": {}}]}

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            sessions(gate.upstream)
            session = (b"mcp-session-id", await gate.session("alice"))
            gate.upstream.script["tools/list"] = lambda seen: stream(
                event(b"e%d" % id(seen), result(seen.message, tools))
            )
            for number in range(10, 20):
                await gate.post(request("tools/list", {}, number), session, grant="alice")
            for number in range(20, 25):
                await gate.post(request("ping", number=number), session, grant="alice")
            for number in (10, 15, 19):
                reply = await gate.post(call("echo", number=number), session, grant="alice")
                assert (reply.status, "used before" in reply.json["error"]["message"]) == (400, True)
            assert (await gate.post(call("echo", number=21), session, grant="alice")).status == 200

    within(main)


def test_a_stream_that_breaks_where_it_can_be_resumed_ends_as_if_it_had_been_closed(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            sessions(gate.upstream)
            session = await gate.session("alice")
            head = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\n"

            async def broken(seen: Seen) -> bytes | None:
                seen.writer.write(head + event(b"p1"))
                await seen.writer.drain()
                seen.writer.close()
                return None

            gate.upstream.script["tools/call"] = broken
            reply = await gate.post(call("echo"), (b"mcp-session-id", session), grant="alice")
            assert (reply.whole, reply.body) == (True, event(b"p1"))
            assert [one.status for one in await outcomes(gate)] == ["unknown"]

    within(main)


def test_what_was_negotiated_is_known_after_a_restart_and_forgotten_with_the_session(tmp_path) -> None:
    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            sessions(gate.upstream)
            session = await gate.session("alice")
            header = (b"mcp-session-id", session)
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            await gate.post(request("ping"), header, grant="alice")
            known = gate.desk.sessions.get("alice", "s1", exclusive=True)
            assert (known.version, known.declared) == ("2025-11-25", {"tools", "tools.listChanged"})
            await gate.post(None, header, grant="alice", method="DELETE")
            assert gate.desk.sessions.get("alice", "s1", exclusive=True).version == ""

    within(main)


def test_a_question_from_before_a_restart_may_be_answered_once(tmp_path) -> None:
    question = {"jsonrpc": "2.0", "id": "q", "method": "roots/list"}
    answer = {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            sessions(gate.upstream)
            session = await gate.session("alice")
            gate.upstream.script["GET"] = stream(event(b"p1"), event(b"p2", question))
            await gate.post(None, (b"mcp-session-id", session), grant="alice", method="GET")
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            header = (b"mcp-session-id", session)
            assert (await gate.post(answer, header, grant="alice")).status == 202
            assert (await gate.post(answer, header, grant="alice")).status == 400

    within(main)


# Subscriptions and caches.


def listen(number: int = 1, /, **wanted: object) -> dict[str, Any]:
    return request("subscriptions/listen", {"notifications": wanted}, number)


def test_a_client_listens_to_what_policy_shows_it_and_to_its_own_tasks(tmp_path) -> None:
    policy = deny_but(
        "echo", resources={"allow": ["file:///a/**"]}, methods={"deny": ["notifications/prompts/*"]}
    )

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            answers(gate.upstream, "tools/call", modern_task("t1"))
            await say_modern(gate, call("echo"))
            ack = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {}}
            shown, hidden = (
                {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}
                for uri in ("file:///a/1", "file:///b/1")
            )
            gate.upstream.script["subscriptions/listen"] = lambda seen: stream(
                ack, shown, hidden, result_of(seen)
            )
            for wanted in (
                {"resourceSubscriptions": ["file:///a/1", "file:///b/1"]},
                {"resourceSubscriptions": "file:///a/1"},
                {"promptsListChanged": True},
            ):
                assert (await say_modern(gate, listen(**wanted))).json["error"]["code"] == 4403
            assert refused(await say_modern(gate, listen(taskIds=["t1", "t2"])))
            assert refused(await say_modern(gate, listen(taskIds="t1")))
            assert refused(await say_modern(gate, listen(taskIds=["t1"]), "bob"))
            wanted = {"resourceSubscriptions": ["file:///a/1"], "toolsListChanged": True, "taskIds": ["t1"]}
            reply = await say_modern(gate, listen(**wanted))
            assert reply.events[:2] == [ack, shown]
            assert hidden not in reply.events

    within(main)


@pytest.mark.parametrize(
    ("method", "params", "body"),
    [
        ("resources/read", {"uri": "file:///a/1"}, {"contents": []}),
        ("server/discover", {}, {"supportedVersions": []}),
        ("tools/list", {}, {"tools": []}),
        ("prompts/list", {}, {"prompts": []}),
    ],
)
def test_where_policy_can_hide_anything_no_result_is_cached_for_others_or_long(
    tmp_path, method: str, params: dict[str, Any], body: dict[str, Any]
) -> None:
    cached = {"resultType": "complete", **body, "ttlMs": 3_600_000, "cacheScope": "public"}
    only = {"version": "1", "default": "allow", "tools": {}, "hide": ["secret"]}

    async def main() -> None:
        async with world(only, tmp_path / "s") as gate:
            answers(gate.upstream, method, cached)
            reply = await say_modern(gate, request(method, params))
            kept = reply.json["result"]
            assert (kept["ttlMs"], kept["cacheScope"]) == (30_000, "private")
            if method == "resources/read":
                answers(gate.upstream, method, {"resultType": "input_required", "requestState": "s"})
                reply = await say_modern(gate, request(method, params))
                assert reply.json["result"] == {"resultType": "input_required", "requestState": "s"}
            gate.reload(ALLOW_ALL)
            answers(gate.upstream, method, cached)
            assert (await say_modern(gate, request(method, params))).json["result"] == cached

    within(main)
