"""Official clients and published servers of HTTP+SSE (2024-11-05), in every combination with others."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import requests_made as made
from tests.e2e import world
from tests.e2e.driver import KINDS, PYTHON_1, PYTHON_2, TYPESCRIPT_1, Drivers, Http, Kind, Sse, Stdio, text
from tests.e2e.test_transparency import ROOTS_KNOWN, Seen, Subject, assert_same, drive

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

Json = Any
Target = Callable[[str, str], Stdio | Http | Sse]
OLD = (PYTHON_2, PYTHON_1, TYPESCRIPT_1)
PAIRS = [("sse", "stdio"), ("sse", "http"), ("sse", "sse"), ("http", "sse"), ("stdio", "sse")]

POLICY = {
    "version": "1",
    "default": "deny",
    "hide": ["get-env"],
    "tools": {
        "echo": {
            "deny_if": [
                {
                    "conditions": [{"path": "args.message", "op": "contains", "value": "forbidden"}],
                    "on_deny": "that word is forbidden",
                }
            ]
        },
        "get-env": {},
        "trigger-long-running-operation": {},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sse")


@pytest.fixture(scope="module")
def upstreams(folder: Path) -> Iterator[Callable[[str], list[str] | str]]:
    """server-everything on each transport, started when first asked for."""
    running: dict[str, world.HttpServer] = {}

    def of(transport: str) -> list[str] | str:
        if transport == "stdio":
            return world.everything()
        if transport not in running:
            start = world.everything_over_sse if transport == "sse" else world.everything_over_http
            running[transport] = start(folder / f"{transport}.log")
        return running[transport].sse if transport == "sse" else running[transport].url

    yield of
    for server in running.values():
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def targets(folder: Path, upstreams: Callable[[str], list[str] | str]) -> Iterator[Target]:
    """How a client of one transport reaches a gate in front of a server of another."""
    running: dict[str, world.Gate] = {}
    policy = folder / "policy.json"
    policy.write_text(json.dumps(POLICY))

    def of(client: str, upstream: str) -> Stdio | Http | Sse:
        if client == "stdio":
            place = folder / "stdio"
            place.mkdir(exist_ok=True)
            return world.gated(policy, place, upstream=upstreams(upstream))
        if upstream not in running:
            place = folder / f"gate-{upstream}"
            place.mkdir()
            running[upstream] = world.Gate(policy, place, upstream=upstreams(upstream))
        return running[upstream].sse if client == "sse" else running[upstream].http

    yield of
    for gate in running.values():
        assert gate.stop() == 0
        assert world.ostiary("audit", "verify", state=gate.state).returncode == 0


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=["-to-".join(pair) for pair in PAIRS])
@pytest.mark.parametrize("kind", OLD, ids=lambda kind: kind.name)
def test_policy_holds_whatever_the_transports_are(
    kind: Kind, client: str, upstream: str, targets: Target, clients: Drivers
) -> None:
    with clients.connect(kind, targets(client, upstream)) as one:
        listed = one.ask("tools/list")
        allowed = one.call("echo", message="hello")
        unlisted = one.call("get-tiny-image")
        hidden = one.call("get-env")
        by_rule = one.call("echo", message="a forbidden word")
        slow = one.call("trigger-long-running-operation", duration=1.2, steps=3)

    names = {tool["name"] for tool in listed["result"]["tools"]}
    assert names == {"echo", "trigger-long-running-operation"}
    assert text(allowed) == "Echo: hello"
    for denied in (unlisted, hidden, by_rule):
        assert denied["result"]["isError"] is True
        assert text(denied).startswith("[POLICY DENIED] ")
    assert "that word is forbidden" in text(by_rule)
    # The last one comes together with the answer, at which the TypeScript client stops listening.
    assert [progress[:2] for progress in slow["progress"]][:2] == [[1, 3], [2, 3]]
    assert "completed" in text(slow)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_server_of_http_and_sse_answers_alike_through_every_transport(
    kind: Kind,
    upstreams: Callable[[str], list[str] | str],
    clients: Drivers,
    tmp_path: Path,
) -> None:
    """P6: under `default: allow` every method passes, both ways, as it is."""
    url = upstreams("sse")
    assert isinstance(url, str)
    subject = Subject(url, made.EVERYTHING, settled=ROOTS_KNOWN)
    (tmp_path / "stdio").mkdir()
    gate = world.Gate(world.ALLOW_ALL, tmp_path, "--upstream-transport", "sse", upstream=url)
    stdio = world.gated(world.ALLOW_ALL, tmp_path / "stdio", upstream=url)
    ways = (Sse(url), gate.sse, gate.http, stdio)
    try:
        seen: list[Seen] = [drive(clients.connect(kind, way, answers=True), subject) for way in ways]
    finally:
        status = gate.stop()

    direct, *through = seen
    assert not [answer for answer in direct.answers if "fault" in answer]
    for one in through:
        assert_same(direct, one, subject.asks)
    assert status == 0


@pytest.mark.parametrize("kind", OLD, ids=lambda kind: kind.name)
def test_published_stdio_server_behind_a_client_of_http_and_sse(
    kind: Kind, clients: Drivers, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"version": "1", "default": "deny", "tools": {"get_current_time": {}}}))
    upstream = world.published("time", "--local-timezone", "UTC")
    gate = world.Gate(policy, tmp_path, upstream=upstream)
    try:
        with clients.connect(kind, gate.sse) as one:
            allowed = one.call("get_current_time", timezone="UTC")
            denied = one.call("convert_time", source_timezone="UTC", time="12:00", target_timezone="UTC")
            children = [
                pid
                for pid in world.children_of(gate.process.pid)
                if "mcp-server-time" in world.command_of(pid)
            ]
        world.wait_for("the end of the child", lambda: not any(map(world.is_alive, children)), 20)
    finally:
        status = gate.stop()

    assert '"timezone": "UTC"' in text(allowed)
    assert text(denied).startswith("[POLICY DENIED] ")
    assert children
    assert status == 0


def test_client_of_http_and_sse_without_the_token_cannot_connect(targets: Target, clients: Drivers) -> None:
    sse = targets("sse", "stdio")
    assert isinstance(sse, Sse)
    driver = clients.of(PYTHON_1)

    reply = driver.reply(driver.begin("connect", "stranger", **Sse(sse.url).spec()))

    assert "result" not in reply


@pytest.mark.parametrize("kind", [PYTHON_2, TYPESCRIPT_1], ids=lambda kind: kind.name)
def test_call_under_way_on_a_stream_is_answered_while_the_gate_drains(
    kind: Kind, clients: Drivers, tmp_path: Path
) -> None:
    gate = world.Gate(world.ALLOW_ALL, tmp_path, upstream=world.everything())
    client = clients.connect(kind, gate.sse)
    client.ask("tools/list")
    arguments = {"duration": 1, "steps": 1}
    asked = client.begin("tools/call", {"name": "trigger-long-running-operation", "arguments": arguments})
    world.wait_for(
        "the intent",
        lambda: "trigger-long" in world.ostiary("audit", "tail", "--format", "json", state=gate.state).stdout,
    )
    gate.process.send_signal(signal.SIGTERM)
    answer = client.driver.reply(asked)
    status = gate.process.wait(timeout=9)  # of ten to drain
    client.driver.reply(client.driver.begin("close", client.name))

    assert "completed" in text(answer)
    assert status == 0
