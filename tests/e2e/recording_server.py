"""A small server of the official Python SDK 2.x that writes down what ran. It speaks both eras.

Each run is one line of JSON at the end of the file that `RUNS` names. Argument: the port to serve
HTTP on; without one it speaks over standard input and output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from pydantic import BaseModel

# Before the SDK does it: its own handler draws the traceback of a tool that fails for a second of CPU.
logging.basicConfig(level="INFO", format="%(message)s")

server = MCPServer("recording", version="1")


def note(ran: Any) -> None:
    with Path(os.environ["RUNS"]).open("a", encoding="utf-8") as runs:
        runs.write(json.dumps(ran) + "\n")


class Colour(BaseModel):
    name: str


def which_colour() -> Elicit[Colour]:
    note("asked")
    return Elicit("which colour?", Colour)


@server.tool()
def run(what: Any) -> str:
    """Runs."""
    note(what)
    return f"ran {what}"


@server.tool()
def other(what: Any) -> str:
    """Runs as well."""
    note(["other", what])
    return f"ran other {what}"


@server.tool()
def paint(colour: Annotated[Colour, Resolve(which_colour)]) -> str:
    """Asks the user: in a second round on the modern era, by a request on the legacy one."""
    note(colour.name)
    return f"painted {colour.name}"


if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
