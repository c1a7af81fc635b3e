"""A server of the official Python SDK 1.x whose tools answer with what they were given.

Argument: the port to serve HTTP on; without one it speaks over standard input and output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "readers"))

import anyio
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Mount

types: Any = importlib.import_module("mcp.types")  # this one is of 1.x
canonical: Any = importlib.import_module("canonical").canonical
NAMES = json.loads((Path(__file__).parent / "names.json").read_text(encoding="utf-8"))
server: Any = Server("recorder")


@server.list_tools()
async def tools() -> list[Any]:
    return [types.Tool(name=name, inputSchema={"type": "object"}) for name in NAMES]


@server.call_tool(validate_input=False)
async def call(name: str, arguments: dict) -> list[Any]:
    given = {
        "method": canonical("tools/call"),
        "id": canonical(server.request_context.request_id),
        "name": canonical(name),
        "arguments": canonical(arguments),
    }
    return [types.TextContent(type="text", text=json.dumps(given))]


async def on_pipes() -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def on_http(port: int) -> None:
    manager = StreamableHTTPSessionManager(server, json_response=True)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        async with manager.run():
            yield

    app = Starlette(routes=[Mount("/mcp", manager.handle_request)], lifespan=lifespan)

    # The one path the gate is given, without the redirect to a trailing slash.
    async def plain(scope: dict, receive, send) -> None:
        if scope["type"] == "http":
            await manager.handle_request(scope, receive, send)
        else:
            await app(scope, receive, send)

    uvicorn.run(plain, host="127.0.0.1", port=port, log_level="warning")


if len(sys.argv) > 1:
    on_http(int(sys.argv[1]))
else:
    anyio.run(on_pipes)
