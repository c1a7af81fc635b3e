"""A server built with the official Python SDK, for the clients of the same."""

from __future__ import annotations

import logging

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel

# Before the SDK does it: its own handler draws the traceback of a tool that fails for a second of CPU.
logging.basicConfig(level="INFO", format="%(message)s")

served = MCPServer("fixture")


class Wish(BaseModel):
    colour: str


@served.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@served.tool()
def size(text: str) -> int:
    """Count characters."""
    return len(text)


@served.tool()
async def count(ctx: Context, to: int) -> str:
    """Count with progress."""
    for number in range(to):
        await ctx.report_progress(number + 1, to)
    return "counted"


@served.tool()
async def ask(ctx: Context) -> str:
    """Ask the person."""
    answer = await ctx.elicit("which colour?", Wish)
    return answer.data.colour if answer.action == "accept" else answer.action


@served.tool()
async def forever(ctx: Context) -> str:
    """Never answer, unless cancelled."""
    await ctx.report_progress(1)
    try:
        await anyio.sleep_forever()
    finally:
        ended.append("cancelled")
    return "never"


@served.tool()
def endings() -> list[str]:
    """What became of `forever`."""
    return ended


@served.tool()
async def change(ctx: Context) -> str:
    """Say that the tools have changed."""
    await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "changed"


ended: list[str] = []

if __name__ == "__main__":
    served.run()
