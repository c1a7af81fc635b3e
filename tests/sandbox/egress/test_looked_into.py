"""The way out of one run: what is left of it when the run ends in the middle of something."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

from ostiary.sandbox.egress.authority import Authority
from ostiary.sandbox.egress.looked_into import Doorway, LookedInto
from ostiary.sandbox.egress.swap import Held

SECONDS = 5


def test_connections_that_are_open_when_the_run_ends_end_with_it_and_in_silence() -> None:
    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        doorway = Doorway(authority=Authority(datetime.now(UTC)), trust=ssl.create_default_context())
        way = LookedInto(doorway, (), ())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0)
            async with asyncio.timeout(SECONDS):
                async with way(listener):
                    reader, writer = await asyncio.open_connection(*listener.getsockname())
                    writer.write(b"CONNECT ")
                    other, refused = await asyncio.open_connection(*listener.getsockname())
                    refused.write(b"GET / HTTP/1.1\r\n\r\n")
                    assert (await other.readline()).startswith(b"HTTP/1.1 4")
                assert await _end(reader) == b""
            for each in (writer, refused):
                each.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert complaints == []


async def _end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def test_a_secret_that_is_printed_by_mistake_shows_no_value() -> None:
    assert "the-value" not in repr(Held("TOKEN", "0" * 40, "the-value", ()))
