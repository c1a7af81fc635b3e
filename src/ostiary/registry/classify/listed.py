"""A list of tools from a file: strict, bounded, and with the place of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

from ostiary.errors import CallerFault
from ostiary.registry.change import named
from ostiary.registry.classification import Described
from ostiary.registry.work import TOGETHER, fits
from ostiary.wire.message import as_object
from ostiary.wire.strict import Refused, parse_json

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_TOOLS: Final = 20_000
MAX_NAME: Final = 1_024

SHAPE: Final = 'expected a list of {"server", "name" or "tool", "description", "inputSchema", "annotations"}'
_HINT: Final = SHAPE + ', or the result of `tools/list`: {"tools": [...]}'


def read_list(data: bytes, where: str, *, server: str = "") -> tuple[Described, ...]:
    """The tools of a list, or of the result of `tools/list`. `server` stands in for those that name none.

    A tool of such a result is of the server that answered, whatever it says: how much is judged goes by
    the server, and so does which tools are another's.
    Raises CallerFault with file, line and column for what is no JSON, and with the entry's index
    (from 0) for an entry that is no tool.
    """
    if len(data) > MAX_BYTES:
        raise CallerFault(f"`{where}` is larger than {MAX_BYTES // 2**20} MiB", hint="classify it in parts")
    value = _parsed(data, where)
    members = as_object(value)
    if members is not None:
        inner = members.get("tools", as_object(members.get("result")))
        value = (
            (as_object(inner) or {}).get("tools") if not isinstance(inner, list) else cast("object", inner)
        )
    if not isinstance(value, list):
        raise CallerFault(f"`{where}` holds no list of tools", hint=_HINT)
    entries = cast("list[object]", value)
    if len(entries) > MAX_TOOLS:
        raise CallerFault(f"`{where}` lists more than {MAX_TOOLS} tools", hint="classify it in parts")
    tools = tuple(
        _entry(entry, f"{where}: entry {index}", server, answered=members is not None)
        for index, entry in enumerate(entries)
    )
    if not fits(tools):
        raise CallerFault(
            f"`{where}` is too much to judge: more than {TOGETHER:,} characters and values",
            hint="classify it in parts",
        )
    return tools


def _parsed(data: bytes, where: str) -> object:
    try:
        return parse_json(data, max_bytes=MAX_BYTES)
    except Refused as refused:
        raise CallerFault(f"{where}{_position(data)}: {refused.message}", hint=_HINT) from None


def _position(data: bytes) -> str:
    """`:line:column` of the first fault; empty where only the strict reader objects."""
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        return f":{error.lineno}:{error.colno}"
    except (UnicodeDecodeError, RecursionError, ValueError):
        return ""
    return ""


def _entry(entry: object, where: str, server: str, *, answered: bool) -> Described:
    members = as_object(entry)
    if members is None:
        raise CallerFault(f"{where} is no object", hint=_HINT)
    if "name" in members and "tool" in members and members["name"] != members["tool"]:
        raise CallerFault(f"{where} has a `name` and another `tool`", hint="give one of them")
    name = members.get("name", members.get("tool"))
    if not isinstance(name, str) or not name:
        raise CallerFault(f"{where} has no `name`", hint="give the tool's name as a string")
    if len(name) > MAX_NAME:
        raise CallerFault(f"{where} has a name of more than {MAX_NAME} characters")
    place = f"{where} ({named(name)})"
    annotations = members.get("annotations")
    if annotations is not None and as_object(annotations) is None:
        raise CallerFault(f"{place}: `annotations` is no object")
    return Described(
        name=name,
        server=server if answered else _text(members, "server", place) or server,
        title=_text(members, "title", place),
        description=_text(members, "description", place),
        input_schema=members.get("inputSchema"),
        output_schema=members.get("outputSchema"),
        annotations=as_object(annotations) or {},
        icons=members.get("icons"),
        meta=members.get("_meta"),
    )


def _text(members: Mapping[str, object], key: str, place: str) -> str:
    value = members.get(key)
    if value is not None and not isinstance(value, str):
        raise CallerFault(f"{place}: `{key}` is no string")
    return value or ""
