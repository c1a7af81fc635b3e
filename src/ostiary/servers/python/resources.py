"""What can be read of the Python server beside its runs: artifacts and sessions.

Both belong to an owner, and to anybody else they do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ostiary.sandbox.engine import Engine
from ostiary.servers.core.content import words
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Resource, ResourceTemplate
from ostiary.servers.notebook import notebook
from ostiary.servers.python.replies import session_uri
from ostiary.servers.runs import JSON, Found, Variables, artifact_uri, as_content, as_json, run_templates

NOTEBOOK = "application/x-ipynb+json"


def templates_of(engine: Engine) -> list[ResourceTemplate]:
    """Families of what belongs to an owner."""
    return [
        *run_templates(engine),
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


async def _artifact(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    record = engine.record(context.owner, found["run_id"])
    artifacts = record.artifacts if record is not None else ()
    for one in artifacts:
        if one.name == found["name"]:
            return [as_content(uri, one.content, one.mime)]
    return None


async def _history(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    past = engine.history(context.owner, found["session"])
    return None if past is None else [as_json(uri, {"session": found["session"], "runs": list(past)})]


async def _notebook(engine: Engine, uri: str, found: Variables, context: CallContext) -> Found:
    past = engine.history(context.owner, found["session"])
    if past is None:
        return None
    cells = [(one.code, engine.record(context.owner, one.run_id)) for one in past]
    version = engine.runner.version.rpartition(" ")[2]
    return [words(uri, notebook(cells, version).decode(), NOTEBOOK)]


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
