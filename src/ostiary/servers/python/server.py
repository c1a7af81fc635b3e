"""The Python server: its tools over one engine, and its resources."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.record import Artifact, RunRecord
from ostiary.sandbox.run import Underway
from ostiary.servers.core.content import Block, ToolResult, image, link, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Alias, Arguments, Naming, Tool
from ostiary.servers.python import schemas
from ostiary.servers.python.arguments import (
    for_python_execute,
    for_run,
    from_run_python,
    from_run_python_code,
)
from ostiary.servers.python.replies import failed, python_executed, text_of
from ostiary.servers.python.resources import templates_of
from ostiary.servers.runs import RUN_META, Status, artifact_uri, awaited, ran, status_resource

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_SHOWN_IMAGE: Final = 1 << 20
"""Bytes of an image that is put into a reply; a larger one is a link."""

MAX_SHOWN_IMAGES: Final = 4

CONTAINED: Final = {
    "readOnlyHint": False,
    "destructiveHint": False,
    "idempotentHint": False,
    "openWorldHint": False,
}
ENGINES: Final = {"cpython": "CPython", "pyodide": "Pyodide"}
LOOKS: Final = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
ENDS: Final = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False}

INSTRUCTIONS: Final = """\
Runs Python in a sandbox: no network, no files of the host, nothing kept from call to call unless \
`run` is given a `session`. The value of the last expression is returned. Packages are named in \
`requirements` or in a PEP 723 block and fetched before the run. Files written to `out/` become artifacts."""


def make_server(engine: Engine, *, version: str, status: Status, naming: Naming = "bare") -> Server:
    """The server over `engine`. `version` is of Ostiary, `status` says what walls there are."""
    return Server(
        "ostiary-python",
        version,
        title="Python behind walls",
        instructions=INSTRUCTIONS,
        tools=tools_of(engine),
        resources=[status_resource(status)],
        templates=templates_of(engine),
        naming=naming,
    )


def tools_of(engine: Engine) -> list[Tool]:
    """What may be called."""
    where = f"{ENGINES.get(engine.runner.name, engine.runner.name)} {engine.runner.version}"
    return [
        Tool(
            name="python_execute",
            title="Execute Python",
            description=f"Run Python code in a sandbox ({where}) with optional PEP 723 requirements. "
            "`timeout` is in milliseconds. Nothing is kept between calls.",
            input_schema=schemas.PYTHON_EXECUTE,
            output_schema=schemas.PYTHON_EXECUTED,
            annotations=CONTAINED,
            handler=partial(_python_execute, engine),
            aliases=(
                Alias(
                    name="run_python_code", convert=from_run_python_code, input_schema=schemas.RUN_PYTHON_CODE
                ),
                Alias(name="run_python", convert=from_run_python, input_schema=schemas.RUN_PYTHON),
                Alias(name="run_code"),
            ),
        ),
        Tool(
            name="run",
            title="Run Python",
            description=f"Run Python code in a sandbox ({where}): with files, standard input, a session that "
            "keeps its variables, or in the background. Files written to `out/` come back as artifacts.",
            input_schema=schemas.RUN,
            output_schema=schemas.RAN,
            annotations=CONTAINED,
            handler=partial(_run, engine),
        ),
        Tool(
            name="get_run",
            title="What became of a run",
            description="The state of a run: what it has printed so far, or its result once it has ended.",
            input_schema=schemas.BY_RUN,
            output_schema=schemas.RAN,
            annotations=LOOKS,
            handler=partial(_get_run, engine),
        ),
        Tool(
            name="cancel_run",
            title="End a run",
            description="Kill a run with everything that it started.",
            input_schema=schemas.BY_RUN,
            output_schema=schemas.RAN,
            annotations=ENDS,
            handler=partial(_cancel_run, engine),
        ),
        Tool(
            name="end_session",
            title="End a session",
            description="End a session of `run`; its variables are gone.",
            input_schema=schemas.BY_SESSION,
            output_schema=schemas.ENDED,
            annotations=ENDS,
            handler=partial(_end_session, engine),
        ),
    ]


async def _python_execute(engine: Engine, arguments: Arguments, context: CallContext) -> ToolResult:
    record = await awaited(engine, for_python_execute(arguments, context.owner), context)
    return ToolResult(
        (text(text_of(record)), *_shown(record)),
        python_executed(record),
        failed(record),
        {RUN_META: ran(record)},
    )


async def _run(engine: Engine, arguments: Arguments, context: CallContext) -> ToolResult:
    request = for_run(arguments, context.owner)
    if arguments.get("background"):
        run_id = engine.start(request)
        return _of_unfinished(engine.status(context.owner, run_id), run_id)
    return _of_record(await awaited(engine, request, context))


async def _get_run(engine: Engine, arguments: Arguments, context: CallContext) -> ToolResult:
    run_id = arguments["run_id"]
    found = engine.status(context.owner, run_id)
    if isinstance(found, RunRecord):
        return _of_record(found)
    if found is None:
        raise _no_run(run_id)
    return _of_unfinished(found, run_id)


async def _cancel_run(engine: Engine, arguments: Arguments, context: CallContext) -> ToolResult:
    run_id = arguments["run_id"]
    if not engine.cancel(context.owner, run_id) and engine.record(context.owner, run_id) is None:
        raise _no_run(run_id)
    record = await engine.ended(context.owner, run_id)
    if record is None:
        raise _no_run(run_id)
    return _was_to_end(record)


async def _end_session(engine: Engine, arguments: Arguments, context: CallContext) -> ToolResult:
    name = arguments["session"]
    ended = engine.close_session(context.owner, name)
    said = f"the session `{name}` has ended" if ended else f"there is no session `{name}`"
    return ToolResult((text(said),), {"session": name, "ended": ended})


def _was_to_end(record: RunRecord) -> ToolResult:
    """The answer about a run that was to be ended: that it has, is no error."""
    told = _of_record(record)
    return ToolResult(told.content, told.structured, is_error=False, meta=told.meta)


def _of_record(record: RunRecord) -> ToolResult:
    data = ran(record)
    return ToolResult(
        (text(text_of(record)), *_shown(record), *_links(record)), data, failed(record), {RUN_META: data}
    )


def _of_unfinished(seen: Underway | RunRecord | None, run_id: str) -> ToolResult:
    if isinstance(seen, RunRecord):
        return _of_record(seen)
    state = "pending" if seen is None else seen.state
    data: dict[str, Any] = {"status": state, "run_id": run_id, "uri": f"run://{run_id}"}
    said = [f"{run_id} is {state}; ask `get_run` what became of it"]
    if seen is not None:
        data |= {"stdout": seen.stdout.shown, "stderr": seen.stderr.shown}
        said += [seen.stdout.shown] if seen.stdout.shown else []
    return ToolResult((text("\n".join(said)),), data)


def _shown(record: RunRecord) -> list[Block]:
    """Images that are small enough to be looked at."""
    return [image(one.content, one.mime) for one in record.artifacts if _fits(one)][:MAX_SHOWN_IMAGES]


def _links(record: RunRecord) -> list[Block]:
    return [
        link(artifact_uri(record.run_id, one.name), one.name, mime=one.mime, size=len(one.content))
        for one in record.artifacts
    ]


def _fits(artifact: Artifact) -> bool:
    return artifact.mime in IMAGES and len(artifact.content) <= MAX_SHOWN_IMAGE


def _no_run(run_id: str) -> CallerFault:
    return CallerFault(
        f"no run `{run_id[:80]}` is known",
        hint="records of runs are kept for an hour, for who asked for them",
    )
