"""What the policy that comes with the Django server lets through, by itself and in front of the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import ostiary.servers.django as package
from ostiary.policy.compile import Compiled, compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.policy.load import load_text
from tests.docs.markdown import ROOT, fences
from tests.e2e.driver import PYTHON_2, Drivers, text
from tests.servers.django.world import Client, over_stdio, texts

POLICY = Path(package.__file__).parent / "policy.yaml"
WIRE = [one["name"] for one in json.loads((Path(__file__).parent / "mcp_django.json").read_text())["tools"]]
LOOKS = ("check", "showmigrations", "sqlmigrate", "inspectdb", "findstatic", "sqlflush")


def policy() -> Compiled:
    document, diagnostics = load_text(POLICY.read_bytes(), file="policy.yaml", unsafe_monitor=False)
    assert document is not None, diagnostics
    assert document.single is not None
    return compile_policy(document.single)


def effect(tool: str, **arguments: Any) -> str:
    return decide(policy(), Question(tool=tool, arguments=arguments)).effect


def both(tool: str) -> tuple[str, str]:
    """A tool's name on the wire, and its short one."""
    toolset, _, bare = tool.partition("_")
    return tool, tool if toolset == "djangopackages" else bare


@pytest.mark.parametrize("wire", [name for name in WIRE if not name.endswith("execute_command")])
def test_each_tool_may_be_called_under_both_names(wire: str) -> None:
    assert [effect(name) for name in both(wire)] == ["allow", "allow"]


@pytest.mark.parametrize("tool", ["search", "get_package", "django_shell", "python_execute", "Execute"])
def test_nothing_else_may(tool: str) -> None:
    assert effect(tool) == "deny"


@pytest.mark.parametrize("name", ["execute_command", "management_execute_command"])
def test_commands_that_only_look_pass_and_dangerous_ones_do_not_whatever_the_spelling(name: str) -> None:
    for command in LOOKS:
        assert effect(name, command=command) == "allow"
    for command in (
        "flush",
        "dbshell",
        "shell",
        "runserver",
        "testserver",
        "createsuperuser",
        "diffsettings",
    ):
        assert effect(name, command=command) == "deny"
    for command in ("migrate", "loaddata", "makemigrations", "restock", "check "):
        assert effect(name, command=command) == "hold"
    assert effect(name, command=["flush"]) == "deny"


def test_both_spellings_of_a_tool_have_the_same_rules() -> None:
    rules = policy().policy.tools

    for wire in WIRE:
        long, short = (
            re.sub(r"\bplace=Place\([^)]*\)|/tools/\w+", "", repr(rules[name])) for name in both(wire)
        )
        assert long == short


def test_the_page_shows_the_policy_that_is_enforced() -> None:
    [shown, *_] = [
        one.text for one in fences(ROOT / "docs/how-to/run-django.md") if one.label == "yaml policy"
    ]

    assert meaning(shown.encode()) == meaning(POLICY.read_bytes())


def meaning(content: bytes) -> object:
    document, diagnostics = load_text(content, file="policy.yaml", unsafe_monitor=False)
    assert document is not None, diagnostics
    return document


@pytest.mark.timeout(120)
@pytest.mark.service
def test_in_front_of_the_server_it_counts_refuses_and_shortens_the_list_of_commands(
    clients: Drivers, project: Path, tmp_path: Path
) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, project, "--default-policy")) as connection:
        client = Client(connection)
        assert [client.value(str(number)) for number in range(10)] == list(range(10))
        eleventh = connection.call("execute", code="1")
        assert eleventh["result"]["isError"] is True
        assert "limit" in text(eleventh)

        flushed = connection.call("execute_command", command="flush")
        assert flushed["result"]["isError"] is True
        assert "it empties the database" in text(flushed)
        assert client.tool("execute_command", command="check")["status"] == "success"

        listed = {one["name"] for one in client.tool("list_commands")["result"]}
        assert {"check", "migrate", "restock"} <= listed
        assert not {"flush", "dbshell", "shell", "runserver", "diffsettings"} & listed

        unlisted = connection.call("shell_execute", code="1")
        assert "error" in unlisted or unlisted["result"]["isError"] is True
        assert client.read("django://apps")
        assert texts(connection.call("get_setting", key="DEBUG"))


@pytest.mark.timeout(120)
@pytest.mark.service
def test_under_a_policy_that_allows_everything_the_list_of_commands_is_whole(
    clients: Drivers, project: Path, tmp_path: Path
) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, project)) as connection:
        listed = {one["name"] for one in Client(connection).tool("list_commands")["result"]}

    assert {"flush", "check"} <= listed
