"""A server of the official Python SDK 2.x whose streams are closed early and resumed (2025-11-25).

Argument: the port to serve HTTP on. Like some servers it replays every stream of every session to
whoever names one of its event ids.
"""

from __future__ import annotations

import logging
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCMessage

# Before the SDK does it: its own handler draws the traceback of a tool that fails for a second of CPU.
logging.basicConfig(level="INFO", format="%(message)s")

server = MCPServer("polling", version="1")


class Events(EventStore):
    def __init__(self) -> None:
        self.kept: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self.kept.append((stream_id, message))
        return f"e-{len(self.kept)}"

    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> StreamId | None:
        number = int(last_event_id.removeprefix("e-"))
        stream_id = self.kept[number - 1][0]
        for later, (of, message) in enumerate(self.kept[number:], number + 1):
            if of == stream_id and message is not None:
                await send_callback(EventMessage(message, f"e-{later}"))
        return stream_id


@server.tool()
async def slow(context: Context) -> str:
    """Answers after its stream was closed."""
    await context.close_sse_stream()
    await anyio.sleep(0.3)
    return "late"


@server.tool()
def hidden() -> str:
    """Not for everybody."""
    return "hidden"


if __name__ == "__main__":
    app = server.streamable_http_app(event_store=Events(), retry_interval=100)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
