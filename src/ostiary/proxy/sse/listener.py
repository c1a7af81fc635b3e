"""One client of HTTP+SSE: its event stream, and the gate behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from ostiary.proxy.bridge.answers import Verdict
from ostiary.proxy.bridge.client import ClientBridge
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.glance import Glance
from ostiary.proxy.bridge.outlet import EVENTS, one_line
from ostiary.proxy.bridge.port import ClientPort
from ostiary.proxy.bridge.renewal import OnRenewed
from ostiary.proxy.exchange import ClientRequest, Handler, Head, Header, Responder
from ostiary.proxy.keepalive import KeepAlive
from ostiary.wire import sse
from ostiary.wire.lines import MAX_LINE

STOPPED = "the gate stopped before the answer came"
LEFT = "the client went away before the answer"

_CARRIED = frozenset({b"traceparent", b"tracestate", b"user-agent"})
"""Headers of a client's POST that go on to the server; all others are made by the bridge."""

Ending = Literal["left", "stopped", "lost"]
"""Why a stream ends: the client has gone, the gate stops, or the server has ended the session."""


class SseLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of HTTP+SSE clients: numbers of sessions and messages, bytes, and seconds.

    `sessions` and `per_grant` bound open streams; each holds a connection, and others are needed
    for its messages, so `within` gives streams half of those that there are. `lingering` bounds
    the sessions whose client has gone while calls of it run, for `linger` seconds at most.

    A POST is accepted at once, so its connection bounds nothing: `active` and `held` bound the
    messages of one session that are under way, or wait for the handshake, and `size` the bytes
    of both, after the first message. Answers to questions of the server have as much room again,
    since a call may wait for one. `unread` bytes may wait for a client that has stopped reading,
    for `stalled` seconds. `farewell` is for ending the session.
    """

    sessions: int = 4_096
    per_grant: int = 1_024
    lingering: int = 256
    active: int = 256
    held: int = 64
    size: int = 8 * 1024 * 1024
    unread: int = MAX_LINE
    stalled: float = 120.0
    linger: float = 300.0
    farewell: float = 2.0

    @classmethod
    def within(cls, connections: int) -> SseLimits:
        """The bounds where so many clients may be connected."""
        usual, most = cls(), max(1, connections // 2)
        return cls(sessions=min(usual.sessions, most), per_grant=min(usual.per_grant, most))


class Listener:
    """A client that listens on a stream. `ending` is told, once, why the stream has ended.

    `written` is what `KeepAlive` asks for.
    """

    def __init__(  # noqa: PLR0913 - one port each, all named
        self,
        handler: Handler,
        request: ClientRequest,
        responder: Responder,
        *,
        session_id: str,
        messages: str,
        limits: SseLimits,
        streams: KeepAlive,
        complain: Complaints,
        ending: Callable[[Listener, Ending], object],
        renewed: OnRenewed,
    ) -> None:
        """Answer the GET in `request` with the stream; its first event names the endpoint.

        `messages` is the path of that, as clients know it. `renewed` is told of each session that
        was begun anew.
        """
        self.session_id = session_id
        self.grant = request.grant
        self.written = True
        self._responder = responder
        self._limits = limits
        self._streams = streams
        self._complain = complain
        self._ending = ending
        self._over = False
        self._winding = False
        self._unread = -1  # bytes written while the client does not read; below 0 while it does
        self._stall: asyncio.TimerHandle | None = None
        port = ClientPort(
            self._write,
            self._changed,
            complain,
            request.peer,
            request.grant,
            resume_within=limits.linger,
            lost=self._lost,
            renewed=renewed,
        )
        self._bridge = ClientBridge(handler, port)
        responder.on_gone = self._gone
        responder.on_pause = self._pause
        responder.on_resume = self._resume
        responder.start(Head(200, EVENTS))
        responder.write(sse.event(f"{messages}?session_id={session_id}".encode(), "endpoint"))
        streams.add(self)

    def busy(self, *, answers: bool) -> bool:
        """Whether no more requests, or no more `answers`, are taken for the moment."""
        limits, bridge = self._limits, self._bridge
        if answers:
            return bridge.active >= 2 * limits.active or bridge.size >= 2 * limits.size
        return bridge.active >= limits.active or bridge.held >= limits.held or bridge.size >= limits.size

    def take(self, body: bytes, seen: Glance | None, headers: Sequence[Header], verdict: Verdict) -> None:
        """Take the body of a POST. `verdict` is told what becomes of one that is not one message."""
        carried = [header for header in headers if header[0] in _CARRIED]
        self._bridge.take(body, seen, carried, verdict)

    def tell(self, message: bytes) -> None:
        """Send a message of our own."""
        self._write(message)

    def keep_alive(self) -> None:
        """Write a comment to a stream that has been silent for a while."""
        if self._unread < 0:
            self._responder.write(sse.comment())

    async def wind_down(self, seconds: float, ending: Ending) -> None:
        """Bring to an end what runs, within `seconds`; then end stream and session."""
        self._winding = True
        self._bridge.closing()
        if self._over:
            self._bridge.leave()
        await self._bridge.settle(seconds)
        self._bridge.give_up(STOPPED if ending == "stopped" else LEFT)
        if not self._over:
            self._close()
            self._responder.finish()
        if ending != "lost":
            await self._bridge.farewell(self._limits.farewell)

    def hurry(self) -> None:
        """Wait no longer for what still runs."""
        self._bridge.wait_no_more()

    # --- to the client ------------------------------------------------------------------------

    def _write(self, message: bytes) -> None:
        if self._over:
            return
        event = sse.event(one_line(message), "message")
        self.written = True
        self._responder.write(event)
        if self._unread >= 0:
            self._unread += len(event)
            if self._unread > self._limits.unread:
                self._cut(f"over {self._limits.unread} bytes wait for a client that does not read")

    def _changed(self) -> None:
        """Nothing follows here from the number of messages: every POST looks at it."""

    def _pause(self) -> None:
        if self._unread < 0:
            self._unread = 0
            self._stall = asyncio.get_running_loop().call_later(self._limits.stalled, self._stalled)
            self._bridge.pause()

    def _resume(self) -> None:
        if self._unread >= 0:
            self._unread = -1
            self._stop_clock()
            self._bridge.resume()

    def _stalled(self) -> None:
        self._cut(f"a client has not read for {self._limits.stalled:.0f} s")

    # --- the end ------------------------------------------------------------------------------

    def _gone(self) -> None:
        if not self._over:
            self._close()
            self._tell("left")

    def _cut(self, reason: str) -> None:
        """End a stream whose client cannot be told why: it does not read."""
        if not self._over:
            self._complain(f"an SSE session was ended: {reason}")
            self._close()
            self._responder.abort()
            self._tell("left")

    def _lost(self) -> None:
        """The session is gone and no other could be begun. Some clients connect anew at the stream's end."""
        if not self._over:
            self._close()
            self._responder.finish()
            self._tell("lost")

    def _tell(self, ending: Ending) -> None:
        if self._winding:  # the end has begun already: only for what runs is there nobody left
            self._bridge.leave()
        else:
            self._ending(self, ending)

    def _close(self) -> None:
        self._over = True
        self._stop_clock()
        self._streams.discard(self)

    def _stop_clock(self) -> None:
        stall, self._stall = self._stall, None
        if stall is not None:
            stall.cancel()
