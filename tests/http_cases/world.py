"""A gate in a process of its own, an upstream that each test puts behind it, and raw clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.e2e import world as processes
from tests.needs import UNBRAKED
from tests.proxy.http_world import answer
from tests.weaknesses.world import Upstream, call, encoded, http, tool

HOST = b"Host: 127.0.0.1"


class GateProcess(processes.Gate):
    """A gate that forwards to `upstream_port`, where each test may listen. It needs no token."""

    def __init__(self, folder: Path, upstream_port: int, *options: str, policy: Path | None = None) -> None:
        super().__init__(
            policy or processes.ALLOW_ALL,
            folder,
            "--unsafe-no-token",
            "--server",
            "up",
            *UNBRAKED,
            *options,
            upstream=f"http://127.0.0.1:{upstream_port}/mcp",
        )
        self.upstream_port = upstream_port

    @property
    def pid(self) -> int:
        return self.process.pid

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def settled(self) -> bool:
        """Whether all that it opens a little after its start is open: its journal, for the fourth time.

        To write, to look after it, to look up approvals and to look for stops.
        """
        return self.open_names().count("ostiary.db") > 3

    def open_names(self) -> list[str]:
        """What its descriptors are: the names of files, `socket:[…]` and the like."""
        names: list[str] = []
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since
                names.append(path.readlink().name)
        return names

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the gate is gone")

    def seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextlib.asynccontextmanager
    async def upstream(self) -> AsyncGenerator[Upstream, None]:
        """An MCP server with one tool, `echo`, as long as the block lasts."""
        server = Upstream([tool("echo")])
        server.port = self.upstream_port
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


@contextlib.contextmanager
def running_gate(folder: Path, *options: str, policy: Path | None = None) -> Iterator[GateProcess]:
    """A gate process, and a port that is kept free for what is put behind it."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        gate = GateProcess(folder, kept.getsockname()[1], *options, policy=policy)
        try:
            yield gate
        finally:
            if not gate.ended():
                gate.stop()


def head_of(length: int | None, *lines: bytes, method: bytes = b"POST") -> bytes:
    """The head of a request that the gate takes; None for a chunked body."""
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    framed = [framing] if method == b"POST" else []
    kind = [b"Content-Type: application/json", b"Accept: application/json, text/event-stream"]
    return b"\r\n".join((method + b" /mcp HTTP/1.1", HOST, *kind, *lines, *framed)) + b"\r\n\r\n"


def posted(message: object, *lines: bytes) -> bytes:
    """A whole request."""
    body = encoded(message)
    return head_of(len(body), *lines) + body


def called(number: object, *lines: bytes, **arguments: object) -> bytes:
    """A whole `tools/call` of `echo`."""
    return posted(call("echo", arguments, number), *lines)


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: object) -> dict[str, Any]:
    """Make one call on a raw connection and return its JSON answer."""
    writer.write(called(number))
    status, _, body = await answer(reader)
    assert status == 200, body
    return json.loads(body)


def echoing(upstream: Upstream) -> None:
    """Let `tools/call` be answered with its own arguments."""

    def echoed(seen) -> bytes:
        message: Mapping[str, Any] = seen.message
        text = json.dumps(message["params"]["arguments"])
        result = {"content": [{"type": "text", "text": text}]}
        return http(encoded({"jsonrpc": "2.0", "id": message["id"], "result": result}))

    upstream.script["tools/call"] = echoed


def text_of(document: Mapping[str, Any]) -> Any:
    """What an echoing upstream was called with."""
    return json.loads(document["result"]["content"][0]["text"])
