"""What tests of the stdio side are built from: a sink that remembers, and tiny servers."""

from __future__ import annotations

import asyncio
import json
import os
import select
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Head, UpstreamRequest
from ostiary.proxy.stdio.program import Command

SRC = Path(__file__).resolve().parents[2] / "src"

VERSION = "io.modelcontextprotocol/protocolVersion"

PREAMBLE = """
import json, sys, os
def say(message): sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def answer(request, **result): say({"jsonrpc": "2.0", "id": request["id"], "result": result})
def notify(method, **params): say({"jsonrpc": "2.0", "method": method, "params": params})
def requests():
    for line in sys.stdin: yield json.loads(line)
"""

ECHO = """
for request in requests():
    if "method" in request and "id" in request:
        answer(request, method=request["method"], params=request.get("params"), pid=os.getpid())
"""


def server(body: str) -> Command:
    """A server in Python; `body` may use `say`, `answer` and `requests`."""
    return Command((sys.executable, "-I", "-S", "-c", PREAMBLE + body))


BOUND = 10.0
"""Seconds for a test, whose servers have to start."""


def on_uvloop(main: Callable[[], Awaitable[None]], seconds: float = BOUND) -> None:
    """Run `main` on the loop of the product, bounded."""

    async def bounded() -> None:
        await asyncio.wait_for(_awaited(main), seconds)

    uvloop.run(bounded())


def on_asyncio(main: Callable[[], Awaitable[None]], seconds: float = BOUND) -> None:
    """Run `main` on the loop of the standard library, bounded."""

    async def bounded() -> None:
        await asyncio.wait_for(_awaited(main), seconds)

    asyncio.run(bounded())


async def _awaited(main: Callable[[], Awaitable[None]]) -> None:
    await main()


class Remembering:
    """A sink that remembers, and can be waited for."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.body = b""
        self.failed: UpstreamFault | None = None
        self.over = asyncio.Event()
        self.changed = asyncio.Event()

    def head(self, head: Head) -> None:
        self.heads.append(head)
        self.changed.set()

    def data(self, data: bytes) -> None:
        self.body += data
        self.changed.set()

    def end(self) -> None:
        self.over.set()
        self.changed.set()

    def fault(self, fault: UpstreamFault) -> None:
        self.failed = fault
        self.over.set()
        self.changed.set()

    @property
    def status(self) -> int:
        return self.heads[0].status

    @property
    def kind(self) -> bytes | None:
        return self.heads[0].header(b"content-type")

    @property
    def session(self) -> bytes | None:
        return self.heads[0].header(b"mcp-session-id")

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the body, be it JSON or an event stream."""
        if self.kind == b"text/event-stream":
            lines = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]
            return [json.loads(line) for line in lines]
        return [json.loads(self.body)] if self.body else []

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self.changed.clear()
            await self.changed.wait()


def post(
    message: Mapping[str, object] | bytes, *, session: bytes | None = None, grant: str = "g"
) -> UpstreamRequest:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = () if session is None else ((b"mcp-session-id", session),)
    return UpstreamRequest("POST", headers, body, grant=grant)


def request(method: str, message_id: int | str = 1, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": message_id, "method": method, "params": params}


def modern(
    method: str, message_id: int | str = 1, *, meta: Mapping[str, object] | None = None, **params: object
) -> dict[str, object]:
    return request(method, message_id, **params, _meta={VERSION: "2026-07-28", **(meta or {})})


def notification(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def gone(pids: list[int], seconds: float) -> bool:
    """Wait until none of `pids` is alive, by their descriptors where they still exist."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor):
            select.select([descriptor], [], [], seconds)
    return not any(is_alive(pid) for pid in pids)
