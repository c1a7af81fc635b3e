"""The report for programs: its shape, which scripts go by."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from ostiary.registry.classification import Classification
from ostiary.scan.examined import examine
from ostiary.scan.listed import Listed
from ostiary.scan.report.document import document
from ostiary.scan.report.view import Report
from tests.docs.markdown import ROOT
from tests.scan.servers import DROP, HOSTILE, LIST, POISONED, SECRET, server, unreachable

PAGE = ROOT / "docs/reference/scan-report.md"


def parsed(*scanned: Any) -> Any:
    report = Report(servers=examine(scanned), version="9", when="2026-11-20T09:00:00Z")
    return json.loads(msgspec.json.encode(document(report)))


def test_a_program_reads_servers_in_their_order_and_tools_worst_first() -> None:
    whole = parsed(unreachable("gone"), server("db", LIST, DROP))
    gone, db = whole["servers"]

    assert (whole["v"], whole["scanned"], whole["not_scanned"], whole["tools"]) == (1, 1, 1, 2)
    assert (gone["scanned"], gone["grade"], gone["tools"]) == (False, None, [])
    assert gone["fault"] == "the server ended with status 1"
    assert [each["name"] for each in db["tools"]] == ["drop_table", "list_rows"]
    assert db["grade"] == {
        "letter": "D",
        "points": 8,
        "bound": "at best D: something is Critical",
        "parts": [{"what": "1 x Critical", "points": 8}],
    }
    assert db["categories"] == {"Read": 1, "Destructive": 1}
    assert db["tokens"] == sum(each["tokens"] for each in db["tools"])


def test_a_tool_is_all_of_its_classification_and_what_its_definition_says() -> None:
    whole = parsed(server("db", POISONED, HOSTILE))
    tools = whole["servers"][0]["tools"]

    assert whole["findings"] == sum(len(each["findings"]) for each in tools) > 0
    for each in tools:
        assert {field.name for field in msgspec.structs.fields(Classification)} <= set(each)
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", each["digest"])
        assert each["arguments"][0]["required"] in (True, False)


def test_the_page_lists_every_member_and_no_other() -> None:
    whole = parsed(server("db", POISONED))
    one = whole["servers"][0]
    member = re.compile(r"^\| `([a-z_]+)` \|", re.MULTILINE)
    _, *parts = re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    tables = [member.findall(part) for part in parts]

    assert tables[:4] == [
        list(whole),
        list(one),
        list(one["tools"][0]),
        list(one["tools"][0]["arguments"][0]),
    ]


def test_nothing_secret_of_a_configuration_is_in_it() -> None:
    assert SECRET not in json.dumps(parsed(server("a", DROP), unreachable("b")))


def test_what_a_server_offers_beside_tools_is_in_it() -> None:
    file = Listed(name="f", uri="file:///a", digest="sha256:0", raw=b"{}")
    (one,) = parsed(server("a", LIST, instructions="Be nice.", resources=(file,), troubles=("no prompts",)))[
        "servers"
    ]

    assert (one["instructions"], one["troubles"], one["prompts"]) == ("Be nice.", ["no prompts"], [])
    assert one["resources"] == [
        {"name": "f", "title": "", "description": "", "uri": "file:///a", "mime": "", "digest": "sha256:0"}
    ]
