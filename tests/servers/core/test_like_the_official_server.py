"""The same requests, byte for byte, to a server on the official SDK and to one on the core.

What differs stands in `NAMED`, each with its reason. Wording, the server's own name, session ids
and the length of caching are not compared.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from ostiary.wire.sse import SseParser
from tests.e2e.world import HttpServer
from tests.servers.core.served import OFFICIAL, OURS, over_http
from tests.servers.core.world import call, mirrored, modern, request

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
REFERENCE = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
ASKED: Mapping[str, Any] = {
    "tools are listed": request("tools/list", {}),
    "tools are listed without params": request("tools/list"),
    "resources are listed": request("resources/list", {}),
    "templates are listed": request("resources/templates/list", {}),
    "prompts are listed": request("prompts/list", {}),
    "text": call("test_simple_text"),
    "an image": call("test_image_content"),
    "sound": call("test_audio_content"),
    "a resource within": call("test_embedded_resource"),
    "several kinds": call("test_multiple_content_types"),
    "a tool that fails": call("test_error_handling"),
    "log lines": call("test_tool_with_logging"),
    "an argument": call("greet", {"name": "Ada"}),
    "no arguments at all": request("tools/call", {"name": "test_simple_text"}),
    "an id as a string": call("greet", {"name": "Ada"}, "seven"),
    "an unknown tool": call("no such"),
    "arguments that are no object": request("tools/call", {"name": "greet", "arguments": [1]}),
    "a call without a name": request("tools/call", {"arguments": {}}),
    "a text resource": request("resources/read", {"uri": "test://static-text"}),
    "a binary resource": request("resources/read", {"uri": "test://static-binary"}),
    "a resource of a template": request("resources/read", {"uri": "test://template/7/data"}),
    "an unknown resource": request("resources/read", {"uri": "no://such"}),
    "a prompt": request("prompts/get", {"name": "test_simple_prompt"}),
    "a prompt with arguments": request(
        "prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}}
    ),
    "a prompt with an image": request("prompts/get", {"name": "test_prompt_with_image"}),
    "an unknown prompt": request("prompts/get", {"name": "no such"}),
    "a completion": request(
        "completion/complete", {"ref": REFERENCE, "argument": {"name": "arg1", "value": "par"}}
    ),
    "a ping": request("ping"),
    "a log level": request("logging/setLevel", {"level": "debug"}),
    "a log level that is none": request("logging/setLevel", {"level": "loud"}),
    "a subscription": request("resources/subscribe", {"uri": "test://watched-resource"}),
    "the end of a subscription": request("resources/unsubscribe", {"uri": "test://watched-resource"}),
    "an unknown method": request("no/such", {}),
    "an unknown notification": {"jsonrpc": "2.0", "method": "notifications/no/such"},
    "a cancellation of nothing": {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 99},
    },
}
OF_THE_NEWEST = {"a question in a round": call("test_input_required_result_elicitation")}
"""What the official fixture offers to clients of the newest revision only."""


TASKS = frozenset(
    {
        "slow_compute",
        "failing_job",
        "protocol_error_job",
        "confirm_delete",
        "multi_input",
        "test_tool_with_task",
    }
)


class Answer(NamedTuple):
    """What is compared: the HTTP status, and each message without what may differ."""

    status: int
    messages: list[Any]


_STRICT = "the strict reading refuses params that do not fit before there is a method, with HTTP 400"
NAMED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "sound": (("2024-11-05",), "that revision cannot carry sound; a client of it is told so in words"),
    "arguments that are no object": (LEGACY, _STRICT),
    "a call without a name": (LEGACY, _STRICT),
    "an unknown resource": (LEGACY, "the specifications up to 2025-11-25 give it the code -32002"),
    "a question in a round": (
        ("modern",),
        "`mode` of a form is left out, since `form` is what it then means",
    ),
}
"""Everything that is answered otherwise, on which revisions, and why that is right."""


def steady(message: Any) -> Any:
    """A message without wording and names."""
    if not isinstance(message, dict):
        return message
    if "error" in message:
        return {"id": message.get("id"), "code": message["error"]["code"]}
    if "result" not in message:
        return {"method": message.get("method"), "params": message.get("params")}
    result = {
        key: value for key, value in message["result"].items() if key not in ("_meta", "ttlMs", "cacheScope")
    }
    if "tools" in result:  # the official fixture offers tasks, too
        common = [tool for tool in result["tools"] if tool["name"] not in TASKS]
        result["tools"] = sorted(common, key=lambda tool: tool["name"])
    if "messages" in result:  # the one fixture describes the prompt, the other repeats its name
        result.pop("description", None)
    if result.get("resultType") == "input_required":
        result.pop("requestState", None)
    return {"id": message.get("id"), "result": result}


class Side:
    """One of the two servers, and a session of each revision with it."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.sessions: dict[str, str] = {}

    def send(self, message: Any, headers: Mapping[str, str]) -> tuple[Answer, str]:
        """The answer to one message, and the session that it names."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=15)
        about = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        try:
            connection.request("POST", "/mcp", json.dumps(message), {**about, **headers})
            response = connection.getresponse()
            body = response.read()
        except TimeoutError:
            return Answer(0, ["no end"]), ""
        finally:
            connection.close()
        return Answer(response.status, read(response, body)), response.getheader("mcp-session-id") or ""

    def ask(self, message: Any, revision: str) -> Answer:
        """Ask on one revision; a session is begun when it is first needed."""
        if revision == "modern":
            asked = modern(message, {"elicitation": {}}) if "id" in message else message
            headers = mirrored(asked) if "id" in message else [(b"mcp-protocol-version", b"2026-07-28")]
            return self.send(asked, {key.decode(): value.decode() for key, value in headers})[0]
        if revision not in self.sessions:
            params = {
                "protocolVersion": revision,
                "capabilities": {"elicitation": {}},
                "clientInfo": {"name": "tests", "version": "1"},
            }
            _, session = self.send(request("initialize", params), {})
            self.sessions[revision] = session
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"}, self.about(revision))
        return self.send(message, self.about(revision))[0]

    def about(self, revision: str) -> dict[str, str]:
        return {"mcp-session-id": self.sessions[revision], "mcp-protocol-version": revision}


def read(response: http.client.HTTPResponse, body: bytes) -> list[Any]:
    if "text/event-stream" not in (response.getheader("content-type") or ""):
        return [steady(json.loads(body))] if body else []
    parser = SseParser()
    events = [*parser.feed(body), *parser.finish()[0]]
    return [steady(json.loads(event.data)) for event in events if event.data]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    folder = tmp_path_factory.mktemp("both")
    official, ours = over_http(OFFICIAL, folder / "official.log"), over_http(OURS, folder / "ours.log")
    yield Side(official), Side(ours)
    official.stop()
    ours.stop()


@pytest.mark.parametrize("revision", [*LEGACY, "modern"])
def test_a_request_is_answered_as_by_the_official_server(sides: tuple[Side, Side], revision: str) -> None:
    asked = {**ASKED, **OF_THE_NEWEST} if revision == "modern" else ASKED
    differing: dict[str, str] = {}
    for name, message in asked.items():
        official, ours = (side.ask(message, revision) for side in sides)
        if official != ours:
            differing[name] = f"{name}: {official} is answered with {ours}"

    expected = {name for name, (revisions, _) in NAMED.items() if revision in revisions}
    unexpected = [text for name, text in differing.items() if name not in expected]
    assert not unexpected, "\n".join(unexpected)
    assert set(differing) == expected, "a named difference no longer occurs"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_unusable_arguments_are_a_result_with_the_official_server_too(mode: str) -> None:
    """What `invalid arguments` is on each era was taken from here."""
    import mcp
    from mcp.server import MCPServer

    server = MCPServer("official")

    @server.tool()
    def greet(name: str) -> str:
        return name

    async def main() -> None:
        async with mcp.Client(server, mode=mode) as client:
            result = await client.call_tool("greet", {"name": [7]})
            assert result.is_error

    asyncio.run(asyncio.wait_for(main(), 5))
