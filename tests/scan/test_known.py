"""What the memory of a look still says of a server that has more tools than are kept of one."""

from __future__ import annotations

from typing import Any

import pytest

from ostiary.registry.subject import Subject
from ostiary.registry.verdict import Verdict, verdict
from ostiary.scan.known import best, case_of, of_seen, of_tools
from ostiary.store.prechecks import MAX_TOOLS, Seen, kept_of
from tests.registry.shelved import DELETE, POISONED, defined

SUBJECT = Subject(kind="npm", name="many-mcp", version="1.0.0")


def harmless(number: int) -> dict[str, Any]:
    return {
        "name": f"list_thing_{number}",
        "description": "List rows of a table.",
        "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": True},
    }


def remembered(*tools: dict[str, Any]) -> tuple[Seen, Verdict]:
    """What is kept of a look at a server with these tools, and the verdict from that alone."""
    seen = Seen(at=1, version="1.0.0", source="connected", tools=of_tools(defined(tools)))
    kept = kept_of(seen)
    chosen = best(SUBJECT, of_seen(kept), None, None)
    return kept, verdict(case_of(SUBJECT, chosen, None))


@pytest.mark.parametrize(("last", "code"), [(POISONED, "poisoned"), (DELETE, "destroys")])
def test_the_worst_tool_of_a_server_is_remembered_wherever_it_stands(last: dict[str, Any], code: str) -> None:
    kept, said = remembered(*map(harmless, range(MAX_TOOLS)), last)

    assert (len(kept.tools), kept.tools[-1].name) == (MAX_TOOLS, last["name"])
    assert [each.name for each in kept.tools[:2]] == ["list_thing_0", "list_thing_1"]
    assert last["name"] in said.tools
    assert code in [reason.code for reason in said.reasons]


def test_a_server_with_more_tools_than_are_kept_is_asked_about_and_one_with_as_many_is_not() -> None:
    _, many = remembered(*map(harmless, range(MAX_TOOLS + 1)))
    _, fitting = remembered(*map(harmless, range(MAX_TOOLS)))

    assert (many.action, many.reasons[0].code) == ("ask-first", "not-whole")
    assert "only 1,000 of its tools" in many.reasons[0].text
    assert fitting.action == "proceed"
