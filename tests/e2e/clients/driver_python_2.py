"""Drives the official Python client 2.x."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx2
from driver_common import Connection, dumped, serve
from mcp import Client, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


class Modern(Connection):
    types = types

    def transport(self, spec: dict[str, Any]) -> Any:
        if "sse" in spec:
            token = spec["sse"].get("token")
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return sse_client(spec["sse"]["url"], headers=headers)
        if "http" in spec:
            token = spec["http"].get("token")
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            made = httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30))
            return streamable_http_client(spec["http"]["url"], http_client=made)
        stdio = spec["stdio"]
        program, *args = stdio["command"]
        parameters = StdioServerParameters(command=program, args=args, env=os.environ | stdio.get("env", {}))
        return stdio_client(parameters, errlog=Path(stdio["log"]).open("a", encoding="utf-8"))

    async def hold(self, spec: dict[str, Any], ready: asyncio.Future[Any]) -> None:
        async with Client(
            self.transport(spec),
            mode=spec.get("mode", "auto"),
            message_handler=self.hear,
            cache=None,
            client_info=types.Implementation(name="e2e", version="1"),
            **self.callbacks(spec),
        ) as client:
            self.client = client
            ready.set_result(
                {
                    "protocolVersion": client.protocol_version,
                    "serverInfo": dumped(client.server_info) if client.server_info else None,
                    "capabilities": dumped(client.server_capabilities),
                    "instructions": client.instructions,
                }
            )
            await self.stay(bool(spec.get("changes")))

    async def stay(self, changes: bool) -> None:
        """Wait for the end; on the modern era changed lists must be asked for."""
        if changes and self.client.protocol_version >= "2026":
            async with self.client.listen(tools_list_changed=True):
                self.heard.append({"method": "listening"})
                await self.closing.wait()
        await self.closing.wait()


serve(Modern)
