"""The way of one answer to its client: a whole body, or a stream once there is more to say.

A legacy client that goes away has not withdrawn its call. If its stream gave it an event id, the
rest is kept here until it asks for it, as far as the bounds allow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from ostiary.proxy.bridge.outlet import EVENTS, JSON
from ostiary.proxy.exchange import Callback, Head, Header, Responder, nothing
from ostiary.wire.sse import comment, event

KEEP_ALIVE = 15.0
"""Seconds after which a silent stream says that it is still there."""

RETRY_MS = 200
"""How long a client should wait before it asks for the rest of a stream that we let go."""

MAX_KEPT = 256
MAX_KEPT_BYTES = 4 * 1024 * 1024


class Channel:
    """One answer. `name` is part of the event ids; empty where the stream cannot be resumed.

    `expected` responses belong to it (with `batch` as one array); after the last it ends. Notifications
    are dropped while the client does not keep up, and when they are too many to be kept for one
    that has gone; responses and questions never are.
    """

    def __init__(
        self,
        responder: Responder,
        *,
        name: str = "",
        headers: Sequence[Header] = (),
        expected: int = 1,
        batch: bool = False,
        plain: bool = False,
    ) -> None:
        """`plain`: the client reads no streams."""
        self.name = name
        self.ended = False
        self.on_gone: Callback = nothing  # when the client goes away first
        self._headers = headers
        self._expected = expected
        self._plain = plain
        self._batch: list[bytes] | None = [] if batch else None
        self._log: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self._count = 0
        self._streams = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.TimerHandle | None = None
        self._responder: Responder | None = None
        self._attach(responder)

    @property
    def resumable(self) -> bool:
        """Whether a client may have got an event id."""
        return bool(self.name) and self._streams

    @property
    def attached(self) -> bool:
        """Whether a client reads this now."""
        return self._responder is not None

    def _attach(self, responder: Responder) -> None:
        self._responder = responder
        self._paused = False
        responder.on_gone = lambda: self._left(responder)
        responder.on_pause = self._pause
        responder.on_resume = self._resume

    def _left(self, responder: Responder) -> None:
        if self._responder is responder:
            self._detach()
            if not self.ended:
                self.on_gone()

    def _detach(self) -> None:
        self._responder = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pause(self) -> None:
        self._paused = True

    def _resume(self) -> None:
        self._paused = False

    # --- what is said ---------------------------------------------------------------------------

    def open(self) -> None:
        """Begin the stream now, with an event id to resume from if it has a name."""
        if self._streams or self._plain or self.ended:
            return
        self._streams = True
        self._open_no_more()
        self._start()
        if self.name:
            self._write(b"id: %s\nretry: %d\ndata: \n\n" % (self._event_id(0), RETRY_MS))

    def open_after(self, seconds: float) -> None:
        """Begin the stream when the answer has not come by then; at 0 now."""
        if seconds > 0:
            self._opening = asyncio.get_running_loop().call_later(seconds, self.open)
        else:
            self.open()

    def _open_no_more(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    def tell(self, message: bytes) -> None:
        """Send a notification if it can be sent now."""
        if self._plain or self._paused or len(self._log) >= MAX_KEPT or self._size >= MAX_KEPT_BYTES:
            return
        self._event(message)

    def ask(self, message: bytes) -> bool:
        """Send a request; False where the client cannot get it."""
        if self._plain or self.ended or (self._responder is None and not (self._streams and self.name)):
            return False
        self._event(message)
        return True

    def answer(self, message: bytes | None, status: int = 200) -> None:
        """Send a response, or None where a cancelled request gets none; ends after the last."""
        self._expected -= 1
        if self._streams or (self._batch is None and message is None and not self._plain):
            self.open()
            if message is not None:
                self._event(message)
        elif self._batch is not None:
            self._batch += [] if message is None else [message]
        elif message is not None:
            self._whole(message, status)
        if self._expected <= 0 and not self.ended:
            self._finish()

    def let_go(self) -> None:
        """End the connection and keep what is still to be said, for a client that can ask for it."""
        if not self.name or self.ended:
            return
        self.open()
        responder = self._responder
        self._detach()
        if responder is not None:
            responder.on_gone = responder.on_pause = responder.on_resume = nothing
            responder.finish()

    def close(self) -> None:
        """End without further answers."""
        self._expected = 0
        if not self.ended:
            self._finish()

    def resume(self, responder: Responder, after: int) -> None:
        """Go on for a client that has everything up to event `after`."""
        former = self._responder
        self._detach()
        if former is not None:
            former.on_gone = former.on_pause = former.on_resume = nothing
            former.finish()
        self._attach(responder)
        self._start()
        for number, message in list(self._log):
            if number > after:
                self._write(self._framed(number, message))
        if self.ended:
            self._detach()
            responder.finish()

    # --- how ------------------------------------------------------------------------------------

    def _event(self, message: bytes) -> None:
        if self.ended:
            return
        self.open()
        self._count += 1
        if self.name:
            self._log.append((self._count, message))
            self._size += len(message)
        self._write(self._framed(self._count, message))

    def _framed(self, number: int, message: bytes) -> bytes:
        return (b"id: %s\n" % self._event_id(number) if self.name else b"") + event(message)

    def _event_id(self, number: int) -> bytes:
        return f"{self.name}.{number}".encode()

    def _whole(self, message: bytes, status: int) -> None:
        self.ended = True
        self._open_no_more()
        responder = self._responder
        self._detach()
        if responder is not None:
            head = Head(status, (JSON, *self._headers), len(message))
            responder.start(head)
            responder.write(message)
            responder.finish()

    def _finish(self) -> None:
        if self._batch and not self._streams:
            self._whole(b"[" + b",".join(self._batch) + b"]", 200)
            return
        self.ended = True
        self._open_no_more()
        responder = self._responder
        self._detach()
        if responder is None:
            return
        if not self._streams:
            responder.start(Head(202, self._headers, 0))
        responder.finish()

    def _start(self) -> None:
        if self._responder is not None:
            self._responder.start(Head(200, (*EVENTS, *self._headers)))
            self._tick()

    def _write(self, data: bytes) -> None:
        if self._responder is not None:
            self._responder.write(data)
            self._tick()

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._write, comment())
