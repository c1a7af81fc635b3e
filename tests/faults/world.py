"""A gate in a process of its own, an upstream that remembers what reached it, and raw clients."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from tests.needs import UNBRAKED

KILLER = Path(__file__).with_name("killer.py")
BOUND = 5.0
TOOLS = [{"name": "echo", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}}}]


class RecordingUpstream:
    """Answers JSON-RPC over HTTP; `reached` holds the `n` of every call that arrived."""

    def __init__(self) -> None:
        self.reached: list[int] = []
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = json.loads(await read_body(reader))
                writer.write(http_answer(self._answer(message)))
                await writer.drain()
        writer.close()

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["method"] == "tools/list":
            result: dict[str, Any] = {"tools": TOOLS}
        else:
            self.reached.append(message["params"]["arguments"]["n"])
            result = {"content": [{"type": "text", "text": "done"}]}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def http_answer(document: dict[str, Any]) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


async def read_body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return await reader.readexactly(int(found[1])) if found else b""


def tool_call(n: int) -> bytes:
    arguments = {"name": "echo", "arguments": {"n": n}}
    body = json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": arguments}).encode()
    return (
        b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"accept: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


class Gate:
    """One gate process; `step` and `count` say where it is killed (`never` for nowhere)."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    async def call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, n: int) -> bool | None:
        """Make call `n`: True when allowed, False when denied, None when the gate was gone."""
        try:
            writer.write(tool_call(n))
            body = json.loads(await asyncio.wait_for(read_body(reader), BOUND))
        except (ConnectionError, asyncio.IncompleteReadError):
            return None
        return not body["result"].get("isError", False)

    async def calls(self, first: int, most: int) -> list[bool]:
        """Calls one after the other on one connection, until the gate is gone or `most` are made."""
        answers: list[bool] = []
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionError:
            return answers
        for n in range(first, first + most):
            answer = await self.call(reader, writer, n)
            if answer is None:
                break
            answers.append(answer)
        writer.close()
        return answers

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)


@contextlib.asynccontextmanager
async def gate(
    state: Path,
    policy: Path,
    upstream: int,
    *,
    step: str = "never",
    count: int = 1,
    more: tuple[str, ...] = (),
) -> AsyncIterator[Gate]:
    """Start a gate in front of `upstream` (a port) and stop it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(KILLER), step, str(count), "--", "-p", str(policy), "--listen", "127.0.0.1:0",
        "--unsafe-no-token", "--state-dir", str(state), "--upstream", f"http://127.0.0.1:{upstream}/mcp",
        "--server", "srv", *UNBRAKED, *more,
        stderr=asyncio.subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    assert process.stderr is not None
    port = 0
    while not port:
        line = (await asyncio.wait_for(process.stderr.readline(), 4 * BOUND)).decode()
        assert line, "the gate did not start"
        found = re.search(r"URL +http://127\.0\.0\.1:(\d+)/mcp", line)
        port = int(found[1]) if found else 0
    try:
        yield Gate(process, port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL if step != "never" else signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 4 * BOUND)


def digest_of(state: Path, n: int) -> str:
    """The keyed digest that a record holds of the arguments of call `n`."""
    key = (state / "keys" / "audit.hmac").read_bytes()
    return "hmac-sha256:" + hmac.digest(key, msgspec.json.encode({"n": n}), "sha256").hex()
