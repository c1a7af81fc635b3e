"""Keeps the stream from server to client open while a client without HTTP is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ostiary.proxy.exchange import Callback, Head, nothing
from ostiary.wire.sse import EventTooLarge, SseParser

FIRST_DELAY = 1.0
SHORTEST_DELAY = 0.1
LONGEST_DELAY = 30.0

_WORTH_A_RETRY = frozenset({408, 423, 425, 429, 500, 502, 503, 504})


class StreamPort(msgspec.Struct, frozen=True):
    """`open` makes a GET request with this last event id, `message` takes what comes."""

    open: Callable[[GetStream, bytes | None], object]
    message: Callable[[bytes], object]


class GetStream:
    """A `Responder` that is used again for each connection of the stream.

    A server that has no such stream (405) or ended the session (404) is not asked again; a
    stream that breaks is opened again after 1 s, or after the time that the server names, and
    for as long as nothing comes each time after twice as long, up to 30 s.
    """

    def __init__(self, port: StreamPort) -> None:
        self.on_gone: Callback = nothing
        self.on_pause: Callback = nothing
        self.on_resume: Callback = nothing
        self._port = port
        self._delay = FIRST_DELAY
        self._first_delay = FIRST_DELAY
        self._last_id: bytes | None = None
        self._parser: SseParser | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def connect(self) -> None:
        """Open the stream now."""
        self._timer = None
        self._parser = None
        if not self._over:
            self.on_gone = self.on_pause = self.on_resume = nothing
            self._port.open(self, self._last_id)

    def close(self) -> None:
        """Let the stream go for good."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self.on_gone()

    def start(self, head: Head) -> None:
        if head.status == 200:  # noqa: PLR2004 - HTTP OK
            self._parser = SseParser()
        elif head.status not in _WORTH_A_RETRY:
            self._over = True

    def write(self, data: bytes) -> None:
        if self._parser is None or self._over:
            return
        try:
            events = self._parser.feed(data)
        except EventTooLarge:
            self._parser = None
            self.on_gone()
            self._again()
            return
        for event in events:
            if event.id is not None:
                self._last_id = event.id
            if event.retry is not None:
                self._first_delay = min(max(event.retry / 1000, SHORTEST_DELAY), LONGEST_DELAY)
            self._delay = self._first_delay
            if event.data and event.event == "message":
                self._port.message(event.data)

    def finish(self) -> None:
        self._again()

    def abort(self) -> None:
        self._again()

    def _again(self) -> None:
        if self._over or self._timer is not None:
            return
        self._timer = asyncio.get_running_loop().call_later(self._delay, self.connect)
        self._delay = min(self._delay * 2, LONGEST_DELAY)
