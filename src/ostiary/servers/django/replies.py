"""From the record of a run to what a client of the Django server is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.record import Fault, RunRecord
from ostiary.servers.core.content import Block, ToolResult, text
from ostiary.servers.runs import RUN_META, notes, ran

WRAPPED: Final[Mapping[str, Any]] = {"fastmcp": {"wrap_result": True}}
"""What `_meta` says where the result stands in an envelope: FastMCP's clients take it out again."""

_OURS: Final = 'File "<ostiary.'
_ELSEWHERE: Final = ("stdout", "stderr")
"""What of a record is in the reply itself, and would only be sent twice."""


def of_json(value: Any, *, wrapped: bool) -> ToolResult:
    """A reply that is one JSON value."""
    said = (text(_written(value)),)
    if wrapped:
        return ToolResult(said, {"result": value}, meta=WRAPPED)
    return ToolResult(said, value)


def executed(record: RunRecord, *, extended: bool) -> ToolResult:
    """The reply of `execute`: what its code did wrong is data, and no failure of the tool."""
    inner: dict[str, Any] = {
        "status": "success" if record.status == "success" else "error",
        "output": _output(record, extended=extended),
        "stdout": record.stdout.shown,
        "stderr": record.stderr.shown,
    }
    meta = {**WRAPPED, **_record(record)}
    blocks = (text(_written(inner)), *_beside(record, value=not extended))
    return ToolResult(blocks, {"result": inner}, meta=meta)


def commanded(record: RunRecord, asked: Mapping[str, Any]) -> ToolResult:
    """The reply of `execute_command`. `asked` is the question, for a command that ended without an answer."""
    answer = _ended(record)
    inner: dict[str, Any] = {
        "status": answer.status,
        "command": asked["command"],
        "args": list(asked["args"]),
        "options": dict(asked["options"]),
        "stdout": record.stdout.shown,
        "stderr": record.stderr.shown,
        "exception": msgspec.to_builtins(answer.exception),
    }
    return ToolResult((text(_written(inner)), *_beside(record, value=False)), inner, meta=_record(record))


def answered(record: RunRecord) -> Any:
    """What a question was answered with. Raises CallerFault, in Python's words, where it was not."""
    answer = _answer(record)
    if answer is None or record.error is not None:
        fault = record.error
        raise CallerFault(fault.message if fault is not None else f"the question ended as {record.status}")
    return answer


def worked(record: RunRecord) -> RunRecord:
    """A record of code that ran. Raises CallerFault where no code could be run."""
    fault = record.error
    if record.status in {"install_error", "policy_denied"} or (fault and fault.category == "worker"):
        raise CallerFault(fault.message if fault is not None else record.status)
    return record


class _Exception(msgspec.Struct):
    type: str
    message: str


class _Ended(msgspec.Struct):
    """How a command ended."""

    status: Literal["success", "error"]
    exception: _Exception | None = None


def _ended(record: RunRecord) -> _Ended:
    """What the child says became of a command; code that ran in it before could make it say anything.

    Raises CallerFault for what is no such answer.
    """
    fault = record.error
    if fault is not None:
        return _Ended("error", _Exception(fault.type, fault.message))
    try:
        return msgspec.convert(_answer(record), _Ended)
    except msgspec.ValidationError:
        raise CallerFault(
            "the command was not answered", hint="`clear_history` starts another shell"
        ) from None


def _answer(record: RunRecord) -> Any:
    if record.result is None or record.result.json is None:
        return None
    try:
        return msgspec.json.decode(record.result.json)
    except msgspec.DecodeError:
        return None


def _output(record: RunRecord, *, extended: bool) -> dict[str, Any]:
    fault = record.error
    if record.status != "success":
        fault = fault or Fault("limit", record.status, f"the run ended as {record.status}")
        return {
            "exception": {
                "exc_type": fault.type.rpartition(".")[2],  # the whole name is in the record
                "message": fault.message,
                "traceback": frames(fault.traceback),
            }
        }
    if not extended or record.result is None:
        return {}
    return {"value": msgspec.to_builtins(record.result)}


def frames(traceback: str) -> list[str]:
    """A traceback as a list: one frame each, `File "...", line N, in name` and its line of source below.

    Frames of ours are left out.
    """
    found: list[list[str]] = []
    for line in traceback.splitlines():
        if line.startswith("  File "):
            found.append([line.strip()])
        elif line.startswith("    ") and found:
            found[-1].append(line[2:])
    return ["\n".join(one) for one in found if not one[0].startswith(_OURS)]


def _record(record: RunRecord) -> dict[str, Any]:
    return {RUN_META: {key: value for key, value in ran(record).items() if key not in _ELSEWHERE}}


def _beside(record: RunRecord, *, value: bool) -> list[Block]:
    """What the first block has no place for: the value of the last expression, and what must be known."""
    told = [f"value: {record.result.text}"] if value and record.result is not None else []
    told += [f"note: {note}" for note in notes(record)]
    if record.isolation.level != "strict":
        missing = "; ".join(record.isolation.missing) or "no walls at all"
        told.append(f"isolation: {record.isolation.level}: {missing}")
    return [text(one) for one in told]


def _written(value: Any) -> str:
    return msgspec.json.encode(value).decode()
