"""From the record of a run to what a client is told. Pure."""

from __future__ import annotations

from typing import Any, Final

from ostiary.sandbox.record import RunRecord
from ostiary.servers.runs import notes

RESULT: Final = "__RESULT__:"
STDERR: Final = "__STDERR__:"
ISOLATION: Final = "__ISOLATION__:"
NOTE: Final = "__NOTE__:"


def failed(record: RunRecord) -> bool:
    """Whether a reply about this run is an error."""
    return record.status != "success"


def text_of(record: RunRecord) -> str:
    """What a model reads: why it failed, then what was printed, the value, and what it must know.

    The sections are those that clients of `python_execute` know.
    """
    parts: list[str] = []
    if record.status == "timeout":
        parts += [f"Python execution interrupted: Execution timeout after {record.limits.wall_ms}ms", ""]
    elif failed(record):
        parts += [f"Python execution failed: {reason(record)}", ""]
    printed = record.stdout.shown.rstrip()
    if printed:
        parts.append(printed)
    if record.result is not None:
        parts.append(f"{RESULT}\n{record.result.text}")
    if record.stderr.shown:
        parts.append(f"{STDERR}\n{record.stderr.shown.rstrip()}")
    parts += [f"{NOTE}\n{note}" for note in notes(record)]
    if record.isolation.level != "strict":
        missing = "; ".join(record.isolation.missing) or "no walls at all"
        parts.append(f"{ISOLATION}\n{record.isolation.level}: {missing}")
    return "\n".join(parts).rstrip("\n")


def reason(record: RunRecord) -> str:
    """Why it did not succeed: the traceback where there is one, else a sentence."""
    fault = record.error
    if fault is None:
        return record.status
    if fault.traceback:
        return fault.traceback.rstrip()
    return f"{fault.type}: {fault.message}" if fault.type else fault.message


def python_executed(record: RunRecord) -> dict[str, Any]:
    """The data of a reply of `python_execute`."""
    whole = record.summary()
    names = ("status", "stdout", "stderr", "result", "error", "engine", "version", "isolation", "run_id")
    return {name: whole[name] for name in names} | {"notes": notes(record)}


def session_uri(session: str, part: str) -> str:
    """Where the history or the notebook of a session can be read."""
    return f"session://{session}/{part}"
