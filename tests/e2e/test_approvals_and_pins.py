"""A server that changes a tool after a call of it was approved: the approval was for another tool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_pins import EVIL, GOOD, Place
from tests.e2e.world import OSTIARY, environment

Json = Any

POLICY = {
    "version": "1",
    "default": "deny",
    "tools": {"echo": {"action": "require_approval", "approval": {"hold": "0s"}}},
}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    secret = tmp_path / "passphrase"
    secret.touch(0o600)
    secret.write_text("eight words are better than one")
    made.run("approvals", "init", "--as", "user:ann", "--passphrase-file", str(secret))
    return made


@contextmanager
def gate(place: Place, *options: str) -> Iterator[subprocess.Popen[str]]:
    words = ["proxy", "-p", "policy.json", "--server", "s", "--state-dir", str(place.state), *options]
    process = subprocess.Popen(
        [*OSTIARY, *words, "--", *place.server],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=place.folder, env=environment(),
    )  # fmt: skip
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=20)


def called(place: Place, *options: str) -> Json:
    """What a client that connects anew is answered to the call."""
    with gate(place, *options) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in (HELLO, CALL):
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
    return answer["result"]


def asked(result: Json) -> str:
    """The request that a held call waits for."""
    assert result["content"][0]["text"].startswith("[APPROVAL REQUIRED]"), result
    return result["_meta"]["io.ostiary/decision"]["approval"]["id"]


def approve(place: Place, request: str) -> None:
    secret = str(place.folder / "passphrase")
    place.run("approvals", "resolve", request, "--approve", "--passphrase-file", secret)


def test_an_approval_does_not_count_for_a_tool_that_was_changed_after_it(place: Place) -> None:
    """P5.7: it is bound to the definition, and is still good for the tool as it was."""
    approve(place, first := asked(called(place)))

    place.offer(EVIL)
    second = asked(called(place))
    place.offer(GOOD)
    ran = called(place)
    third = asked(called(place))

    assert len({first, second, third}) == 3
    assert ran["content"][0]["text"] == "done"


def test_locked_pins_deny_an_approved_call_of_a_changed_tool_at_once(place: Place) -> None:
    """P7.3, P2.15: the approval lifts a hold, never the denial of what was changed."""
    place.run("pins", "write", "--server", "s", live=True)
    approve(place, asked(called(place, "--pins", "locked")))

    place.offer(EVIL)
    denied = called(place, "--pins", "locked")
    place.offer(GOOD)
    ran = called(place, "--pins", "locked")

    assert denied["content"][0]["text"] == '[POLICY DENIED] Tool "echo" is not available'
    assert ran["content"][0]["text"] == "done"
