"""A server whose tool `slow` never answers, and which writes down everything it is told.

Arguments: the file for that, and a port to serve HTTP on; without a port it speaks over standard
input and output. A line of the file is a message, or `{"gone": method}` where the other side closed
the connection on which it waited.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

Json = Any
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("quick", "slow")]


class Log:
    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def write(self, document: Json) -> None:
        self._file.write(json.dumps(document) + "\n")


def answer(message: Json) -> Json | None:
    """The result, or None for what is never answered."""
    method = message["method"]
    if method == "initialize":
        about = {"name": "slow", "version": "1"}
        version = message["params"]["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": TOOLS, "ttlMs": 0, "cacheScope": "private", "resultType": "complete"}
    if method == "tools/call" and message["params"]["name"] == "slow":
        return None
    return {"content": [], "resultType": "complete"}


def over_pipes(log: Log) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        log.write(message)
        result = answer(message) if "id" in message and "method" in message else None
        if result is not None:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


async def served(log: Log, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b""
            message = json.loads(body) if body else {"method": head.split(b" ")[0].decode()}
            log.write(message)
            if message["method"] == "GET":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            elif "id" not in message:
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
                continue
            elif (result := answer(message)) is not None:
                text = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
                lines = [
                    b"HTTP/1.1 200 OK",
                    b"content-type: application/json",
                    b"content-length: %d" % len(text),
                ]
                if message["method"] == "initialize":
                    lines.append(b"mcp-session-id: s-1")
                writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + text)
                continue
            if not await reader.read(1):
                log.write({"gone": message["method"]})
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def over_http(log: Log, port: int) -> None:
    server = await asyncio.start_server(lambda reader, writer: served(log, reader, writer), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    told = Log(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        asyncio.run(over_http(told, int(sys.argv[2])))
    else:
        over_pipes(told)
