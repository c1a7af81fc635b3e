"""The tools of the Python server as they are listed. Data.

`python_execute` has the input schema of the server that made the name known; what it could not
say is in `run`.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"
DEFAULT_TIMEOUT_MS: Final = 60_000
MAX_FILES: Final = 32

PYTHON_EXECUTE: Final[Schema] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "Python code to execute"},
        "context": {"type": "object", "additionalProperties": {}},
        "timeout": {"type": "integer", "exclusiveMinimum": 0, "default": DEFAULT_TIMEOUT_MS},
        "requirements": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["code"],
    "additionalProperties": False,
    "$schema": DRAFT_7,
}

RUN_PYTHON_CODE: Final[Schema] = {
    "type": "object",
    "properties": {
        "python_code": {"type": "string", "description": "Python code to run"},
        "global_variables": {"type": ["object", "null"], "description": "global variables, by name"},
    },
    "required": ["python_code"],
    "additionalProperties": False,
}
"""The alias `run_python_code`."""

RUN_PYTHON: Final[Schema] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "Python code to run"},
        "servers": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
        "timeout": {"type": "number", "exclusiveMinimum": 0, "description": "seconds"},
    },
    "required": ["code"],
    "additionalProperties": False,
}
"""The alias `run_python`, whose `timeout` is in seconds."""

_FILE: Final[Schema] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "relative path in the working folder"},
        "text": {"type": "string", "description": "its content, as text"},
        "base64": {"type": "string", "description": "its content, when it is not text"},
    },
    "required": ["name"],
    "additionalProperties": False,
}

RUN: Final[Schema] = {
    "type": "object",
    "properties": {
        "code": {
            "type": "string",
            "description": "Python code; the value of its last expression is returned",
        },
        "context": {"type": "object", "description": "global variables, by name"},
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 600_000, "default": 30_000},
        "requirements": {
            "type": "array",
            "items": {"type": "string"},
            "description": "packages, as in a requirements file; a PEP 723 block in the code works, too",
        },
        "session": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            "description": "a name: runs with the same name share their variables, one after another",
        },
        "files": {
            "type": "array",
            "items": _FILE,
            "maxItems": MAX_FILES,
            "description": "files that the code finds in its working folder",
        },
        "stdin": {"type": "string", "description": "what the code reads from standard input"},
        "background": {
            "type": "boolean",
            "default": False,
            "description": "answer at once with a run_id; ask `get_run` what became of it",
        },
    },
    "required": ["code"],
    "additionalProperties": False,
}

BY_RUN: Final[Schema] = {
    "type": "object",
    "properties": {"run_id": {"type": "string", "description": "as `run` answered it"}},
    "required": ["run_id"],
    "additionalProperties": False,
}

BY_SESSION: Final[Schema] = {
    "type": "object",
    "properties": {"session": {"type": "string", "description": "the name that `run` was given"}},
    "required": ["session"],
    "additionalProperties": False,
}

_TEXT: Final[Schema] = {"type": "string"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_MAYBE_NUMBER: Final[Schema] = {"type": ["number", "null"]}

ISOLATION: Final[Schema] = {
    "type": "object",
    "properties": {
        "level": {"enum": ["strict", "best-effort", "none"]},
        "missing": {"type": "array", "items": _TEXT},
    },
    "required": ["level", "missing"],
}

_FAULT: Final[Schema] = {
    "type": ["object", "null"],
    "properties": {"category": _TEXT, "type": _TEXT, "message": _TEXT, "traceback": _TEXT},
}

PYTHON_EXECUTED: Final[Schema] = {
    "type": "object",
    "properties": {
        "status": _TEXT,
        "stdout": _TEXT,
        "stderr": _TEXT,
        "result": {"type": ["object", "null"], "properties": {"text": _TEXT, "json": _MAYBE_TEXT}},
        "error": _FAULT,
        "engine": _TEXT,
        "version": _TEXT,
        "isolation": ISOLATION,
        "run_id": _TEXT,
        "notes": {"type": "array", "items": _TEXT},
    },
    "required": ["status", "stdout", "stderr"],
}

RAN: Final[Schema] = {
    "type": "object",
    "properties": {
        **PYTHON_EXECUTED["properties"],
        "session_id": _MAYBE_TEXT,
        "session_lost": {"type": "boolean"},
        "exit_code": _MAYBE_NUMBER,
        "signal": _MAYBE_NUMBER,
        "stdout_bytes": {"type": "integer"},
        "stderr_bytes": {"type": "integer"},
        "stdout_truncated": {"type": "boolean"},
        "stderr_truncated": {"type": "boolean"},
        "artifacts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": _TEXT, "mime": _TEXT, "size": {"type": "integer"}, "uri": _TEXT},
                "required": ["name", "mime", "size", "uri"],
            },
        },
        "usage": {
            "type": "object",
            "properties": {"wall_ms": _MAYBE_NUMBER, "cpu_ms": _MAYBE_NUMBER, "max_rss_kb": _MAYBE_NUMBER},
        },
        "limits": {"type": "object"},
        "packages": {"type": "array", "items": _TEXT},
        "uri": _TEXT,
    },
    "required": ["status", "run_id"],
}
"""What `run`, `get_run` and `cancel_run` answer. A run that is not over has `status` `pending` or
`running` and no more than its streams so far."""

ENDED: Final[Schema] = {
    "type": "object",
    "properties": {"session": _TEXT, "ended": {"type": "boolean"}},
    "required": ["session", "ended"],
}
