"""A server with one tool, for clients that come over standard streams."""

from __future__ import annotations

from typing import Any

from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.server import Server
from ostiary.servers.core.stdio import run
from ostiary.servers.core.tool import Tool

NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


async def greet(arguments: dict[str, Any], context: CallContext) -> ToolResult:
    return ToolResult([text(f"Hello, {arguments['name']}!")])


def make_server() -> Server:
    tool = Tool(name="greet", handler=greet, input_schema=NAMED, description="says hello")
    return Server("minimal", "1", tools=[tool])


if __name__ == "__main__":
    run(make_server())
