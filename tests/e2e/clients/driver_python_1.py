"""Drives the official Python client 1.x; as `driver_python_2.py`, run in an environment of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

ROOT = types.ListRootsResult(roots=[types.Root(uri="file:///tmp/one-root", name="one")])
SAMPLED = types.CreateMessageResult(
    role="assistant",
    content=types.TextContent(type="text", text="a sampled answer"),
    model="model-of-the-test",
    stopReason="endTurn",
)


def dumped(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_unset=True)


class Connection:
    def __init__(self) -> None:
        self.session: Any = None
        self.heard: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.closing = asyncio.Event()
        self.ended: asyncio.Task[None] | None = None

    def transport(self, spec: dict[str, Any]) -> Any:
        if "http" in spec:
            headers = {"Authorization": f"Bearer {spec['http']['token']}"} if spec["http"].get("token") else {}
            return streamablehttp_client(spec["http"]["url"], headers=headers)
        stdio = spec["stdio"]
        log = Path(stdio["log"]).open("a", encoding="utf-8")
        parameters = StdioServerParameters(
            command=stdio["command"][0], args=stdio["command"][1:], env=os.environ | stdio.get("env", {})
        )
        return stdio_client(parameters, errlog=log)

    async def run(self, spec: dict[str, Any], ready: asyncio.Future[Any]) -> None:
        try:
            async with self.transport(spec) as streams:
                callbacks = self.callbacks() if spec.get("answers") else {}
                info = types.Implementation(name="e2e", version="1")
                async with ClientSession(
                    streams[0], streams[1], message_handler=self.hear, client_info=info, **callbacks
                ) as session:
                    ready.set_result(dumped(await session.initialize()))
                    self.session = session
                    await self.closing.wait()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(plain(error))

    def callbacks(self) -> dict[str, Any]:
        async def sample(context: Any, params: Any) -> Any:
            self.asked.append("sampling/createMessage")
            return SAMPLED

        async def elicit(context: Any, params: Any) -> Any:
            self.asked.append("elicitation/create")
            return types.ElicitResult(action="accept", content={"name": "Ada", "check": True})

        async def roots(context: Any) -> Any:
            self.asked.append("roots/list")
            return ROOT

        return {"sampling_callback": sample, "elicitation_callback": elicit, "list_roots_callback": roots}

    async def hear(self, message: Any) -> None:
        inner = getattr(message, "root", None)
        method = getattr(inner, "method", "")
        if method.startswith("notifications/") and method != "notifications/progress":
            self.heard.append(dumped(inner))

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        progress: list[Any] = []

        async def note(done: float, total: float | None, message: str | None) -> None:
            progress.append([done, total, message])

        result = await self.request(command["method"], command.get("params", {}), note)
        return {"result": dumped(result), "progress": progress}

    async def request(self, method: str, params: dict[str, Any], note: Any) -> Any:
        session = self.session
        simple = {
            "tools/list": session.list_tools,
            "resources/list": session.list_resources,
            "resources/templates/list": session.list_resource_templates,
            "prompts/list": session.list_prompts,
            "ping": session.send_ping,
        }
        if method in simple:
            return await simple[method]()
        if method == "tools/call":
            return await session.call_tool(params["name"], params.get("arguments"), progress_callback=note)
        if method == "prompts/get":
            return await session.get_prompt(params["name"], params.get("arguments"))
        if method == "completion/complete":
            kind = types.PromptReference if params["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
            return await session.complete(kind.model_validate(params["ref"]), params["argument"])
        of_uri = {
            "resources/read": session.read_resource,
            "resources/subscribe": session.subscribe_resource,
            "resources/unsubscribe": session.unsubscribe_resource,
        }
        if method in of_uri:
            return await of_uri[method](params["uri"])
        if method == "logging/setLevel":
            return await session.set_logging_level(params["level"])
        raise LookupError(method)


def plain(error: BaseException) -> BaseException:
    """The one error inside of groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def failure(error: BaseException) -> dict[str, Any]:
    error = plain(error)
    if isinstance(error, McpError):
        return {"error": {"code": error.error.code, "message": error.error.message, "data": error.error.data}}
    return {"fault": f"{type(error).__name__}: {error}"}


async def obey(command: dict[str, Any], connections: dict[str, Connection]) -> dict[str, Any]:
    name = command["name"]
    if command["do"] == "connect":
        connection = connections[name] = Connection()
        ready = asyncio.get_running_loop().create_future()
        connection.ended = asyncio.create_task(connection.run(command, ready))
        return {"result": await ready}
    connection = connections[name]
    if command["do"] == "ask":
        return await asyncio.wait_for(connection.ask(command), command.get("within", 20))
    if command["do"] == "heard":
        while len(connection.heard) < command.get("count", 0):
            await asyncio.sleep(0.01)
        heard, connection.heard = connection.heard, []
        asked, connection.asked = connection.asked, []
        return {"result": {"heard": heard, "asked": asked}}
    del connections[name]
    connection.closing.set()
    assert connection.ended is not None
    await connection.ended
    return {"result": None}


async def main() -> None:
    connections: dict[str, Connection] = {}
    tasks: set[asyncio.Task[None]] = set()

    async def serve(command: dict[str, Any]) -> None:
        try:
            reply = await obey(command, connections)
        except Exception as error:
            reply = failure(error)
        print(json.dumps({"n": command["n"], **reply}), flush=True)

    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(serve(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for connection in list(connections.values()):
        connection.closing.set()
        with contextlib.suppress(Exception):
            assert connection.ended is not None
            await connection.ended


asyncio.run(main())
