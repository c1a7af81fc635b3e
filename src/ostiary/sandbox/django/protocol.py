"""Messages between host and child, beyond those of `cpython.protocol`. Pure: bytes in, values out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.cpython import protocol
from ostiary.sandbox.record import Fault, Value
from ostiary.sandbox.runner import Job

_Short = Annotated[str, msgspec.Meta(max_length=300)]
_Long = Annotated[str, msgspec.Meta(max_length=protocol.MAX_TEXT)]
_Said = Annotated[str, msgspec.Meta(max_length=16_384 + 100)]
_Trace = Annotated[str, msgspec.Meta(max_length=131_072 + 100)]


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    text: _Long
    json: _Long | None


class _Fault(msgspec.Struct, forbid_unknown_fields=True):
    category: Literal["exception", "exit"]
    type: _Short
    message: _Said
    traceback: _Trace


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    value: _Value | None
    fault: _Fault | None
    expired: bool
    cpu_ms: float
    max_rss_kb: int


_Path = Annotated[str, msgspec.Meta(max_length=4_096)]


class _Changed(msgspec.Struct, forbid_unknown_fields=True):
    changed: Annotated[list[_Path], msgspec.Meta(max_length=100_000)]


class Answer(protocol.Answer, frozen=True):
    """What a child says of a job. `expired`: its time was up, and it was ended by an exception."""

    expired: bool = False


def job_message(job: Job, bounds: dict[str, int]) -> bytes:
    """A job for a child. Raises CallerFault for one of a kind that it does not know."""
    if job.files or job.stdin or job.command is not None or job.tools is not None:
        raise CallerFault(
            "a Django shell takes no files, no standard input, no tools and no command of a container"
        )
    fields: dict[str, Any] = {
        "code": job.code,
        "name": job.name,
        "context": job.context.decode(),
        "ask": job.ask,
        "wall_ms": job.wall_ms,
        "bounds": bounds,
    }
    return protocol.message(fields)


def look_message() -> bytes:
    """Asks a child which files of the project have changed."""
    return protocol.message({"changed": True})


def answer(text: bytes) -> Answer:
    """Read a child's answer to a job. Raises BrokenError."""
    try:
        read = msgspec.json.decode(text, type=_Answer)
        if read.value is not None and read.value.json is not None:
            msgspec.json.decode(read.value.json)  # whoever splices it into a reply relies on it
    except (msgspec.MsgspecError, RecursionError) as error:
        raise protocol.BrokenError(f"an answer that does not read: {error}") from error
    fault = read.fault
    return Answer(
        value=None if read.value is None else Value(read.value.text, read.value.json),
        fault=None if fault is None else Fault(fault.category, fault.type, fault.message, fault.traceback),
        leaving=False,
        artifacts=(),
        left_out=0,
        cpu_ms=max(0.0, read.cpu_ms),
        max_rss_kb=max(0, read.max_rss_kb),
        outputs={},
        expired=read.expired,
    )


def changed(text: bytes) -> list[str]:
    """Read a child's answer about files. Raises BrokenError."""
    try:
        return msgspec.json.decode(text, type=_Changed).changed
    except msgspec.MsgspecError as error:
        raise protocol.BrokenError(f"an answer that does not read: {error}") from error
