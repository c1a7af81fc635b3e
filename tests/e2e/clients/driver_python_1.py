"""Drives the official Python client 1.x, in the environment that holds it.

Its names are looked up when it runs: type checkers see the environment of the 2.x client.
"""

from __future__ import annotations

import asyncio
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from driver_common import Connection, dumped, serve

mcp: Any = import_module("mcp")
stdio_client: Any = import_module("mcp.client.stdio").stdio_client
sse_client: Any = import_module("mcp.client.sse").sse_client
http_client: Any = import_module("mcp.client.streamable_http").streamablehttp_client


class Legacy(Connection):
    types = mcp.types

    def transport(self, spec: dict[str, Any]) -> Any:
        if "sse" in spec:
            token = spec["sse"].get("token")
            return sse_client(
                spec["sse"]["url"], headers={"Authorization": f"Bearer {token}"} if token else {}
            )
        if "http" in spec:
            token = spec["http"].get("token")
            return http_client(
                spec["http"]["url"], headers={"Authorization": f"Bearer {token}"} if token else {}
            )
        stdio = spec["stdio"]
        program, *args = stdio["command"]
        env = os.environ | stdio.get("env", {})
        parameters = mcp.StdioServerParameters(command=program, args=args, env=env)
        return stdio_client(parameters, errlog=Path(stdio["log"]).open("a", encoding="utf-8"))

    async def hold(self, spec: dict[str, Any], ready: asyncio.Future[Any]) -> None:
        callbacks = self.callbacks(spec)
        info = mcp.types.Implementation(name="e2e", version="1")
        async with (
            self.transport(spec) as streams,
            mcp.ClientSession(
                streams[0], streams[1], message_handler=self.hear, client_info=info, **callbacks
            ) as session,
        ):
            ready.set_result(dumped(await session.initialize()))
            self.client = session
            await self.closing.wait()


serve(Legacy)
