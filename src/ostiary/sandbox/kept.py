"""A job whose secrets stay with it: what it writes and answers is masked before anybody keeps it."""

from __future__ import annotations

import msgspec

from ostiary.sandbox.record import Artifact, Fault, ToolCall, Value
from ostiary.sandbox.runner import Ended, Job, Tap, Worker
from ostiary.sandbox.secrecy import Masks


async def kept_to_itself(worker: Worker, job: Job, tap: Tap) -> Ended:
    """Run `job`. What its secrecy masks is in nothing that comes out, whatever way it comes.

    Raises as `Worker.run`.
    """
    if job.secrecy is None:
        return await worker.run(job, tap)
    masks = job.secrecy.masks
    veil = Veil(masks, tap)
    try:
        ended = await worker.run(job, veil)
    finally:
        veil.end()
    if not job.secrecy.holds_any:
        return msgspec.structs.replace(ended, notes=(*ended.notes, *job.secrecy.notes))
    return _masked(ended, masks, job.secrecy.notes)


class Veil:
    """A `Tap` in front of another one: what may be half a secret waits for its other half."""

    def __init__(self, masks: Masks, tap: Tap) -> None:
        self._masks = masks
        self._tap = tap
        self._out = b""
        self._err = b""

    def stdout(self, data: bytes) -> None:
        """More of stdout."""
        whole, self._out = self._masks.split(self._out + data)
        if whole:
            self._tap.stdout(whole)

    def stderr(self, data: bytes) -> None:
        """More of stderr."""
        whole, self._err = self._masks.split(self._err + data)
        if whole:
            self._tap.stderr(whole)

    def end(self) -> None:
        """Nothing more comes."""
        out, err, self._out, self._err = self._out, self._err, b"", b""
        if out:
            self._tap.stdout(self._masks.masked(out))
        if err:
            self._tap.stderr(self._masks.masked(err))


def _masked(ended: Ended, masks: Masks, notes: tuple[str, ...]) -> Ended:
    calls = tuple(ToolCall(one.name, one.ok, one.ms, _text(one.why, masks)) for one in ended.tool_calls)
    if ended.how == "paused":  # the state that would be kept holds what the code held
        told = Fault("worker", "NotKept", "a run that holds secrets is not kept while a call waits")
        return Ended(how="lost", fault=told, tool_calls=calls, notes=notes)
    return msgspec.structs.replace(
        ended,
        value=_value(ended.value, masks),
        fault=_fault(ended.fault, masks),
        artifacts=tuple(_artifact(one, masks) for one in ended.artifacts),
        notes=(*(_text(one, masks) for one in ended.notes), *notes),
        outputs={name: _json(one, masks) or '"********"' for name, one in ended.outputs.items()},
        tool_calls=calls,
    )


def _text(text: str, masks: Masks) -> str:
    return masks.masked(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def _value(value: Value | None, masks: Masks) -> Value | None:
    if value is None:
        return None
    return Value(_text(value.text, masks), None if value.json is None else _json(value.json, masks))


def _fault(fault: Fault | None, masks: Masks) -> Fault | None:
    if fault is None:
        return None
    return Fault(
        fault.category,
        _text(fault.type, masks),
        _text(fault.message, masks),
        _text(fault.traceback, masks),
    )


def _artifact(one: Artifact, masks: Masks) -> Artifact:
    return Artifact(_text(one.name, masks), one.mime, masks.masked(one.content))


def _json(text: str, masks: Masks) -> str | None:
    """JSON that would be none afterwards is left out."""
    told = _text(text, masks)
    if told == text:
        return text
    try:
        msgspec.json.decode(told)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return told
