"""The answer to a held call: an event stream from the moment its client waits.

Whatever comes in the end, an answer of the upstream in any shape, a refusal, an HTTP error, is
one more event on it. Comments and progress keep it open meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ostiary.proxy.exchange import Head, Responder
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.member import Member, read_told
from ostiary.proxy.peek import EVENTS
from ostiary.wire import sse
from ostiary.wire.ids import id_key
from ostiary.wire.message import Message, as_object

MAX_HELD = 16 * 1024 * 1024
"""Bytes of an answer that is held back until it is whole."""

STEP = 0.001
"""How far progress goes with each sign of life: it must grow, and stay below what the server will report."""

_OPENING = Head(200, ((b"content-type", EVENTS), (b"cache-control", b"no-cache")))
_encode = msgspec.json.Encoder().encode

ProgressToken = str | int


def progress_token(message: Message) -> ProgressToken | None:
    """What a request wants its progress reported under, if it does."""
    token = (as_object(message.params.get("_meta")) or {}).get("progressToken")
    return token if isinstance(token, (str, int)) and not isinstance(token, bool) else None


class Held:
    """Implements `member.Whole` for the one `member` that the answer is written to."""

    def __init__(self, responder: Responder, message: Message, streams: KeepAlive, said: str) -> None:
        """`said` is what the client's user may be shown while they wait."""
        self.member = Member(self, message)
        self.paused = False
        self.written = False
        self._responder = responder
        self._streams = streams
        self._said = said
        self._token = progress_token(message)
        self._signs = 0
        self._size = 0
        self._over = False
        responder.on_gone = self._gone
        responder.on_pause = self._pause
        responder.on_resume = self._resume
        responder.start(_OPENING)
        streams.add(self)
        self.keep_alive()

    def ask(self, question: bytes) -> None:
        """Put a question of the gate's own to the client."""
        self._event(question)

    def keep_alive(self) -> None:
        """Show that the call still waits."""
        if self._over:
            return
        if self._token is None:
            self._responder.write(sse.comment())
            return
        self._signs += 1
        params = {"progressToken": self._token, "progress": self._signs * STEP, "message": self._said}
        self._event(_encode({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))

    def answering(self) -> None:
        """The wait is over: what is written from now on is the answer, which has its own signs of life."""
        self._token = None

    # What the member reports.

    @property
    def over(self) -> bool:
        """Whether nothing is written any more."""
        return self._over

    def hold(self, size: int) -> bool:
        """Count `size` bytes that are held back, or given back; False when they are too many."""
        self._size += size
        return self._size <= MAX_HELD

    def message(self, raw: bytes) -> None:
        """Pass on one message that came in the answer."""
        read, own = read_told(raw), self.member.id
        answers = None if read is None or read.kind != "response" else read.id
        if answers is not None and own is not None and id_key(answers) == id_key(own):
            self.answered(self.member, raw)
        else:
            self._event(raw)

    def answered(self, member: Member, raw: bytes) -> None:
        """The answer is there."""
        member.answered = True
        self._event(raw)
        self._finish()

    def failed(self, member: Member, head: Head, body: bytes) -> None:
        """The upstream answered with an HTTP status where an answer should be."""
        self.answered(member, member.error(f"the upstream answered with HTTP status {head.status}"))

    def taken(self, member: Member) -> None:
        """Nothing is held but requests, which are answered."""
        self._finish()

    # Inside.

    def _event(self, raw: bytes) -> None:
        if not self._over:
            self._responder.write(sse.event(raw))
            self.written = True

    def _finish(self) -> None:
        if not self._over:
            self._close()
            self._responder.finish()

    def _close(self) -> None:
        self._over = True
        self._streams.discard(self)

    def _gone(self) -> None:
        self._close()
        self._tell(self.member.on_gone)

    def _pause(self) -> None:
        self.paused = True
        self._tell(self.member.on_pause)

    def _resume(self) -> None:
        self.paused = False
        self._tell(self.member.on_resume)

    def _tell(self, callback: Callable[[], object]) -> None:
        if not self.member.done:
            callback()
