"""What the tools of code mode take and answer, as JSON Schema.

`executeCode` takes what DataGen's tool of that name takes; its answer, and all of the others, are ours.
"""

from __future__ import annotations

from typing import Any, Final

MIN_SECONDS: Final = 30
USUAL_SECONDS: Final = 300
MAX_FOUND: Final = 50

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}

_EXECUTE: Final[dict[str, Any]] = {
    "script": {"type": "string", "description": "Python code to execute"},
    "name": {"type": "string", "description": "label used for tracking"},
    "description": _TEXT,
    "session_id": {"type": "string", "description": "groups related executions"},
    "input_vars": {"type": "object", "description": "variables of the script"},
    "output_vars": {
        "description": "variables to read back after the run",
        "anyOf": [{"type": "object"}, _TEXTS],
    },
    "required_tools": {**_TEXTS, "description": "functions it may call: mcp_Server_tool"},
    "additional_imports": {**_TEXTS, "description": "packages from PyPI"},
    "local": {"type": "boolean", "description": "ignored"},
    "mcp_server_names": {**_TEXTS, "description": "servers whose tools it may call"},
    "timeout": {
        "type": "number",
        "minimum": MIN_SECONDS,
        "maximum": USUAL_SECONDS,
        "default": USUAL_SECONDS,
        "description": "seconds",
    },
    "required_secrets": {**_TEXTS, "description": "secrets that become variables"},
}
EXECUTE_CODE: Final[dict[str, Any]] = {"type": "object", "required": ["script"], "properties": _EXECUTE}
ACCEPTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["script"],
    "additionalProperties": False,
    "properties": {**_EXECUTE, "timeout": {"type": "number", "exclusiveMinimum": 0}},
}
"""What a call is held against: the listing's times are what the original advertises, not a limit."""

START_CODE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["script"],
    "properties": {name: {} for name in _EXECUTE} | {"script": _TEXT},
}
"""The same, said shorter: it stands in the list beside the other."""

EXECUTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["success", "execution_id"],
    "properties": {
        "success": {"type": "boolean"},
        "outputs": {"type": "object"},
        "result": {},
        "error": {"type": ["object", "null"]},
        "execution_id": _TEXT,
    },
}
BY_EXECUTION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["execution_id"],
    "properties": {"execution_id": _TEXT},
}
SEARCH: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "words; none lists all"},
        "server": {"type": "string"},
        "limit": {"type": "integer", "default": 10},
    },
}
SEARCH_ACCEPTED: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "query": {"type": "string", "maxLength": 1_000},
        "server": _TEXT,
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND},
    },
}
DETAILS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "description": "a function, as mcp_Server_tool"}},
}
EXECUTE_TOOL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _TEXT,
        "arguments": {"type": "object"},
    },
}


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, and nothing that it does not name: what calls are held against."""
    return {**schema, "additionalProperties": False}
