"""A client of revision 2025-03-26, written by hand, sends batches through the gate to official servers."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.needs import needs_environment

pytestmark = [pytest.mark.service, pytest.mark.timeout(60)]

Json = Any
REVISION = "2025-03-26"
HERE = Path(__file__).parent


def python_1(*arguments: str) -> list[str]:
    return [str(needs_environment("mcp1")), "-W", "ignore", str(HERE / "legacy_server.py"), *arguments]


def python_2(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "ignore", str(HERE / "modern_server.py"), *arguments]


Offered = tuple[Callable[[], list[str]], Callable[[Path], world.HttpServer], str, Json, str, Json]
"""A server on stdio and over HTTP; a tool that gives 5 and its arguments; one that is denied."""

SERVERS: dict[str, Offered] = {
    "python 1": (
        python_1,
        lambda log: world.HttpServer(python_1("{port}"), log, lambda _: {}),
        "add", {"numbers": [2, 3]}, "fail", {"why": "no"},
    ),
    "python 2": (
        python_2,
        lambda log: world.HttpServer(python_2("{port}"), log, lambda _: {}),
        "add", {"numbers": [2, 3]}, "fail", {"why": "no"},
    ),
    "typescript": (
        world.everything, world.everything_over_http, "get-sum", {"a": 2, "b": 3}, "echo", {"message": "no"},
    ),
}  # fmt: skip


class OverHttp:
    def __init__(self, gate: world.Gate) -> None:
        self._gate = gate
        self._session: str | None = None

    def post(self, body: Json) -> list[Json]:
        connection = http.client.HTTPConnection("127.0.0.1", self._gate.port, timeout=20)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self._gate.http.token}",
        }
        headers |= {"Mcp-Session-Id": self._session} if self._session else {}
        connection.request("POST", "/mcp", json.dumps(body), headers)
        reply = connection.getresponse()
        self._session = reply.headers.get("Mcp-Session-Id", self._session)
        body, kind = reply.read(), reply.headers.get_content_type()
        connection.close()
        if not body:
            return []
        if kind == "text/event-stream":
            return [json.loads(line[5:]) for line in body.splitlines() if line.startswith(b"data:")]
        told = json.loads(body)
        return told if isinstance(told, list) else [told]

    def send(self, *messages: Json) -> list[Json]:
        return self.post(list(messages))


class OverStdio:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def say(self, document: Json) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self, wanted: Callable[[Json], bool]) -> Json:
        """The next line that is `wanted`; notifications of the server are passed over."""
        assert self._process.stdout is not None
        while True:
            told = json.loads(world.read_line(self._process.stdout.fileno()))
            if wanted(told):
                return told

    def post(self, body: Json) -> list[Json]:
        self.say(body)
        return [self.hear(lambda told: isinstance(told, dict) and "id" in told)] if "id" in body else []

    def send(self, *messages: Json) -> list[Json]:
        self.say(list(messages))
        if not any("id" in one for one in messages):
            return []
        told = self.hear(lambda told: isinstance(told, list) or told.get("id", 0) is None)
        return told if isinstance(told, list) else [told]


def handshake(client: OverHttp | OverStdio, version: str) -> None:
    client_info = {"name": "by hand", "version": "1"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client_info}
    told = client.post({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params})
    assert told[-1]["result"]["protocolVersion"] == version
    client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})


@contextmanager
def upstream(name: str, kind: str, folder: Path) -> Iterator[str | list[str]]:
    stdio, over_http, *_ = SERVERS[name]
    if kind == "stdio":
        yield stdio()
        return
    server = over_http(folder / "server.log")
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def client_of(
    kind: str, folder: Path, policy: Path, target: str | list[str]
) -> Iterator[OverHttp | OverStdio]:
    if kind == "http":
        gate = world.Gate(policy, folder, upstream=target)
        yield OverHttp(gate)
        assert gate.stop() == 0
        assert "Traceback" not in gate.told()
        return
    command = world.proxy(policy, world.state_folder(folder), upstream=target)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=world.environment(),
    )
    yield OverStdio(process)
    _, errors = process.communicate(timeout=15)
    assert b"Traceback" not in errors


def policy_for(folder: Path, *tools: str) -> Path:
    policy = {"version": "1", "default": "deny", "tools": {name: {} for name in tools}}
    file = folder / "policy.json"
    file.write_text(json.dumps(policy))
    return file


def request(number: Json, method: str, **params: Json) -> Json:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("server", ["stdio", "http"])
@pytest.mark.parametrize("client", ["stdio", "http"])
def test_a_batch_is_answered_member_by_member(tmp_path: Path, name: str, server: str, client: str) -> None:
    """One member is denied; the others run, on servers that may not know batches themselves."""
    tool, arguments, denied, denied_arguments = SERVERS[name][2:]
    with (
        upstream(name, server, tmp_path) as target,
        client_of(client, tmp_path, policy_for(tmp_path, tool), target) as speaker,
    ):
        handshake(speaker, REVISION)
        told = speaker.send(
            request(1, "tools/call", name=tool, arguments=arguments),
            request("1", "tools/call", name=denied, arguments=denied_arguments),
            request(3, "tools/list"),
            request(4, "ping"),
        )

    answers = {one["id"]: one for one in told if "method" not in one}
    assert set(answers) == {1, "1", 3, 4}
    assert "5" in json.dumps(answers[1]["result"]["content"])
    assert answers["1"]["result"]["isError"] is True
    assert [one["name"] for one in answers[3]["result"]["tools"]] == [tool]
    assert answers[4]["result"] == {}


@pytest.mark.parametrize("client", ["stdio", "http"])
def test_a_typescript_server_never_sees_an_array_of_a_newer_session(tmp_path: Path, client: str) -> None:
    """It would run it."""
    with (
        upstream("typescript", "http", tmp_path) as target,
        client_of(client, tmp_path, world.ALLOW_ALL, target) as speaker,
    ):
        handshake(speaker, "2025-06-18")
        told = speaker.send(request(1, "tools/call", name="echo", arguments={"message": "no"}))

    assert [(one["id"], one["error"]["code"]) for one in told] == [(None, -32600)]
