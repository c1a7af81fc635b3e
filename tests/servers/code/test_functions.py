"""Tools as functions: names, parameters, stubs. Definitions are hostile text."""

from __future__ import annotations

import ast
import keyword
import string
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ostiary.registry.fingerprint import definition
from ostiary.servers.code.functions import Function, functions_of, matched


def tool(name: str, schema: Any = None, **more: Any) -> Any:
    value = {"name": name, "inputSchema": schema if schema is not None else {"type": "object"}, **more}
    return definition(name, b"{}", value)


def only(schema: Any) -> Function:
    (function,) = functions_of({"Time": [tool("get_time", schema)]}).values()
    return function


ZONE = {
    "type": "object",
    "properties": {
        "format": {"type": "string"},
        "zone": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["zone"],
    "additionalProperties": False,
}


def test_a_tool_is_a_function_named_after_its_server_and_itself() -> None:
    found = functions_of({"Time": [tool("get-time")], "My Server": [tool("a.b")]})

    assert sorted(found) == ["mcp_My_Server_a_b", "mcp_Time_get_time"]
    assert found["mcp_Time_get_time"].tool == "get-time"


def test_two_tools_that_would_share_a_name_are_told_apart() -> None:
    found = functions_of({"A": [tool("x-y"), tool("x_y"), tool("x.y")]})

    assert {name: one.tool for name, one in found.items()} == {
        "mcp_A_x_y": "x-y",
        "mcp_A_x_y_2": "x_y",
        "mcp_A_x_y_3": "x.y",
    }


def test_no_server_can_take_the_name_of_another_ones_function() -> None:
    own = {"Git_hub": [tool("merge")]}
    taking = {"Git": [tool("hub_merge"), tool("hubs"), tool("merge")]}

    assert functions_of(taking | own)["mcp_Git_hub_merge"].server == "Git_hub"
    # Also while the other cannot be asked: what a name means does not change with that.
    assert sorted(functions_of(taking, ["Git", "Git_hub"])) == ["mcp_Git_hubs", "mcp_Git_merge"]
    numbered = {"Git": [tool("a-b"), tool("a_b")], "Git_a_b": [tool("2")]}
    assert functions_of(numbered)["mcp_Git_a_b_2"].server == "Git_a_b"


def test_a_stub_has_what_is_required_first_and_types_where_they_are_simple() -> None:
    assert only(ZONE).stub == (
        "def mcp_Time_get_time(zone: str, format: str = ..., tags: list[int] = ...) -> Any: ..."
    )


def test_names_that_python_cannot_write_are_taken_all_the_same() -> None:
    function = only({"type": "object", "properties": {"class": {}, "a b": {}}, "additionalProperties": False})

    assert function.stub == "def mcp_Time_get_time(**more: Any) -> Any: ..."
    assert matched(function, (), {"class": 1}) == {"class": 1}


def test_positions_count_in_the_order_of_the_stub() -> None:
    function = only(ZONE)

    assert matched(function, ("UTC", "iso"), {}) == {"zone": "UTC", "format": "iso"}
    assert matched(function, ("UTC",), {"zone": "CET"}) == "mcp_Time_get_time() got two values for `zone`"
    assert (
        matched(function, (1, 2, 3, 4), {})
        == "mcp_Time_get_time() takes 3 positional arguments but 4 were given"
    )


NAMES = st.text(st.characters(codec="utf-8") | st.sampled_from("\"'\\\n\0; #("), max_size=30)
TYPES = st.sampled_from(["string", "integer", "array", "object", ["string", "null"], 3, None, {"a": 1}])
PROPERTIES = st.fixed_dictionaries({}, optional={"type": TYPES, "items": TYPES})
SCHEMAS = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.dictionaries(
            NAMES, st.fixed_dictionaries({}, optional={"type": TYPES, "items": TYPES})
        ),
        "required": st.lists(NAMES) | st.just("x"),
        "additionalProperties": st.booleans(),
    },
)


@given(server=st.text(string.ascii_letters, min_size=1), names=st.lists(NAMES, max_size=6), schema=SCHEMAS)
def test_whatever_a_server_writes_a_stub_is_one_declaration(
    server: str, names: list[str], schema: Any
) -> None:
    found = functions_of({server: [tool(name, schema) for name in names]})

    assert len(found) == len(names)
    for name, one in found.items():
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        (statement,) = ast.parse(one.stub).body
        assert isinstance(statement, ast.FunctionDef)
        assert statement.name == name
