"""The tools as they are listed, against what the two servers list that made their names known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema.validators
import pytest

from ostiary.servers.docker.server import EXEC_TOOLS, SCRIPT_TOOLS

FIXTURES = Path(__file__).parent / "fixtures"
PARE = {
    tool["name"]: tool for tool in json.loads((FIXTURES / "pare_docker.json").read_text("utf-8"))["tools"]
}
DOCKER_MCP = {
    tool["name"]: tool for tool in json.loads((FIXTURES / "docker_mcp.json").read_text("utf-8"))["tools"]
}
OURS = {offer.name: offer for offer in (*EXEC_TOOLS, *SCRIPT_TOOLS)}


def ordered(schema: Any) -> str:
    """A schema as text, in which only the order of properties counts."""
    if isinstance(schema, dict):
        keys = [*schema] if "type" not in schema and "properties" not in schema else sorted(schema)
        inner = {
            key: {name: json.loads(ordered(one)) for name, one in schema[key].items()}
            if key == "properties"
            else json.loads(ordered(schema[key]))
            for key in keys
        }
        return json.dumps(inner)
    if isinstance(schema, list):
        return json.dumps([json.loads(ordered(one)) for one in schema])
    return json.dumps(schema)


@pytest.mark.parametrize("name", PARE)
def test_what_goes_into_a_tool_of_pare_is_what_its_clients_know(name: str) -> None:
    assert OURS[name].inputs == PARE[name]["inputSchema"]
    assert ordered(OURS[name].inputs) == ordered(PARE[name]["inputSchema"])
    assert OURS[name].title == PARE[name]["title"]
    assert PARE[name]["annotations"].items() <= OURS[name].annotations.items()


@pytest.mark.parametrize("name", DOCKER_MCP)
def test_what_goes_into_a_tool_of_docker_mcp_is_what_its_clients_know(name: str) -> None:
    assert OURS[name].inputs == DOCKER_MCP[name]["inputSchema"]
    assert ordered(OURS[name].inputs) == ordered(DOCKER_MCP[name]["inputSchema"])


def test_what_comes_out_differs_only_where_a_closed_schema_would_make_a_legal_reply_illegal() -> None:
    theirs = {name: copy.deepcopy(tool["outputSchema"]) for name, tool in PARE.items()}
    del theirs["exec"]["additionalProperties"]
    container = theirs["ps"]["properties"]["containers"]["items"]
    del container["additionalProperties"]
    container["properties"]["ports"]["items"]["properties"]["protocol"]["enum"].append("sctp")

    for name, schema in theirs.items():
        assert OURS[name].outputs == schema, name
        assert ordered(OURS[name].outputs) == ordered(schema), name


def test_no_tool_is_missing_and_none_is_made_up() -> None:
    assert [offer.name for offer in EXEC_TOOLS] == ["exec", "ps", "logs", "inspect", "stats", "images"]
    assert {offer.name for offer in EXEC_TOOLS} == set(PARE)
    assert {offer.name for offer in SCRIPT_TOOLS} == set(DOCKER_MCP)


@pytest.mark.parametrize("name", OURS)
def test_every_tool_has_a_title_honest_hints_and_schemas_that_are_schemas(name: str) -> None:
    offer = OURS[name]

    assert offer.title
    assert offer.description.endswith(".")
    hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    assert {"readOnlyHint", "openWorldHint"} <= set(offer.annotations) <= hints
    assert offer.annotations["readOnlyHint"] is (
        name in {"ps", "logs", "inspect", "stats", "images", "list_containers"}
    )
    for schema in (offer.inputs, offer.outputs):
        jsonschema.validators.validator_for(schema).check_schema(schema)
