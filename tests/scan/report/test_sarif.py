"""The report for code scanning: valid SARIF, one result for each thing, the same ones every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from ostiary.registry.poisoning.kinds import KINDS
from ostiary.scan.examined import examine
from ostiary.scan.report.sarif import sarif
from ostiary.scan.report.sarif_rules import RULES
from ostiary.scan.report.view import Report
from ostiary.scan.scanned import Scanned
from tests.scan.servers import DROP, HOSTILE, LIST, POISONED, SECRET, SHELL, server, tool, unreachable

SCHEMA = jsonschema.Draft7Validator(
    json.loads((Path(__file__).parent / "sarif_schema/sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
)


def run_of(*scanned: Scanned, root: str = "") -> dict[str, Any]:
    log = sarif(Report(servers=examine(scanned), version="9", when="2026-11-20T09:00:00Z"), root)
    plain = json.loads(msgspec.json.encode(log))
    SCHEMA.validate(plain)
    (run,) = plain["runs"]
    return run


def marks(run: dict[str, Any]) -> dict[str, str]:
    return {each["partialFingerprints"]["ostiaryScan/v1"]: each["ruleId"] for each in run["results"]}


def test_every_result_has_a_rule_a_place_and_a_fingerprint_of_its_own() -> None:
    run = run_of(server("db", LIST, DROP, POISONED, HOSTILE, ambiguous=("list_rows",)), unreachable("gone"))
    rules = run["tool"]["driver"]["rules"]

    assert len(marks(run)) == len(run["results"]) >= 9
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        assert each["locations"][0]["logicalLocations"]
    assert {
        "server/not-scanned",
        "server/two-definitions",
        "tool/destructive",
        "finding/secrecy-order",
    } <= set(marks(run).values())


def test_a_harmless_tool_is_no_result() -> None:
    assert run_of(server("db", LIST))["results"] == []


def test_fingerprints_stay_when_something_else_changes() -> None:
    before = marks(run_of(server("db", DROP, POISONED)))
    longer = {**DROP, "description": DROP["description"] + " Also the backups."}
    after = marks(run_of(server("db", SHELL, POISONED, longer, LIST)))

    assert before.items() <= after.items()


def test_fingerprints_stay_when_a_second_file_has_a_server_of_that_name() -> None:
    mine = server("db", DROP, POISONED, source="/home/x/repo/.mcp.json")
    other = server("db", DROP, POISONED, source="/home/x/repo/b/.mcp.json")
    before = marks(run_of(mine, root="/home/x/repo"))
    both = run_of(other, mine, root="/home/x/repo")

    assert before.items() <= marks(both).items()
    assert len(marks(both)) == len(both["results"])


def test_fingerprints_are_alike_wherever_the_project_lies() -> None:
    runs = [
        run_of(server("db", DROP, source=f"{root}{file}"), root="/home/x/repo")
        for root, file in (("/home/x/repo/", ".mcp.json"), ("./", ".mcp.json"), ("", ".mcp.json"))
    ]
    elsewhere = run_of(server("db", DROP, source="/srv/ci/.mcp.json"), root="/srv/ci")

    assert len({json.dumps(marks(run)) for run in [*runs, elsewhere]}) == 1


def test_servers_of_one_name_in_one_file_have_fingerprints_of_their_own() -> None:
    run = run_of(server("db", DROP, source=".claude.json"), server("db", DROP, source=".claude.json"))

    assert [*marks(run).values()].count("tool/destructive") == 2
    assert len(marks(run)) == len(run["results"])


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        ("/home/x/repo/.mcp.json", {"uri": ".mcp.json", "uriBaseId": "%SRCROOT%"}),
        ("./.mcp.json", {"uri": ".mcp.json", "uriBaseId": "%SRCROOT%"}),
        ("/home/x/repository/a b.json", {"uri": "file:///home/x/repository/a%20b.json"}),
    ],
)
def test_a_result_points_to_the_file_that_names_the_server(source: str, uri: dict[str, str]) -> None:
    (result,) = run_of(server("db", DROP, source=source), root="/home/x/repo")["results"]

    assert result["locations"][0]["physicalLocation"] == {"artifactLocation": uri}


def test_a_server_that_was_not_scanned_makes_the_run_no_success() -> None:
    run = run_of(unreachable("gone"), server("db", LIST))

    assert run["invocations"][0]["executionSuccessful"] is False
    assert "the server ended" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert [each["level"] for each in run["results"]] == ["error"]
    assert run_of(server("db", LIST))["invocations"][0]["executionSuccessful"] is True


def test_a_servers_text_is_neither_link_nor_placeholder() -> None:
    (found,) = [
        each
        for each in run_of(server("db", tool("x[a](https://evil.example){0}", "Delete it")))["results"]
        if each["ruleId"].startswith("tool/")
    ]

    assert "x\\[a\\](https://evil.example){{0}}" in found["message"]["text"]


def test_every_kind_of_finding_has_a_rule_with_a_help() -> None:
    assert {f"finding/{kind}" for kind in KINDS} <= set(RULES)
    assert all(rule.help and rule.what and 0 < float(rule.harm) <= 10 for rule in RULES.values())
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_nothing_secret_of_a_configuration_is_in_it() -> None:
    run = run_of(server("a", DROP, environment={"A": SECRET}), unreachable("b"))

    assert SECRET not in json.dumps(run)
