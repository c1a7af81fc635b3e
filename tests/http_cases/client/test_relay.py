"""Listener and upstream together: a relay without any decision."""

from __future__ import annotations

import asyncio
import socket

from ostiary.proxy.exchange import UpstreamRequest
from ostiary.proxy.http.client import HttpUpstream
from tests.proxy.http_world import (
    LOOPS,
    Heard,
    Relay,
    answer,
    echo,
    post,
    serving,
    talking,
    until,
    upstream,
    within,
)


@LOOPS
def test_a_thousand_requests_on_four_connections_get_their_own_answers(run) -> None:
    """Keep-alive on both sides: nothing is mixed up."""

    async def main() -> None:
        async with serving(echo) as (_, behind):
            client = HttpUpstream(f"http://127.0.0.1:{behind}/mcp")
            async with serving(Relay(client)) as (_, port):

                async def one(name: int) -> None:
                    async with talking(port) as (reader, writer):
                        for n in range(250):
                            body = b"%d/%d" % (name, n) + b"." * (n * 37 % 500)
                            writer.write(post(body))
                            assert (await answer(reader))[2] == body

                await asyncio.gather(*(one(name) for name in range(4)))
                assert client.idle <= 4
            await client.close()

    within(run, main, 20)


@LOOPS
def test_large_bodies_pass_unchanged_both_ways(run) -> None:
    """4 MiB there, by length and in chunks, and back."""
    body = bytes(range(256)) * 16384

    async def main() -> None:
        async with serving(echo) as (_, behind):
            client = HttpUpstream(f"http://127.0.0.1:{behind}/mcp")
            async with serving(Relay(client)) as (_, port), talking(port) as (reader, writer):
                writer.write(post(body))
                assert (await answer(reader))[2] == body
                writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for at in range(0, len(body), 100_000):
                    piece = body[at : at + 100_000]
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                writer.write(b"0\r\n\r\n")
                assert (await answer(reader))[2] == body
            await client.close()

    within(run, main, 20)


@LOOPS
def test_endless_stream_to_a_reader_that_stops_is_held_back_at_its_source(run) -> None:
    """HTTP case 19: memory held in between stays near the high-water mark."""
    sent = 0

    async def endless(world, reader, writer) -> None:
        nonlocal sent
        await world.request(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        while True:
            writer.write(b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000))
            sent += 100_000
            await writer.drain()

    async def main() -> None:
        async with upstream(endless) as (client, _), serving(Relay(client)) as (server, port):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", port))
            reader.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(reader, post())
            before = -1
            while before != sent or not sent:
                before = sent
                await asyncio.sleep(0.1)
            (connection,) = server._connections
            assert connection._transport.get_write_buffer_size() < 64 * 1024 + 300_000
            got = 0
            while got < 30_000_000:
                got += len(await asyncio.get_running_loop().sock_recv(reader, 1 << 20))
            reader.close()

    within(run, main, 20)


@LOOPS
def test_stream_is_relayed_event_by_event(run) -> None:
    """HTTP case 20: bytes arrive as they were sent and when they were sent."""

    async def main() -> None:
        go = asyncio.Event()

        async def script(world, reader, writer) -> None:
            await world.request(reader)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for n in range(3):
                await go.wait()
                go.clear()
                writer.write(b"9\r\ndata: %d\n\n\r\n" % n)
            writer.write(b"0\r\n\r\n")
            await reader.read()

        async with (
            upstream(script) as (client, _),
            serving(Relay(client)) as (_, port),
            talking(port) as (reader, writer),
        ):
            writer.write(post())
            await reader.readuntil(b"\r\n\r\n")
            for n in range(3):
                go.set()
                assert await reader.readexactly(14) == b"9\r\ndata: %d\n\n\r\n" % n
            assert await reader.readexactly(5) == b"0\r\n\r\n"

    within(run, main)


@LOOPS
def test_client_that_goes_away_cancels_and_its_connection_is_not_used_again(run) -> None:
    """HTTP case 14, HTTP case 21: the late answer reaches nobody."""

    async def main() -> None:
        async def script(world, reader, writer) -> None:
            await world.request(reader)
            if world.connections == 1:
                assert await reader.read() == b""
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
            await reader.read()

        async with upstream(script) as (client, world), serving(Relay(client)) as (_, port):
            async with talking(port) as (_, writer):
                writer.write(post())
                await until(lambda: world.requests)
            async with talking(port) as (reader, writer):
                writer.write(post())
                assert (await answer(reader))[2] == b"mine"

    within(run, main)


@LOOPS
def test_upstream_dying_in_a_stream_cuts_the_client(run) -> None:
    """A part is never ended as if it were the whole."""

    async def script(world, reader, writer) -> None:
        await world.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        await writer.drain()

    async def main() -> None:
        async with (
            upstream(script) as (client, _),
            serving(Relay(client)) as (_, port),
            talking(port) as (reader, writer),
        ):
            writer.write(post())
            assert (await reader.read()).endswith(b"4\r\npart\r\n")

    within(run, main)


@LOOPS
def test_many_calls_at_once_share_nothing_but_the_pool(run) -> None:
    """200 at once, answered in reverse order."""

    async def main() -> None:
        waiting = []

        def hold(request, responder) -> None:
            waiting.append((request, responder))
            if len(waiting) == 200:
                for held in reversed(waiting):
                    echo(*held)

        async with serving(hold) as (_, behind):
            client = HttpUpstream(f"http://127.0.0.1:{behind}/mcp")
            heard = [Heard() for _ in range(200)]
            for n, sink in enumerate(heard):
                client.send(UpstreamRequest("POST", (), b"%d" % n), sink)
            await asyncio.gather(*(sink.over.wait() for sink in heard))
            assert [sink.body for sink in heard] == [b"%d" % n for n in range(200)]
            waiting.clear()
            assert client.idle == 200
            await client.close()
            assert client.idle == 0

    within(run, main)
