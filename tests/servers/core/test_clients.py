"""Official clients and the Inspector talk to a server of the core, over HTTP and standard streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.test_inspector import GREET, LIST, shown
from tests.e2e.driver import KINDS, Drivers, Http, Kind, Stdio
from tests.e2e.world import HttpServer
from tests.servers.core.served import OURS, over_http

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

CONTACT = {"username": "ada", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def drivers() -> Iterator[Drivers]:
    made = Drivers()
    yield made
    made.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    server = over_http(OURS, tmp_path_factory.mktemp("core") / "server.log")
    yield server
    server.stop()


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_official_client_lists_calls_reads_and_is_asked(
    kind: Kind, transport: str, drivers: Drivers, served: HttpServer, tmp_path: Path
) -> None:
    target = Http(served.url) if transport == "http" else Stdio(OURS, tmp_path / "server.log")
    elicits = {"action": "accept", "content": CONTACT}
    with drivers.connect(kind, target, elicits=elicits) as client:
        tools = client.ask("tools/list")["result"]["tools"]
        assert {"greet", "test_elicitation"} <= {tool["name"] for tool in tools}

        greeted = client.ask("tools/call", {"name": "greet", "arguments": {"name": "Ada"}})
        assert greeted["result"]["content"][0]["text"] == "Hello, Ada!"

        wrong = client.ask("tools/call", {"name": "greet", "arguments": {"name": 7}})
        assert wrong["result"]["isError"] is True
        assert "is not of type" in wrong["result"]["content"][0]["text"]

        asked = client.ask("tools/call", {"name": "test_elicitation", "arguments": {"message": "Who?"}})
        assert "action=accept" in asked["result"]["content"][0]["text"]
        assert "ada@example.com" in asked["result"]["content"][0]["text"]

        read = client.ask("resources/read", {"uri": "test://static-text"})
        assert read["result"]["contents"][0]["text"] == "This is the content of the static text resource."

        given = {"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}}
        prompt = client.ask("prompts/get", given)
        assert "arg1='a'" in prompt["result"]["messages"][0]["content"]["text"]

        slow = client.ask("tools/call", {"name": "test_tool_with_progress", "arguments": {}})
        assert slow["result"]["content"][0]["text"] == "arrived"

        unknown = client.ask("prompts/get", {"name": "no such"})
        assert unknown["error"]["code"] == -32602


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_lists_and_calls(era: str, transport: str, served: HttpServer, tmp_path: Path) -> None:
    target = [served.url, "--transport", "http"] if transport == "http" else OURS
    listed = shown(target, *LIST, "--protocol-era", era, home=tmp_path)
    called = shown(target, *GREET, "--protocol-era", era, home=tmp_path)

    assert isinstance(listed, dict)
    assert isinstance(called, dict)
    assert "greet" in {tool["name"] for tool in listed["tools"]}
    assert called["content"] == [{"type": "text", "text": "Hello, Ada!"}]
