"""What can be read of the Python server: runs, artifacts, sessions and what walls there are.

Everything but the last belongs to an owner, and to anybody else it does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from ostiary.sandbox.engine import Engine
from ostiary.sandbox.record import RunRecord
from ostiary.servers.core.content import Json, data, words
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Resource, ResourceTemplate
from ostiary.servers.python.notebook import notebook
from ostiary.servers.python.replies import artifact_uri, ran, session_uri

Status = Callable[[], Mapping[str, Any]]
Found = Sequence[Json] | None
Variables = Mapping[str, str]

JSON = "application/json"
NOTEBOOK = "application/x-ipynb+json"
_TEXTS = ("text/", JSON)


def resources_of(status: Status) -> list[Resource]:
    """What there is for everybody."""

    async def read(uri: str, _: Variables, __: CallContext) -> Found:
        return [_json(uri, status())]

    return [
        Resource(
            uri="sandbox://status",
            name="sandbox status",
            description="what runs code here, behind which walls, and what is missing",
            mime=JSON,
            read=read,
        )
    ]


def templates_of(engine: Engine) -> list[ResourceTemplate]:
    """Families of what belongs to an owner."""
    return [
        ResourceTemplate(
            uri_template="run://{run_id}/{stream}",
            name="output of a run",
            description="all that it wrote to stdout or stderr",
            mime="text/plain",
            read=partial(_stream, engine),
        ),
        ResourceTemplate(
            uri_template="run://{run_id}",
            name="run",
            description="the record of a run",
            mime=JSON,
            read=partial(_run, engine),
            list=partial(_runs, engine),
        ),
        ResourceTemplate(
            uri_template="artifact://{run_id}/{+name}",
            name="artifact",
            description="a file that a run left in its folder `out`, or an image that it showed",
            read=partial(_artifact, engine),
            list=partial(_artifacts, engine),
        ),
        ResourceTemplate(
            uri_template="session://{session}/history",
            name="history of a session",
            description="the code of its runs and what became of them",
            mime=JSON,
            read=partial(_history, engine),
            list=partial(_sessions, engine),
        ),
        ResourceTemplate(
            uri_template="session://{session}/notebook",
            name="session as a notebook",
            description="the same for notebook programs",
            mime=NOTEBOOK,
            read=partial(_notebook, engine),
        ),
    ]


async def _run(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    record = engine.record(context.owner, found["run_id"])
    return None if record is None else [_json(uri, ran(record))]


async def _stream(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    record = engine.record(context.owner, found["run_id"])
    if record is None or found["stream"] not in {"stdout", "stderr"}:
        return None
    return [words(uri, (record.stdout if found["stream"] == "stdout" else record.stderr).whole)]


async def _artifact(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    record = engine.record(context.owner, found["run_id"])
    artifacts = record.artifacts if record is not None else ()
    for one in artifacts:
        if one.name == found["name"]:
            return [_content(uri, one.content, one.mime)]
    return None


async def _history(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    past = engine.history(context.owner, found["session"])
    return None if past is None else [_json(uri, {"session": found["session"], "runs": list(past)})]


async def _notebook(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    past = engine.history(context.owner, found["session"])
    if past is None:
        return None
    cells = [(one.code, engine.record(context.owner, one.run_id)) for one in past]
    version = engine.runner.version.rpartition(" ")[2]
    return [words(uri, notebook(cells, version).decode(), NOTEBOOK)]


async def _runs(engine: Engine, context: CallContext) -> Sequence[Resource]:
    return [
        Resource(
            uri=f"run://{record.run_id}",
            name=f"run {record.run_id}",
            description=record.status,
            mime=JSON,
            read=partial(_listed, engine, record),
        )
        for record in engine.records(context.owner)
    ]


async def _listed(engine: Engine, record: RunRecord, uri: str, _: Variables, context: CallContext) -> Found:
    return await _run(engine, uri, {"run_id": record.run_id}, context)


async def _artifacts(engine: Engine, context: CallContext) -> Sequence[Resource]:
    return [
        Resource(
            uri=artifact_uri(record.run_id, one.name),
            name=one.name,
            mime=one.mime,
            size=len(one.content),
            read=partial(_named, engine, record.run_id, one.name),
        )
        for record in engine.records(context.owner)
        for one in record.artifacts
    ]


async def _named(
    engine: Engine, run_id: str, name: str, uri: str, _: Variables, context: CallContext
) -> Found:
    return await _artifact(engine, uri, {"run_id": run_id, "name": name}, context)


async def _sessions(engine: Engine, context: CallContext) -> Sequence[Resource]:
    async def read(uri: str, _: Variables, context: CallContext) -> Found:
        return await _history(engine, uri, {"session": uri.split("/")[2]}, context)

    return [
        Resource(uri=session_uri(one.name, "history"), name=f"session {one.name}", mime=JSON, read=read)
        for one in engine.sessions(context.owner)
    ]


def _json(uri: str, value: Any) -> Json:
    return words(uri, msgspec.json.encode(value).decode(), JSON)


def _content(uri: str, content: bytes, mime: str) -> Json:
    """Text as text where it is, else bytes."""
    if mime.startswith(_TEXTS):
        try:
            return words(uri, content.decode(), mime)
        except UnicodeDecodeError:
            pass
    return data(uri, content, mime)
