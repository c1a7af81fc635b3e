"""What the official Python SDK, 1.x or 2.x, makes of bytes that reach its servers.

One JSON object a line in, one out. `{"body": BASE64}`: a request body, read in each way in which the
SDK reads messages; the answer maps the way to `{"method", "id", "name", "arguments"}` or
`{"refused": type of the error}`. `{"stream": BASE64}`: what is written to a server's standard input;
the answer lists the messages that the SDK's own stdio transport takes from it.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pydantic_core
from canonical import canonical
from mcp.server.stdio import stdio_server

types: Any = importlib.import_module("mcp.types")  # its shape depends on the version
SECOND = not hasattr(types, "JSONRPCMessage") or not hasattr(types.JSONRPCMessage, "model_validate_json")

Ways = dict[str, Callable[[bytes], Any]]


def first_ways() -> Ways:
    """As `mcp.server.streamable_http`, `sse` and `stdio` of 1.x do."""
    message = types.JSONRPCMessage
    return {
        "http": lambda body: message.model_validate(json.loads(body)).root,
        "sse": lambda body: message.model_validate_json(body).root,
        "stdio": lambda body: message.model_validate_json(body.decode("utf-8", "replace")).root,
    }


def second_ways() -> Ways:
    """As `mcp.server.streamable_http`, its modern entry, `sse` and `stdio` of 2.x do."""
    import mcp_types

    adapter = mcp_types.jsonrpc_message_adapter
    return {
        "http": lambda body: adapter.validate_python(pydantic_core.from_json(body), by_name=False),
        "modern": lambda body: mcp_types.JSONRPCRequest.model_validate(json.loads(body)),
        "sse": lambda body: adapter.validate_json(body, by_name=False),
        "stdio": lambda body: adapter.validate_json(body.decode("utf-8", "replace"), by_name=False),
    }


WAYS = second_ways() if SECOND else first_ways()


def understood(message: Any) -> dict[str, Any]:
    """Envelope of a message, and of a tool call what its handler would be given."""
    found: dict[str, Any] = {
        "method": canonical(getattr(message, "method", "")),
        "id": canonical(getattr(message, "id", None)),
    }
    params = getattr(message, "params", None)
    if found["method"] != canonical("tools/call") or not hasattr(message, "id"):
        found["params"] = canonical(params if params is not None else {})
        return found
    if SECOND:
        typed = types.CallToolRequestParams.model_validate(params or {}, by_name=False)
    else:
        typed = types.ClientRequest.model_validate(
            message.model_dump(by_alias=True, mode="json", exclude_none=True)
        ).root.params
    found["name"] = canonical(typed.name)
    found["arguments"] = canonical(typed.arguments if typed.arguments is not None else {})
    return found


def read(body: bytes) -> dict[str, Any]:
    """What each way makes of one body."""
    found: dict[str, Any] = {}
    for way, parse in WAYS.items():
        try:
            found[way] = understood(parse(body))
        except (ValueError, RecursionError) as error:  # what the SDK answers with an error
            found[way] = {"refused": type(error).__name__}
    return found


async def split(stream: bytes) -> list[Any]:
    """The messages that the SDK's stdio transport takes from a stream."""
    lines = anyio.wrap_file(io.TextIOWrapper(io.BytesIO(stream), encoding="utf-8", errors="replace"))
    out = anyio.wrap_file(io.StringIO())
    found: list[Any] = []
    async with stdio_server(lines, out) as (reading, writing), reading, writing:
        async for item in reading:
            if isinstance(item, Exception):
                found.append({"refused": type(item).__name__})
            else:
                message = item.message
                found.append(understood(getattr(message, "root", message)))
    return found


def main() -> None:
    """Answer line by line until the input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "body" in asked:
            answer = read(base64.b64decode(asked["body"]))
        else:
            answer = anyio.run(split, base64.b64decode(asked["stream"]))
        sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


main()
