"""Event streams: exact bytes, exact events, however they arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.sse import Event, EventTooLarge, SseParser, comment, event, replace_data

STREAM = (
    b"\xef\xbb\xbf: hello\n\n"
    b"id: 1\ndata: \nretry: 3000\n\n"
    b'event: message\r\ndata: {"a":\r\ndata:1}\r\n\r\n'
    b"data: cr\rid: x\0y\r\r"
    b"data\n\n"
    b"data:  two spaces\nfoo: bar\nretry: 1x\nevent\n\n"
    b"\n: ping\n\n"
    b"event: \xc3\xa9\xff\ndata: last\r\n\r"
    b"data: mixed\n\r\n"
    b"data: cut off"
)


def read(stream: bytes, cuts: list[int]) -> tuple[list[Event], bytes]:
    parser = SseParser()
    events: list[Event] = []
    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        events += parser.feed(stream[at:cut])
        at = cut
    last, rest = parser.finish()
    return events + last, rest


def test_fields_mean_what_the_standard_says() -> None:
    """WHATWG HTML 9.2.6: data lines joined by LF, one space dropped, id with NUL ignored."""
    events, rest = read(STREAM, [])
    shown = [(e.event, e.data, e.id, e.retry) for e in events if e.data is not None or e.id or e.retry]
    assert shown == [
        ("message", b"", b"1", 3000),
        ("message", b'{"a":\n1}', None, None),
        ("message", b"cr", None, None),
        ("message", b"", None, None),
        ("message", b" two spaces", None, None),
        ("\u00e9\ufffd", b"last", None, None),
        ("message", b"mixed", None, None),
    ]
    assert rest == b"\ndata: cut off"  # the LF of a blank line that was complete at its CR


def test_events_are_the_same_wherever_the_stream_is_split() -> None:
    """Every single cut, and every byte on its own."""
    whole = read(STREAM, [])
    assert b"".join(e.raw for e in whole[0]) + whole[1] == STREAM
    for cut in range(len(STREAM) + 1):
        assert read(STREAM, [cut]) == whole
    assert read(STREAM, list(range(len(STREAM)))) == whole


@given(
    st.lists(
        st.sampled_from([b"data: x", b"id: 1", b":c", b"data", b"\r", b"\n", b"\r\n", b"\xef\xbb\xbf"]),
        max_size=25,
    ),
    st.data(),
)
def test_any_stream_split_anywhere_gives_all_its_bytes_and_the_same_events(
    parts: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))
    whole = read(stream, [])
    assert b"".join(e.raw for e in whole[0]) + whole[1] == stream
    assert read(stream, cuts) == whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_given_as_soon_as_its_blank_line_is_complete(end: bytes) -> None:
    """No line ending makes an event wait for the one after it."""
    parser = SseParser()
    assert parser.feed(b"data: 1" + end) == []
    assert [e.data for e in parser.feed(end)] == [b"1"]


def test_an_event_over_64_kilobytes_arrives_whole() -> None:
    parser = SseParser()
    big = b"x" * 300_000
    events = parser.feed(b"data: " + big)
    events += parser.feed(b"\n\ndata: after\n\n")
    assert [e.data for e in events] == [big, b"after"]


def feed_all(parser: SseParser, stream: bytes, size: int, events: list[Event]) -> None:
    for at in range(0, len(stream) + size, size):
        events += parser.feed(stream[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_event_over_the_limit_is_a_clear_fault_after_the_events_before_it(size: int) -> None:
    parser = SseParser(max_event=100)
    events: list[Event] = []
    with pytest.raises(EventTooLarge, match="over 100 bytes"):
        feed_all(parser, b"data: first\n\n" + b"data: " + b"x" * 200 + b"\n\n", size, events)
    assert [e.data for e in events] == [b"first"]
    with pytest.raises(EventTooLarge):
        parser.finish()


def test_an_event_of_a_crlf_stream_keeps_its_last_lf() -> None:
    """A client that waits for the LF after a CR gets it together with the event."""
    stream = b": ping\r\n\r\ndata: 1\r\n\r\n"
    for cuts in ([], list(range(len(stream)))):
        assert [e.raw for e in read(stream, cuts)[0]] == [b": ping\r\n\r\n", b"data: 1\r\n\r\n"]


def test_an_event_of_exactly_the_limit_is_read() -> None:
    parser = SseParser(max_event=14)
    assert [e.data for e in parser.feed(b"data: 123456\n\n")] == [b"123456"]
    with pytest.raises(EventTooLarge):
        parser.feed(b"data: 1234567\n\n")


def test_our_own_events_carry_no_id_and_read_back() -> None:
    for data in (b'{"a":1}', b'{"a":\r\n1}', b"{\r}", b""):
        events, rest = read(event(data, "message"), [])
        expected = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert [(e.event, e.data, e.id) for e in events] == [("message", expected, None)]
        assert rest == b""
    assert [e.data for e in read(comment("ping") + comment(), [])[0]] == [None, None]
    with pytest.raises(ValueError, match="one line"):
        comment("a\nid: 1")


def test_a_comment_between_events_changes_no_event() -> None:
    """Ours go only between events; even where a CR and its LF are split they mean nothing."""
    events, _ = read(STREAM, [])
    with_ours = b"".join(e.raw + comment("ping") for e in events)
    kept = [(e.data, e.id) for e in read(with_ours, [])[0] if e.data is not None]
    assert kept == [(e.data, e.id) for e in events if e.data is not None]


def test_replaced_data_keeps_id_type_and_comments() -> None:
    original = SseParser().feed(b": note\r\nid: 7\r\nevent: m\r\ndata: 1\r\ndata: 2\r\nretry: 5\r\n\r\n")[0]
    again = SseParser().feed(replace_data(original, b'{"a":2}'))[0]
    assert (again.data, again.id, again.event, again.retry) == (b'{"a":2}', b"7", "m", 5)
    assert b": note\n" in again.raw
