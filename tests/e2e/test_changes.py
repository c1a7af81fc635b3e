"""The policy file is edited while official clients are connected: they hear of it, and list anew."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import world
from tests.e2e.driver import (
    PYTHON_1,
    PYTHON_2,
    PYTHON_2_LEGACY,
    TYPESCRIPT_1,
    TYPESCRIPT_2,
    Connection,
    Drivers,
    Http,
    Kind,
    Stdio,
)

pytestmark = [pytest.mark.service, pytest.mark.timeout(60)]

CHANGED = "notifications/tools/list_changed"


def write(file: Path, *tools: str) -> None:
    file.write_text(json.dumps({"version": "1", "default": "deny", "tools": {name: {} for name in tools}}))


def listed(connection: Connection) -> set[str]:
    return {one["name"] for one in connection.ask("tools/list")["result"]["tools"]}


def until_told_of(connection: Connection, *tools: str) -> None:
    """List whenever the client hears of a change; servers have news of their own at the start."""
    shown: set[str] = set()
    while shown != set(tools):
        until_heard(connection, CHANGED)
        shown = listed(connection)


def until_heard(connection: Connection, method: str) -> None:
    while method not in [one["method"] for one in connection.heard(1)["heard"]]:
        pass


def gate(way: str, folder: Path, policy: Path, upstream: Any) -> tuple[Http | Stdio, world.Gate | None]:
    if way == "stdio":
        return world.gated(policy, folder, upstream=upstream), None
    made = world.Gate(policy, folder, upstream=upstream)
    return made.http, made


@pytest.mark.parametrize("way", ["stdio", "http"])
@pytest.mark.parametrize("behind", ["stdio", "http"])
@pytest.mark.parametrize(
    "kind", [PYTHON_1, PYTHON_2_LEGACY, TYPESCRIPT_1, TYPESCRIPT_2], ids=lambda kind: kind.name
)
def test_a_legacy_client_hears_of_an_edited_policy(
    clients: Drivers, tmp_path: Path, kind: Kind, behind: str, way: str
) -> None:
    policy = tmp_path / "policy.json"
    write(policy, "echo")
    server = world.everything_over_http(tmp_path / "server.log") if behind == "http" else None
    target, made = gate(way, tmp_path, policy, server.url if server else world.everything())
    try:
        with clients.connect(kind, target, changes=True) as connection:
            assert listed(connection) == {"echo"}
            if server is not None:  # who has no stream yet when the policy changes is told nothing
                world.wait_for("the stream", lambda: "new SSE stream for session" in server.told())
            write(policy, "echo", "get-sum")

            until_told_of(connection, "echo", "get-sum")
    finally:
        for process in (made, server):
            if process is not None:
                process.stop(signal.SIGKILL)  # a client that left a stream half-closed would be waited for


@pytest.mark.parametrize("way", ["stdio", "http"])
@pytest.mark.parametrize("behind", ["stdio", "http"])
@pytest.mark.parametrize("kind", [PYTHON_2, TYPESCRIPT_2], ids=lambda kind: kind.name)
def test_a_modern_client_that_subscribed_hears_of_an_edited_policy(
    clients: Drivers, tmp_path: Path, kind: Kind, behind: str, way: str
) -> None:
    policy = tmp_path / "policy.json"
    write(policy, "add")
    server = world.modern_over_http(tmp_path / "server.log") if behind == "http" else None
    target, made = gate(way, tmp_path, policy, server.url if server else world.MODERN)
    try:
        with clients.connect(kind, target, changes=True) as connection:
            assert connection.about["protocolVersion"] == "2026-07-28"
            if kind is PYTHON_2:
                until_heard(connection, "listening")
            assert listed(connection) == {"add"}
            write(policy, "add", "fail")

            until_told_of(connection, "add", "fail")
    finally:
        for process in (made, server):
            if process is not None:
                process.stop(signal.SIGKILL)  # a client that left a stream half-closed would be waited for
