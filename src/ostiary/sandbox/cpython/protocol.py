"""Messages between host and child. What a child sends is parsed strictly and bounded: it may be forged.

Pure: bytes in, values out.
"""

from __future__ import annotations

import mimetypes
import struct
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import Artifact, Fault, Value
from ostiary.sandbox.runner import Job

HEAD: Final = struct.Struct("!II")
"""Length of the JSON text, length of the bytes after it."""

ENDED: Final = struct.Struct("!iqq")
"""The last word of an init: wait status, microseconds of CPU, kB of memory."""

MAX_TEXT: Final = 8 << 20
_CALL: Final = b'{"call":'
_MAX_NAME = 255
_KINDS = mimetypes.MimeTypes(filenames=())  # its own table: what a host has configured is no part of a reply


class BrokenError(Exception):
    """A child wrote what no child of ours would."""


# What `inside.show` and `inside.evaluate` keep to, and a line that says how much was left out.
_Long = Annotated[str, msgspec.Meta(max_length=(1 << 20) + 100)]
_Trace = Annotated[str, msgspec.Meta(max_length=131_072 + 100)]
_Said = Annotated[str, msgspec.Meta(max_length=16_384 + 100)]
_Short = Annotated[str, msgspec.Meta(max_length=300)]


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    text: _Long
    json: _Long | None


class _Fault(msgspec.Struct, forbid_unknown_fields=True):
    category: Literal["exception"]
    type: _Short
    message: _Said
    traceback: _Trace


class _File(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: int


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    value: _Value | None
    fault: _Fault | None
    leaving: bool
    artifacts: list[_File]
    left_out: int
    cpu_ms: float
    max_rss_kb: int
    outputs: dict[str, _Long] = {}


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    call: int
    name: _Short


class Answer(msgspec.Struct, frozen=True):
    """What a child says of a job. `leaving`: its process ends now, and how it does is the outcome."""

    value: Value | None
    fault: Fault | None
    leaving: bool
    artifacts: tuple[Artifact, ...]
    left_out: int
    cpu_ms: float
    max_rss_kb: int
    outputs: Mapping[str, str]


class Call(msgspec.Struct, frozen=True):
    """A child asks for a tool."""

    number: int
    name: str
    positional: tuple[Any, ...]
    named: dict[str, Any]


def notes_of(answer: Answer | None) -> tuple[str, ...]:
    """What a reply has to say about an answer, in our words: what a child says is its code's word."""
    if answer is None or not answer.left_out:
        return ()
    return (f"{answer.left_out} files are no artifacts: there were too many, or they were too large",)


class Reader:
    """Collects one message of at most `body` bytes beside its text."""

    def __init__(self, body: int) -> None:
        self._most = body
        self._data = bytearray()

    def again(self) -> None:
        """The message was taken: the next one may come."""
        self._data.clear()

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take more; the message once it is whole. Raises BrokenError for one that is too large, or two."""
        self._data += data
        if len(self._data) < HEAD.size:
            return None
        of_text, of_body = HEAD.unpack_from(self._data)
        if of_text > MAX_TEXT or of_body > self._most:
            raise BrokenError("an answer larger than it may be")
        size = HEAD.size + of_text + of_body
        if len(self._data) > size:
            raise BrokenError("more than one answer")
        if len(self._data) < size:
            return None
        middle = HEAD.size + of_text
        return bytes(self._data[HEAD.size : middle]), bytes(self._data[middle:])


def message(fields: dict[str, Any], body: bytes = b"") -> bytes:
    """A message for a child."""
    text = msgspec.json.encode(fields)
    return HEAD.pack(len(text), len(body)) + text + body


def job_message(
    job: Job, limits: Limits, bounds: dict[str, int], more: Mapping[str, Any] | None = None
) -> bytes:
    """A job for a child. `bounds` are resource limits by the name that the system gives them.

    `more` is what it says besides: see `calling.described`.
    """
    fields = {
        "code": job.code,
        "name": job.name,
        "context": job.context.decode(),
        "files": [{"name": one.name, "size": len(one.content)} for one in job.files],
        "bounds": bounds,
        "artifacts": limits.artifacts,
        "artifact_bytes": limits.artifact_bytes,
    }
    return message(fields | dict(more or {}), b"".join([*(one.content for one in job.files), job.stdin]))


def call(text: bytes, body: bytes) -> Call | None:
    """Read a call of a tool; None for a message that is none. Raises BrokenError."""
    if not text.startswith(_CALL):
        return None
    try:
        read = msgspec.json.decode(text, type=_Call)
        positional, named = msgspec.json.decode(body, type=tuple[tuple[Any, ...], dict[str, Any]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenError(f"a call that does not read: {error}") from error
    return Call(read.call, read.name, positional, named)


def answer(text: bytes, body: bytes, limits: Limits) -> Answer:
    """Read a child's answer. Raises BrokenError."""
    try:
        read = msgspec.json.decode(text, type=_Answer)
        value = None if read.value is None else _value(read.value)
        for output in read.outputs.values():
            msgspec.json.decode(output)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BrokenError(f"an answer that does not read: {error}") from error
    fault = None
    if read.fault is not None:
        fault = Fault("exception", read.fault.type, read.fault.message, read.fault.traceback)
    return Answer(
        value=value,
        fault=fault,
        leaving=read.leaving,
        artifacts=_artifacts(read.artifacts, body, limits.artifacts, limits.artifact_bytes),
        left_out=max(0, read.left_out),
        cpu_ms=max(0.0, read.cpu_ms),
        max_rss_kb=max(0, read.max_rss_kb),
        outputs=read.outputs,
    )


def _value(read: _Value) -> Value:
    if read.json is not None:
        msgspec.json.decode(read.json)  # whoever splices it into a reply relies on it
    return Value(read.text, read.json)


def _artifacts(listed: list[_File], body: bytes, most: int, room: int) -> tuple[Artifact, ...]:
    if (
        len(listed) > most
        or len(body) > room
        or any(one.size < 0 for one in listed)
        or sum(one.size for one in listed) != len(body)
    ):
        raise BrokenError("artifacts that do not add up")
    found: list[Artifact] = []
    at = 0
    for one in listed:
        if not is_clean(one.name):
            raise BrokenError("an artifact with a name that is no relative path")
        mime = _KINDS.guess_type(one.name, strict=False)[0] or "application/octet-stream"
        found.append(Artifact(one.name, mime, body[at : at + one.size]))
        at += one.size
    return tuple(found)


def is_clean(name: str) -> bool:
    """Whether `name` is a relative path that stays where it is put, in printable characters."""
    parts = name.split("/")
    return (
        0 < len(name) <= _MAX_NAME
        and name.isprintable()
        and "\\" not in name
        and all(part not in {"", ".", ".."} for part in parts)
    )
