"""The HTTP listener, through raw sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ostiary.errors import GatewayFault
from ostiary.proxy.exchange import ClientRequest, Head, Responder
from ostiary.proxy.http.request import Limits
from ostiary.proxy.http.server import HttpServer
from tests.proxy.http_world import (
    LOOPS,
    Kept,
    answer,
    echo,
    exchange,
    post,
    reset,
    serving,
    talking,
    until,
    within,
)

GET = b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n"


@LOOPS
def test_request_arriving_byte_by_byte_is_answered(run) -> None:
    """Every valid message delivered one byte at a time gives the same events."""

    async def main() -> None:
        async with serving(echo) as (_, port), talking(port) as (reader, writer):
            for byte in post(b'{"a": 1}'):
                writer.write(bytes((byte,)))
                await asyncio.sleep(0)
            assert await answer(reader) == (200, {b"content-length": b"8"}, b'{"a": 1}')

    within(run, main)


@LOOPS
def test_malformed_request_is_answered_400_and_closes(run) -> None:
    """HTTP case 2: 400, connection closed, nothing handed on."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port):
            got = await exchange(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,5\r\n\r\nhello")
            assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"connection: close\r\n" in got
            assert not kept.asked

    within(run, main)


@LOOPS
def test_body_over_the_limit_is_refused_from_its_length_alone(run) -> None:
    """HTTP case 7: 413 at once, without waiting for the body."""

    async def main() -> None:
        async with serving(echo, limits=Limits(body=10)) as (_, port):
            got = await exchange(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 413 ")

    within(run, main)


@LOOPS
def test_client_still_sending_a_refused_body_reads_the_answer(run) -> None:
    """HTTP case 7: closing must not reset the connection under the answer."""

    async def main() -> None:
        async with serving(echo, limits=Limits(body=10)) as (_, port), talking(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
            for _ in range(30):
                writer.write(b"x" * 100_000)
                await writer.drain()
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")

    within(run, main)


@LOOPS
def test_pipelined_requests_are_answered_in_order_and_a_refused_one_closes(run) -> None:
    """HTTP case 9: each on its own, in order; nothing after the refused one."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(post(b"1") + post(b"2") + b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n" + post(b"4"))
            for body in (b"1", b"2"):
                await until(lambda: kept.asked)
                ((request, responder),) = kept.asked
                kept.asked.clear()
                assert request.body == body
                echo(request, responder)
                assert await answer(reader) == (200, {b"content-length": b"1"}, body)
            status, headers, _ = await answer(reader)
            assert (status, headers[b"connection"]) == (405, b"close")
            assert await reader.read() == b""
            assert not kept.asked

    within(run, main)


@LOOPS
def test_many_pipelined_requests_are_answered_without_deep_recursion(run) -> None:
    """HTTP case 9: answers given at once, 5,000 in one write."""

    async def main() -> None:
        async with serving(echo) as (_, port), talking(port) as (reader, writer):
            writer.write(b"".join(post(b"%d" % n) for n in range(5000)))
            for n in range(5000):
                assert (await answer(reader))[2] == b"%d" % n

    within(run, main, 20)


@LOOPS
def test_reading_pauses_while_eight_requests_wait(run) -> None:
    """At most 8 pipelined requests are queued, give or take one read, then the client has to wait."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (_, writer):
            writer.transport.set_write_buffer_limits(high=1)
            sent = 0
            body = b"x" * 100_000
            while sent < 1000:
                writer.write(post(body))
                sent += 1
                try:
                    await asyncio.wait_for(writer.drain(), 0.2)
                except TimeoutError:
                    break
            await until(lambda: kept.asked)
            assert len(kept.asked) == 1
            # 100 kB each: what is not held by the server sits in the two socket buffers.
            assert sent < 150
            reset(writer)

    within(run, main)


@LOOPS
def test_continue_is_sent_only_after_the_head_check(run) -> None:
    """HTTP case 10: a refused request never gets 100."""

    def check(request: ClientRequest) -> tuple[Head, bytes] | None:
        return (Head(401), b"no") if request.path == "/refused" else None

    async def main() -> None:
        async with serving(echo, check_head=check) as (_, port), talking(port) as (reader, writer):
            head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            writer.write(head % b"/mcp")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"{}")
            assert (await answer(reader))[2] == b"{}"
            writer.write(head % b"/refused")
            got = await reader.read()
            assert got.startswith(b"HTTP/1.1 401 ")
            assert b"100 Continue" not in got

    within(run, main)


@LOOPS
def test_continue_waits_for_earlier_answers(run) -> None:
    """HTTP case 9, HTTP case 10: an interim answer must not stand inside or before another's answer."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(
                post(b"1")
                + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
            )
            await until(lambda: kept.asked)
            echo(*kept.asked.pop())
            assert (await answer(reader))[2] == b"1"
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"2")
            await until(lambda: kept.asked)
            echo(*kept.asked.pop())
            assert (await answer(reader))[2] == b"2"

    within(run, main)


@LOOPS
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"TRACE / HTTP/1.1", 405),
        (b"CONNECT a:80 HTTP/1.1", 405),
        (b"PATCH / HTTP/1.1", 405),
        (b"BREW / HTTP/1.1", 501),
        (b"OPTIONS * HTTP/1.1", 400),
        (b"GET http://a/ HTTP/1.1", 400),
    ],
)
def test_method_or_target_that_is_not_served_gets_its_status(run, line: bytes, status: int) -> None:
    """HTTP case 11: right status, nothing handed on."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port):
            got = await exchange(port, line + b"\r\nHost: a\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 %d " % status)
            assert (b"allow: GET, POST, DELETE\r\n" in got) == (status == 405)
            assert not kept.asked

    within(run, main)


@LOOPS
def test_head_request_is_answered_without_body(run) -> None:
    """HTTP case 11: the head is that of the body which is left out; the connection stays in step."""

    async def main() -> None:
        def answer_get(request: ClientRequest, responder: Responder) -> None:
            responder.start(Head(200, (), 5))
            responder.write(b"hello")
            responder.finish()

        async with serving(answer_get) as (_, port), talking(port) as (reader, writer):
            writer.write(GET.replace(b"GET", b"HEAD") + GET)
            first = await reader.readuntil(b"\r\n\r\n")
            assert first == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
            assert (await answer(reader))[2] == b"hello"

    within(run, main)


@LOOPS
@pytest.mark.parametrize("status", [204, 304])
def test_status_without_body_has_neither_length_nor_chunks(run, status: int) -> None:
    """RFC 9112 6.3: the connection stays in step."""

    async def main() -> None:
        def answer_empty(request: ClientRequest, responder: Responder) -> None:
            responder.start(Head(status))
            responder.finish()

        async with serving(answer_empty) as (_, port), talking(port) as (reader, writer):
            writer.write(GET * 2)
            for _ in range(2):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d " % status)
                assert head.count(b"\r\n") == 2

    within(run, main)


@LOOPS
def test_half_closed_client_still_gets_its_answer(run) -> None:
    """HTTP case 13: a complete request is answered although the client sends no more."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(post(b"1") + post(b"2"))
            writer.write_eof()
            for body in (b"1", b"2"):
                await until(lambda: kept.asked)
                await asyncio.sleep(0.05)
                echo(*kept.asked.pop())
                assert (await answer(reader))[2] == body
            assert await reader.read() == b""

    within(run, main)


@LOOPS
def test_half_closed_client_waiting_long_is_probed_and_still_answered(run) -> None:
    """HTTP case 13, HTTP case 14: an interim answer tells a half-closed client from one that is gone."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(post(b"1"))
            writer.write_eof()
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            echo(*kept.asked.pop())
            assert (await answer(reader))[2] == b"1"

    within(run, main)


@LOOPS
@pytest.mark.parametrize("sent", [b"POST /mcp HT", post(b"hello")[:-2]], ids=["head", "body"])
def test_half_closed_inside_a_request_is_an_error(run, sent: bytes) -> None:
    """HTTP case 13: half a request is never handed on."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(sent)
            writer.write_eof()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            assert not kept.asked

    within(run, main)


@LOOPS
@pytest.mark.parametrize("way", ["reset", "close"])
def test_client_that_goes_away_is_told_to_the_exchange_once(run, way: str) -> None:
    """HTTP case 14: a reset is noticed at once, a plain close within two seconds; the place is free."""

    async def main() -> None:
        kept = Kept()
        gone: list[str] = []
        async with serving(kept) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post())
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            responder.on_gone = lambda: gone.append("gone")
            if way == "reset":
                reset(writer)
            else:
                writer.close()
            await until(lambda: gone)
            await until(lambda: server.connections == 0)
            responder.start(Head(200))
            responder.write(b"late")
            responder.finish()
            assert gone == ["gone"]

    within(run, main)


@LOOPS
def test_client_that_closes_during_a_stream_is_told_to_the_exchange(run) -> None:
    """HTTP case 14: the stream's own bytes find out that nobody listens."""

    async def main() -> None:
        kept = Kept()
        gone: list[str] = []
        async with serving(kept) as (_, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            responder.on_gone = lambda: gone.append("gone")
            responder.start(Head(200))
            writer.close()
            while not gone:
                responder.write(b": ping\n\n")
                await asyncio.sleep(0.05)

    within(run, main)


@LOOPS
def test_stream_shows_its_head_before_its_first_byte(run) -> None:
    """An idle event stream is open for its client at once; its bytes come in chunks."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(GET)
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            responder.start(Head(200, ((b"content-type", b"text/event-stream"),)))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"transfer-encoding: chunked\r\n" in head
            responder.write(b"data: 1\n\n")
            assert await reader.readexactly(14) == b"9\r\ndata: 1\n\n\r\n"
            responder.finish()
            assert await reader.readexactly(5) == b"0\r\n\r\n"

    within(run, main)


@LOOPS
def test_answer_to_http_1_0_ends_with_the_connection(run) -> None:
    """HTTP/1.0 knows no chunks."""

    async def main() -> None:
        def stream(request: ClientRequest, responder: Responder) -> None:
            responder.start(Head(200))
            responder.write(b"a")
            responder.write(b"b")
            responder.finish()

        async with serving(stream) as (_, port):
            got = await exchange(port, b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            assert got == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab"

    within(run, main)


@LOOPS
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_aborted_answer_is_never_taken_for_the_whole(run, version: bytes) -> None:
    """A part ends without its last chunk, or with a reset where only the end tells the length."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (reader, writer):
            writer.write(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            responder.start(Head(200))
            responder.write(b"part")
            await reader.readuntil(b"part")
            responder.abort()
            if version == b"1.0":
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            else:
                assert await reader.read() == b"\r\n"

    within(run, main)


@LOOPS
@pytest.mark.parametrize("body", [b"hell", b"hello!"], ids=["shorter", "longer"])
def test_body_that_differs_from_its_length_cuts_the_connection(run, body: bytes) -> None:
    """A wrong length must not shift the next answer."""

    async def main() -> None:
        def wrong(request: ClientRequest, responder: Responder) -> None:
            responder.start(Head(200, (), 5))
            responder.write(body)
            responder.finish()

        async with serving(wrong) as (_, port):
            got = await exchange(port, GET * 2)
            assert got in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell")

    within(run, main)


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b"])
def test_line_break_in_a_header_we_add_is_never_sent(value: bytes) -> None:
    """HTTP case 25: CR and LF never come from values we inject."""

    async def main() -> None:
        kept = Kept()
        async with serving(kept) as (_, port), talking(port) as (_, writer):
            writer.write(GET)
            await until(lambda: kept.asked)
            responder = kept.asked[0][1]
            with pytest.raises(GatewayFault):
                responder.start(Head(200, ((b"mcp-session-id", value),), 0))
            with pytest.raises(GatewayFault):
                responder.start(Head(200, ((b"transfer-encoding", b"chunked"),), 0))

    within(asyncio.run, main)


@LOOPS
def test_fault_in_the_handler_closes_its_connection_only(run) -> None:
    """A bug of ours never leaves a client waiting, and never reaches another one."""

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        def broken(request: ClientRequest, responder: Responder) -> None:
            if request.path == "/broken":
                raise ZeroDivisionError
            echo(request, responder)

        async with serving(broken) as (_, port), talking(port) as (reader, writer):
            assert await exchange(port, b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n") == b""
            writer.write(post(b"fine"))
            assert (await answer(reader))[2] == b"fine"

    within(run, main)


@LOOPS
def test_connections_over_the_limit_are_answered_503(run) -> None:
    """HTTP case 22: new ones get 503, existing ones go on, and places become free again."""

    async def main() -> None:
        async with serving(echo, limits=Limits(connections=2)) as (server, port):
            async with talking(port) as one, talking(port) as two:
                await until(lambda: server.connections == 2)
                assert (await exchange(port, post())).startswith(b"HTTP/1.1 503 ")
                for reader, writer in (one, two):
                    writer.write(post(b"on"))
                    assert (await answer(reader))[2] == b"on"
            await until(lambda: server.connections == 0)
            async with talking(port) as (reader, writer):
                writer.write(post(b"again"))
                assert (await answer(reader))[2] == b"again"

    within(run, main)


@LOOPS
def test_every_connection_sends_without_delay(run) -> None:
    """HTTP case 26: TCP_NODELAY also where the listening socket is shared."""

    async def main() -> None:
        server = HttpServer(echo)
        _, port = await server.listen("127.0.0.1", 0, reuse_port=True)
        async with talking(port):
            await until(lambda: server.connections == 1)
            (connection,) = server._connections
            without_delay = connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            del connection
        await server.close(0)
        assert without_delay

    within(run, main)


@LOOPS
def test_port_in_use_is_a_clear_fault(run) -> None:
    """The operator is told what is wrong, without a traceback's words."""

    async def main() -> None:
        async with serving(echo) as (_, port):
            with pytest.raises(GatewayFault, match=f"`127.0.0.1:{port}` is already in use"):
                await HttpServer(echo).listen("127.0.0.1", port)
        with pytest.raises(GatewayFault, match="is not an address of this machine"):
            await HttpServer(echo).listen("192.0.2.1", 0)

    within(run, main)


@LOOPS
def test_drain_finishes_what_runs_and_closes_what_is_idle(run) -> None:
    """HTTP case 24: no new connection, the running answer is completed, then everything is closed."""

    async def main() -> None:
        kept = Kept()
        async with (
            serving(kept) as (server, port),
            talking(port) as (idle, _),
            talking(port) as (busy, writer),
        ):
            writer.write(post(b"1"))
            await until(lambda: kept.asked)
            closing = asyncio.get_running_loop().create_task(server.close(3))
            assert await idle.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            echo(*kept.asked.pop())
            assert await answer(busy) == (200, {b"connection": b"close", b"content-length": b"1"}, b"1")
            assert await busy.read() == b""
            writer.close()
            await closing
            assert server.connections == 0

    within(run, main)


@LOOPS
def test_drain_waits_for_answers_but_not_for_streams_from_the_server(run) -> None:
    """A stream has no end of its own, and an answer under way may still depend on it."""

    async def main() -> None:
        kept = Kept()
        async with (
            serving(kept) as (server, port),
            talking(port) as (stream, opening),
            talking(port) as (busy, asking),
        ):
            opening.write(b"GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(kept.asked) == 1)
            asking.write(post(b"1"))
            await until(lambda: len(kept.asked) == 2)
            listening = kept.asked[0][1]
            listening.start(Head(200, ()))
            closing = asyncio.get_running_loop().create_task(server.close(60))
            await asyncio.sleep(0)
            listening.write(b"before the end")
            echo(*kept.asked[1])
            assert await answer(busy) == (200, {b"connection": b"close", b"content-length": b"1"}, b"1")
            asking.close()
            assert b"before the end" in await stream.read()
            await closing

    within(run, main)


@LOOPS
def test_drain_cuts_what_runs_at_its_deadline(run) -> None:
    """HTTP case 24: the deadline holds."""

    async def main() -> None:
        kept = Kept()
        gone: list[str] = []
        async with serving(kept) as (server, port), talking(port) as (reader, writer):
            writer.write(post(b"1"))
            await until(lambda: kept.asked)
            kept.asked[0][1].on_gone = lambda: gone.append("gone")
            await server.close(0.05)
            assert gone == ["gone"]
            assert await reader.read() == b""

    within(run, main)
