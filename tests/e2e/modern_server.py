"""A small server of the official Python SDK 2.x, for the modern era.

Argument: the port to serve HTTP on; without one it speaks over standard input and output.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import anyio
from mcp.server.mcpserver import Context, Elicit, Image, MCPServer, Resolve
from pydantic import BaseModel

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002"
    "00000500010d0a2db40000000049454e44ae426082"
)

# Before the SDK does it: its own handler draws the traceback of a tool that fails for a second of CPU.
logging.basicConfig(level="INFO", format="%(message)s")

server = MCPServer("modern", version="1", instructions="say hello")


class Sum(BaseModel):
    total: int
    parts: list[int]


class Colour(BaseModel):
    name: str


@server.tool()
def add(numbers: Annotated[list[int], "what to add"]) -> Sum:
    """Adds up."""
    return Sum(total=sum(numbers), parts=numbers)


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


@server.tool()
def picture() -> Image:
    """A picture."""
    return Image(data=PIXEL, format="png")


@server.tool()
async def count(to: int, context: Context) -> str:
    """Reports progress."""
    for number in range(1, to + 1):
        await context.report_progress(number, to, f"step {number}")
        await anyio.sleep(0.2)  # a TypeScript client drops reports that it reads with the answer
    return "counted"


def which_colour() -> Elicit[Colour]:
    return Elicit("which colour?", Colour)


@server.tool()
def ask(colour: Annotated[Colour, Resolve(which_colour)]) -> str:
    """Asks the user: in a second round on the modern era, by a request on the legacy one."""
    return f"the colour is {colour.name}"


@server.resource("demo://one", title="One")
def one() -> str:
    return "the one resource"


@server.resource("demo://item/{number}")
def item(number: str) -> str:
    return f"item {number}"


@server.prompt()
def greet(name: str) -> str:
    """Greets."""
    return f"say hello to {name}"


if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
