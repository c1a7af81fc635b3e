"""A small server of the official Python SDK 1.x, for the environment that holds it.

Argument: the port to serve HTTP on; without one it speaks over standard input and output.
"""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any

# Before the SDK does it: its own handler draws the traceback of a tool that fails for a second of CPU.
logging.basicConfig(level="INFO", format="%(message)s")

FastMCP: Any = import_module("mcp.server.fastmcp").FastMCP
port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
server = FastMCP("legacy", host="127.0.0.1", port=port or 8000)


@server.tool()
def add(numbers: list[int]) -> int:
    """Adds up."""
    return sum(numbers)


@server.tool()
def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


server.run("streamable-http" if port else "stdio")
