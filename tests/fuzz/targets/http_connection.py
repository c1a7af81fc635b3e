"""A client's connection: each request answered once and in order, however bytes and answers meet."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, cast

from ostiary.proxy.exchange import ClientRequest, Head, Responder
from ostiary.proxy.http.connection import Connection, Spans
from ostiary.proxy.http.repeats import Allowance
from ostiary.proxy.http.request import SLICE, Limits
from tests.fuzz import plain_http
from tests.fuzz.cuts import chance, deliveries
from tests.fuzz.targets import http_request

LIMITS = Limits(body=300, head=600, headers=12, target=60, queued=3)
WORDS = http_request.WORDS


def check(data: bytes) -> None:
    """One connection: answered at once, then with answers that come late and in pieces."""
    whole = _World(None).run([data])
    _check_output(whole)
    for pieces in deliveries(data):
        late = _World(chance(data)).run(pieces)
        _check_output(late)
        assert _said(late) == _said(whole), "other requests for other reads"
        assert late.refusals == whole.refusals, "refused for some reads only"


def _said(world: _World) -> list[object]:
    return [(one.method, one.path, one.query, list(one.headers), one.body) for one in world.asked]


class _Loop:
    """The next turn of a loop."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], object]] = deque()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def time(self) -> float:
        return 0.0

    def turn(self) -> None:
        while self.soon:
            self.soon.popleft()()


class _Sweep:
    now = 0.0


class _Socket:
    def setsockopt(self, *_: object) -> None:
        """Take note of nothing."""


class _World:
    """Listener, transport and handler of one connection."""

    def __init__(self, choice: random.Random | None) -> None:
        self.limits = LIMITS
        self.allowance = Allowance()
        self.spans = Spans(1, 1, 1, 1)
        self.sweep = _Sweep()
        self.loop = _Loop()
        self.check_head = None
        self.choice = choice
        self.out = b""
        self.reading = True
        self.closing = self.ended = False
        self.waiting: deque[tuple[ClientRequest, Responder]] = deque()
        self.asked: list[ClientRequest] = []
        self.statuses: list[int] = []

    @property
    def refusals(self) -> int:
        return sum(status != 200 for status in self.statuses)

    # Listener

    def admit(self, connection: Connection) -> bool:
        return True

    def dismiss(self, connection: Connection) -> None:
        """Take note of nothing."""

    def handler(self, request: ClientRequest, responder: Responder) -> None:
        self.asked.append(request)
        assert not self.waiting, "two requests at once"
        self.waiting.append((request, responder))
        if self.choice is None:
            self._answer()

    def _answer(self) -> None:
        request, responder = self.waiting.popleft()
        known = self.choice is None or self.choice.random() < 0.5
        responder.start(Head(200, (), len(request.body) if known else None))
        responder.write(request.body)
        responder.finish()

    # Transport

    def set_write_buffer_limits(self, high: int) -> None:
        """Take note of nothing."""

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("127.0.0.1", 1), "socket": _Socket()}.get(name)

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        assert not self.ended, "bytes after the end"
        self.out += data

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = self.ended = True

    abort = close

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    # The course of events

    def run(self, pieces: Iterable[bytes]) -> _World:
        everything = cast("Any", self)
        connection = Connection(everything)
        connection.connection_made(everything)
        queue = deque(piece for piece in pieces if piece)
        while queue and not self.closing:
            if self.reading:
                piece = queue.popleft()
                connection.data_received(piece)
                reader = connection._reader
                assert len(reader.ready) <= LIMITS.queued + SLICE // 20, "a queue without bound"
                assert len(connection._rest) <= 2 * len(piece) + SLICE, "bytes kept without bound"
            else:
                assert self.waiting, "reading stopped and nothing will start it again"
            if self.waiting and (not self.reading or (self.choice and self.choice.random() < 0.5)):
                self._answer()
            self.loop.turn()
        if not self.closing and not connection.eof_received():
            self.close()
        while self.waiting:
            self._answer()
            self.loop.turn()
        self.loop.turn()
        assert self.closing or self.ended, "a connection that nobody ends"
        connection.connection_lost(None)
        return self


def _check_output(world: _World) -> None:
    """What left is one whole answer for each request, then at most one refusal, then nothing."""
    at = 0
    asked = deque(world.asked)
    while at < len(world.out):
        head = plain_http.response(world.out, at, bodiless=True)
        status = int(head.first[0])
        if status == 100:
            at = head.end
            continue
        world.statuses.append(status)
        if status != 200:
            # The last: with its body, or without one where a HEAD was refused.
            assert not asked, "a refusal before an answer"
            assert head.values(b"connection") == [b"close"], "a refusal that does not close"
            assert head.end == len(world.out) or plain_http.response(world.out, at).end == len(world.out)
            return
        request = asked.popleft()
        parsed = plain_http.response(world.out, at, bodiless=request.method == "HEAD")
        assert parsed.body == (b"" if request.method == "HEAD" else request.body), (
            "the answer to another request"
        )
        at = parsed.end
    assert not asked, "a request without an answer"


seeds = http_request.seeds
