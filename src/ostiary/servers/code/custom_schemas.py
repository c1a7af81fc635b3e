"""What the tools about custom tools take, as JSON Schema.

`createCustomTool` takes what DataGen's takes; the others are ours. What is listed is short, since every
client reads it at its start; `*_ACCEPTED` is what a call is held against.
"""

from __future__ import annotations

from typing import Any, Final

MAX_FOUND: Final = 100

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_TYPES: Final = {"enum": ["private", "public"]}

CREATE_SAID: Final = """\
Store a script as the tool custom_<deployment_name>. It is first run for real with test_input (else \
default_input_vars), and kept only if that works. public: others may call it, with their own rights."""

_FIELDS: Final[dict[str, Any]] = {
    "script": _TEXT,
    "deployment_name": {"type": "string", "maxLength": 100},
    "description": _TEXT,
    "input_schema": {"type": "object"},
    "output_variables": _TEXTS,
    "required_tools": _TEXTS,
    "additional_imports": _TEXTS,
    "deployment_type": _TYPES,
    "is_code_public": {"type": "boolean"},
    "default_input_vars": {"type": "object"},
    "mcp_server_names": _TEXTS,
    "required_secrets": _TEXTS,
    "test_input": {"type": "object"},
}
CREATE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["script", "deployment_name", "description"],
    "properties": {
        **{name: {} for name in _FIELDS},
        "script": _TEXT,
        "deployment_name": _TEXT,
        "description": _TEXT,
        "input_schema": {"description": "JSON Schema; its properties become variables"},
        "deployment_type": {**_TYPES, "default": "private"},
        "is_code_public": {"type": "boolean"},
    },
}
CREATE_ACCEPTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["script", "deployment_name", "description"],
    "additionalProperties": False,
    "properties": _FIELDS,
}
UPDATE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["deployment_name"],
    "properties": {"deployment_name": _TEXT},
}
UPDATE_ACCEPTED: Final[dict[str, Any]] = {**CREATE_ACCEPTED, "required": ["deployment_name"]}

_NAME: Final[dict[str, Any]] = {"deployment_name": {"type": "string", "maxLength": 100}}
_VERSION: Final[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": 99_999}


def _closed(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


BY_NAME: Final = _closed(["deployment_name"], _NAME)
SEARCH: Final[dict[str, Any]] = {"type": "object", "properties": {"query": {}, "limit": {}}}
SEARCH_ACCEPTED: Final = _closed(
    [],
    {
        "query": {"type": "string", "maxLength": 1_000},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND},
    },
)
DETAILS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["deployment_name"],
    "properties": {"deployment_name": _TEXT, "version": {}, "brief": {}},
}
DETAILS_ACCEPTED: Final = _closed(
    ["deployment_name"], {**_NAME, "version": _VERSION, "brief": {"type": "boolean"}}
)
SUBMIT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["deployment_name"],
    "properties": {"deployment_name": _TEXT, "input_vars": {}, "version": {}},
}
SUBMIT_ACCEPTED: Final = _closed(
    ["deployment_name"], {**_NAME, "input_vars": {"type": "object"}, "version": _VERSION}
)
BY_RUN: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["run_id"],
    "properties": {"run_id": _TEXT},
}
BY_RUN_ACCEPTED: Final = _closed(["run_id"], {"run_id": {"type": "string", "maxLength": 100}})
ADD_SERVER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name", "url"],
    "properties": {
        "name": _TEXT,
        "url": _TEXT,
        "description": _TEXT,
        "headers": {"description": "values name variables: Bearer ${NAME}"},
    },
}
ADD_SERVER_ACCEPTED: Final = _closed(
    ["name", "url"],
    {
        "name": {"type": "string", "maxLength": 64},
        "url": {"type": "string", "maxLength": 2_000},
        "description": {"type": "string", "maxLength": 1_000},
        "reason": {"type": "string", "maxLength": 1_000},
        "headers": {
            "type": "object",
            "maxProperties": 10,
            "additionalProperties": {"type": "string", "maxLength": 200},
        },
    },
)
