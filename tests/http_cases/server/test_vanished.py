"""Clients that vanish without closing anything, as a machine does that loses its network."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from ostiary.proxy.exchange import Head
from ostiary.proxy.http.request import Limits
from ostiary.proxy.http.server import HttpServer
from tests.http_cases.vanishing import EXPECTED, options_of, vanish
from tests.proxy.http_world import LOOPS, Kept, post, serving, talking, until, within

GET = b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n"


@LOOPS
@pytest.mark.parametrize("shared", [False, True], ids=["own port", "shared port"])
def test_every_accepted_socket_sends_at_once_and_watches_its_peer(run, shared: bool) -> None:
    """HTTP case 26: TCP_NODELAY, also with SO_REUSEPORT, and the options that find a dead peer."""

    async def main() -> None:
        server = HttpServer(Kept())
        _, port = await server.listen("127.0.0.1", 0, reuse_port=shared)
        async with talking(port):
            await until(lambda: server.connections == 1)
            (connection,) = server._connections
            found = options_of(connection._socket)
            del connection
        await server.close(0)
        assert found == EXPECTED

    within(run, main)


@LOOPS
def test_clients_that_have_vanished_are_dropped(run) -> None:
    """HTTP case 14: no end ever arrives, yet each place is given back and each exchange is told.

    One waits between requests, one for its answer, one listens to a stream.
    """

    async def main() -> None:
        kept = Kept()
        gone: list[str] = []
        async with (
            serving(kept, limits=Limits(peer_timeout=1.0)) as (server, port),
            talking(port) as idle,
            talking(port) as waiting,
            talking(port) as listening,
        ):
            waiting[1].write(post())
            listening[1].write(GET)
            await until(lambda: len(kept.asked) == 2 and server.connections == 3)
            for request, responder in kept.asked:
                responder.on_gone = lambda method=request.method: gone.append(method)
                if request.method == "GET":
                    responder.start(Head(200))
            await listening[0].readuntil(b"\r\n\r\n")
            for _, writer in (idle, waiting, listening):
                vanish(writer.get_extra_info("socket"))
            await until(lambda: server.connections == 0)
            assert sorted(gone) == ["GET", "POST"]

    within(run, main)


@LOOPS
def test_client_that_takes_nothing_for_too_long_is_dropped(run) -> None:
    """HTTP case 19: a reader may stop for a while, but does not hold its stream for ever."""

    async def main() -> None:
        kept = Kept()
        gone: list[str] = []
        async with (
            serving(kept, limits=Limits(peer_timeout=1.0)) as (server, port),
            talking(port) as (_, writer),
        ):
            cast("asyncio.Transport", writer.transport).pause_reading()
            writer.write(GET)
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            responder.on_gone = lambda: gone.append("gone")
            responder.start(Head(200))
            responder.write(b"x" * 16_000_000)
            await until(lambda: server.connections == 0)
            assert gone == ["gone"]

    within(run, main)
