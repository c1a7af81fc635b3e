"""Event streams of an upstream through a whole gate: byte-exact, or ended with a clear error."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.weaknesses.world import ALLOW_ALL, Reply, call, deny_but, encoded, request, until, within, world

POLICIES = pytest.mark.parametrize("policy", [ALLOW_ALL, deny_but("echo")], ids=["open", "filtering"])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDS = pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
LIMIT = 16 * 2**20
"""Bytes of one event, with its field names."""


def progress(step: int) -> bytes:
    params = {"progressToken": 1, "progress": step, "message": "mid\u00e9"}
    return encoded({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def answered(text: str = "done", number: object = "n") -> bytes:
    content = [{"type": "text", "text": text}]
    return encoded({"jsonrpc": "2.0", "id": number, "result": {"content": content}})


def stream(end: bytes) -> bytes:
    """All that an event stream may be made of, the answer last."""
    first, second = progress(1), progress(2)
    comma = second.index(b",") + 1
    lines = [
        b": a comment", b"", b":", b"",
        b"retry: 1500", b"",
        b"id: 1", b"data: " + first, b"",
        b"event: message", b"data:" + second[:comma], b"data: " + second[comma:], b"id", b"",
        b"data", b"", b"", b"",
        b": the answer", b"id: 3", b"data: " + answered(), b"",
    ]  # fmt: skip
    return b"".join(line + end for line in lines)


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


async def streamed(gate, *pieces: bytes, number: object = "n") -> Reply:
    """One call whose answer is these pieces, each in a chunk and a segment of its own."""

    async def send(seen) -> bytes:
        seen.writer.write(HEAD)
        for piece in pieces:
            seen.writer.write(chunk(piece))
            await asyncio.sleep(0)
        return b"0\r\n\r\n"

    gate.upstream.script["tools/call"] = send
    return await gate.post(call("echo", {}, number))


@POLICIES
@ENDS
def test_stream_cut_at_every_byte_is_relayed_byte_for_byte(
    tmp_path, policy: dict[str, Any], end: bytes
) -> None:
    """HTTP case 20: any line end, comments, data in several lines, ids, and cuts anywhere."""
    whole = stream(end)

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            for cut in range(1, len(whole)):
                reply = await streamed(gate, whole[:cut], whole[cut:])
                assert (reply.whole, reply.body) == (True, whole), cut

    within(main, 20)


@POLICIES
@ENDS
def test_stream_in_single_bytes_is_relayed_byte_for_byte(
    tmp_path, policy: dict[str, Any], end: bytes
) -> None:
    """HTTP case 20: one byte a chunk."""
    whole = stream(end)

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            reply = await streamed(gate, *(bytes((byte,)) for byte in whole))
            assert (reply.whole, reply.body) == (True, whole)

    within(main)


def test_what_lax_readers_take_for_something_else_passes_only_an_open_gate(tmp_path) -> None:
    """HTTP case 20: a byte order mark, an id with NUL and unknown fields are relayed byte-exact.

    Where messages are filtered the lines that a reader has to ignore are left out, so that no
    reader can find a message in them; the messages themselves pass.
    """
    whole = (
        b"\xef\xbb\xbfdata: " + progress(1) + b"\n\n"
        b"id: a\0b\ndata: " + progress(2) + b"\n\n"
        b"unknown: field\nDATA: x\ndata: " + answered() + b"\n\n"
    )

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "open") as gate:
            assert (await streamed(gate, whole)).body == whole
        async with world(deny_but("echo"), tmp_path / "filtering") as gate:
            reply = await streamed(gate, whole)
            assert b"".join(encoded(one) for one in reply.events) == progress(1) + progress(2) + answered()
            assert b"unknown" not in reply.body
            assert b"DATA" not in reply.body

    within(main)


@POLICIES
@pytest.mark.parametrize("end", [b"\n\n", b"\r\r"], ids=["lf", "cr"])
def test_event_of_ten_megabytes_passes_whole(tmp_path, policy: dict[str, Any], end: bytes) -> None:
    """HTTP case 20: one event of 10 MB, on one line, in pieces that fit nothing."""
    whole = b"data: " + answered("x" * 10_000_000) + end
    pieces = [whole[at : at + 99_991] for at in range(0, len(whole), 99_991)]

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            reply = await streamed(gate, *pieces)
            assert (reply.whole, reply.body == whole) == (True, True)

    within(main, 20)


@POLICIES
@pytest.mark.parametrize("how", ["one line", "many lines", "one comment"])
def test_event_over_the_limit_ends_with_an_error_that_names_the_call(
    tmp_path, policy: dict[str, Any], how: str
) -> None:
    """HTTP case 20: it is neither cut in two nor dropped in silence."""
    piece = {"one line": b"x" * 2**16, "many lines": b"data: x\n" * 8192, "one comment": b": " + b"x" * 2**16}
    first = b"data: " + progress(1) + b"\n\n"

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            sent = 0

            async def endless(seen) -> None:
                nonlocal sent
                seen.writer.write(HEAD + chunk(first) + chunk(b"data: "))
                while not seen.writer.transport.is_closing() and sent < 4 * LIMIT:
                    seen.writer.write(chunk(piece[how]))
                    sent += len(piece[how])
                    await seen.writer.drain()

            gate.upstream.script["tools/call"] = endless
            reply = await gate.post(call("echo", {}, "n"))
            assert reply.whole
            assert reply.body.startswith(first)
            told = reply.events[-1]
            assert (told["id"], told["error"]["code"]) == ("n", 4502)
            assert str(LIMIT) in told["error"]["message"]
            assert sent < 2 * LIMIT
            assert [one.status for one in await gate.records() if one.kind == "outcome"] == ["unknown"]

    within(main, 20)


@POLICIES
@pytest.mark.parametrize("at", [0, 5, -1], ids=["in no event", "in the first", "before its last blank line"])
def test_stream_that_breaks_off_is_ended_with_an_error(tmp_path, policy: dict[str, Any], at: int) -> None:
    """HTTP case 20: half an event never reaches the client as if it were one."""
    event = b"data: " + answered() + b"\n\n"

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:

            async def broken(seen) -> None:
                seen.writer.write(HEAD + chunk(b": hello\n\n") + chunk(event[:at]))
                await seen.writer.drain()
                seen.writer.close()

            gate.upstream.script["tools/call"] = broken
            reply = await gate.post(call("echo", {}, "n"))
            assert reply.body.startswith(b": hello\n\n")
            assert reply.events == [reply.events[-1]]
            assert (reply.events[-1]["id"], reply.events[-1]["error"]["code"]) == ("n", 4502)

    within(main)


@POLICIES
def test_events_of_a_get_stream_are_relayed_byte_for_byte_as_they_come(
    tmp_path, policy: dict[str, Any]
) -> None:
    """HTTP case 20: each event arrives before the next one is sent."""

    async def main() -> None:
        go_on = asyncio.Event()
        events = [b"id: %d\ndata: %b\n\n" % (n, progress(n)) for n in range(5)]

        async def stepwise(seen) -> bytes:
            seen.writer.write(HEAD)
            for event in events:
                await go_on.wait()
                go_on.clear()
                seen.writer.write(chunk(event))
            return b"0\r\n\r\n"

        async with world(policy, tmp_path / "s") as gate:
            gate.upstream.script["GET"] = stepwise
            async with gate.held(None, method="GET") as (reader, _):
                await reader.readuntil(b"\r\n\r\n")
                for event in events:
                    go_on.set()
                    assert await reader.readuntil(b"\n\n\r\n") == chunk(event)

    within(main)


def test_answers_of_many_streams_at_once_are_never_mixed(tmp_path) -> None:
    """HTTP case 20: fifty streams, cut into pieces of different sizes, interleaved."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:

            async def send(seen) -> bytes:
                number = seen.message["id"]
                whole = b"".join(
                    b"data: " + encoded({"jsonrpc": "2.0", "method": "notifications/message",
                                         "params": {"level": "info", "data": [number, n]}}) + b"\n\n"
                    for n in range(20)
                ) + b"data: " + answered(str(number), number) + b"\n\n"  # fmt: skip
                seen.writer.write(HEAD)
                for at in range(0, len(whole), 7 + number):
                    seen.writer.write(chunk(whole[at : at + 7 + number]))
                    await asyncio.sleep(0)
                return b"0\r\n\r\n"

            gate.upstream.script["tools/call"] = send
            replies = await asyncio.gather(*(gate.call("echo", number) for number in range(50)))
            for number, reply in enumerate(replies):
                told = [one["params"]["data"] for one in reply.events[:-1]]
                assert told == [[number, n] for n in range(20)]
                assert reply.events[-1]["result"]["content"][0]["text"] == str(number)

    within(main, 20)


def test_list_in_a_stream_is_filtered_wherever_it_is_cut(tmp_path) -> None:
    """HTTP case 18: the filter sees whole events only, and no part of one passes before it."""
    names = ("echo", "hidden")
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
    event = b"data: " + encoded({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}) + b"\n\n"

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            for cut in range(1, len(event)):

                async def send(seen, cut: int = cut) -> bytes:
                    seen.writer.write(HEAD + chunk(event[:cut]))
                    await asyncio.sleep(0)
                    return chunk(event[cut:]) + b"0\r\n\r\n"

                gate.upstream.script["tools/list"] = send
                reply = await gate.post(request("tools/list", {}))
                assert b"hidden" not in reply.body
                assert [one["name"] for one in reply.events[0]["result"]["tools"]] == ["echo"]

    within(main, 20)


def test_silent_stream_shows_its_head_and_then_comments_only(tmp_path) -> None:
    """HTTP case 20: what keeps it open stands between events and carries no id."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.desk.streams.period = 0.02
            go_on = asyncio.Event()
            event = b"id: 7\ndata: " + answered() + b"\n\n"

            async def send(seen) -> bytes:
                seen.writer.write(HEAD + chunk(event[:9]))
                await go_on.wait()
                return chunk(event[9:]) + b"0\r\n\r\n"

            gate.upstream.script["tools/call"] = send
            async with gate.held(call("echo", {}, "n")) as (reader, _):
                await reader.readuntil(b"\r\n\r\n")
                for _ in range(3):
                    assert await reader.readuntil(b"\n\n\r\n") == chunk(b":\n\n")
                go_on.set()
                rest = await reader.readuntil(b"0\r\n\r\n")
                assert rest.replace(chunk(b":\n\n"), b"") == chunk(event) + b"0\r\n\r\n"
                assert json.loads(event.partition(b"data: ")[2])["id"] == "n"
            await until(lambda: not gate.desk.streams._idle)

    within(main)
