"""Tasks, polled streams and their places, with published servers and official clients."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ostiary.store.query import Reader
from ostiary.store.state import find_state
from tests.e2e import world
from tests.e2e.driver import PYTHON_2_LEGACY, TYPESCRIPT_1, Drivers, Kind
from tests.e2e.test_http_gate import Line

pytestmark = [pytest.mark.service, pytest.mark.timeout(90)]

Json = Any
SLOW = "simulate-research-query"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "e2e", "version": "1"},
    },
}


def policy(folder: Path, *tools: str) -> Path:
    file = folder / "policy.json"
    file.write_text(json.dumps({"version": "1", "default": "deny", "tools": {name: {} for name in tools}}))
    return file


def outcomes(state: Path) -> list[tuple[str, str]]:
    reader = Reader(find_state(state))
    try:
        rows = [stored.record for stored in reader.tail(1_000)]
    finally:
        reader.close()
    return [(row.tool, row.status) for row in rows if row is not None and row.kind == "outcome" and row.tool]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = world.everything_over_http(tmp_path_factory.mktemp("server") / "log")
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def polling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).parent / "polling_server.py"), "{port}"]
    server = world.HttpServer(command, tmp_path_factory.mktemp("polling") / "log", lambda _: {})
    yield server.url
    server.stop()


def send(line: Line, method: str, params: Json, number: int, session: str) -> Json:
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    reply = line.send(body=body, mcp_session_id=session, mcp_protocol_version="2025-11-25")
    if reply.headers.get_content_type() == "application/json":
        return json.loads(reply.body)
    found = [
        row.removeprefix("data: ") for row in reply.body.decode().splitlines() if row.startswith("data: {")
    ]
    return json.loads(found[-1])


def test_a_task_of_a_published_server_runs_to_its_result(everything: str, tmp_path: Path) -> None:
    gate = world.Gate(policy(tmp_path, SLOW), tmp_path, upstream=everything)
    with Line(gate) as line:
        session = line.send(body=HELLO).headers["mcp-session-id"]
        line.send(body={"jsonrpc": "2.0", "method": "notifications/initialized"}, mcp_session_id=session)

        call = {"name": SLOW, "arguments": {"topic": "doors"}, "task": {"ttl": 60_000}}
        made = send(line, "tools/call", call, 2, session)["result"]["task"]
        unknown = send(line, "tasks/get", {"taskId": made["taskId"] + "x"}, 3, session)
        early = outcomes(gate.state)
        listed = send(line, "tasks/list", {}, 4, session)["result"]["tasks"]
        result = send(line, "tasks/result", {"taskId": made["taskId"]}, 5, session)["result"]
        after = send(line, "tasks/get", {"taskId": made["taskId"]}, 6, session)["result"]

    assert unknown["error"]["code"] == -32602
    assert early == []
    assert [one["taskId"] for one in listed] == [made["taskId"]]
    assert "doors" in result["content"][0]["text"]
    assert after["status"] == "completed"
    assert gate.stop() == 0
    assert outcomes(gate.state) == [(SLOW, "ok")]


@pytest.mark.parametrize("kind", [PYTHON_2_LEGACY, TYPESCRIPT_1], ids=lambda kind: kind.name)
def test_an_official_client_polls_through_the_gate(
    clients: Drivers, polling: str, kind: Kind, tmp_path: Path
) -> None:
    """The server closes the stream early; the client comes back with the place it was at."""
    gate = world.Gate(policy(tmp_path, "slow"), tmp_path, upstream=polling)

    with clients.connect(kind, gate.http) as client:
        answer = client.call("slow")
        again = client.call("slow")

    assert [one["result"]["content"][0]["text"] for one in (answer, again)] == ["late", "late"]
    assert gate.stop() == 0
    assert outcomes(gate.state) == [("slow", "unknown"), ("slow", "ok")] * 2


def test_a_place_of_another_session_reaches_no_server(polling: str, tmp_path: Path) -> None:
    """This server would replay the other session's stream."""
    gate = world.Gate(policy(tmp_path, "slow", "hidden"), tmp_path, upstream=polling)
    with Line(gate) as line:
        mine, other = [line.send(body=HELLO).headers["mcp-session-id"] for _ in range(2)]
        call = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "hidden", "arguments": {}},
        }
        reply = line.send(body=call, mcp_session_id=other, mcp_protocol_version="2025-11-25")
        places = [
            row.removeprefix("id: ") for row in reply.body.decode().splitlines() if row.startswith("id: ")
        ]

        refused = line.send(
            "GET", mcp_session_id=mine, mcp_protocol_version="2025-11-25", last_event_id=places[0]
        )

    assert refused.status == 400
    assert refused.answer()["error"]["code"] == -32602
    assert gate.stop() == 0
