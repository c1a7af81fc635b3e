"""Drives the official Python client 2.x: commands as JSON lines in, replies as JSON lines out.

The protocol is described in `tests.e2e.driver`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

ROOT = types.ListRootsResult(roots=[types.Root(uri="file:///tmp/one-root", name="one")])  # pyright: ignore
SAMPLED = types.CreateMessageResult(
    role="assistant",
    content=types.TextContent(type="text", text="a sampled answer"),
    model="model-of-the-test",
    stop_reason="endTurn",
)


def dumped(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_unset=True)


class Connection:
    def __init__(self) -> None:
        self.client: Any = None
        self.heard: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.closing = asyncio.Event()
        self.ended: asyncio.Task[None] | None = None

    def transport(self, spec: dict[str, Any]) -> Any:
        if "http" in spec:
            headers = {"Authorization": f"Bearer {spec['http']['token']}"} if spec["http"].get("token") else {}
            made = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30))
            return streamable_http_client(spec["http"]["url"], http_client=made)
        stdio = spec["stdio"]
        log = Path(stdio["log"]).open("a", encoding="utf-8")  # noqa: SIM115 - the client's from here on
        parameters = StdioServerParameters(
            command=stdio["command"][0], args=stdio["command"][1:], env=os.environ | stdio.get("env", {})
        )
        return stdio_client(parameters, errlog=log)

    async def run(self, spec: dict[str, Any], ready: asyncio.Future[Any]) -> None:
        try:
            callbacks = self.callbacks() if spec.get("answers") else {}
            client = Client(
                self.transport(spec),
                mode=spec.get("mode", "auto"),
                message_handler=self.hear,
                cache=None,
                client_info=types.Implementation(name="e2e", version="1"),
                **callbacks,
            )
            async with client:
                self.client = client
                info = client.server_info
                ready.set_result(
                    {
                        "protocolVersion": client.protocol_version,
                        "serverInfo": dumped(info) if info else None,
                        "capabilities": dumped(client.server_capabilities),
                        "instructions": client.instructions,
                    }
                )
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
        method = getattr(message, "method", "")
        if method.startswith("notifications/") and method != "notifications/progress":
            self.heard.append(dumped(message))

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        progress: list[Any] = []

        async def note(done: float, total: float | None, message: str | None) -> None:
            progress.append([done, total, message])

        result = await self.request(command["method"], command.get("params", {}), note)
        return {"result": dumped(result), "progress": progress}

    async def request(self, method: str, params: dict[str, Any], note: Any) -> Any:
        client = self.client
        simple = {
            "tools/list": client.list_tools,
            "resources/list": client.list_resources,
            "resources/templates/list": client.list_resource_templates,
            "prompts/list": client.list_prompts,
            "ping": client.send_ping,
        }
        if method in simple:
            return await simple[method]()
        if method == "tools/call":
            return await client.call_tool(params["name"], params.get("arguments"), progress_callback=note)
        if method == "prompts/get":
            return await client.get_prompt(params["name"], params.get("arguments"))
        if method == "completion/complete":
            kind = types.PromptReference if params["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
            return await client.complete(kind.model_validate(params["ref"]), params["argument"])
        of_uri = {
            "resources/read": client.read_resource,
            "resources/subscribe": client.subscribe_resource,
            "resources/unsubscribe": client.unsubscribe_resource,
        }
        if method in of_uri:
            return await of_uri[method](params["uri"])
        if method == "logging/setLevel":
            return await client.set_logging_level(params["level"])
        raise LookupError(method)


def plain(error: BaseException) -> BaseException:
    """The one error inside of groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def failure(error: BaseException) -> dict[str, Any]:
    error = plain(error)
    if isinstance(error, MCPError):
        return {"error": {"code": error.error.code, "message": error.error.message, "data": error.error.data}}
    return {"fault": f"{type(error).__name__}: {error}"}


async def obey(command: dict[str, Any], connections: dict[str, Connection]) -> dict[str, Any]:
    name = command["name"]
    if command["do"] == "connect":
        connection = connections[name] = Connection()
        ready = asyncio.get_running_loop().create_future()
        connection.ended = asyncio.create_task(connection.run(command, ready))  # noqa: TID251 - kept
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
