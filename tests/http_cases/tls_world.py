"""Gates and upstreams that speak TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from tests.e2e import world as processes
from tests.http_cases.world import called, echoing, text_of
from tests.proxy.certificates import Pem
from tests.proxy.http_world import answer
from tests.weaknesses.world import Upstream, tool


@contextlib.asynccontextmanager
async def secured(shown: Pem) -> AsyncGenerator[Upstream, None]:
    """An MCP server over TLS that shows this certificate."""
    upstream = Upstream([tool("echo")])
    server = await asyncio.start_server(upstream._serve, "127.0.0.1", 0, limit=2**24, ssl=shown.server())
    upstream.port = server.sockets[0].getsockname()[1]
    echoing(upstream)
    try:
        yield upstream
    finally:
        server.close()
        for writer in list(upstream._writers):
            writer.transport.abort()


@contextlib.contextmanager
def tls_gate(folder: Path, shown: Pem, trusted: Path, upstream: int) -> Iterator[processes.Gate]:
    """A gate in front of an https upstream that serves TLS itself."""
    gate = processes.Gate(
        processes.ALLOW_ALL, folder, "--unsafe-no-token",
        "--tls-cert", str(shown.cert), "--tls-key", str(shown.key), "--upstream-ca", str(trusted),
        upstream=f"https://127.0.0.1:{upstream}/mcp",
    )  # fmt: skip
    try:
        yield gate
    finally:
        gate.stop()


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
    """Whether a call is answered with its own argument."""
    writer.write(called(number, n=number))
    return text_of(json.loads((await answer(reader))[2])) == {"n": number}
