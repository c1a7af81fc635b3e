"""Every official client, on the server as it comes: what it lists fits, and what it calls answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.driver import KINDS, PYTHON_1, TYPESCRIPT_1, Drivers, Kind
from tests.servers.django.world import Client, OverHttp, over_stdio

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]


PREFIXED = (PYTHON_1, TYPESCRIPT_1)


@pytest.mark.parametrize(
    ("kind", "naming"),
    [*((kind, "bare") for kind in KINDS), *((kind, "prefixed") for kind in PREFIXED)],
    ids=lambda one: one if isinstance(one, str) else one.name,
)
def test_a_client_that_starts_the_server_lists_calls_and_reads(
    clients: Drivers, project: Path, tmp_path: Path, kind: Kind, naming: str
) -> None:
    target = over_stdio(tmp_path, project, "--naming", naming, "--timeout", "5")
    with clients.connect(kind, target) as connection:
        client = Client(connection, prefix=naming == "prefixed")
        before = {"bare": ("", "", ""), "prefixed": ("project_", "management_", "shell_")}[naming]
        assert len(connection.ask("tools/list")["result"]["tools"]) == 13

        assert client.execute("x = 1\nprint(x)")["stdout"] == "1\n"
        assert client.value("x + 1") == 2
        assert client.raised("1/0")["exc_type"] == "ZeroDivisionError"
        assert client.raised("import time; time.sleep(60)")["exc_type"] == "TimeLimit"
        assert client.tool(f"{before[0]}list_apps")["result"]
        assert client.tool(f"{before[0]}list_routes")["result"]
        assert client.tool(f"{before[0]}get_project_info")["django"]["settings_module"] == "bookshop.settings"
        assert client.tool(f"{before[1]}execute_command", command="check")["exception"] is None
        assert "print(x)" in client.tool(f"{before[2]}export_history")["result"]
        assert "NOPE" in client.failing(f"{before[0]}get_setting", key="NOPE")
        assert client.read("django://project/apps") == client.read("django://apps")
        templates = connection.ask("resources/templates/list")["result"]["resourceTemplates"]
        assert len(templates) == 7 + 4
        for arguments, word in (({}, "code"), ({"code": 1}, "/code"), ({"code": "1", "more": 1}, "more")):
            assert word in client.failing(f"{before[2]}execute", **arguments)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_client_over_http_has_a_session(
    clients: Drivers, project: Path, tmp_path: Path, kind: Kind
) -> None:
    gate = OverHttp(tmp_path, project)
    try:
        with clients.connect(kind, gate.http) as connection:
            assert Client(connection).execute("x = 1")["status"] == "success"
            assert Client(connection).value("x") == 1
    finally:
        assert gate.stop() == 0
