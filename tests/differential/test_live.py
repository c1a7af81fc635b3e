"""Through a real gate to real servers of the official SDKs: their tools are given what was decided on.

The tool of each server answers with the name, arguments and id that it was given, in a spelling that
loses nothing. The bytes of the request are odd on purpose, and over HTTP hold line ends.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ostiary.wire.envelope import read_message
from ostiary.wire.lines import to_line
from ostiary.wire.message import Message
from tests.differential import readings
from tests.differential.messages import Messages
from tests.e2e import world
from tests.needs import UNBRAKED, needs_environment, needs_node, needs_npm_modules, size

SEED = 20_261_122
CALLS = size(small=100, full=2_000)

pytestmark = pytest.mark.timeout(size(small=60, full=1_200))

SERVERS = Path(__file__).parent / "servers"
NAMES = set(json.loads((SERVERS / "names.json").read_text(encoding="utf-8")))
HELLO = {
    "jsonrpc": "2.0",
    "id": "hello",
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}

Json = Any
Say = Callable[[bytes], Json]


def python_1() -> list[str]:
    return [str(needs_environment("mcp1")), "-W", "ignore", str(SERVERS / "recorder_python_1.py")]


def python_2() -> list[str]:
    return [sys.executable, "-W", "ignore", str(SERVERS / "recorder_python_2.py")]


def typescript() -> list[str]:
    return [str(needs_node()), str(SERVERS / "recorder_typescript.mjs"), str(needs_npm_modules())]


def calls() -> list[Message]:
    """Accepted calls of tools that the servers list."""
    read = (read_message(body) for body in Messages(SEED))
    fit = (
        message
        for message in read
        if isinstance(message, Message)
        and message.kind == "request"
        and message.method == "tools/call"
        and message.params["name"] in NAMES
        # The TypeScript SDK passes over a message with another member, and answers nothing on a pipe.
        and not set(message.envelope) - {"jsonrpc", "id", "method", "params"}
    )
    return list(islice(fit, CALLS))


@contextlib.contextmanager
def over_http(upstream: str | Sequence[str], folder: Path) -> Generator[Say]:
    """An HTTP client of a gate in front of a URL or a command."""
    gate = world.Gate(world.ALLOW_ALL, folder, *UNBRAKED, upstream=upstream)
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
    headers = {
        "Authorization": f"Bearer {gate.http.token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }

    def say(body: bytes) -> Json:
        connection.request("POST", urlsplit(gate.http.url).path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        if session := response.headers.get("Mcp-Session-Id"):
            headers["Mcp-Session-Id"] = session
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            answer = next(line[6:] for line in answer.splitlines() if line.startswith(b"data: {"))
        return json.loads(answer) if answer else None

    try:
        yield say
    finally:
        connection.close()
        gate.stop()


@contextlib.contextmanager
def over_pipes(command: Sequence[str], folder: Path) -> Generator[Say]:
    """A stdio client of a gate in front of a command."""
    line = world.proxy(world.ALLOW_ALL, world.state_folder(folder), *UNBRAKED, upstream=command)
    with (folder / "gate.log").open("ab") as log:
        gate = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=world.environment()
        )
    assert gate.stdin is not None
    assert gate.stdout is not None
    writing, reading = gate.stdin, gate.stdout

    def say(body: bytes) -> Json:
        message = read_message(body)
        assert isinstance(message, Message)
        # A line of a client: it may hold a CR, but no LF.
        writing.write(body.replace(b"\n", b"\r") + b"\n")
        writing.flush()
        while message.id is not None:
            answer = json.loads(world.read_line(reading.fileno()))
            if "id" in answer and "method" not in answer:
                return answer
        return None

    try:
        yield say
    finally:
        gate.stdin.close()
        gate.wait(timeout=15)
        gate.stdout.close()


def compare(say: Say, messages: Sequence[Message]) -> tuple[list[str], int]:
    """Every difference, and how many calls reached the tool."""
    assert "result" in say(json.dumps(HELLO).encode())
    say(json.dumps(READY).encode())
    found: list[str] = []
    executed = 0
    for message in messages:
        answer = say(message.raw)
        result = answer.get("result", {})
        if result.get("isError") or "content" not in result:
            continue
        executed += 1
        different = readings.difference(message, json.loads(result["content"][0]["text"]))
        if different is not None:
            found.append(f"{different}: {message.raw!r}")
        assert (type(answer["id"]), answer["id"]) == (type(message.id), message.id)
    return found, executed


@pytest.mark.service
@pytest.mark.parametrize("server", [python_1, python_2, typescript])
@pytest.mark.parametrize("way", ["http to http", "http to pipes", "pipes to pipes"])
def test_a_tool_is_given_what_the_gate_decided_on(
    server: Callable[[], list[str]], way: str, tmp_path: Path
) -> None:
    messages = calls()
    with contextlib.ExitStack() as stack:
        if way == "http to http":
            upstream = world.HttpServer([*server(), "{port}"], tmp_path / "server.log", lambda _: {})
            stack.callback(upstream.stop)
            say = stack.enter_context(over_http(upstream.url, tmp_path))
        elif way == "http to pipes":
            say = stack.enter_context(over_http(server(), tmp_path))
        else:
            say = stack.enter_context(over_pipes(server(), tmp_path))

        found, executed = compare(say, messages)

    assert found == []
    assert executed > CALLS * 0.8


def test_the_calls_that_are_compared_hold_line_ends_and_escapes() -> None:
    """Otherwise there would be little to get wrong."""
    messages = calls()

    assert len(messages) == CALLS
    assert sum(to_line(message.raw) != message.raw for message in messages) >= CALLS // 20
    assert sum(b"\\u" in message.raw for message in messages) >= CALLS // 20
