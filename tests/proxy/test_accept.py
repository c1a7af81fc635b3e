"""The listener when connections come faster than the machine can take them, and when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from ostiary.proxy.exchange import Head
from ostiary.proxy.http.accept import PAUSE, Acceptor, bind
from ostiary.proxy.http.request import Limits
from ostiary.proxy.http.server import HttpServer
from tests.proxy.http_world import LOOPS, Kept, answer, echo, post, serving, talking, until, within


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Inside the block this process cannot open anything."""
    gc.collect()  # what earlier tests let go of must not make room meanwhile
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 400), hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@LOOPS
def test_without_descriptors_calls_go_on_and_new_connections_wait(run, caplog) -> None:
    """HTTP case 22: nothing spins, nothing is logged twice, and who waited is served in the end."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = socket.socket()
        waiting.setblocking(False)
        async with serving(echo) as (server, port), talking(port) as (reader, writer):
            writer.write(post(b"0"))
            assert (await answer(reader))[2] == b"0"
            with no_descriptors_left():
                await loop.sock_connect(waiting, ("127.0.0.1", port))
                await loop.sock_sendall(waiting, post(b"waited"))
                used = time.process_time()
                end = loop.time() + 3 * PAUSE
                asked = 0
                while loop.time() < end:
                    writer.write(post(b"%d" % asked))
                    assert (await answer(reader))[2] == b"%d" % asked
                    asked += 1
                    await asyncio.sleep(0.05)
                assert time.process_time() - used < PAUSE
                assert server.connections == 1
            there, onward = await asyncio.open_connection(sock=waiting)
            assert (await answer(there))[2] == b"waited"
            onward.close()

    with caplog.at_level(logging.WARNING):
        within(run, main)
    assert [record.getMessage() for record in caplog.records] == ["new connections wait: too many open files"]


@pytest.mark.parametrize(
    "number",
    [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ETIMEDOUT],
)
def test_client_that_is_gone_before_it_is_accepted_holds_up_nobody(number: int, caplog) -> None:
    """Linux hands the errors of a new connection to accept(2), where they say nothing of the listener."""
    here, there = socket.socketpair()
    answers: list[OSError | socket.socket] = [OSError(number, "gone"), here, BlockingIOError()]

    class Listening:
        """As much of a listening socket as is asked for."""

        def accept(self) -> tuple[socket.socket, str]:
            said = answers.pop(0)
            if isinstance(said, OSError):
                raise said
            return said, ""

    watching: list[Callable[[], None]] = []

    class Loop:
        """One that only takes note of who reads."""

        def add_reader(self, _sock: object, ready: Callable[[], None]) -> None:
            watching.append(ready)

    taken: list[socket.socket] = []
    Acceptor(cast("Any", Loop()), cast("Any", Listening()), taken.append)
    with here, there:
        watching[0]()

    assert taken == [here]
    assert answers == []
    assert caplog.records == []


@LOOPS
def test_connections_far_over_the_limit_are_dropped_and_places_come_back(run) -> None:
    """HTTP case 22: the limit is answered with 503, twice the limit not at all."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept, limits=Limits(connections=3)) as (server, port):
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
            await until(lambda: server.connections <= 6)
            texts: list[bytes] = []
            for reader, writer in opened[3:]:
                with contextlib.suppress(ConnectionError):
                    texts.append(await reader.read())
                writer.close()
            assert sum(text.startswith(b"HTTP/1.1 503 ") for text in texts) == 3
            await until(lambda: server.connections == 3)
            for _, writer in opened:
                writer.close()
            await until(lambda: server.connections == 0)

    within(run, main)


@LOOPS
def test_name_with_two_addresses_is_listened_on_at_one_port(run) -> None:
    """`localhost` may be 127.0.0.1 and ::1; clients pick either."""

    async def main() -> None:
        server = HttpServer(echo)
        _, port = await server.listen("localhost", 0)
        found = {
            str(address[4][0]) for address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
        }
        for host in found:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(post(b"1"))
            assert (await answer(reader))[2] == b"1"
            writer.close()
        await server.close(0)

    within(run, main)


def test_sockets_are_closed_when_one_of_them_cannot_be_bound() -> None:
    held = bind("127.0.0.1", 0)
    port = held[0].getsockname()[1]
    before = sockets()
    for _ in range(10):
        with contextlib.suppress(OSError):
            bind("127.0.0.1", port)
    assert sockets() <= before  # others may be let go of meanwhile
    held[0].close()


def sockets() -> set[str]:
    """Those that this process has open."""
    found: set[str] = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(path.readlink()))
    return {one for one in found if one.startswith("socket:")}


EVENTS = Head(200, [(b"content-type", b"text/event-stream")])


@LOOPS
def test_event_streams_end_properly_when_the_drain_is_over(run) -> None:
    """HTTP case 24: the last chunk says that nothing is missing; a call in a stream has no result."""

    async def main() -> None:
        kept = Kept()
        gone: list[str] = []
        server = HttpServer(kept)
        _, port = await server.listen("127.0.0.1", 0)
        async with talking(port) as (listens, listening), talking(port) as (calls, calling):
            listening.write(b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
            calling.write(post(b"1"))
            await until(lambda: len(kept.asked) == 2)
            for request, responder in kept.asked:
                responder.on_gone = lambda method=request.method: gone.append(method)
                responder.start(EVENTS)
                responder.write(b"data: 1\n\n")
            await server.close(0.05)
            for reader in (listens, calls):
                text = await reader.read()
                assert text.endswith(b"\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n")
            assert sorted(gone) == ["GET", "POST"]
            kept.asked[0][1].write(b"data: late\n\n")

    within(run, main)


@LOOPS
def test_answers_that_are_no_event_stream_are_cut_when_the_drain_is_over(run) -> None:
    """HTTP case 24: a part of one must not be taken for the whole."""

    async def main() -> None:
        kept = Kept()
        gone: list[bool] = []
        server = HttpServer(kept)
        _, port = await server.listen("127.0.0.1", 0)
        async with talking(port) as (reader, writer):
            writer.write(post(b"1"))
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            responder.on_gone = lambda: gone.append(True)
            responder.start(Head(200, [(b"content-type", b"application/json")]))
            responder.write(b'{"a":')
            await server.close(0.05)
            text = b""
            with contextlib.suppress(ConnectionError):
                text = await reader.read()
            assert not text.endswith(b"0\r\n\r\n")
            assert gone == [True]

    within(run, main)
