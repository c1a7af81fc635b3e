"""The tools as they are listed, held against those of mcp-django 0.14.0 (`mcp_django.json`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Naming
from ostiary.servers.django.packages import DjangoPackages
from ostiary.servers.django.server import make_server
from ostiary.servers.django.shell import Options, Shell
from tests.sandbox.fake_runner import FakeRunner, made_engine

THEIRS: dict[str, Any] = json.loads((Path(__file__).parent / "mcp_django.json").read_text(encoding="utf-8"))
BARE = {
    "execute", "execute_command", "list_commands", "export_history", "clear_history", "get_project_info",
    "get_setting", "list_apps", "list_models", "list_routes", "djangopackages_search",
    "djangopackages_get_package", "djangopackages_get_grid",
}  # fmt: skip


def server(naming: Naming = "bare", *, extended: bool = False) -> Server:
    shell = Shell(
        made_engine(FakeRunner()),
        DjangoSettings(settings="mysite.settings", project=Path("/nowhere")),
        Options(extended=extended),
        lambda _: True,
        tuple,
    )
    return make_server(shell, DjangoPackages(""), version="0", status=dict, naming=naming)


def listed(naming: Naming = "bare", *, extended: bool = False) -> dict[str, Any]:
    return {str(tool["name"]): tool for tool in server(naming, extended=extended).catalogue.listed}


def without_words(tool: dict[str, Any]) -> str:
    """A tool byte for byte, but for what is said about it: ours keeps names, and theirs does not."""
    wire = {"_meta" if key == "meta" else key: value for key, value in tool.items() if key != "description"}
    return json.dumps(wire)


def test_prefixed_every_tool_is_byte_for_byte_what_the_original_lists_but_for_its_description() -> None:
    ours = server("prefixed").catalogue.listed

    assert [without_words(one) for one in ours] == [without_words(one) for one in THEIRS["tools"]]
    assert all(one["description"] for one in ours)


def test_bare_the_same_tools_are_listed_under_short_names() -> None:
    ours = listed()
    theirs = {tool["name"]: tool for tool in THEIRS["tools"]}

    assert set(ours) == BARE
    for name, tool in ours.items():
        [wire] = [one for key, one in theirs.items() if key.endswith(name)]
        assert tool["inputSchema"] == wire["inputSchema"]
        assert tool["outputSchema"] == wire["outputSchema"]


@pytest.mark.parametrize("naming", ["bare", "prefixed", "both"])
def test_a_call_is_accepted_under_every_name_whatever_is_listed(naming: Naming) -> None:
    accepted = set(server(naming).catalogue.tools)

    assert accepted >= BARE | {tool["name"] for tool in THEIRS["tools"]}
    assert accepted >= {"django_shell", "get_package", "get_grid"}
    assert "search" not in accepted


def test_both_lists_every_name() -> None:
    assert set(listed("both")) == set(server("both").catalogue.tools)


def test_what_ours_takes_beyond_the_original_is_listed_only_when_asked_for() -> None:
    plain, extended = listed(), listed(extended=True)

    assert set(plain["execute"]["inputSchema"]["properties"]) == {"code"}
    assert set(extended["execute"]["inputSchema"]["properties"]) == {"code", "session", "timeout_ms"}
    for tool in extended.values():
        jsonschema.Draft202012Validator.check_schema(tool["inputSchema"])
        assert tool["inputSchema"]["additionalProperties"] is False


def test_the_gate_never_loads_django() -> None:
    code = "import ostiary.wiring.django, ostiary.cli.run_django, sys; print('django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "False\n"


def test_what_is_said_of_a_tool_says_what_the_shell_does() -> None:
    words = {name: str(tool["description"]) for name, tool in listed().items()}

    assert "Names stay from call to call" in words["execute"]
    assert '{"tag": "security"}' in words["execute_command"]
    assert not any("{state}" in text or "{mode}" in text for text in words.values())


def test_resources_are_listed_as_the_names_of_the_tools_are_and_read_under_both_addresses() -> None:
    theirs = {one["uri"] for one in THEIRS["resources"]}

    for naming in ("bare", "prefixed", "both"):
        resources = server(naming).catalogue.resources
        shown = {uri for uri, one in resources.items() if not one.unlisted} - {"sandbox://status"}
        assert set(resources) >= theirs | {"django://apps", "django://models"}
        assert (theirs <= shown) == (naming != "bare")
        assert ({"django://apps", "django://models"} <= shown) == (naming != "prefixed")


def test_prefixed_the_templates_have_the_addresses_of_the_original() -> None:
    shown = {
        one.uri_template: one.listed()
        for _, one in server("prefixed").catalogue.templates
        if not one.unlisted
    }

    for theirs in THEIRS["templates"]:
        ours = shown[theirs["uriTemplate"]]
        assert (ours["name"], ours["mimeType"]) == (theirs["name"], theirs["mimeType"])
        assert (ours["annotations"], ours["_meta"]) == (theirs["annotations"], theirs["meta"])
