"""Upstreams that vanish without closing anything."""

from __future__ import annotations

import asyncio

from ostiary.proxy.http.call import UpstreamLimits
from tests.http_cases.vanishing import EXPECTED, options_of, vanish
from tests.proxy.http_world import LOOPS, call, upstream, within

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@LOOPS
def test_every_socket_to_an_upstream_sends_at_once_and_watches_its_peer(run) -> None:
    """HTTP case 26: TCP_NODELAY, and the options that find a dead peer."""

    async def main() -> None:
        async def script(world, reader, writer) -> None:
            await world.request(reader)
            writer.write(OK)
            await reader.read()

        async with upstream(script) as (client, _):
            await call(client)
            (line,) = client._lines
            found = options_of(line._transport.get_extra_info("socket"))
            assert found == EXPECTED

    within(run, main)


@LOOPS
def test_upstream_that_has_vanished_is_a_fault_long_before_its_time_is_up(run) -> None:
    """HTTP case 15: before its answer and inside a stream; the call was sent, its outcome is unknown."""

    async def main() -> None:
        async def script(world, reader, writer) -> None:
            if b"stream" in await world.request(reader):
                writer.write(STREAM)
            await asyncio.sleep(0.05)
            vanish(writer.get_extra_info("socket"))
            await asyncio.Event().wait()

        async with upstream(script, UpstreamLimits(peer_timeout=1.0)) as (client, _):
            answering, streaming = await asyncio.gather(call(client, b"answer"), call(client, b"stream"))
            assert (answering.events, streaming.events) == (["fault"], ["head", "fault"])
            for heard in (answering, streaming):
                assert heard.problem is not None
                assert heard.problem.written
            assert client.idle == 0

    within(run, main)
