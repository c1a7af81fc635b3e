"""Event streams whose clients have gone, or stay, at a gate of its own process."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import world

pytestmark = pytest.mark.service

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "c", "version": "1"},
}
CLOSE_WAIT = "08"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[world.Gate]:
    """It may take 30 seconds to drain: whatever waits for that shows."""
    server = world.modern_over_http(tmp_path / "server.log")
    try:
        gate = world.Gate(world.ALLOW_ALL, tmp_path, "--limit", "drain=30s", upstream=server.url)
        yield gate
        if not gate.ended():
            gate.stop(signal.SIGKILL)
    finally:
        server.stop(signal.SIGKILL)


def send(gate: world.Gate, method: str, headers: list[str], body: object = None) -> tuple[socket.socket, str]:
    """Make a request and read the head of its answer."""
    raw = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} /mcp HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {gate.http.token}",
        "accept: application/json, text/event-stream", *headers,
    ]  # fmt: skip
    lines += ["content-type: application/json", f"content-length: {len(raw)}"] if raw else []
    made = socket.create_connection(("127.0.0.1", gate.port), timeout=5)
    made.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
    head = b""
    while b"\r\n\r\n" not in head:
        head += made.recv(65536)
    assert head.startswith(b"HTTP/1.1 200"), head
    return made, head.decode()


def listen(gate: world.Gate) -> socket.socket:
    params = {"notifications": {"toolsListChanged": True}, "_meta": META}
    body = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": params}
    return send(gate, "POST", ["mcp-protocol-version: 2026-07-28", "mcp-method: subscriptions/listen"], body)[
        0
    ]


def get(gate: world.Gate) -> socket.socket:
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    opened, head = send(gate, "POST", [], body)
    opened.close()
    session = re.search(r"(?i)mcp-session-id: (\S+)", head)
    assert session
    return send(gate, "GET", [f"mcp-session-id: {session[1]}"])[0]


def states(gate: world.Gate) -> list[str]:
    """The states of the gate's connections with clients, as the kernel sees them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[3] for row in rows if int(row[1].partition(":")[2], 16) == gate.port]


@pytest.mark.parametrize("kind", [get, listen])
def test_stream_that_its_client_closed_leaves_nothing_and_delays_nothing(gate: world.Gate, kind) -> None:
    kind(gate).close()
    world.wait_for("the end of the connection", lambda: CLOSE_WAIT not in states(gate))
    assert send_signal_and_wait(gate) == 0


@pytest.mark.parametrize("kind", [get, listen])
@pytest.mark.parametrize("half", [False, True], ids=["open", "half-closed"])
def test_stream_that_is_still_read_delays_no_end(gate: world.Gate, kind, *, half: bool) -> None:
    with contextlib.closing(kind(gate)) as stream:
        if half:
            stream.shutdown(socket.SHUT_WR)
        assert send_signal_and_wait(gate) == 0
        received = b""
        while piece := stream.recv(65536):
            received += piece
        assert received.endswith(b"0\r\n\r\n")  # the regular end of a chunked body


def send_signal_and_wait(gate: world.Gate) -> int:
    """Its exit status; fails when it has not ended after 10 of its 30 seconds."""
    gate.process.send_signal(signal.SIGTERM)
    world.wait_for("the end of the gate", gate.ended, 10)
    return gate.process.returncode
