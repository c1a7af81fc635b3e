"""A server of the official Python SDK 2.x whose tools answer with what they were given.

Argument: the port to serve HTTP on; without one it speaks over standard input and output.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "readers"))

import anyio
import uvicorn
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

canonical: Any = importlib.import_module("canonical").canonical
NAMES = json.loads((Path(__file__).parent / "names.json").read_text(encoding="utf-8"))


async def tools(
    _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in NAMES],
        ttl_ms=0,
        cache_scope="private",
    )


async def call(
    context: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult:
    given = {
        "method": canonical(context.method),
        "id": canonical(context.request_id),
        "name": canonical(params.name),
        "arguments": canonical(params.arguments or {}),
    }
    return types.CallToolResult(content=[types.TextContent(type="text", text=json.dumps(given))])


server = Server("recorder", version="1", on_list_tools=tools, on_call_tool=call)


async def on_pipes() -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if len(sys.argv) > 1:
    app = server.streamable_http_app(json_response=True)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
else:
    anyio.run(on_pipes)
