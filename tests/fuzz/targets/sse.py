"""Event streams: every byte comes out once, in the events of the standard, however it arrives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ostiary.wire.sse import Event, EventTooLarge, SseParser, comment, replace_data
from tests.fuzz import plain_sse
from tests.fuzz.cuts import deliveries

SMALL = 64
WORDS = (
    b"data: ",
    b"data:",
    b"data",
    b"id: 1",
    b"id",
    b"event: message",
    b"retry: 10",
    b":",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"\r\n\r\n",
    b"\xef\xbb\xbf",
    b"\0",
    b'{"jsonrpc":"2.0"}',
)


def check(data: bytes) -> None:
    """One stream."""
    events, rest = _read([data])
    assert b"".join(event.raw for event in events) + rest == data, "bytes lost or made"
    expected = plain_sse.blocks(data)
    assert [_said(event) for event in events] == expected, "other events than the standard's"
    for pieces in deliveries(data):
        assert _read(pieces) == (events, rest), "other events for other reads"
        _check_bounds(pieces)
    _check_edits(events)


def _said(event: Event) -> plain_sse.Dispatched:
    return plain_sse.Dispatched(event.data, event.event, event.id, event.retry)


def _read(pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    parser = SseParser()
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    last, rest = parser.finish()
    return events + last, rest


def _check_bounds(pieces: Iterable[bytes]) -> None:
    """A stream with an event over the limit ends with a fault, and is not kept meanwhile."""
    parser = SseParser(max_event=SMALL)
    passed: list[Event] = []
    try:
        for piece in pieces:
            passed += parser.feed(piece)
            assert len(parser._buffer) <= SMALL + len(piece), "memory without bound"
        passed += parser.finish()[0]
    except EventTooLarge:
        pass
    assert all(len(event.raw) <= SMALL for event in passed), "an event over the limit"


def _check_edits(events: list[Event]) -> None:
    """What the gate writes itself changes only what it means to change."""
    ours = b"".join(event.raw + comment("x") for event in events)
    kept = [_said(event) for event in _read([ours])[0] if event.data is not None]
    assert kept == [_said(event) for event in events if event.data is not None], "a comment changed an event"
    for number, event in enumerate(events):
        if event.data is None:
            continue
        before = comment("x") if number else b""
        again, rest = _read([before + replace_data(event, b'{"a":\n2}')])
        assert rest == b""
        assert [_said(one) for one in again[1 if number else 0 :]] == [
            _said(event)._replace(data=b'{"a":\n2}')
        ], "an edit changed more"


def seeds() -> Iterator[bytes]:
    """Line ends and fields of every kind."""
    yield b"\xef\xbb\xbf: hello\n\nid: 1\ndata: \nretry: 3000\n\n"
    yield b'event: message\r\ndata: {"a":\r\ndata:1}\r\n\r\ndata: cr\rid: x\0y\r\r'
    yield b"data\n\ndata:  two\nfoo: bar\nretry: 1x\nevent\n\n\n: ping\n\n"
    yield b"event: \xc3\xa9\xff\ndata: last\r\n\rdata: mixed\n\r\ndata: cut off"
