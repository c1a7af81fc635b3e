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
    "input_vars": {"type": "object", "description": "variables made available in the script"},
    "output_vars": {
        "description": "names of variables to read back after the run; an object may name their types",
        "anyOf": [{"type": "object"}, _TEXTS],
    },
    "required_tools": {**_TEXTS, "description": "functions the script calls, as mcp_Server_tool"},
    "additional_imports": {**_TEXTS, "description": "packages from PyPI, by name"},
    "local": {"type": "boolean", "description": "accepted; code always runs here"},
    "mcp_server_names": {**_TEXTS, "description": "servers whose tools the script may call"},
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
        "stdout": _TEXT,
        "stderr": _TEXT,
        "error": {"type": ["object", "null"]},
        "execution_id": _TEXT,
        "tool_calls": {"type": "array"},
    },
}
STARTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["execution_id", "status"],
    "properties": {"execution_id": _TEXT, "status": _TEXT},
}
BY_EXECUTION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["execution_id"],
    "additionalProperties": False,
    "properties": {"execution_id": _TEXT},
}
STANDING: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["execution_id", "status"],
    "properties": {
        "execution_id": _TEXT,
        "status": {"enum": ["pending", "running", "completed", "failed", "timeout", "cancelled"]},
        "execution": {"type": "object"},
    },
}
SEARCH: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "query": {"type": "string", "maxLength": 1_000, "description": "words; none lists all"},
        "server": {"type": "string", "description": "only tools of this server"},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "default": 10},
    },
}
FOUND: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["tools", "servers"],
    "properties": {
        "tools": {"type": "array", "items": {"type": "object"}},
        "servers": {"type": "object"},
    },
}
DETAILS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {"name": {"type": "string", "description": "a function, as mcp_Server_tool"}},
}
DETAILED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name", "server", "tool", "signature"],
    "properties": {"name": _TEXT, "signature": _TEXT, "description": _TEXT, "inputSchema": {}},
}
EXECUTE_TOOL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "description": "a function, as mcp_Server_tool"},
        "arguments": {"type": "object"},
    },
}
VALUE: Final[dict[str, Any]] = {"type": "object", "required": ["value"], "properties": {"value": {}}}
