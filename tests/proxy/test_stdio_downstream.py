"""A stdio client, seen as an HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from ostiary.proxy.exchange import ClientRequest, Head, Responder
from ostiary.proxy.stdio.downstream import StdioDownstream, StdioLimits
from ostiary.wire.lines import MAX_LINE
from ostiary.wire.sse import event
from tests.proxy.stdio_world import modern, notification, on_asyncio, on_uvloop, request

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream")

both_loops = pytest.mark.parametrize("run", [on_asyncio, on_uvloop])


class Seen:
    """One request that reached the handler, with shorthands to answer it."""

    def __init__(self, sent: ClientRequest, responder: Responder) -> None:
        self.sent = sent
        self.responder = responder
        self.gone = asyncio.Event()
        responder.on_gone = self.gone.set

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.sent.body)

    def header(self, name: str) -> str | None:
        value = self.sent.header(name.encode())
        return None if value is None else value.decode()

    def json(self, body: object, *, status: int = 200, session: bytes | None = None) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        more = () if session is None else ((b"mcp-session-id", session),)
        self.responder.start(Head(status, (JSON, *more), len(raw)))
        self.responder.write(raw)
        self.responder.finish()

    def result(self, result: Mapping[str, object], *, session: bytes | None = None) -> None:
        self.json({"jsonrpc": "2.0", "id": self.message["id"], "result": result}, session=session)

    def empty(self, status: int) -> None:
        self.responder.start(Head(status, (), 0))
        self.responder.finish()

    def stream(self, *parts: bytes, status: int = 200) -> None:
        self.responder.start(Head(status, (EVENTS,)))
        for part in parts:
            self.responder.write(part)


class Client:
    """The other ends of the pipes."""

    def __init__(self, running: asyncio.Task[None], log: list[str], write: int, read: int) -> None:
        self.running = running
        self.log = log
        self.seen: asyncio.Queue[Seen] = asyncio.Queue()
        self._write = write
        self._read = read
        self._buffer = b""

    def say(self, *messages: Mapping[str, object] | bytes) -> None:
        for message in messages:
            os.write(
                self._write, (message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n"
            )

    def hang_up(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    async def line(self) -> bytes:
        """The next line of output."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._buffer:
            readable = asyncio.Event()
            loop.add_reader(self._read, readable.set)
            await readable.wait()
            loop.remove_reader(self._read)
            data = os.read(self._read, 65536)
            assert data, "the output ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def message(self) -> dict[str, Any]:
        return json.loads(await self.line())

    async def rest(self) -> bytes:
        """What is still to be read after the end."""
        await self.running
        os.set_blocking(self._read, False)
        data = self._buffer
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._read, 65536):
                data += chunk
        return data

    def close_output(self) -> None:
        os.close(self._read)
        self._read = -1

    def close(self) -> None:
        self.hang_up()
        if self._read >= 0:
            self.close_output()


@contextlib.asynccontextmanager
async def client(
    *,
    on_signal: Callable[[int], object] | None = None,
    max_line: int = MAX_LINE,
    drain: float = 0.05,
    signal_drain: float = 0.05,
) -> AsyncIterator[Client]:
    their_read, our_write = os.pipe()
    our_read, their_write = os.pipe()
    os.set_blocking(their_write, False)
    found: list[Client] = []
    log: list[str] = []

    def handler(request: ClientRequest, responder: Responder) -> None:
        found[0].seen.put_nowait(Seen(request, responder))

    downstream = StdioDownstream(
        handler,
        reading=their_read,
        writing=their_write,
        limits=StdioLimits(max_line=max_line, drain=drain, signal_drain=signal_drain, farewell=0.05),
        on_signal=on_signal,
        log=log.append,
    )
    running = asyncio.get_running_loop().create_task(downstream.run())
    found.append(Client(running, log, our_write, our_read))
    await asyncio.sleep(0)
    try:
        yield found[0]
    finally:
        found[0].hang_up()
        await running
        found[0].close()


async def shake_hands(one: Client, *, version: str = "2025-11-25", get_status: int = 405) -> Seen:
    """The legacy handshake; returns the GET that follows it."""
    one.say(request("initialize", 0))
    (await one.seen.get()).result({"protocolVersion": version}, session=b"s.mac")
    await one.message()
    one.say(notification("notifications/initialized"))
    (await one.seen.get()).empty(202)
    stream = await one.seen.get()
    if get_status != 200:
        stream.empty(get_status)
    return stream


@both_loops
def test_a_line_becomes_a_post_and_its_answer_a_line(run) -> None:
    async def main() -> None:
        async with client() as one:
            one.say(b'{"jsonrpc": "2.0",  "id":1,"method":"ping"}')
            seen = await one.seen.get()
            assert (seen.sent.method, seen.sent.path, seen.sent.peer) == ("POST", "/mcp", "stdio")
            assert seen.sent.body == b'{"jsonrpc": "2.0",  "id":1,"method":"ping"}'
            assert seen.header("content-type") == "application/json"
            assert seen.header("accept") == "application/json, text/event-stream"
            seen.json(b'{"jsonrpc":"2.0",\r\n "id":1,"result":{}}')
            assert await one.line() == b'{"jsonrpc":"2.0",   "id":1,"result":{}}'

    run(main)


def test_session_and_version_are_kept_from_the_handshake_and_the_session_is_deleted() -> None:
    async def main() -> None:
        async with client() as one:
            stream = await shake_hands(one)
            assert stream.sent.method == "GET"
            assert stream.header("accept") == "text/event-stream"
            one.say(request("tools/list"))
            listed = await one.seen.get()
            for sent in (stream, listed):
                assert sent.header("mcp-session-id") == "s.mac"
                assert sent.header("mcp-protocol-version") == "2025-11-25"
            listed.result({})
            one.hang_up()
            deleted = await one.seen.get()
            assert (deleted.sent.method, deleted.header("mcp-session-id")) == ("DELETE", "s.mac")
            deleted.empty(200)

    on_uvloop(main)


def test_lines_after_initialize_wait_for_it_and_keep_their_order() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(
                request("initialize", 0),
                notification("notifications/initialized"),
                request("a", 1),
                request("b", 2),
            )
            first = await one.seen.get()
            await asyncio.sleep(0)
            assert one.seen.empty()
            first.result({"protocolVersion": "2025-06-18"}, session=b"s")
            initialized = await one.seen.get()
            assert initialized.header("mcp-session-id") == "s"
            assert one.seen.empty()
            initialized.empty(202)
            rest = [await one.seen.get() for _ in range(3)]
            assert [sent.sent.method for sent in rest] == ["GET", "POST", "POST"]
            assert [sent.message["method"] for sent in rest[1:]] == ["a", "b"]

    on_uvloop(main)


def test_modern_request_carries_the_headers_that_mirror_its_body() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(
                modern("tools/call", 1, name="é"),
                modern("resources/read", 2, uri="file:///a"),
                modern("x", 3),
            )
            call, read, other = [await one.seen.get() for _ in range(3)]
            assert call.header("mcp-protocol-version") == "2026-07-28"
            assert (call.header("mcp-method"), call.header("mcp-name")) == ("tools/call", "=?base64?w6k=?=")
            assert (read.header("mcp-method"), read.header("mcp-name")) == ("resources/read", "file:///a")
            assert (other.header("mcp-method"), other.header("mcp-name")) == ("x", None)
            assert call.header("mcp-session-id") is None
            for seen in (call, read, other):
                seen.result({})

    on_uvloop(main)


def test_arguments_that_a_listed_schema_names_become_headers() -> None:
    async def main() -> None:
        async with client() as one:
            schema = {
                "type": "object",
                "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
            }
            one.say(modern("tools/list", 1))
            (await one.seen.get()).result({"tools": [{"name": "t", "inputSchema": schema}]})
            await one.message()
            one.say(modern("tools/call", 2, name="t", arguments={"region": "eu"}))
            call = await one.seen.get()
            assert (call.header("mcp-param-region"), call.header("mcp-name")) == ("eu", "t")
            call.result({})

    on_uvloop(main)


@both_loops
def test_events_become_lines_whatever_their_framing(run) -> None:
    async def main() -> None:
        async with client() as one:
            one.say(request("tools/call", 5))
            seen = await one.seen.get()
            seen.stream(
                b': hello\n\nid: 1\ndata:\n\nevent: message\rdata: {"jsonrpc":"2.0",\rdata: "method":"m"}\r\r'
            )
            assert await one.line() == b'{"jsonrpc":"2.0", "method":"m"}'
            raw = event(b'{"jsonrpc":"2.0","id":5,"result":{}}')
            for index in range(len(raw)):
                seen.responder.write(raw[index : index + 1])
            seen.responder.finish()
            assert await one.line() == b'{"jsonrpc":"2.0","id":5,"result":{}}'

    run(main)


def broken(seen: Seen) -> None:
    seen.stream(b": cut\n\n")
    seen.responder.abort()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda seen: seen.empty(502), "HTTP status 502"),
        (lambda seen: seen.json(b"<html>no</html>", status=500), "HTTP status 500"),
        (lambda seen: seen.json(b"<html>no</html>"), "sent no answer"),
        (lambda seen: seen.empty(202), "sent no answer"),
        (lambda seen: seen.responder.abort(), "cut off"),
        (broken, "ended before it was complete"),
        (lambda seen: seen.json({"jsonrpc": "2.0", "id": 99, "result": {}}), "sent no answer"),
        (lambda seen: seen.json({"jsonrpc": "2.0", "id": "5", "result": {}}), "sent no answer"),
    ],
)
def test_request_is_answered_with_an_error_whatever_goes_wrong(
    answer: Callable[[Seen], None], error: str
) -> None:
    async def main() -> None:
        async with client() as one:
            one.say(request("tools/call", 5))
            answer(await one.seen.get())
            got = await one.message()
            assert got["id"] == 5
            assert error in got["error"]["message"]

    on_uvloop(main)


def test_http_error_without_an_id_gets_the_one_of_its_request() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(request("tools/call", "x"))
            seen = await one.seen.get()
            seen.json({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no"}}, status=400)
            assert await one.message() == {
                "jsonrpc": "2.0",
                "id": "x",
                "error": {"code": -32600, "message": "no"},
            }

    on_uvloop(main)


def test_notification_that_is_refused_gets_no_answer() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(notification("notifications/x"), request("ping", 2))
            refused = await one.seen.get()
            refused.json(
                {"jsonrpc": "2.0", "id": None, "error": {"code": 4403, "message": "denied"}}, status=403
            )
            (await one.seen.get()).result({})
            assert (await one.message())["id"] == 2
            assert "a notification was not accepted" in one.log[0]

    on_uvloop(main)


def test_line_that_is_no_message_is_left_to_the_handler_and_its_answer_is_passed_on() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(b"what?", b"", b"  \t")
            seen = await one.seen.get()
            assert seen.sent.body == b"what?"
            seen.json(
                {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "not JSON"}}, status=400
            )
            assert (await one.message())["error"] == {"code": -32700, "message": "not JSON"}
            assert one.seen.empty()

    on_uvloop(main)


def test_line_over_the_limit_is_answered_and_the_next_one_is_served() -> None:
    async def main() -> None:
        async with client(max_line=1000) as one:
            one.say(request("x", 1, pad="x" * 1000), request("y", 2))
            assert (await one.message())["error"] == {
                "code": -32600,
                "message": "a line is longer than 1000 bytes",
            }
            seen = await one.seen.get()
            assert seen.message["method"] == "y"
            seen.result({})

    on_uvloop(main)


def test_server_messages_come_from_the_get_stream_and_answers_to_them_are_posted() -> None:
    async def main() -> None:
        async with client() as one:
            stream = await shake_hands(one, get_status=200)
            stream.stream(event(b'{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}'))
            assert (await one.message())["method"] == "elicitation/create"
            one.say({"jsonrpc": "2.0", "id": "q", "result": {}})
            answer = await one.seen.get()
            assert answer.message == {"jsonrpc": "2.0", "id": "q", "result": {}}
            answer.empty(202)

    on_uvloop(main)


def test_get_stream_is_opened_again_after_it_ended_with_the_last_event_id() -> None:
    async def main() -> None:
        async with client() as one:
            stream = await shake_hands(one, get_status=200)
            stream.stream(b'retry: 1\nid: e7\ndata: {"jsonrpc":"2.0","method":"m"}\n\n')
            await one.message()
            stream.responder.finish()
            again = await one.seen.get()
            assert (again.sent.method, again.header("last-event-id")) == ("GET", "e7")
            one.hang_up()
            await again.gone.wait()

    on_uvloop(main)


def test_answer_of_which_the_server_let_go_is_asked_for_again() -> None:
    """MCP 2025-11-25: a server may end a stream and be polled with the last event id."""

    async def main() -> None:
        async with client() as one:
            one.say(request("tools/call", 5))
            seen = await one.seen.get()
            seen.stream(b"id: p1\nretry: 1\ndata:\n\n")
            seen.responder.finish()
            again = await one.seen.get()
            assert (again.sent.method, again.header("last-event-id")) == ("GET", "p1")
            again.stream(event(b'{"jsonrpc":"2.0","id":5,"result":{}}'))
            again.responder.finish()
            assert (await one.message())["id"] == 5

    on_uvloop(main)


def test_legacy_cancellation_is_posted_and_needs_no_answer_afterwards() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(
                request("tools/call", 5),
                notification("notifications/cancelled", requestId=5),
                request("ping", 6),
            )
            call, cancelled, ping = [await one.seen.get() for _ in range(3)]
            assert cancelled.message["method"] == "notifications/cancelled"
            cancelled.empty(202)
            call.stream()
            call.responder.finish()
            ping.result({})
            assert (await one.message())["id"] == 6

    on_uvloop(main)


def test_end_of_input_does_not_wait_for_what_was_cancelled() -> None:
    async def main() -> None:
        async with client(drain=60.0) as one:
            one.say(request("tools/call", 5), notification("notifications/cancelled", requestId=5))
            call, cancelled = [await one.seen.get() for _ in range(2)]
            cancelled.empty(202)
            one.hang_up()
            assert await one.rest() == b""
            assert call.gone.is_set()

    on_uvloop(main)


def test_modern_cancellation_lets_go_of_the_exchange() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(
                modern("tools/call", 5, name="t"),
                notification("notifications/cancelled", requestId=5),
                modern("x", 6),
            )
            call, other = [await one.seen.get() for _ in range(2)]
            assert call.gone.is_set()
            assert other.message["method"] == "x"
            other.result({})
            assert (await one.message())["id"] == 6

    on_uvloop(main)


def test_end_of_input_waits_for_answers_that_are_on_their_way() -> None:
    async def main() -> None:
        async with client(drain=3.0) as one:
            one.say(b'{"jsonrpc":"2.0","id":1,"method":"a"}')
            os.write(one._write, b'{"jsonrpc":"2.0","id":2,"method":"b"}')
            one.hang_up()
            first, second = [await one.seen.get() for _ in range(2)]
            second.result({})
            first.result({})
            assert (await one.rest()).count(b"result") == 2

    on_uvloop(main)


def test_what_is_not_answered_in_time_is_answered_with_an_error() -> None:
    async def main() -> None:
        async with client(drain=0.01) as one:
            one.say(request("initialize", 1), request("held", 2))
            first = await one.seen.get()
            one.hang_up()
            lines = [json.loads(line) for line in (await one.rest()).splitlines()]
            assert sorted(line["id"] for line in lines) == [1, 2]
            assert all("the gate stopped" in line["error"]["message"] for line in lines)
            assert first.gone.is_set()

    on_uvloop(main)


def test_closed_output_ends_everything() -> None:
    async def main() -> None:
        async with client(drain=60.0) as one:
            one.say(request("a", 1), request("b", 2))
            first, second = [await one.seen.get() for _ in range(2)]
            one.close_output()
            first.result({})
            await one.running
            assert second.gone.is_set()

    on_uvloop(main)


def test_signal_is_passed_on_and_a_second_one_ends_the_waiting() -> None:
    async def main() -> None:
        signals: list[int] = []
        told = asyncio.Event()

        def hear(signum: int) -> None:
            signals.append(signum)
            told.set()

        async with client(drain=60.0, signal_drain=60.0, on_signal=hear) as one:
            one.say(request("a", 1))
            await one.seen.get()
            os.kill(os.getpid(), 15)
            await told.wait()
            assert not one.running.done()
            os.kill(os.getpid(), 2)
            assert b"the gate stopped" in await one.rest()
            assert signals == [15, 2]

    on_uvloop(main)


async def turns() -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_signal_after_the_end_of_input_does_not_end_the_waiting_at_once() -> None:
    """A client that closes the input and then says stop gets the answer that comes meanwhile."""

    async def main() -> None:
        told = asyncio.Event()
        async with client(drain=60.0, signal_drain=60.0, on_signal=lambda _: told.set()) as one:
            one.say(request("a", 1))
            seen = await one.seen.get()
            one.hang_up()
            await turns()  # the end is read
            os.kill(os.getpid(), 15)
            await told.wait()
            await turns()
            seen.result({})
            assert b"the gate stopped" not in await one.rest()

    on_uvloop(main)


def test_client_that_does_not_read_pauses_the_answers() -> None:
    async def main() -> None:
        async with client() as one:
            one.say(request("a", 1))
            seen = await one.seen.get()
            calls: list[str] = []
            seen.responder.on_pause = lambda: calls.append("pause")
            seen.responder.on_resume = lambda: calls.append("resume")
            seen.stream(
                *[event(b'{"jsonrpc":"2.0","method":"m","params":{"x":"%s"}}' % (b"x" * 50_000))] * 30
            )
            assert calls == ["pause"]
            for _ in range(30):
                await one.line()
            assert calls == ["pause", "resume"]
            seen.responder.write(event(b'{"jsonrpc":"2.0","id":1,"result":{}}'))
            seen.responder.finish()

    on_uvloop(main)
