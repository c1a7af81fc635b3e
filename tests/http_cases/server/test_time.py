"""Time-outs of the HTTP listener: each with its own answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator

from ostiary.proxy.exchange import ClientRequest, Head, Responder
from ostiary.proxy.http.request import Limits
from tests.proxy.http_world import LOOPS, Kept, answer, echo, post, serving, talking, until, within


def stopped_reader(port: int) -> socket.socket:
    """A connected client that reads nothing unless it is told to."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


@contextlib.asynccontextmanager
async def dripping(writer: asyncio.StreamWriter, data: bytes) -> AsyncGenerator[None, None]:
    """Send one byte now and then as long as the block lasts, so that the connection is never silent."""

    async def drip() -> None:
        for byte in data:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.01)

    task = asyncio.get_running_loop().create_task(drip())
    try:
        yield
    finally:
        assert not task.done(), "the whole request was taken"
        task.cancel()


@LOOPS
def test_slow_head_is_answered_408(run) -> None:
    """HTTP case 8: one byte at a time does not extend the time for the head."""

    async def main() -> None:
        kept = Kept()
        async with (
            serving(kept, limits=Limits(head_timeout=0.2)) as (_, port),
            talking(port) as (reader, writer),
        ):
            async with dripping(writer, post(b"{}", b"X: " + b"y" * 1000)):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
            assert not kept.asked

    within(run, main)


@LOOPS
def test_slow_body_is_answered_408(run) -> None:
    """HTTP case 8: nor does it extend the time for the body."""

    async def main() -> None:
        kept = Kept()
        async with (
            serving(kept, limits=Limits(body_timeout=0.2)) as (_, port),
            talking(port) as (reader, writer),
        ):
            async with dripping(writer, post(b"x" * 1000)):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
            assert not kept.asked

    within(run, main)


@LOOPS
def test_idle_connection_is_closed_without_answer(run) -> None:
    """HTTP case 8: silence between requests ends the connection, not sooner than it may."""

    async def main() -> None:
        async with (
            serving(echo, limits=Limits(idle_timeout=0.2)) as (_, port),
            talking(port) as (reader, writer),
        ):
            start = asyncio.get_running_loop().time()  # its silence begins later, with its answer
            writer.write(post(b"1"))
            assert (await answer(reader))[2] == b"1"
            assert await reader.read() == b""
            assert asyncio.get_running_loop().time() - start > 0.19

    within(run, main)


@LOOPS
def test_connection_that_never_sends_is_closed(run) -> None:
    """HTTP case 22: opened and abandoned connections do not stay."""

    async def main() -> None:
        async with serving(echo, limits=Limits(head_timeout=0.1)) as (_, port), talking(port) as (reader, _):
            assert await reader.read() == b""

    within(run, main)


@LOOPS
def test_running_call_has_no_time_limit_of_the_listener(run) -> None:
    """HTTP case 8: the time-outs are for what the client does, not for what it waits for."""

    async def main() -> None:
        kept = Kept()
        limits = Limits(head_timeout=0.2, body_timeout=0.2, idle_timeout=0.2)
        async with serving(kept, limits=limits) as (_, port), talking(port) as (reader, writer):
            writer.write(post(b"1"))
            await until(lambda: kept.asked)
            await asyncio.sleep(0.6)
            echo(*kept.asked.pop())
            assert (await answer(reader))[2] == b"1"

    within(run, main)


@LOOPS
def test_client_that_neither_reads_nor_closes_after_the_last_answer_is_dropped(run) -> None:
    """HTTP case 22: a place is given back although the client holds on to the connection."""

    async def main() -> None:
        async with (
            serving(echo, limits=Limits(linger_timeout=0.1)) as (server, port),
            talking(port) as (reader, writer),
        ):
            writer.write(post(b"1", b"Connection: close"))
            assert (await answer(reader))[2] == b"1"
            await until(lambda: server.connections == 0)

    within(run, main)


@LOOPS
def test_reader_that_stops_holds_no_more_than_the_high_water_mark(run) -> None:
    """HTTP case 19: the exchange is paused, nothing more is asked for, and everything arrives in the end."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (server, port):
            loop = asyncio.get_running_loop()
            client = stopped_reader(port)
            await loop.sock_sendall(client, post())
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            flowing = asyncio.Event()
            flowing.set()
            responder.on_pause = flowing.clear
            responder.on_resume = flowing.set
            responder.start(Head(200, (), 10_000_000))
            (connection,) = server._connections
            sent = 0
            while flowing.is_set():
                responder.write(b"x" * 10_000)
                sent += 10_000
                await asyncio.sleep(0)
            assert 0 < sent < 9_000_000
            assert connection._transport.get_write_buffer_size() <= 64 * 1024 + 20_000
            while sent < 10_000_000:
                await loop.sock_recv(client, 1 << 20)
                while flowing.is_set() and sent < 10_000_000:
                    responder.write(b"x" * 10_000)
                    sent += 10_000
                    await asyncio.sleep(0)
            responder.finish()
            client.close()

    within(run, main)


@LOOPS
def test_pipelining_client_that_does_not_read_is_not_served_on(run) -> None:
    """HTTP case 19: answers do not pile up for a client that only asks."""

    async def main() -> None:
        served = 0

        def large(request: ClientRequest, responder: Responder) -> None:
            nonlocal served
            served += 1
            responder.start(Head(200, (), 1_000_000))
            responder.write(b"x" * 1_000_000)
            responder.finish()

        async with serving(large) as (_, port):
            client = stopped_reader(port)
            await asyncio.get_running_loop().sock_sendall(client, post() * 100)
            await until(lambda: served)
            await asyncio.sleep(0.2)
            assert 0 < served < 20
            client.close()

    within(run, main)
