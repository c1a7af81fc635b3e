"""Custom tools as the official clients see them: listed, called, and told of, across gates and restarts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import KINDS, PYTHON_2_LEGACY, Connection, Drivers, Json, Kind, Stdio, failed, text
from tests.e2e.world import ostiary, published, state_folder
from tests.needs import UNBRAKED
from tests.servers.python.world import OSTIARY, walled

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

CHANGED = "notifications/tools/list_changed"
POLICY = """\
version: "1"
servers:
  code: {default: allow, tools: {}, resources: {default: allow}, methods: {default: allow}}
"""
TOOL = {
    "script": "zone = mcp_Time_get_current_time(timezone=name)['timezone']",
    "deployment_name": "zone_of",
    "description": "The zone of a time.",
    "input_schema": {"type": "object", "properties": {"name": {"type": "string"}}},
    "output_variables": ["zone"],
    "default_input_vars": {"name": "UTC"},
    "mcp_server_names": ["Time"],
    "deployment_type": "public",
}


@pytest.fixture(scope="module")
def clients() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


def gate(folder: Path, grant: str) -> Stdio:
    """Code mode as a client of `grant` starts it; every gate of a folder has one state directory."""
    words = published("time")
    file, policy = folder / "servers.json", folder / "policy.yaml"
    file.write_text(json.dumps({"mcpServers": {"Time": {"command": words[0], "args": words[1:]}}}))
    policy.write_text(POLICY)
    options = ["--servers", str(file), "-p", str(policy), "--grant", grant, *UNBRAKED]
    state = ["--state-dir", str(state_folder(folder))]
    return Stdio([*OSTIARY, "run", "code", *options, *state], folder / f"log-{grant}", walled())


def names(connection: Connection) -> set[str]:
    return {one["name"] for one in connection.ask("tools/list", {})["result"]["tools"]}


def data(answer: Json) -> Json:
    assert not failed(answer), text(answer)
    return answer["result"]["structuredContent"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_official_client_makes_a_tool_sees_it_and_calls_it(
    clients: Drivers, kind: Kind, tmp_path: Path
) -> None:
    with clients.connect(kind, gate(tmp_path, "ann")) as ann:
        made = data(ann.call("createCustomTool", **TOOL))
        listed = {one["name"]: one for one in ann.ask("tools/list", {})["result"]["tools"]}
        found = data(ann.call("custom_zone_of", name="Asia/Tokyo"))
        usual = data(ann.call("custom_zone_of"))

    assert made["test"]["outputs"] == {"zone": "UTC"}
    assert listed["custom_zone_of"]["inputSchema"]["properties"] == {"name": {"type": "string"}}
    assert (found["outputs"], usual["outputs"]) == ({"zone": "Asia/Tokyo"}, {"zone": "UTC"})
    assert [one["name"] for one in found["tool_calls"]] == ["mcp_Time_get_current_time"]


def test_a_client_of_another_gate_hears_of_a_public_tool_and_of_its_removal(
    clients: Drivers, tmp_path: Path
) -> None:
    with (
        clients.connect(PYTHON_2_LEGACY, gate(tmp_path, "ben"), changes=True) as ben,
        clients.connect(PYTHON_2_LEGACY, gate(tmp_path, "ann"), changes=True) as ann,
    ):
        names(ben)
        data(ann.call("createCustomTool", **TOOL))
        until_heard(ben, "custom_zone_of", there=True)
        assert "custom_zone_of" in names(ann)
        assert data(ben.call("custom_zone_of"))["outputs"] == {"zone": "UTC"}

        shown = ostiary("code", "tools", "show", "zone_of", state=tmp_path / "state").stdout
        removed = ostiary("code", "tools", "remove", "zone_of", state=tmp_path / "state")

        assert TOOL["script"] in shown
        assert removed.returncode == 0
        until_heard(ben, "custom_zone_of", there=False)
        until_heard(ann, "custom_zone_of", there=False)


def until_heard(connection: Connection, tool: str, *, there: bool) -> None:
    """List whenever the client hears of a change, until it is so."""
    while (tool in names(connection)) is not there:
        while CHANGED not in [one["method"] for one in connection.heard(1)["heard"]]:
            pass
