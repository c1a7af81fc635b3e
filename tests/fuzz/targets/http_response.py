"""An upstream's answer on a connection: what the sink is told is what RFC 9112 says, or a fault."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, cast

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Head
from ostiary.proxy.http.call import Call, UpstreamLimits, UpstreamLine, UpstreamSpans
from ostiary.proxy.http.repeats import Allowance, Repeats
from ostiary.proxy.http.response import ResponseReader
from tests.fuzz import plain_http
from tests.fuzz.cuts import deliveries

LIMITS = UpstreamLimits(head=600, headers=12)
HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

WORDS = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 \r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No\r\n",
    b"HTTP/1.1 304 \r\n",
    b"Content-Length: 2\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"2\r\n{}\r\n",
    b"0\r\n\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n",
    b"Upgrade: x\r\n",
    b";a=b",
    b"\r",
    b"\n",
    b"HTTP/1.1 199 \r\n\r\n",
    b"Content-Type: text/event-stream\r\n",
    b"RTSP/1.0 200 OK\r\n",
)


def check(data: bytes) -> None:
    """One answer and whatever follows it, then the end of the connection."""
    whole = _run([data])
    alone = _check_told(data, whole)
    for pieces in deliveries(data):
        again = _run(pieces)
        assert _alike(again, whole, len(data)), "another answer for other reads"
        if alone and again.events == whole.events:
            assert again.kept == whole.kept, "a connection given up for some reads"
    _check_repeats(data)


def _check_repeats(data: bytes) -> None:
    """A server that answers with the same head again and again is read as if each were the first."""
    plain = ResponseReader(LIMITS.head, LIMITS.headers)
    knowing = ResponseReader(LIMITS.head, LIMITS.headers, Repeats(Allowance()))
    for piece in [data] * 4 + [data.replace(b"{}", b"{ }").replace(b": 2", b": 3"), data + b"\r", data]:
        said: list[object] = []
        for reader in (plain, knowing):
            reader.begin()
            problem = reader.feed(piece)
            head = (
                None
                if reader.head is None
                else (reader.head.status, list(reader.head.headers), reader.head.length)
            )
            said.append((problem, head, b"".join(reader.pieces), reader.complete, reader.persistent))
            reader.head = None
            reader.pieces = []
        assert said[0] == said[1], "a head that is remembered as another"
        if not plain.persistent or not plain.complete:
            return


def _alike(one: _World, other: _World, size: int) -> bool:
    """The same answer; or two faults, where how much came before them depends on the reads."""
    bodies = one.body.startswith(other.body) or other.body.startswith(one.body)
    heads = None in (one.head_told, other.head_told) or _head(one) == _head(other)
    if one.events[-1] == other.events[-1] == "fault":
        return bodies and heads
    if one.events == other.events:
        return one.body == other.body and _head(one) == _head(other)
    # Heads that are too large together, interim ones included, are noticed between two reads.
    return size > LIMITS.head and "fault" in (one.events[-1], other.events[-1])


class _Sweep:
    now = 0.0


class _Socket:
    """A descriptor that stays silent."""

    descriptor = os.pipe()[0]

    def setsockopt(self, *_: object) -> None:
        """Take note of nothing."""

    def fileno(self) -> int:
        return self.descriptor


class _World:
    """Transport, pool and sink of one connection."""

    def __init__(self) -> None:
        self.name = "u"
        self.limits = LIMITS
        self.allowance = Allowance()
        self.spans = UpstreamSpans(1, 1, 1, 1)
        self.sweep = _Sweep()
        self.closed = self.kept = False
        self.events: list[str] = []
        self.head_told: Head | None = None
        self.body = b""

    # Pool

    def opened(self, line: UpstreamLine) -> None:
        """Take note of nothing."""

    def free(self, line: UpstreamLine) -> None:
        self.kept = True

    def lost(self, line: UpstreamLine) -> None:
        """Take note of nothing."""

    # Transport

    def get_extra_info(self, name: str) -> object:
        return _Socket() if name == "socket" else None

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def write(self, data: bytes) -> None:
        """Take note of nothing."""

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Take note of nothing."""

    def resume_reading(self) -> None:
        """Take note of nothing."""

    # Sink

    def head(self, head: Head) -> None:
        self.events.append("head")
        self.head_told = head

    def data(self, data: bytes) -> None:
        assert data, "an empty piece"
        self.body += data

    def end(self) -> None:
        self.events.append("end")

    def fault(self, fault: UpstreamFault) -> None:
        assert fault.written, "an answer to a request that was never sent"
        self.events.append("fault")


def _run(pieces: Iterable[bytes]) -> _World:
    world = _World()
    everything = cast("Any", world)
    line = UpstreamLine(everything)
    line.connection_made(everything)
    call = Call(world)
    line.run(call, b"")
    for piece in pieces:
        if world.closed:
            break
        if piece:
            line.data_received(piece)
        headers = (*line._reader._headers, *line._reader._control)
        assert sum(len(name) + len(value) for name, value in headers) <= LIMITS.head + len(piece), (
            "a head without bound"
        )
        assert line._reader.pieces == [], "pieces kept"
    world.kept = world.kept and not world.closed
    if not world.closed:
        line.eof_received()
    line.connection_lost(None)
    assert world.events[-1:] in (["end"], ["fault"]), "no end"
    assert world.events.count("end") + world.events.count("fault") == 1, "two ends"
    assert world.events in (["head", "end"], ["head", "fault"], ["fault"]), "another order"
    return world


def _head(world: _World) -> tuple[object, ...] | None:
    head = world.head_told
    return None if head is None else (head.status, list(head.headers), head.length)


def _check_told(data: bytes, world: _World) -> bool:
    """Compare with the second opinion; whether the answer is whole and nothing follows it."""
    try:
        parsed = plain_http.response(data, 0)
        while parsed.first[0] < b"200":
            assert parsed.first[0] != b"101" or world.events == ["fault"], "a switch of protocols"
            parsed = plain_http.response(data, parsed.end)
    except plain_http.Malformed:
        assert world.events[-1] == "fault", "a malformed answer passed"
        return False
    except plain_http.Unfinished:
        assert world.events[-1] == "fault", "a part was taken for the whole"
        return False
    if world.events[-1] == "fault":
        return False
    head = world.head_told
    assert head is not None
    assert head.status == int(parsed.first[0]), "another status"
    assert world.body == parsed.body, "another body"
    if head.length is not None:
        assert head.length == len(parsed.body), "another length"
    options = {
        option.strip(b" \t").lower() for value in parsed.values(b"connection") for option in value.split(b",")
    }
    expected = [header for header in parsed.headers if header[0] not in HOP | options]
    assert list(head.headers) == expected, "other headers"
    if world.kept:
        assert parsed.end == len(data), "a connection kept with bytes after the answer"
        assert not parsed.until_close, "a connection kept that was to end"
        assert b"close" not in options, "a connection kept that was to close"
    return parsed.end == len(data)


def seeds() -> Iterator[bytes]:
    """Answers of every framing, well-formed and not."""
    ok = b"HTTP/1.1 200 OK\r\n"
    yield ok + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    yield ok + b"Transfer-Encoding: chunked\r\nX: y\r\n\r\n2;a=b\r\n{}\r\n0\r\nT: r\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\n" + ok + b"Content-Length: 0\r\n\r\n"
    yield ok + b"Connection: close\r\n\r\nuntil the end"
    yield b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, x\r\nX: 1\r\n\r\n{}"
    yield b"HTTP/1.1 204 No Content\r\n\r\n"
    yield b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
    yield ok + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n"
    yield ok + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"
    yield b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    yield ok + b"Content-Length: 9\r\n\r\n{}"
