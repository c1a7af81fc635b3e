"""The tools as mcp-django has them on the wire (`mcp_django.json`), and what ours take beyond that."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

Schema = dict[str, Any]

SESSION_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

_SESSION: Final[Schema] = {
    "type": "string",
    "pattern": SESSION_NAME,
    "description": "another session than the one of this connection, by a name of your choice",
}
_TIMEOUT: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "maximum": 600_000,
    "description": "milliseconds that it may take",
}
_FORMAT: Final[Schema] = {
    "enum": ["script", "notebook"],
    "type": "string",
    "description": "what is returned; a file is what its name says, .py or .ipynb",
}

BEYOND: Final[dict[str, dict[str, Schema]]] = {
    "shell_execute": {"session": _SESSION, "timeout_ms": _TIMEOUT},
    "management_execute_command": {"session": _SESSION, "timeout_ms": _TIMEOUT},
    "shell_export_history": {"session": _SESSION, "format": _FORMAT},
    "shell_clear_history": {"session": _SESSION},
}
"""Arguments that are always taken, and listed only with `--extended`: by the name on the wire."""


class Interface(msgspec.Struct, frozen=True):
    """One tool on the wire, but for its name and its description."""

    title: str
    input_schema: Schema = msgspec.field(name="inputSchema")
    output_schema: Schema = msgspec.field(name="outputSchema")
    annotations: Schema
    meta: Schema = msgspec.field(name="_meta")

    @property
    def wrapped(self) -> bool:
        """Whether its result stands in an envelope `{"result": ...}`, as FastMCP puts what is no object."""
        return bool(self.output_schema.get("x-fastmcp-wrap-result"))


@cache
def interfaces() -> dict[str, Interface]:
    """All tools by their name on the wire, in the order of that server."""
    text = (files("ostiary.servers.django") / "mcp_django.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Interface])


def extended(name: str) -> Schema:
    """The input schema of a tool with what it takes beyond the original's."""
    schema = interfaces()[name].input_schema
    return schema | {"properties": {**schema["properties"], **BEYOND.get(name, {})}}
