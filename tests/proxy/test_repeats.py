"""Heads that a peer repeats: recognised or parsed, every byte stream is read as the same events."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from ostiary.identity.grant import Grant
from ostiary.proxy.exchange import ClientRequest, Head
from ostiary.proxy.http import repeats as module
from ostiary.proxy.http.repeats import MAX_HEAD, MAX_HEADS, Allowance, Repeats
from ostiary.proxy.http.request import IDLE, SLICE, Limits, Repeated, RequestReader
from ostiary.proxy.http.response import Repeated as Answered
from ostiary.proxy.http.response import ResponseReader

LIMITS = Limits(body=64, head=400, headers=8, target=40)
ROOMY = Limits()
TOKENS = {b"Bearer good": Grant.named("a"), b"Bearer other": Grant.named("b")}

FIRST = b"POST /mcp HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n"
HEADS = (
    FIRST + LENGTH,
    FIRST.replace(b"good", b"other") + b"content-length:%d \r\nMcp-Session-Id: 1\r\n\r\n",
    FIRST.replace(b"/mcp", b"/mcp?q=1") + b"Content-Length: 0%d\r\n\r\n",
    FIRST.replace(b"good", b"bad") + LENGTH,
    FIRST.replace(b"HTTP/1.1", b"HTTP/1.0") + LENGTH,
    FIRST + b"Expect: 100-continue\r\n" + LENGTH,
    FIRST + b"Connection: close\r\n" + LENGTH,
    FIRST + b"Connection: x-a\r\nX-A: 1\r\n" + LENGTH,
    FIRST + b"Upgrade: h2c\r\nConnection: upgrade\r\n" + LENGTH,
    FIRST.replace(b"POST", b"DELETE") + LENGTH,
    FIRST + b"X-Long: " + b"a" * 300 + b"\r\n" + LENGTH,
    *(
        FIRST + b"".join(b"%d:\r\n" % n for n in range(3)) + b"X-Long:" + b"a" * n + b"\r\n" + LENGTH
        for n in (291, 292, 293)
    ),
    FIRST + b"Content-Length: %d\r\nMcp-Name: a\r\n\r\n",
    FIRST + b"Content-Length: %d\r\nMcp-Name: b\r\n\r\n",
)
OTHERS = (
    FIRST.replace(b"POST", b"HEAD") + b"\r\n",
    FIRST.replace(b"POST", b"GET") + b"\r\n",
    FIRST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    FIRST + b"Content-Length: 2\r\n",
    b"\r\n",
    b"\r",
    b"HEAD \0",
    b"garbage\r\n\r\n",
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length:%d\t\r\nMcp-Session-Id: 1\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 00%d\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: X-A\r\nX-A: 1\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: a/b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: a/c\r\n\r\n",
    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
)
OTHER_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"\r\n",
    b"nonsense",
)


Said = tuple[int, bytes, int]
"""One message: which of the heads, the body, and how far its length is from the truth."""


def streams(heads: tuple[bytes, ...], others: tuple[bytes, ...]) -> st.SearchStrategy[list[bytes]]:
    """The pieces in which the bytes of a peer arrive that uses one or two heads most of the time."""
    bodies = st.integers(0, 90).map(lambda size: b"x" * size) | st.integers(0, 3).map(
        lambda size: b"{" * size
    )
    said = st.tuples(st.sampled_from([0] * 8 + [1, 1, 2]), bodies, st.sampled_from([0] * 30 + [-1, 1]))
    few = st.lists(st.sampled_from(heads[:2] * 6 + heads), min_size=2, max_size=2)
    return st.tuples(
        few.flatmap(lambda two: st.tuples(st.just(two), st.sampled_from(others))),
        st.lists(said, min_size=4, max_size=12),
        st.lists(st.tuples(st.integers(0, 11), st.integers(0, 400), st.sampled_from("cjd")), max_size=2),
    ).map(_arrive)


def _arrive(drawn: tuple[tuple[list[bytes], bytes], list[Said], list[tuple[int, int, str]]]) -> list[bytes]:
    """Spell the messages, then cut some in two, join some with the next, drop the rest of some."""
    (two, other), said, changes = drawn
    pieces = [
        other if which == 2 else two[which] % max(0, len(body) + lie) + body for which, body, lie in said
    ]
    for at, cut, how in changes:
        place = at % (len(pieces) - 1)
        one, then = pieces[place], pieces[place + 1]
        new = {"c": [one[:cut], one[cut:], then], "j": [one + then], "d": [one[:cut], then]}[how]
        pieces = [*pieces[:place], *new, *pieces[place + 2 :]]
    return [piece for piece in pieces if piece]


def check(request: ClientRequest) -> tuple[Head, bytes] | None:
    """A door: only for holders of a token; it must have been asked about every request."""
    assert request.body == b"", "a body before the head was checked"
    request.grant = TOKENS.get(request.header(b"authorization") or b"")
    return None if request.grant else (Head(401), b"who")


def read_requests(pieces: list[bytes], limits: Limits, repeats: Repeats | None) -> Iterator[object]:
    """Everything that can be seen of a reader, after every piece."""
    reader = RequestReader(limits, check, repeats)
    reader.peer = "peer"
    for piece in pieces:
        for at in range(0, len(piece), SLICE):
            if not reader.deaf:
                reader.feed(piece[at : at + SLICE])
        ready = [_request(one.request, one.version, one.persistent) for one in reader.ready]
        refused = reader.refused and (reader.refused.head, reader.refused.body, reader.refused.without_body)
        yield ready, refused, reader.phase, reader.deaf, reader.held, reader.wants_continue
        if len(reader.ready) > 2:
            reader.take()
    reader.close()


def _request(request: ClientRequest, version: str, persistent: bool) -> object:
    head = (request.method, request.path, request.query, tuple(request.headers))
    return (*head, request.body, request.peer, request.grant, version, persistent)


def read_answers(pieces: list[bytes], most: int, repeats: Repeats | None) -> Iterator[object]:
    """The same for answers; after each complete one the next request is sent, as on a kept connection."""
    reader = ResponseReader(most, 8, repeats)
    for piece in pieces:
        problem = reader.feed(piece)
        head = reader.head and (reader.head.status, tuple(reader.head.headers), reader.head.length)
        yield problem, head, b"".join(reader.pieces), reader.headed, reader.complete, reader.persistent
        yield reader.until_close
        reader.pieces = []
        reader.head = None
        if problem or (reader.complete and not reader.persistent):
            break
        if reader.complete:
            reader.begin()
    reader.close()


@given(streams(HEADS, OTHERS), st.sampled_from([LIMITS, ROOMY]))
@settings(max_examples=200, deadline=None)
def test_requests_are_the_same_with_and_without_memory(pieces: list[bytes], limits: Limits) -> None:
    plain = list(read_requests(pieces, limits, None))
    remembered = list(read_requests(pieces, limits, Repeats(Allowance())))

    assert remembered == plain


@given(streams(ANSWERS, OTHER_ANSWERS), st.sampled_from([120, 65536]))
@settings(max_examples=200, deadline=None)
def test_answers_are_the_same_with_and_without_memory(pieces: list[bytes], most: int) -> None:
    plain = list(read_answers(pieces, most, None))
    remembered = list(read_answers(pieces, most, Repeats(Allowance())))

    assert remembered == plain


def test_a_head_is_recognised_from_the_third_time_on_and_then_not_parsed() -> None:
    reader = RequestReader(ROOMY, check, Repeats(Allowance()))
    parsed: list[int] = []
    for number in range(4):
        body = b"{" + b" " * number + b"}"
        reader.feed(HEADS[0] % len(body) + body)
        parsed.append(reader.mark)

    assert parsed == [2, 4, 4, 4]
    assert [len(one.request.body) for one in reader.ready] == [2, 3, 4, 5]


def test_the_door_is_asked_about_every_request_and_may_change_its_mind() -> None:
    said: list[bytes] = []

    def door(request: ClientRequest) -> tuple[Head, bytes] | None:
        said.append(request.header(b"authorization") or b"")
        return (Head(401), b"gone") if len(said) == 4 else None

    reader = RequestReader(ROOMY, door, Repeats(Allowance()))
    for _ in range(6):
        if not reader.deaf:
            reader.feed(HEADS[0] % 2 + b"{}")

    assert len(said) == 4
    assert len(reader.ready) == 3
    assert reader.refused is not None
    assert reader.refused.head.status == 401


def test_a_message_with_a_byte_more_or_less_is_not_recognised() -> None:
    known: Repeats[str] = Repeats(Allowance())
    for _ in range(2):
        known.learn(HEADS[0] % 2 + b"{}", 2, "read")

    assert known.find(HEADS[0] % 3 + b"{ }") == ("read", b"{ }")
    assert known.find(HEADS[0] % 2 + b"{}x") is None
    assert known.find(HEADS[0] % 3 + b"{}") is None
    assert known.find((HEADS[0] % 2).replace(b"Host: h", b"Host: i") + b"{}") is None
    assert known.find((HEADS[0] % 2).replace(b": 2", b": +2") + b"{}") is None
    assert known.find((HEADS[0] % 2).replace(b": 2", b": 0x2") + b"{}") is None
    assert known.find((HEADS[0] % 2).replace(b": 2", b": 00000002") + b"{}") is None


def test_a_head_is_not_learnt_at_first_sight_nor_when_its_end_is_in_doubt() -> None:
    known: Repeats[str] = Repeats(Allowance())
    known.learn(HEADS[0] % 2 + b"{}", 2, "once")
    assert len(known) == 0

    for _ in range(3):
        known.learn(
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\nX: 1\r\nContent-Length: 2\r\n\r\n{}", 2, "two lengths"
        )
        known.learn(HEADS[0] % 2 + b"{}" + HEADS[0] % 2, 2, "two messages")
        known.learn(
            b"POST / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n", 0, "too long"
        )
    assert len(known) == 0


def test_what_a_head_of_many_short_lines_takes_is_counted() -> None:
    """Names of two letters without a value: the objects they are read as take far more than the bytes."""
    allowance = Allowance(10**7)
    lines = b"".join(b"%c%c:\r\n" % (97 + n // 26, 97 + n % 26) for n in range(600))
    readers = [RequestReader(Limits(headers=1000), None, Repeats(allowance)) for _ in range(10)]
    tracemalloc.start()
    begin = tracemalloc.get_traced_memory()[0]
    for reader in readers:
        for _ in range(3):
            reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\n" + lines + b"Content-Length: 2\r\n\r\n{}")
        assert len(reader.ready) == 3
        reader.ready.clear()
        reader.feed(b"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n")  # what was parsed last is let go
    taken = tracemalloc.get_traced_memory()[0] - begin
    tracemalloc.stop()

    assert 10**7 - allowance.left > taken - 10 * 2048


def test_memory_is_bounded_for_each_connection_and_for_all_and_given_back() -> None:
    allowance = Allowance(20_000)
    first: Repeats[int] = Repeats(allowance)
    for number in range(50):
        for _ in range(2):
            first.learn(b"POST /%d HTTP/1.1\r\nContent-Length: 0\r\n\r\n" % number, 0, number)
    assert len(first) == MAX_HEADS
    assert 0 < allowance.left < 20_000

    others = [Repeats[int](allowance) for _ in range(50)]
    for other in others:
        for _ in range(2):
            other.learn(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0, 0)
    assert 0 <= allowance.left < 2_000
    assert sum(len(other) for other in others) < 20

    for one in (first, *others):
        one.forget()
    assert allowance.left == 20_000


def test_a_peer_that_never_repeats_itself_is_soon_left_alone() -> None:
    known: Repeats[int] = Repeats(Allowance())
    for number in range(40):
        known.learn(b"POST /%d HTTP/1.1\r\nContent-Length: 0\r\n\r\n" % number, 0, number)
    seen = known._seen
    known.learn(b"POST /again HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0, 0)
    assert known._seen == seen, "still looking"

    for _ in range(2 * module._PAUSE):
        known.learn(b"POST /again HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0, 0)
    assert len(known) > 0, "never looked again"


def test_a_bound_holds_for_a_known_head_too() -> None:
    longest = (
        b"POST /mcp HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\nA:" + b"a" * 335 + b"\r\n" + LENGTH
    )
    for head, size in ((HEADS[0], LIMITS.body + 1), (longest, 10)):
        pieces = [head % 0] * 3 + [head % size + b"x" * size]
        plain, remembering = (
            list(read_requests(pieces, LIMITS, known)) for known in (None, Repeats[Repeated](Allowance()))
        )

        assert remembering == plain


def test_an_answer_whose_first_bytes_came_before_is_left_to_the_parser() -> None:
    whole = ANSWERS[0] % 2 + b"{}"
    pieces = [whole, whole, b"HTTP/1.1 103 Early\r\nX: ", whole]
    plain, remembering = (
        list(read_answers(pieces, 65536, known)) for known in (None, Repeats[Answered](Allowance()))
    )

    assert remembering == plain


def test_what_the_parser_last_saw_does_not_tell_on_the_request_that_follows() -> None:
    pieces = [HEADS[0] % 2 + b"{}"] * 3 + [OTHERS[0], HEADS[0] % 2 + b"{}", b"garbage\r\n\r\n"]
    plain, remembering = (
        list(read_requests(pieces, ROOMY, known)) for known in (None, Repeats[Repeated](Allowance()))
    )

    assert remembering == plain


def test_a_message_begun_is_never_taken_for_a_whole_one() -> None:
    plain, remembering = (
        list(
            read_requests(
                [HEADS[0] % 2 + b"{}"] * 3 + [HEADS[0] % 90, HEADS[0] % 2 + b"{}"] * 2, ROOMY, known
            )
        )
        for known in (None, Repeats[Repeated](Allowance()))
    )

    assert remembering == plain
    assert plain[-1] != ([], None, IDLE, False, 0, False)
