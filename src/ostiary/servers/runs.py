"""What every server over a `sandbox` engine has: waiting for a run, the record of one, `run://`.

A run belongs to an owner, and to anybody else it does not exist.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec

from ostiary.sandbox.engine import Engine
from ostiary.sandbox.record import RunRecord, Stream
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from ostiary.servers.core.content import Json, data, words
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Resource, ResourceTemplate

RUN_META: Final = "io.ostiary/run"
"""The key under which every reply carries the whole record, whatever its own shape is."""

JSON: Final = "application/json"
MAX_NEWS: Final = 2_000
"""Characters of one message about what a run has just printed."""

_TEXTS = ("text/", JSON)

Status = Callable[[], Mapping[str, Any]]
Found = Sequence[Json] | None
Variables = Mapping[str, str]

# --- waiting ----------------------------------------------------------------------------------------


async def awaited(
    engine: Engine, request: RunRequest, context: CallContext, *, echo: bool = False
) -> RunRecord:
    """Run it, and tell the client of its progress meanwhile. Cancelling this kills the run.

    With `echo` the client is also sent what was printed since the last time, as log messages.
    """
    news: asyncio.Queue[Underway] = asyncio.Queue()

    async def tell() -> None:
        heard = (0, 0)
        while True:
            seen = await news.get()
            printed = seen.stdout.size + seen.stderr.size
            await context.progress(seen.elapsed_s, message=f"{seen.state}, {printed} bytes of output")
            if echo:
                for name, stream, since in zip(
                    ("stdout", "stderr"), (seen.stdout, seen.stderr), heard, strict=True
                ):
                    if said := stream.whole[since:].rstrip():
                        await context.log("info", said[-MAX_NEWS:], name)
                heard = (len(seen.stdout.whole), len(seen.stderr.whole))

    async with beside(tell()):
        return await engine.run(request, progress=news.put_nowait)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Has `work` go on while the body does, and ends it with the body.

    What the body raises comes out as it is: in a task group it would come out wrapped, and whoever
    handles faults by their kind would not know it.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


# --- records ----------------------------------------------------------------------------------------


def ran(record: RunRecord) -> dict[str, Any]:
    """The record as data of a reply, with where to find the rest."""
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


def run_id() -> str:
    """Ids that nobody can guess: whoever knows one still has to be its owner."""
    return f"run_{secrets.token_hex(12)}"


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


def artifact_uri(run_id: str, name: str) -> str:
    """Where the content of an artifact can be read. The name's own bytes are percent-encoded."""
    safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
    encoded = "".join(chr(byte) if chr(byte) in safe else f"%{byte:02X}" for byte in name.encode())
    return f"artifact://{run_id}/{encoded}"


# --- resources --------------------------------------------------------------------------------------


def status_of(engine: Engine, more: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What `sandbox://status` says: the engine, its walls and its bounds, and what the machine offers."""
    report = engine.runner.isolation()
    bounds = engine.bounds
    return {
        "engine": engine.runner.name,
        "version": engine.runner.version,
        "isolation": {"level": report.level, "missing": list(report.missing)},
        "at_once": bounds.at_once,
        "queue": bounds.queue,
        "sessions": bounds.max_sessions,
        **more(),
    }


def status_resource(status: Status) -> Resource:
    """`sandbox://status`, which is the same for everybody."""

    async def read(uri: str, _: Variables, __: CallContext) -> Found:
        return [as_json(uri, status())]

    return Resource(
        uri="sandbox://status",
        name="sandbox status",
        description="what runs code here, behind which walls, and what is missing",
        mime=JSON,
        read=read,
    )


def run_templates(*engines: Engine) -> list[ResourceTemplate]:
    """`run://ID` and what the run wrote."""
    return [
        ResourceTemplate(
            uri_template="run://{run_id}/{stream}",
            name="output of a run",
            description="all that it wrote to stdout or stderr",
            mime="text/plain",
            read=partial(_stream, engines),
        ),
        ResourceTemplate(
            uri_template="run://{run_id}",
            name="run",
            description="the record of a run",
            mime=JSON,
            read=partial(_run, engines),
            list=partial(_runs, engines),
        ),
    ]


async def _run(engines: Sequence[Engine], uri: str, found: Variables, context: CallContext) -> Found:
    record = _record(engines, context.owner, found["run_id"])
    return None if record is None else [as_json(uri, ran(record))]


def _record(engines: Sequence[Engine], owner: str, run_id: str) -> RunRecord | None:
    found = (engine.record(owner, run_id) for engine in engines)
    return next((one for one in found if one is not None), None)


async def _stream(engines: Sequence[Engine], uri: str, found: Variables, context: CallContext) -> Found:
    record = _record(engines, context.owner, found["run_id"])
    if record is None or found["stream"] not in {"stdout", "stderr"}:
        return None
    return [words(uri, (record.stdout if found["stream"] == "stdout" else record.stderr).whole)]


async def _runs(engines: Sequence[Engine], context: CallContext) -> Sequence[Resource]:
    return [
        Resource(
            uri=f"run://{record.run_id}",
            name=f"run {record.run_id}",
            description=record.status,
            mime=JSON,
            read=partial(_listed, engines, record),
        )
        for engine in engines
        for record in engine.records(context.owner)
    ]


async def _listed(
    engines: Sequence[Engine], record: RunRecord, uri: str, _: Variables, context: CallContext
) -> Found:
    return await _run(engines, uri, {"run_id": record.run_id}, context)


def as_json(uri: str, value: Any) -> Json:
    """Contents of a resource that is JSON."""
    return words(uri, msgspec.json.encode(value).decode(), JSON)


def as_content(uri: str, content: bytes, mime: str) -> Json:
    """Text as text where it is, else bytes."""
    if mime.startswith(_TEXTS):
        try:
            return words(uri, content.decode(), mime)
        except UnicodeDecodeError:
            pass
    return data(uri, content, mime)
