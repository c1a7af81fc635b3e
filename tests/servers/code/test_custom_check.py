"""What may be stored as a custom tool: names, schemas and sizes that are meant to break things."""

from __future__ import annotations

from typing import Any, Final

import pytest

from ostiary.errors import CallerFault
from ostiary.servers.code.custom_check import (
    MAX_SCRIPT,
    checked_name,
    checked_schema,
    checked_script,
    plain_name,
    read_definition,
    variables,
)

TEXT: Final = {"description": "says"}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "name",
    [
        "", "1x", "a b", "a-b", "a'b", 'a"b', "a.v2", "a\nb", "a\0b", "ä", "аdmin", "x" * 49,
        "class", "custom_x", "Custom_x", "mcp_Time_now", "../x", "x;DROP TABLE custom_tools", "x\u200b",
    ],
)  # fmt: skip
def test_a_name_is_a_plain_identifier(name: str) -> None:
    with pytest.raises(CallerFault, match="cannot be the name of a tool"):
        checked_name(name)


def test_a_name_that_would_be_taken_for_a_tool_that_is_there_is_refused() -> None:
    assert checked_name("report", ("executeCode",)) == "report"
    with pytest.raises(CallerFault, match="taken for `custom_Report`"):
        checked_name("report", ("custom_Report",))
    assert (plain_name("custom_report"), plain_name("report")) == ("report", "report")


@pytest.mark.parametrize("script", ["", " \n", "x" * (MAX_SCRIPT + 1), "a\0b", "\ud800", "ä" * MAX_SCRIPT])
def test_a_script_is_a_text_of_a_bounded_size(script: str) -> None:
    with pytest.raises(CallerFault, match="script"):
        checked_script(script)


def bomb() -> dict[str, Any]:
    """Thirty levels of which each asks the next one twice."""
    twice = {f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(30)}
    return {**of(x={"$ref": "#/$defs/d0"}), "$defs": {**twice, "d30": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"properties": []},
        {"required": "x", **of(x={})},
        of(mcp_x={}),
        of(**{"a b": {}}),
        of(**{"class": {}}),
        of(**{"x'): import os #": {}}),
        of(x={"$ref": "https://example.org/schema.json"}),
        of(x={"$ref": "file:///etc/passwd"}),
        {**of(x={"$ref": "#/$defs/a"}), "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {**of(x={}), "allOf": [{"$ref": "#"}]},
        bomb(),
        of(x={"pattern": "(" * 200}),
        of(x={"pattern": "(a{1000}){1000}"}),
        of(x={"type": "string", "x-mcp-header": "Authorization"}),
        of(**{f"x{number}": {"type": "string", "title": "t" * 100} for number in range(200)}),
    ],
)  # fmt: skip
def test_a_schema_that_reaches_out_or_costs_too_much_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(CallerFault, match=r"input_schema"):
        read_definition({**TEXT, "input_schema": schema})


def test_a_schema_may_name_itself_where_it_descends() -> None:
    tree = {**of(x={"$ref": "#/$defs/t"}), "$defs": {"t": of(next={"$ref": "#/$defs/t"})}}
    assert variables(read_definition({**TEXT, "input_schema": tree}), {"x": {"next": {}}}) == {
        "x": {"next": {}}
    }


def test_a_schema_is_closed_and_needs_nothing_that_has_a_default() -> None:
    given = {**of(a={"type": "integer"}, b={}), "required": ["a", "b"], "additionalProperties": True}

    kept = checked_schema(given, {"a": 1})

    assert kept == {**of(a={"type": "integer"}, b={}), "required": ["b"], "additionalProperties": False}


def test_arguments_become_variables_with_defaults_and_none_for_the_rest() -> None:
    definition = read_definition(
        {**TEXT, "input_schema": of(a={"type": "integer"}, b={}), "default_input_vars": {"a": 1}}
    )

    assert variables(definition, {}) == {"a": 1, "b": None}
    assert variables(definition, {"a": 2, "b": "x"}) == {"a": 2, "b": "x"}
    for wrong in ({"a": "x"}, {"c": 1}, {"a": None}):
        with pytest.raises(CallerFault, match="invalid arguments"):
            variables(definition, wrong)


@pytest.mark.parametrize(
    "more",
    [
        {"description": ""},
        {"description": "x" * 2_001},
        {"description": "a\u202eb"},
        {"description": "\ud800"},
        {"output_variables": ["a b"]},
        {"output_variables": ["mcp_x"]},
        {"output_variables": ["x"] * 101},
        {"required_tools": ["x" * 201]},
        {"default_input_vars": {"unknown": 1}},
        {"default_input_vars": {"x": "y" * 20_000}},
        {"test_input": {"x": "y" * 20_000}},
    ],
)
def test_every_part_of_a_definition_is_bounded(more: dict[str, Any]) -> None:
    with pytest.raises(CallerFault):
        read_definition({**TEXT, **more})


def test_what_an_update_does_not_name_stays() -> None:
    before = read_definition(
        {**TEXT, "input_schema": of(a={}), "deployment_type": "public", "test_input": {"a": 1}}
    )

    after = read_definition({"description": "other"}, before)

    assert (after.description, after.public, after.sample) == ("other", True, {"a": 1})
    assert after.input_schema == before.input_schema
    assert not read_definition({"deployment_type": "private"}, before).public
