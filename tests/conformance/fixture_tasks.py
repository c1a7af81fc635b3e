"""The tasks extension, as far as the suite asks for it: calls whose answer is fetched later.

The official Python SDK leaves this extension out, so its wire shapes are written here. A task is an
asyncio task of the server's own; what it still wants to know stands in `wanted`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from tests.conformance.fixture_content import form, one_string, text

EXTENSION = "io.modelcontextprotocol/tasks"
SECOND = 0.2
"""How long a second of `slow_compute` lasts: the suite waits for it, nothing else does."""

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class TaskParams(types.RequestParams):
    """Params of the methods about one task."""

    task_id: str
    input_responses: dict[str, Any] | None = None


@dataclass
class Work:
    """One task. `status` is what the wire calls it."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    status: str = "working"
    made: str = field(default_factory=now)
    outcome: Json = field(default_factory=dict)
    wanted: Json = field(default_factory=dict)
    given: Json = field(default_factory=dict)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None

    def shown(self) -> Json:
        shown: Json = {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self.made,
            "lastUpdatedAt": now(),
            "ttlMs": 600_000,
            "pollIntervalMs": 50,
            **self.outcome,
        }
        if self.status == "input_required":
            shown["inputRequests"] = self.wanted
        return shown

    async def ask(self, **forms: str) -> Json:
        """Wait until the client has answered every form; the values are messages."""
        schema = form(confirm={"type": "boolean"})
        for key, message in forms.items():
            request = {"message": message, "mode": "form", "requestedSchema": schema}
            self.wanted[key] = {"method": "elicitation/create", "params": request}
        self.status = "input_required"
        while self.wanted:
            await self.answered.wait()
            self.answered.clear()
        self.status = "working"
        return self.given


Body = Callable[[Work, Json], Awaitable[Json]]
WORKS: dict[str, Work] = {}


def said(words: str, *, failed: bool = False) -> Json:
    content = text(words).model_dump(by_alias=True, mode="json", exclude_none=True)
    return {"resultType": "complete", "content": [content], "isError": failed}


async def slow_compute(work: Work, arguments: Json) -> Json:
    await asyncio.sleep(float(arguments.get("seconds", 0)) * SECOND)
    return said(f"computed {arguments.get('label', '')}")


async def failing_job(work: Work, arguments: Json) -> Json:
    await asyncio.sleep(SECOND)
    return said("the job failed", failed=True)


async def protocol_error_job(work: Work, arguments: Json) -> Json:
    await asyncio.sleep(SECOND)
    raise MCPError(types.INTERNAL_ERROR, "the job broke down")


async def confirm_delete(work: Work, arguments: Json) -> Json:
    given = await work.ask(confirm=f"Delete {arguments.get('filename')}?")
    return said(f"answered {given['confirm'].get('action')}")


async def multi_input(work: Work, arguments: Json) -> Json:
    given = await work.ask(first="The first?", second="The second?")
    return said(f"{len(given)} answers")


async def after_the_rounds(work: Work, arguments: Json) -> Json:
    await asyncio.sleep(SECOND)
    return said(f"done for {arguments.get('user_name')}")


BODIES: dict[str, Body] = {
    "slow_compute": slow_compute,
    "failing_job": failing_job,
    "protocol_error_job": protocol_error_job,
    "confirm_delete": confirm_delete,
    "multi_input": multi_input,
}
ONLY_AS_TASK = {"failing_job", "test_tool_with_task"}

_SECONDS: Json = {
    "type": "object",
    "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}},
}
_SCHEMAS: dict[str, Json] = {"slow_compute": _SECONDS, "confirm_delete": one_string("filename")}
LISTED = [
    types.Tool(name=name, description="takes its time", input_schema=_SCHEMAS.get(name, {"type": "object"}))
    for name in BODIES
]


def declared(context: Context) -> bool:
    """Whether the client of this request said that it can fetch answers later."""
    capabilities = context.session.client_capabilities
    return capabilities is not None and EXTENSION in (capabilities.extensions or {})


def require(context: Context) -> None:
    if not declared(context):
        needed = {"extensions": {EXTENSION: {}}}
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "the client did not declare the tasks extension",
            {"requiredCapabilities": needed},
        )


def begin(body: Body, arguments: Json) -> Json:
    """Start a task and tell of it."""
    work = Work()
    WORKS[work.id] = work
    work.running = asyncio.create_task(run(work, body, arguments))
    return {"resultType": "task", **work.shown()}


async def run(work: Work, body: Body, arguments: Json) -> None:
    try:
        result = await body(work, arguments)
    except asyncio.CancelledError:
        work.status = "cancelled"
    except MCPError as error:
        work.status, work.outcome = "failed", {"error": {"code": error.code, "message": error.message}}
    else:
        work.status, work.outcome = "completed", {"result": result}


async def call(context: Context, name: str, arguments: Json) -> Json:
    """A call of one of `BODIES`: a task where the client can have one, else its answer."""
    if declared(context):
        return begin(BODIES[name], arguments)
    if name in ONLY_AS_TASK:
        require(context)
    return await BODIES[name](Work(), arguments)


def known(context: Context, params: TaskParams) -> Work:
    require(context)
    work = WORKS.get(params.task_id)
    if work is None:
        raise MCPError(types.INVALID_PARAMS, "unknown task")
    return work


async def get(context: Context, params: TaskParams) -> Json:
    return {"resultType": "complete", **known(context, params).shown()}


async def update(context: Context, params: TaskParams) -> Json:
    work = known(context, params)
    for key, answer in (params.input_responses or {}).items():
        if work.wanted.pop(key, None) is not None:
            work.given[key] = answer
    work.answered.set()
    return {"resultType": "complete"}


async def cancel(context: Context, params: TaskParams) -> Json:
    work = known(context, params)
    if work.running is not None and not work.running.done():
        work.running.cancel()
        await asyncio.wait({work.running}, timeout=1)
    return {"resultType": "complete"}


def offer(server: Server[Any]) -> None:
    """Declare the extension and serve its methods."""
    server.extensions[EXTENSION] = {}
    for method, handler in (("tasks/get", get), ("tasks/update", update), ("tasks/cancel", cancel)):
        server.add_request_handler(method, TaskParams, handler)
