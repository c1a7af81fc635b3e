"""Collects one whole JSON-RPC answer, whether it comes as JSON or as an event stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Callback, Flow, Head, Upstream, UpstreamRequest
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message
from ostiary.wire.sse import SseParser

DEADLINE = 60.0
"""Seconds until an answer must be complete: others wait for it, so no upstream may stretch it."""


class SessionGone(UpstreamFault):
    """The upstream does not know the session (any more): it answered with 404."""


Collected = bytes | UpstreamFault
"""The bytes of the response message, or why there are none."""


def _unseen(_head: Head) -> None:
    """Nobody looks at the head."""


class Terms(msgspec.Struct, frozen=True):
    """What differs from the gate's own listings.

    `seconds` until the answer must be complete (None: `DEADLINE`). `also` are statuses beside 200
    whose body is collected too. `on_head` is shown the head of the answer.
    """

    seconds: float | None = None
    also: frozenset[int] = frozenset()
    on_head: Callable[[Head], None] = _unseen


_USUAL = Terms()


def collect(
    upstream: Upstream,
    request: UpstreamRequest,
    message_id: str,
    limit: int,
    done: Callable[[Collected], None],
    terms: Terms = _USUAL,
) -> Callback:
    """Send `request` and call `done` once with the response whose id is `message_id`.

    What is returned gives it up: `done` is not called any more.
    """
    seconds = DEADLINE if terms.seconds is None else terms.seconds
    sink = _Collector(message_id, limit, done, terms, seconds)
    sink.flow = upstream.send(request, sink)
    sink.timer = asyncio.get_running_loop().call_later(seconds, sink.late)
    return sink.give_up


class _Collector:
    __slots__ = (
        "_buffer", "_done", "_events", "_id", "_limit", "_seconds", "_size", "_terms", "flow", "timer"
    )  # fmt: skip

    def __init__(
        self, message_id: str, limit: int, done: Callable[[Collected], None], terms: Terms, seconds: float
    ) -> None:
        self._terms = terms
        self._seconds = seconds
        self._id = message_id
        self._limit = limit
        self._done: Callable[[Collected], None] | None = done
        self._buffer: list[bytes] = []
        self._size = 0
        self._events: SseParser | None = None
        self.flow: Flow | None = None
        self.timer: asyncio.TimerHandle | None = None

    def head(self, head: Head) -> None:
        if self._done is None:
            return
        self._terms.on_head(head)
        kind = (head.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if head.status != 200 and head.status not in self._terms.also:  # noqa: PLR2004 - the HTTP status
            fault = SessionGone if head.status == 404 else UpstreamFault  # noqa: PLR2004 - the same
            self._finish(fault(f"the upstream answered with HTTP status {head.status}", written=True))
        elif kind == b"text/event-stream":
            self._events = SseParser(max_event=self._limit)
        elif kind != b"application/json":
            self._finish(UpstreamFault("the answer is neither JSON nor an event stream", written=True))

    def data(self, data: bytes) -> None:
        if self._done is None:
            return
        if self._events is None:
            self._size += len(data)
            self._buffer.append(data)
            if self._size > self._limit:
                self._finish(UpstreamFault(f"the answer is over {self._limit} bytes", written=True))
            return
        try:
            events = self._events.feed(data)
        except ValueError as error:
            self._finish(UpstreamFault(str(error), written=True))
            return
        for event in events:
            if event.data and self._is_answer(event.data):
                self._finish(event.data)
                return

    def _is_answer(self, body: bytes) -> bool:
        message = read_message(body, max_bytes=self._limit)
        return isinstance(message, Message) and message.kind == "response" and message.id == self._id

    def end(self) -> None:
        if self._events is None:
            self._finish(b"".join(self._buffer))
        else:
            self._finish(UpstreamFault("the event stream ended before the answer", written=True))

    def fault(self, fault: UpstreamFault) -> None:
        self._finish(fault)

    def late(self) -> None:
        """The deadline has passed."""
        self._finish(
            UpstreamFault(f"no complete answer came within {self._seconds:.0f} seconds", written=True)
        )

    def give_up(self) -> None:
        """Nobody wants the answer any more."""
        self._let_go()

    def _finish(self, collected: Collected) -> None:
        done = self._let_go()
        if done is not None:
            done(collected)

    def _let_go(self) -> Callable[[Collected], None] | None:
        """End the exchange; whom to tell, if nobody was told yet."""
        done, self._done = self._done, None
        if done is None:
            return None
        if self.timer is not None:
            self.timer.cancel()
        if self.flow is not None:
            self.flow.cancel()  # nothing that still comes is wanted; after the end this does nothing
        self._buffer = []
        return done
