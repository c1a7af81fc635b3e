"""From the record of a run to what `executeCode` answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.run import Underway
from ostiary.servers.code.paused import waits_for
from ostiary.servers.runs import notes

STATES: Final[Mapping[str, str]] = {
    "success": "completed",
    "timeout": "timeout",
    "cancelled": "cancelled",
    "paused": "paused",
}


def executed(record: RunRecord, session_id: str | None) -> dict[str, Any]:
    """The data of an answer."""
    fault = record.error
    told = notes(record)
    return {
        "success": record.status == "success",
        "outputs": {name: _value(text) for name, text in record.outputs.items()},
        "result": _result(record),
        "stdout": record.stdout.shown,
        "stderr": record.stderr.shown,
        "error": None
        if fault is None
        else {"type": fault.type, "message": fault.message, "traceback": fault.traceback},
        "execution_id": record.run_id,
        "session_id": session_id,
        "tool_calls": [msgspec.to_builtins(one) for one in record.tool_calls],
        "engine": record.engine,
        **({"notes": told} if told else {}),
        **_waiting(record),
    }


def _waiting(record: RunRecord) -> dict[str, Any]:
    """For what a paused run waits."""
    paused = record.paused
    if paused is None:
        return {}
    waits = waits_for(paused.name, paused.ticket, paused.message)
    return {"status": "paused", "waits_for": msgspec.to_builtins(waits)}


def refused(mistakes: Sequence[str], session_id: str | None) -> dict[str, Any]:
    """The data of an answer about code that was not run, since its calls of tools cannot succeed."""
    told = "nothing was run and no tool was called:\n" + "\n".join(mistakes)
    return {
        "success": False,
        "outputs": {},
        "result": None,
        "stdout": "",
        "stderr": "",
        "error": {"type": "ToolMistake", "message": told, "traceback": ""},
        "execution_id": "",
        "session_id": session_id,
        "tool_calls": [],
    }


def text_of(data: Mapping[str, Any]) -> str:
    """The same for a model."""
    return msgspec.json.encode(data).decode()


def standing(found: RunRecord | Underway, session_id: str | None) -> dict[str, Any]:
    """Where a background run stands, with its answer once there is one."""
    if isinstance(found, RunRecord):
        state = STATES.get(found.status, "failed")
        data = executed(found, session_id)
        return {
            "execution_id": found.run_id,
            "status": state,
            "stdout": found.stdout.shown,
            "stderr": found.stderr.shown,
            "execution": data,
        }
    return {
        "execution_id": found.run_id,
        "status": found.state,
        "stdout": found.stdout.shown,
        "stderr": found.stderr.shown,
    }


def _result(record: RunRecord) -> Any:
    value = record.result
    if value is None:
        return None
    return value.text if value.json is None else _value(value.json)


def _value(text: str) -> Any:
    return msgspec.json.decode(text) if text else None
