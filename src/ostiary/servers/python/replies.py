"""From the record of a run to what a client is told. Pure."""

from __future__ import annotations

from typing import Any, Final

from ostiary.sandbox.record import RunRecord, Stream

RESULT: Final = "__RESULT__:"
STDERR: Final = "__STDERR__:"
ISOLATION: Final = "__ISOLATION__:"
NOTE: Final = "__NOTE__:"
RUN_META: Final = "io.ostiary/run"
"""The key under which every reply carries the whole record, whatever its own shape is."""


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


def notes(record: RunRecord) -> list[str]:
    """What somebody who reads the reply has to know and would not see."""
    told: list[str] = list(record.notes)
    for name, stream in (("stdout", record.stdout), ("stderr", record.stderr)):
        if stream.truncated:
            told.append(_cut(name, stream, record.run_id))
    if record.session_lost:
        told.append(f"the session `{record.session}` has ended and its variables are gone")
    return told


def _cut(name: str, stream: Stream, run_id: str) -> str:
    return (
        f"{name} was {stream.size} bytes; its beginning and end are shown, all of it is run://{run_id}/{name}"
    )


def python_executed(record: RunRecord) -> dict[str, Any]:
    """The data of a reply of `python_execute`."""
    whole = record.summary()
    names = ("status", "stdout", "stderr", "result", "error", "engine", "version", "isolation", "run_id")
    return {name: whole[name] for name in names} | {"notes": notes(record)}


def ran(record: RunRecord) -> dict[str, Any]:
    """The data of a reply of `run`: the record, with where to find the rest."""
    artifacts = [
        {
            "name": one.name,
            "mime": one.mime,
            "size": len(one.content),
            "uri": artifact_uri(record.run_id, one.name),
        }
        for one in record.artifacts
    ]
    more = {"notes": notes(record), "uri": f"run://{record.run_id}", "artifacts": artifacts}
    return record.summary() | more


def artifact_uri(run_id: str, name: str) -> str:
    """Where the content of an artifact can be read. The name's own bytes are percent-encoded."""
    safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
    encoded = "".join(chr(byte) if chr(byte) in safe else f"%{byte:02X}" for byte in name.encode())
    return f"artifact://{run_id}/{encoded}"


def session_uri(session: str, part: str) -> str:
    """Where the history or the notebook of a session can be read."""
    return f"session://{session}/{part}"
