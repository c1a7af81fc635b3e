"""Tools of servers as functions of Python: their names, parameters and typed stubs. Pure.

Definitions were written by servers that nobody vouches for. Nothing of their text gets into a stub but
names that are identifiers.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.wire.message import as_object

MAX_NAME: Final = 128
_NOT_A_LETTER: Final = re.compile(r"[^A-Za-z0-9_]")
_TYPES: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict[str, Any]",
    "null": "None",
}
_DEPTH: Final = 4
"""How deep into arrays a stub goes."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One tool as a function. `parameters` are in the order in which positions count.

    `open` says that it takes names beside them: the schema has some that Python cannot write, or allows
    others.
    """

    name: str
    server: str
    definition: ToolDefinition
    parameters: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    types: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    open: bool = False

    @property
    def tool(self) -> str:
        """The tool's own name."""
        return self.definition.name

    @property
    def stub(self) -> str:
        """Its declaration."""
        parts = [
            f"{one}: {self.types[one]}" + ("" if one in self.required else " = ...")
            for one in self.parameters
        ]
        if self.open:
            parts.append("**more: Any")
        return f"def {self.name}({', '.join(parts)}) -> Any: ..."


def functions_of(
    tools: Mapping[str, Sequence[ToolDefinition]], offered: Sequence[str] = ()
) -> dict[str, Function]:
    """A function for each tool of each server, by its name `mcp_<Server>_<tool>`.

    Two of one server that would have one name are told apart by a number, in the order of its tools. What a
    name means never depends on another server: a tool whose function would be called like one of another of
    those `offered` (`hub_merge` of `Git`, where there is a server `Git_hub`) is left out.
    """
    prefixes = {prefix_of(server) for server in (*offered, *tools)}
    found: dict[str, Function] = {}
    for server, definitions in tools.items():
        own = prefix_of(server)
        longer = tuple(one for one in prefixes if one != own and one.startswith(own))
        for definition in definitions:
            plain = f"{own}{letters(definition.name)}"
            name = _free(plain[:MAX_NAME], found)
            if not plain.startswith(longer) and not name.startswith(longer):  # a number can make it longer
                found[name] = _function(name, server, definition)
    return found


def prefix_of(server: str) -> str:
    """With what the names of a server's functions begin."""
    return f"mcp_{letters(server)}_"


def letters(name: str) -> str:
    """A name with `_` for whatever cannot be in an identifier."""
    return _NOT_A_LETTER.sub("_", name)


def matched(function: Function, positional: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any] | str:
    """The arguments of a call by their names, or what is wrong with them."""
    if len(positional) > len(function.parameters):
        most = len(function.parameters)
        return f"{function.name}() takes {most} positional arguments but {len(positional)} were given"
    arguments = dict(zip(function.parameters, positional, strict=False))
    for name, value in named.items():
        if name in arguments:
            return f"{function.name}() got two values for `{name}`"
        arguments[name] = value
    return arguments


def _function(name: str, server: str, definition: ToolDefinition) -> Function:
    schema = as_object(definition.input_schema) or {}
    properties = as_object(schema.get("properties")) or {}
    wanted = schema.get("required")
    required = {str(one) for one in cast("list[object]", wanted)} if isinstance(wanted, list) else set[str]()
    spoken = [one for one in properties if _can_be_written(one)]
    ordered = [one for one in spoken if one in required] + [one for one in spoken if one not in required]
    return Function(
        name=name,
        server=server,
        definition=definition,
        parameters=tuple(ordered),
        required=frozenset(required),
        types={one: _type(properties[one]) for one in ordered},
        open=len(spoken) < len(properties) or schema.get("additionalProperties") is not False,
    )


def _type(schema: object, depth: int = 0) -> str:
    """The type of what a schema describes, `Any` for what has no simple one."""
    known = as_object(schema) or {}
    kind = known.get("type")
    if isinstance(kind, list):
        kinds = [str(one) for one in cast("list[object]", kind)]
        return " | ".join(dict.fromkeys(_TYPES.get(one, "Any") for one in kinds)) or "Any"
    if kind == "array" and depth < _DEPTH:
        return f"list[{_type(known.get('items'), depth + 1)}]"
    return _TYPES.get(kind, "Any") if isinstance(kind, str) else "Any"


def _can_be_written(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)


def _free(name: str, taken: Mapping[str, object]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
