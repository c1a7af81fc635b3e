"""The modern era: what a request says of itself, questions in rounds, subscriptions, going away."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ostiary.servers.core import seal
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.endpoint import EndpointLimits
from ostiary.servers.core.question import form
from ostiary.servers.core.resource import Resource
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Tool
from tests.servers.core.test_sessions import Held, none
from tests.servers.core.test_sessions import server as held_server
from tests.servers.core.world import Client, Reply, call, mirrored, modern, request, within

FORM = {"type": "object", "properties": {"name": {"type": "string"}}}
CAN = {"elicitation": {}}


async def ask_twice(arguments: dict[str, Any], context: CallContext) -> ToolResult:
    """Asks for a name and then, knowing it, for a colour."""
    first = await context.elicit("Your name?", FORM, key="name")
    second = await context.elicit("Your colour?", FORM, key="colour")
    return ToolResult([text(f"{first['content']} {second['content']} {arguments}")])


def asking() -> Client:
    tool = Tool(name="ask", handler=ask_twice, input_schema={"type": "object"})
    return Client(Server("s", "1", tools=[tool]))


def accept(value: str) -> dict[str, Any]:
    return {"action": "accept", "content": {"name": value}}


async def round_of(
    client: Client, state: str | None = None, arguments: dict[str, Any] | None = None, **answers: Any
) -> Reply:
    message = call("ask", arguments)
    if state is not None:
        message["params"]["requestState"] = state
    if answers:
        message["params"]["inputResponses"] = answers
    return await client.post(modern(message, CAN))


def test_questions_come_in_rounds_and_the_answers_come_together() -> None:
    async def main() -> None:
        client = asking()
        first = (await round_of(client)).result
        assert first["resultType"] == "input_required"
        assert first["inputRequests"]["name"]["params"]["message"] == "Your name?"
        second = (await round_of(client, first["requestState"], name=accept("Ada"))).result
        assert list(second["inputRequests"]) == ["colour"]
        last = await round_of(client, second["requestState"], colour=accept("red"))
        assert last.said == "{'name': 'Ada'} {'name': 'red'} {}"
        assert last.result["resultType"] == "complete"

    within(main)


def test_what_is_no_answer_is_asked_for_again() -> None:
    async def main() -> None:
        client = asking()
        state = (await round_of(client)).result["requestState"]
        cases: list[dict[str, Any]] = [{}, {"name": 7}, {"other": accept("Ada")}]
        for wrong in cases:
            again = (await round_of(client, state, **wrong)).result
            assert list(again["inputRequests"]) == ["name"]

    within(main)


def test_a_state_serves_only_the_request_that_it_was_given_for() -> None:
    async def main() -> None:
        client = asking()
        client.owner = "alice"
        state = (await round_of(client)).result["requestState"]
        turned = state[:-4] + ("AAAA" if state[-4:] != "AAAA" else "BBBB")
        for wrong in (turned, "", "!", state + "AAAA"):
            reply = await round_of(client, wrong, name=accept("Ada"))
            assert (reply.status, reply.error["code"]) == (400, -32602)
        other = await round_of(client, state, {"x": 1}, name=accept("Ada"))
        assert other.error["code"] == -32602
        client.owner = "bob"
        stolen = await round_of(client, state, name=accept("Ada"))
        assert stolen.error["code"] == -32602
        client.owner = "alice"
        right = await round_of(client, state, name=accept("Ada"))
        assert list(right.result["inputRequests"]) == ["colour"]

    within(main)


def test_what_a_state_holds_cannot_be_changed() -> None:
    async def main() -> None:
        client = asking()
        first = (await round_of(client)).result
        second = (await round_of(client, first["requestState"], name=accept("Ada"))).result
        sealed = base64.urlsafe_b64decode(second["requestState"])
        assert b'"Ada"' in sealed
        changed = base64.urlsafe_b64encode(sealed.replace(b'"Ada"', b'"Eve"')).decode()
        reply = await round_of(client, changed, colour=accept("red"))
        assert reply.error["code"] == -32602

    within(main)


def test_a_state_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        client = asking()
        state = (await round_of(client)).result["requestState"]
        monkeypatch.setattr(client.endpoint._seal, "_clock", lambda: 1e12)
        reply = await round_of(client, state, name=accept("Ada"))
        assert "expired" in reply.error["message"]

    assert seal.VALID_FOR == 600
    within(main)


def test_a_client_that_cannot_be_asked_is_told_what_it_lacks() -> None:
    async def main() -> None:
        client = asking()
        reply = await client.post(modern(call("ask")))
        assert (reply.status, reply.error["code"]) == (400, -32021)
        assert reply.error["data"] == {"requiredCapabilities": {"elicitation": {}}}
        await client.initialize()
        assert (await client.post(call("ask"))).error["code"] == -32600

    within(main)


def test_a_legacy_client_is_asked_by_requests_on_the_stream_of_the_call() -> None:
    async def main() -> None:
        client = asking()
        await client.initialize(capabilities=CAN)
        reply = client.begin(call("ask"))
        for number, value in enumerate(("Ada", "red"), start=1):
            await reply.until(lambda n=number: len(reply.messages) == n)
            question = reply.messages[-1]
            assert question["method"] == "elicitation/create"
            stray = {"jsonrpc": "2.0", "id": "q", "result": accept("Eve")}
            assert (await client.post(stray)).status == 202
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": accept(value)}
            assert (await client.post(answer)).status == 202
        await reply.done.wait()
        assert reply.said == "{'name': 'Ada'} {'name': 'red'} {}"

    within(main)


def test_a_legacy_client_may_refuse_to_be_asked() -> None:
    async def main() -> None:
        client = asking()
        await client.initialize(capabilities=CAN)
        reply = client.begin(call("ask"))
        await reply.until(lambda: reply.messages)
        error = {"code": -1, "message": "no"}
        await client.post({"jsonrpc": "2.0", "id": reply.messages[0]["id"], "error": error})
        await reply.done.wait()
        assert reply.error["message"] == "the client answered: no"

    within(main)


def test_a_client_that_reads_no_streams_cannot_be_asked() -> None:
    async def main() -> None:
        client = asking()
        await client.initialize(capabilities=CAN)
        reply = await client.post(call("ask"), (b"accept", b"application/json"))
        assert "no stream" in reply.error["message"]

    within(main)


@pytest.mark.parametrize(
    "meta",
    [
        {"io.modelcontextprotocol/clientCapabilities": None},
        {"io.modelcontextprotocol/clientCapabilities": []},
        {"io.modelcontextprotocol/clientInfo": "me"},
        {"io.modelcontextprotocol/logLevel": "loud"},
    ],
)
def test_a_request_that_says_too_little_of_its_client_is_refused(meta: dict[str, Any]) -> None:
    async def main() -> None:
        reply = await asking().post(modern(request("tools/list"), None, **meta))
        assert (reply.status, reply.error["code"]) == (400, -32602)

    within(main)


def test_headers_have_to_agree_with_the_body() -> None:
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    async def main() -> None:
        async def answer(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            return ToolResult()

        client = Client(Server("s", "1", tools=[Tool(name="t", handler=answer, input_schema=schema)]))
        message = modern(call("t", {"region": "eu"}))
        assert (await client.post(message, (b"mcp-param-region", b"eu"))).status == 200
        wrong: Sequence[tuple[bytes, bytes]]
        for wrong in (
            [(b"mcp-param-region", b"us")],
            [],
            [(b"mcp-param-region", b"eu"), (b"mcp-name", b"other")],
            [(b"mcp-param-region", b"eu"), (b"mcp-method", b"tools/list")],
        ):
            reply = await client.post(message, *wrong)
            assert (reply.status, reply.error["code"]) == (400, -32020)

    within(main)


def test_unknown_revisions_and_methods_are_told_apart() -> None:
    async def main() -> None:
        client = asking()
        later = json.loads(json.dumps(modern(request("tools/list"))).replace("2026-07-28", "2099-01-01"))
        reply = await client.post(later, (b"mcp-protocol-version", b"2099-01-01"))
        assert (reply.status, reply.error["code"]) == (400, -32022)
        for method in ("no/such", "ping", "initialize", "logging/setLevel", "prompts/list", "resources/read"):
            params = {"uri": "a://b"} if method == "resources/read" else {}
            reply = await client.post(modern(request(method, params)))
            assert (reply.status, reply.error["code"]) == (404, -32601)

    within(main)


def test_discovery_says_what_is_offered_and_results_say_by_whom() -> None:
    async def main() -> None:
        client = Client(Server("s", "1", title="S", instructions="Use it.", prompts=[]))
        result = (await client.post(modern(request("server/discover")))).result
        assert result["supportedVersions"][0] == "2026-07-28"
        assert result["capabilities"] == {"logging": {}}
        assert result["instructions"] == "Use it."
        assert result["_meta"] == {
            "io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1", "title": "S"}
        }

    within(main)


def test_a_client_that_goes_away_has_cancelled() -> None:
    async def main() -> None:
        held = Held()
        client = Client(held_server(held), EndpointLimits(max_working=1))
        reply = client.begin(modern(call("held")))
        await held.started.wait()
        reply.leave()
        await held.ended.wait()
        assert held.cancelled
        assert not (await client.post(modern(call("quick")))).result["isError"]

    within(main)


def test_a_call_that_is_cancelled_before_it_runs_leaves_no_place_taken() -> None:
    async def main() -> None:
        held = Held()
        client = Client(held_server(held), EndpointLimits(max_working=1))
        client.begin(modern(call("held"))).leave()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not held.started.is_set()
        assert not (await client.post(modern(call("quick")))).result["isError"]

    within(main)


def test_progress_is_told_only_to_who_asked_and_only_forwards() -> None:
    async def main() -> None:
        async def work(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            for done in (1, 1, 0.5, 2):
                await context.progress(done, 2, "on")
            return ToolResult()

        client = Client(Server("s", "1", tools=[Tool(name="work", handler=work)]))
        assert not (await client.post(modern(call("work")))).streams
        reply = await client.post(modern(call("work"), None, progressToken="p"))
        params = [message["params"] for message in reply.messages[:-1]]
        assert [(one["progressToken"], one["progress"]) for one in params] == [("p", 1), ("p", 2)]
        deaf = await client.post(
            modern(call("work"), None, progressToken="p"), (b"accept", b"application/json")
        )
        assert not deaf.streams

    within(main)


def test_news_are_dropped_while_the_client_does_not_keep_up_but_the_answer_is_not() -> None:
    async def main() -> None:
        ready, go = asyncio.Event(), asyncio.Event()

        async def work(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            await context.progress(1)
            ready.set()
            await go.wait()
            await context.progress(2)
            return ToolResult()

        client = Client(Server("s", "1", tools=[Tool(name="work", handler=work)]))
        reply = client.begin(modern(call("work"), None, progressToken=1))
        await ready.wait()
        reply.on_pause()
        go.set()
        await reply.done.wait()
        assert [message.get("method") for message in reply.messages] == ["notifications/progress", None]

    within(main)


def test_a_subscription_is_acknowledged_first_and_hears_what_it_asked_for() -> None:
    async def main() -> None:
        offered = Server("s", "1", resources=[Resource(uri="a://b", name="b", read=none)])
        client = Client(offered, EndpointLimits(max_listeners=1))
        client.owner = "alice"
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["a://b"], "promptsListChanged": False}
        message = modern(request("subscriptions/listen", {"notifications": wanted}, "sub"))
        reply = client.begin(message)
        mark = {"io.modelcontextprotocol/subscriptionId": "sub"}
        granted = {"toolsListChanged": True, "resourceSubscriptions": ["a://b"]}
        assert reply.messages[0]["method"] == "notifications/subscriptions/acknowledged"
        assert reply.messages[0]["params"] == {"notifications": granted, "_meta": mark}
        offered.changed("prompts")
        offered.updated("a://c")
        offered.updated("a://b", owner="bob")
        offered.changed("tools")
        offered.updated("a://b", owner="alice")
        assert [one["method"] for one in reply.messages[1:]] == [
            "notifications/tools/list_changed",
            "notifications/resources/updated",
        ]
        assert all(one["params"]["_meta"] == mark for one in reply.messages)
        assert (await client.post(message)).error["code"] == 4429
        await client.endpoint.close()
        assert reply.done.is_set()
        assert reply.result["_meta"] == mark

    within(main)


def test_a_subscription_that_has_gone_makes_room() -> None:
    async def main() -> None:
        client = Client(Server("s", "1"), EndpointLimits(max_listeners=1))
        message = modern(request("subscriptions/listen", {"notifications": {}}))
        client.begin(message).leave()
        second = client.begin(message)
        assert second.messages
        second.leave()
        for wrong in ({}, {"notifications": 1}, {"notifications": {"resourceSubscriptions": [1]}}):
            bad = await client.post(modern(request("subscriptions/listen", wrong)))
            assert (bad.status, bad.error["code"]) == (400, -32602)

    within(main)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_the_modern_era_has_one_http_method(method: str) -> None:
    async def main() -> None:
        headers = mirrored(modern(request("tools/list")))
        reply = asking().send(method, b"", headers)
        assert reply.status == 405

    within(main)


def test_what_is_not_json_or_cannot_be_answered_is_refused() -> None:
    async def main() -> None:
        client = asking()
        message = modern(request("tools/list"))
        assert (await client.post(message, (b"content-type", b"text/plain"))).status == 415
        assert (await client.post(message, (b"accept", b"text/html"))).status == 406
        assert (await client.post(message, (b"accept", b"*/*"))).status == 200
        for body in (b"", b"{", b"[]", b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}'):
            reply = client.send("POST", body, client._headers({}, ()))
            assert reply.status == 400
        await client.endpoint.close()
        assert (await client.post(message)).status == 503

    within(main)


def test_a_form_is_asked_for_by_its_schema() -> None:
    assert form("m", FORM).request() == {
        "method": "elicitation/create",
        "params": {"message": "m", "requestedSchema": FORM},
    }
