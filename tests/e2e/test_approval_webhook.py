"""`ostiary proxy --approval-webhook` as a process: what its receiver hears, and what a dead one costs."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world

pytestmark = pytest.mark.timeout(60)

SECRET = b"a secret of thirty-two characters"
POLICY = """
version: "1"
default: deny
tools:
  t: {approval: {hold: 0s}, action: require_approval, reason: always}
"""
SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}
        if asked["method"] == "tools/call":
            result = {"content": [{"type": "text", "text": "done"}]}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told."""

    heard: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append((self.headers["ostiary-signature"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    heard: list[tuple[str, bytes]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Kept", (Receiver,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Proxied:
    """A gate on stdio, spoken to line by line."""

    def __init__(self, folder: Path, state: Path, *options: str) -> None:
        policy, secret = folder / "policy.yaml", folder / "secret"
        policy.write_text(POLICY)
        secret.write_bytes(SECRET + b"\n")
        secret.chmod(0o600)
        given = (*options, "--approval-webhook-secret-file", str(secret))
        server: Sequence[str] = [sys.executable, "-I", "-S", "-c", SERVER]
        self.process = subprocess.Popen(
            world.proxy(policy, state, *given, upstream=server),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=world.environment(),
        )  # fmt: skip

    def call(self, number: int, **arguments: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        params = {"name": "t", "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(world.read_line(self.process.stdout.fileno()))["result"]

    def end(self) -> str:
        return self.process.communicate(timeout=15)[1].decode()


def approver(folder: Path, state: Path) -> list[str]:
    words = folder / "passphrase"
    words.write_text("correct horse\n")
    words.chmod(0o600)
    file = ["--passphrase-file", str(words)]
    done = world.ostiary("approvals", "init", "--as", "user:ana@example.org", *file, state=state)
    assert done.returncode == 0, done.stderr
    return file


def verified(heard: tuple[str, bytes]) -> dict[str, Any]:
    said, body = heard
    time, mac = said.removeprefix("t=").split(",v1=")
    assert hmac.compare_digest(mac, hmac.new(SECRET, f"{time}.".encode() + body, hashlib.sha256).hexdigest())
    return json.loads(body)


def test_a_receiver_hears_of_a_call_from_the_question_to_its_use(tmp_path: Path) -> None:
    state = world.state_folder(tmp_path)
    file = approver(tmp_path, state)
    with receiving() as (port, heard):
        gate = Proxied(tmp_path, state, "--approval-webhook", f"http://127.0.0.1:{port}/")
        pending = gate.call(1, path="never-told-to-anybody")
        request = pending["_meta"]["io.ostiary/decision"]["approval"]["id"]
        world.wait_for("the question", lambda: len(heard) == 1)
        done = world.ostiary("approvals", "resolve", request, "--approve", *file, state=state)
        assert done.returncode == 0, done.stderr
        world.wait_for("the answer", lambda: len(heard) == 2)
        assert gate.call(2, path="never-told-to-anybody")["content"][0]["text"] == "done"
        world.wait_for("its use", lambda: len(heard) == 3)
        gate.end()

    documents = [verified(one) for one in heard]
    assert [one["event"] for one in documents] == [
        "approval.requested",
        "approval.approved",
        "approval.consumed",
    ]
    assert {one["approval"]["id"] for one in documents} == {request}
    assert all(b"never-told-to-anybody" not in body for _, body in heard)


def request_of(answer: dict[str, Any]) -> str:
    return answer["_meta"]["io.ostiary/decision"]["approval"]["id"]


def test_an_approval_is_for_one_call_with_these_arguments_and_for_one_use(tmp_path: Path) -> None:
    """P5.7, P5.8, P5.9: other arguments are another request; an identical call joins, then passes once."""
    state = world.state_folder(tmp_path)
    file = approver(tmp_path, state)
    with receiving() as (port, _):
        gate = Proxied(tmp_path, state, "--approval-webhook", f"http://127.0.0.1:{port}/")
        request = request_of(gate.call(1, path="a", n="1"))
        assert request_of(gate.call(2, n="1", path="a")) == request
        other = request_of(gate.call(3, path="b", n="1"))
        assert other != request
        done = world.ostiary("approvals", "resolve", request, "--approve", *file, state=state)
        assert done.returncode == 0, done.stderr

        assert request_of(gate.call(4, path="b", n="1")) == other
        assert gate.call(5, n="1", path="a")["content"][0]["text"] == "done"
        assert request_of(gate.call(6, path="a", n="1")) not in {request, other}
        gate.end()


def test_a_row_that_calls_itself_approved_lets_nothing_pass(tmp_path: Path) -> None:
    """P5.10: what the store says of itself counts for nothing without a signature."""
    state = world.state_folder(tmp_path)
    approver(tmp_path, state)
    with receiving() as (port, _):
        gate = Proxied(tmp_path, state, "--approval-webhook", f"http://127.0.0.1:{port}/")
        request = request_of(gate.call(1, path="a"))
        connection = sqlite3.connect(state / "ostiary.db", isolation_level=None)
        connection.execute("UPDATE approvals SET state = 'approved' WHERE id = ?", (request,))
        connection.close()

        answer = gate.call(2, path="a")

        assert answer["isError"] is True
        assert "does not count" in answer["content"][0]["text"]
        gate.end()


def test_a_receiver_that_is_gone_holds_up_nothing_and_leaves_a_record(tmp_path: Path) -> None:
    state = world.state_folder(tmp_path)
    approver(tmp_path, state)
    port = world.free_port()
    gate = Proxied(tmp_path, state, "--approval-webhook", f"http://127.0.0.1:{port}/hidden-path")
    request = gate.call(1)["_meta"]["io.ostiary/decision"]["approval"]["id"]

    errors = gate.end()

    assert f"the webhook was not told of approval.requested {request}: the gate stopped" in errors
    assert "hidden-path" not in errors
    rows = world.ostiary("audit", "export", state=state).stdout.splitlines()
    records = [json.loads(row)["record"] for row in rows]
    [failed] = [one for one in records if one.get("method") == "webhook-failed"]
    assert failed["approval"] == request
    assert failed["reasons"] == ["approval.requested: the gate stopped"]
    assert "hidden-path" not in json.dumps(records)
