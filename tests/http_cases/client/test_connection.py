"""The HTTP upstream, against raw servers that follow a script."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from ostiary.errors import GatewayFault
from ostiary.proxy.exchange import Head, UpstreamRequest
from ostiary.proxy.http.call import UpstreamLimits
from ostiary.proxy.http.client import HttpUpstream, read_address
from ostiary.proxy.http.response import ResponseReader
from tests.proxy.http_world import LOOPS, Heard, call, reset, until, upstream, within

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def saying(*answers: bytes, close: bool = False):
    """A script that gives these answers to the requests of one connection, in order."""

    async def script(world, reader, writer) -> None:
        for text in answers:
            await world.request(reader)
            writer.write(text)
            await writer.drain()
        if not close:
            await reader.read()

    return script


@LOOPS
def test_request_goes_out_as_one_message_with_our_framing(run) -> None:
    """HTTP case 25: Host, length and identity coding are ours; the rest is what was given."""

    async def main() -> None:
        async with upstream(saying(OK)) as (client, world):
            heard = await call(client, b'{"a":1}')
            assert world.requests == [
                b"POST /mcp?v=1 HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n"
                b'accept: */*\r\ncontent-length: 7\r\n\r\n{"a":1}' % client.name.encode()
            ]
            assert heard.answer == Head(200, [(b"content-type", b"application/json")], 2)
            assert heard.events == ["head", "data", "end"]
            assert heard.body == b"{}"

    within(run, main)


@LOOPS
def test_get_has_no_length(run) -> None:
    """A request without body says nothing about one."""

    async def main() -> None:
        async with upstream(saying(OK)) as (client, world):
            heard = Heard()
            client.send(UpstreamRequest("GET", (), b""), heard)
            await heard.over.wait()
            assert b"content-length" not in world.requests[0]

    within(run, main)


@LOOPS
def test_connection_is_kept_and_used_again(run) -> None:
    """A hundred calls in a row use one connection, and each gets its own answer."""

    async def main() -> None:
        answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % n for n in range(100)]
        async with upstream(saying(*answers)) as (client, world):
            for n in range(100):
                assert (await call(client)).body == b"%03d" % n
            assert (world.connections, client.idle) == (1, 1)

    within(run, main)


@LOOPS
def test_answer_split_anywhere_is_the_same(run) -> None:
    """Byte by byte, with chunks, an interim answer and trailers."""
    text = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nX:  a \r\nTransfer-Encoding: chunked\r\n\r\n"
        b'2;x="y"\r\n{"\r\n3\r\nabc\r\n0\r\nMcp-Session-Id: evil\r\n\r\n'
    )

    async def dripping(world, reader, writer) -> None:
        await world.request(reader)
        for byte in text:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        await reader.read()

    async def main() -> None:
        async with upstream(dripping) as (client, _):
            heard = await call(client)
            assert heard.answer == Head(200, [(b"x", b"a")], None)
            assert heard.body == b'{"abc'
            assert heard.events[-1] == "end"
            assert client.idle == 1

    within(run, main)


@LOOPS
@pytest.mark.parametrize(
    ("text", "length", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 0, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 0, b""),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", 0, b""),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno", 2, b"no"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 2, b"{}"),
    ],
)
def test_status_is_passed_on_as_it_is(run, text: bytes, length: int, body: bytes) -> None:
    """HTTP case 17: a 3xx is not followed, a 4xx is an answer, interim answers are skipped."""

    async def main() -> None:
        async with upstream(saying(text, OK)) as (client, world):
            heard = await call(client)
            assert heard.problem is None
            assert heard.answer is not None
            assert heard.answer.status == int(text.rpartition(b"HTTP/1.1 ")[2][:3])
            assert (heard.answer.length, heard.body) == (length, body)
            assert (await call(client)).body == b"{}"
            assert world.connections == 1

    within(run, main)


@LOOPS
@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\nICE/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nRTSP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        (b"HTTP/1.1 103 Early Hints\r\nX: " + b"y" * 20_000 + b"\r\n\r\n") * 4 + OK,
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nlogin",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"\x15\x03\x01\x00\x02",
    ],
)
def test_malformed_answer_is_a_fault_and_its_connection_is_not_used_again(run, text: bytes) -> None:
    """HTTP case 17: both lengths and the like are never mixed into the next answer."""

    async def main() -> None:
        async with upstream(saying(text, OK)) as (client, world):
            heard = await call(client)
            assert heard.problem is not None
            assert heard.problem.written
            assert "end" not in heard.events
            assert client.idle == 0
            del world

    within(run, main)


@LOOPS
@pytest.mark.parametrize("extra", [b"x", OK, b"\r\n", b"\n", b"\r", b"\r\n" * 9])
@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 1\r\n\r\n%d",
        b"Content-Length: 8\r\n\r\n%d\r\n\r\n\r\n\r",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n%d\r\n0\r\nX: y\r\n\r\n",
    ],
)
def test_bytes_after_a_complete_answer_never_reach_the_next_call(run, framing: bytes, extra: bytes) -> None:
    """HTTP case 17, HTTP case 21: the answer stands, the connection does not."""

    async def script(world, reader, writer) -> None:
        await world.request(reader)
        number = world.connections
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing % number + (extra if number == 1 else b""))
        await reader.read()

    async def main() -> None:
        async with upstream(script) as (client, world):
            assert (await call(client)).body.strip() == b"1"
            assert (await call(client)).body.strip() == b"2"
            assert world.connections == 2

    within(run, main)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}\r\n\r\n\r\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0;a=b\r\nX:\r\n\r\n",
    ],
)
def test_line_ends_are_told_apart_from_the_answer_before_them_however_they_arrive(text: bytes) -> None:
    """An answer that ends in line ends leaves its connection usable; one more makes it useless."""

    def kept(pieces: list[bytes]) -> bool:
        reader = ResponseReader(4096, 100)
        for piece in pieces:
            assert reader.feed(piece) == ""
            reader.pieces = []
        assert reader.complete
        return reader.persistent

    for cut in range(len(text)):
        assert kept([text[:cut], text[cut:]] if cut else [text]), cut
        assert not kept([text[:cut], text[cut:] + b"\n"]), cut
        assert not kept([text[:cut], text[cut:] + b"\r\n\r\n"]), cut
    assert kept([bytes((byte,)) for byte in text])


@LOOPS
def test_unsolicited_answer_on_an_idle_connection_discards_it(run) -> None:
    """HTTP case 21: what nobody asked for answers nobody, even if it waits in the socket."""
    told: list[asyncio.StreamWriter] = []

    async def script(world, reader, writer) -> None:
        told.append(writer)
        while True:
            await world.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % world.connections)

    async def main() -> None:
        async with upstream(script) as (client, _):
            assert (await call(client)).body == b"1"
            # Straight into the socket: our loop cannot have seen it before the next call.
            os.write(told[0].get_extra_info("socket").fileno(), OK)
            assert (await call(client)).body == b"2"

    within(run, main)


@LOOPS
def test_connection_close_is_honoured(run) -> None:
    """HTTP case 16: read from the head of the answer, not after it."""

    async def main() -> None:
        closing = OK.replace(b"Content-Type", b"Connection: close\r\nContent-Type")
        async with upstream(saying(closing)) as (client, world):
            heard = await call(client)
            assert heard.answer is not None
            assert heard.answer.header(b"connection") is None
            assert client.idle == 0
            await call(client)
            assert world.connections == 2

    within(run, main)


@LOOPS
def test_header_named_by_connection_is_dropped_from_the_answer(run) -> None:
    """HTTP case 25: hop-by-hop headers end here."""

    async def main() -> None:
        text = OK.replace(
            b"Content-Type", b"X-Hop: y\r\nKeep-Alive: 5\r\nConnection: keep-alive, X-Hop\r\nContent-Type"
        )
        async with upstream(saying(text)) as (client, _):
            heard = await call(client)
            assert heard.answer is not None
            assert [name for name, _ in heard.answer.headers] == [b"content-type"]

    within(run, main)


@LOOPS
def test_connection_closed_while_idle_is_not_used(run) -> None:
    """HTTP case 16: the next call dials afresh and does not fail, also if it may not be retried."""

    async def main() -> None:
        async with upstream(saying(OK, close=True)) as (client, world):
            for _ in range(5):
                heard = await call(client)
                assert heard.problem is None
            assert world.connections == 5

    within(run, main)


@LOOPS
@pytest.mark.parametrize("idempotent", [False, True])
def test_reset_on_a_reused_connection_is_not_retried_once_bytes_were_written(run, idempotent: bool) -> None:
    """HTTP case 15: the outcome is unknown, so the call is never sent twice."""

    async def script(world, reader, writer) -> None:
        await world.request(reader)
        writer.write(OK)
        await world.request(reader)
        reset(writer)

    async def main() -> None:
        async with upstream(script) as (client, world):
            assert (await call(client)).problem is None
            heard = await call(client, idempotent=idempotent)
            assert heard.problem is not None
            assert heard.problem.written
            assert len(world.requests) == 2
            assert world.connections == 1

    within(run, main)


@LOOPS
@pytest.mark.parametrize("idempotent", [False, True])
def test_upstream_that_cannot_be_reached_is_a_fault_with_nothing_written(run, idempotent: bool) -> None:
    """HTTP case 15: nothing was sent, so nothing is unknown."""

    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            client = HttpUpstream(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp")
            heard = await call(client, idempotent=idempotent)
            assert heard.problem is not None
            assert not heard.problem.written
            assert "cannot be reached" in heard.problem.message
            await client.close()

    within(run, main)


@LOOPS
@pytest.mark.parametrize(("idempotent", "dials"), [(False, 1), (True, 2)])
def test_only_an_idempotent_request_dials_again(run, idempotent: bool, dials: int, monkeypatch) -> None:
    """HTTP case 15: once, on a fresh connection, and only when no byte was written."""

    async def main() -> None:
        client = HttpUpstream("http://127.0.0.1:1/mcp")
        tried: list[object] = []

        class Loop:
            async def create_connection(self, *args: object, **kwargs: object) -> None:
                tried.append(args)
                raise ConnectionRefusedError(111, "Connection refused")

            def create_task(self, coroutine):
                return asyncio.get_running_loop().create_task(coroutine)

        monkeypatch.setattr(client, "_loop", Loop())
        await call(client, idempotent=idempotent)
        assert len(tried) == dials
        await client.close()

    within(run, main)


@LOOPS
@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        OK[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
)
def test_upstream_dying_before_the_end_is_a_fault(run, part: bytes) -> None:
    """HTTP case 17: a part is never taken for the whole."""

    async def main() -> None:
        async with upstream(saying(part, close=True)) as (client, _):
            heard = await call(client)
            assert heard.events[-1] == "fault"
            assert heard.problem is not None
            assert heard.problem.written

    within(run, main)


@LOOPS
def test_body_without_length_ends_with_the_connection(run) -> None:
    """HTTP case 18: close-delimited."""

    async def main() -> None:
        async with upstream(saying(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True)) as (client, _):
            heard = await call(client)
            assert (heard.body, heard.events[-1]) == (b"all of it", "end")
            assert client.idle == 0

    within(run, main)


@LOOPS
def test_body_without_length_cut_by_a_reset_is_a_fault(run) -> None:
    """HTTP case 18: a reset is not the end of a body."""

    async def script(world, reader, writer) -> None:
        await world.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\npart of it")
        await asyncio.sleep(0.05)
        reset(writer)

    async def main() -> None:
        async with upstream(script) as (client, _):
            assert (await call(client)).events[-1] == "fault"

    within(run, main)


@LOOPS
def test_early_answer_to_a_large_body_is_passed_on_and_the_connection_discarded(run) -> None:
    """HTTP case 17: the rest of the request must not become the start of the next."""

    async def script(world, reader, writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)

    async def main() -> None:
        async with upstream(script) as (client, _):
            heard = await call(client, b"x" * 30_000_000)
            assert heard.answer is not None
            assert heard.answer.status == 413
            assert client.idle == 0

    within(run, main)


@LOOPS
def test_cancelled_call_hears_nothing_more_and_its_answer_reaches_nobody(run) -> None:
    """HTTP case 21: the connection is discarded with the call."""
    go = asyncio.Event

    async def main() -> None:
        late = go()

        async def script(world, reader, writer) -> None:
            await world.request(reader)
            if world.connections == 1:
                await late.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % world.connections)
            await reader.read()

        async with upstream(script) as (client, world):
            cancelled = Heard()
            flow = client.send(UpstreamRequest("POST", (), b"{}"), cancelled)
            await until(lambda: world.requests)
            flow.cancel()
            flow.cancel()
            late.set()
            assert (await call(client)).body == b"2"
            flow.pause()
            flow.resume()
            flow.cancel()
            assert cancelled.events == []
            assert client.idle == 1

    within(run, main)


@LOOPS
def test_call_cancelled_while_dialling_sends_nothing(run) -> None:
    """A call nobody waits for is not made."""

    async def main() -> None:
        async with upstream(saying(OK)) as (client, world):
            cancelled = Heard()
            client.send(UpstreamRequest("POST", (), b"{}"), cancelled).cancel()
            await until(lambda: client.idle)
            assert (world.requests, cancelled.events) == ([], [])
            assert (await call(client)).body == b"{}"

    within(run, main)


@LOOPS
def test_silent_upstream_is_a_fault_after_the_head_time_out(run) -> None:
    """HTTP case 8: the call ends although the upstream says nothing."""

    async def main() -> None:
        async with upstream(saying(b""), UpstreamLimits(head_timeout=0.1)) as (client, _):
            heard = await call(client)
            assert heard.problem is not None
            assert heard.problem.written
            assert "did not answer in time" in heard.problem.message

    within(run, main)


@LOOPS
@pytest.mark.parametrize(("kind", "event"), [(b"application/json", "fault"), (b"text/event-stream", "data")])
def test_silence_inside_a_body_is_a_fault_but_an_event_stream_may_be_silent(
    run, kind: bytes, event: str
) -> None:
    """HTTP case 8: two time-outs; a stream may idle for long, other bodies may not."""
    text = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" % kind

    async def main() -> None:
        limits = UpstreamLimits(body_timeout=0.1, stream_timeout=30)
        async with upstream(saying(text), limits) as (client, _):
            heard = Heard()
            client.send(UpstreamRequest("POST", (), b"{}"), heard)
            await until(lambda: heard.body)
            await asyncio.sleep(0.3)
            assert heard.events[-1] == event

    within(run, main)


@LOOPS
def test_paused_call_reads_nothing_and_does_not_time_out(run) -> None:
    """HTTP case 19: back-pressure reaches the upstream; our own pause is not its silence."""
    total = 8_000_000

    async def script(world, reader, writer) -> None:
        await world.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(total // 100_000):
            writer.write(b"x" * 100_000)
            await writer.drain()
        await reader.read()

    async def main() -> None:
        async with upstream(script, UpstreamLimits(body_timeout=1.0)) as (client, _):
            heard = Heard()
            flow = client.send(UpstreamRequest("POST", (), b"{}"), heard)
            await until(lambda: heard.body)
            flow.pause()
            flow.pause()
            at = len(heard.body)
            await asyncio.sleep(1.6)
            assert len(heard.body) <= at + 300_000
            assert "fault" not in heard.events
            flow.resume()
            flow.resume()
            await heard.over.wait()
            assert (len(heard.body), heard.events[-1]) == (total, "end")

    within(run, main)


@LOOPS
def test_idle_connection_is_closed_after_its_time(run) -> None:
    """HTTP case 8: the pool does not hold on to connections that the upstream is about to close."""

    async def main() -> None:
        async with upstream(saying(OK), UpstreamLimits(idle_timeout=0.1)) as (client, _):
            await call(client)
            assert client.idle == 1
            await until(lambda: client.idle == 0)

    within(run, main)


@LOOPS
def test_pool_keeps_no_more_than_its_limit(run) -> None:
    """Connections of a burst are closed after it."""

    async def main() -> None:
        async with upstream(saying(OK), UpstreamLimits(idle_connections=2)) as (client, world):
            await asyncio.gather(*(call(client) for _ in range(6)))
            assert (world.connections, client.idle) == (6, 2)

    within(run, main)


@LOOPS
def test_closing_ends_running_and_dialling_calls_with_a_fault(run) -> None:
    """HTTP case 24: nothing that runs is left without an end."""

    async def main() -> None:
        async with upstream(saying(b"")) as (client, world):
            running, dialling = Heard(), Heard()
            client.send(UpstreamRequest("POST", (), b"{}"), running)
            await until(lambda: world.requests)
            client.send(UpstreamRequest("POST", (), b"{}"), dialling)
            await client.close()
            assert running.problem is not None
            assert running.problem.written
            assert dialling.problem is not None
            assert not dialling.problem.written

    within(run, main)


@pytest.mark.parametrize(
    "url", ["https://u:p\N{CARE OF}s3cret@a/", "https://a:s3cret/", "https://u:s3cret@[::1/"]
)
def test_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    """It may hold credentials, and the words go to logs."""
    with pytest.raises(GatewayFault) as caught:
        read_address(url)

    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "a/b",
        "http://",
        "http://u:p@a/",
        "http://a/#x",
        "http://a:b/",
        "http://a/x y",
        "http://a/\r\nX: y",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/mcp",
        "https://[::ffff:169.254.169.254]/mcp",
        "http://[fd00:ec2::254]/mcp",
    ],
)
def test_unusable_url_is_refused(url: str) -> None:
    """The operator hears it at start, not with the first call."""

    async def main() -> None:
        with pytest.raises(GatewayFault):
            HttpUpstream(url)

    within(asyncio.run, main)


@pytest.mark.parametrize(
    "header",
    [(b"x", b"a\r\nb: c"), (b"content-length", b"3"), (b"transfer-encoding", b"chunked"), (b"host", b"b")],
)
def test_header_that_would_change_the_framing_is_never_sent(header: tuple[bytes, bytes]) -> None:
    """HTTP case 25: a forwarded header cannot become a second message."""

    async def main() -> None:
        client = HttpUpstream("http://127.0.0.1:1/")
        with pytest.raises(GatewayFault):
            client.send(UpstreamRequest("POST", (header,), b"{}"), Heard())
        with pytest.raises(GatewayFault):
            client.send(UpstreamRequest("CONNECT", (), b""), Heard())
        await client.close()

    within(asyncio.run, main)
