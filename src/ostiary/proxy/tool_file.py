"""Reads a tool list that was saved to a file: a `tools/list` answer, its result, or its array."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.registry.fingerprint import definition
from ostiary.wire.strict import Refused, parse_json

MAX_BYTES = 16 * 1024 * 1024


def read_tools(path: Path) -> Catalogue:
    """The tools in `path`. Raises CallerFault when it does not hold a tool list."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CallerFault(f"cannot read `{path}`: {(error.strerror or 'failed').lower()}") from error
    try:
        value: object = parse_json(content.strip(), max_bytes=MAX_BYTES)
    except Refused as error:
        raise CallerFault(f"`{path}`: {error.message}") from error
    listed = _listed(value)
    if listed is None:
        raise CallerFault(
            f"`{path}` holds no tool list", hint="expected the answer to `tools/list`, or its `tools`"
        )
    found: dict[str, ToolDefinition] = {}
    for entry in listed:
        tool: Mapping[str, object] = cast("Mapping[str, object]", entry) if isinstance(entry, Mapping) else {}
        name = tool.get("name")
        if not isinstance(name, str):
            raise CallerFault(f"`{path}`: a tool without a name")
        found[name] = definition(name, msgspec.json.encode(tool), tool)
    return Catalogue(found)


def _listed(value: object) -> list[object] | None:
    for key in ("result", "tools"):
        if isinstance(value, Mapping) and key in value:
            value = cast("Mapping[str, object]", value)[key]
    return cast("list[object]", value) if isinstance(value, list) else None
