"""Begins a session anew that the server has lost, for a client that would not do so itself.

A server that was started again answers 404 to the sessions of before, and a client over HTTP then
initializes anew (MCP 2025-06-18, session management). One of standard streams or HTTP+SSE never
learns of sessions. On its behalf its own `initialize` is repeated, under an id that it never sees,
and after it `notifications/initialized`. What comes of that must be what the client was told at
first: the same revision, and a server of the same name.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ostiary.proxy.bridge.answers import Answer, Turns
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.glance import Glance, glance
from ostiary.proxy.bridge.headers import ClientHeaders
from ostiary.proxy.bridge.questions import with_member
from ostiary.proxy.exchange import Header
from ostiary.wire.strict import UNREADABLE

INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'

Capabilities = dict[str, msgspec.Raw]


class RenewalLimits(msgspec.Struct, frozen=True):
    """Bounds of renewals.

    `within` is how many seconds one may take, `tries` how many there may be in `per` seconds. An
    `initialize` of more than `handshake` bytes, or with such an answer, is not remembered.
    """

    within: float = 10.0
    tries: int = 10
    per: float = 60.0
    handshake: int = 64 * 1024


class Renewed(msgspec.Struct, frozen=True):
    """What became of a renewal.

    `alike` says that the server declares the same capabilities as at first, `news` for which
    kinds of lists the client was told that it would hear of changes, and `again` is how many
    refused messages are sent once more.
    """

    alike: bool
    news: frozenset[str]
    again: int = 0


OnRenewed = Callable[[Renewed], Iterable[bytes]]
"""Told of a session that was begun anew; returns messages for the client."""


def silently(_renewed: Renewed) -> Sequence[bytes]:
    """Tell nobody."""
    return ()


class RenewalPort(msgspec.Struct, frozen=True):
    """`send` makes a request with these headers, `leave` ends the session that they name.

    `write` takes what the server says meanwhile. `done` is given the headers of the new session,
    `failed` is told that there is none.
    """

    send: Callable[[Sequence[Header], bytes, Turns], Answer]
    leave: Callable[[Sequence[Header]], object]
    write: Callable[[bytes], object]
    complain: Complaints
    done: Callable[[ClientHeaders, Renewed], object]
    failed: Callable[[], object]


class _Named(msgspec.Struct):
    name: str = ""


class _Agreed(msgspec.Struct):
    """What a server answers to `initialize`."""

    version: str = msgspec.field(name="protocolVersion")
    server: _Named = msgspec.field(name="serverInfo", default_factory=_Named)
    capabilities: Capabilities = {}


class _InitializeAnswer(msgspec.Struct):
    result: _Agreed


class _News(msgspec.Struct):
    changed: bool = msgspec.field(name="listChanged", default=False)


class _Known(msgspec.Struct, frozen=True):
    """The handshake that the client made itself."""

    request: bytes
    agreed: _Agreed


class Renewal:
    """The renewals of one client's session; at most one runs at a time."""

    def __init__(self, port: RenewalPort, limits: RenewalLimits) -> None:
        self._port = port
        self._limits = limits
        self._known: _Known | None = None
        self._ready = False
        self._tries: deque[float] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._answer: Answer | None = None
        self._reply: bytes | None = None
        self._fresh: ClientHeaders | None = None
        self._turns = Turns(self._line, self._look, self._settled, _never, _never, port.complain)

    @property
    def runs(self) -> bool:
        """Whether a session is being begun."""
        return self._timer is not None

    def remember(self, request: bytes, answer: bytes) -> None:
        """The client has initialized a session of its own."""
        self._ready = False
        large = len(request) > self._limits.handshake or len(answer) > self._limits.handshake
        agreed = None if large else _read(answer)
        self._known = None if agreed is None else _Known(bytes(request), agreed)

    def accepted(self) -> None:
        """The server has taken the client's own `notifications/initialized`."""
        self._ready = self._known is not None

    def possible(self, *, finishing: bool) -> bool:
        """Whether there is a whole handshake to repeat; `finishing`: its last message was refused."""
        return self._ready or (finishing and self._known is not None)

    def begin(self) -> bool:
        """Begin a renewal in a later turn of the loop. False when too many were tried lately."""
        if self.runs:
            return True
        loop, limits = asyncio.get_running_loop(), self._limits
        while self._tries and self._tries[0] <= loop.time() - limits.per:
            self._tries.popleft()
        if len(self._tries) >= limits.tries:
            return False
        self._tries.append(loop.time())
        self._timer = loop.call_later(limits.within, self._late)
        loop.call_soon(self._initialize, self._timer)
        return True

    def stop(self) -> None:
        """Renew nothing any more, and forget how."""
        self._known, self._ready = None, False
        self._end()

    # --- the steps ----------------------------------------------------------------------------

    def _initialize(self, turn: asyncio.TimerHandle) -> None:
        """(1) Ask for a new session in the client's words."""
        if turn is not self._timer or self._known is None:
            return
        own_id = b'"renewal-%s"' % secrets.token_hex(8).encode()
        body = with_member(self._known.request, "id", own_id)
        if body is None:
            self._fail("its `initialize` cannot be repeated")
            return
        self._send(ClientHeaders().post(body, glance(body)), body)

    def _agree(self, known: _Known, session: bytes | None, reply: bytes) -> None:
        """(2) Hold what the server offers now against what the client was told, and confirm it."""
        fresh = self._fresh = ClientHeaders()
        fresh.initialized(session, reply)
        agreed = _read(reply)
        if agreed is None:
            self._fail("the answer to `initialize` cannot be read")
        elif agreed.version != known.agreed.version:
            self._fail("the server speaks another revision now")
        elif agreed.server.name != known.agreed.server.name:
            self._fail("another server answers there now")
        else:
            self._send(fresh.post(INITIALIZED, glance(INITIALIZED)), INITIALIZED)

    def _conclude(self, known: _Known, fresh: ClientHeaders, reply: bytes) -> None:
        """(3) The session is there."""
        agreed = _read(reply)
        alike = agreed is not None and _plain(agreed.capabilities) == _plain(known.agreed.capabilities)
        news = frozenset(kind for kind, raw in known.agreed.capabilities.items() if _hears(raw))
        self._ready = True
        self._end()
        self._port.done(fresh, Renewed(alike, news))

    # --- what comes back ----------------------------------------------------------------------

    def _send(self, headers: Sequence[Header], body: bytes) -> None:
        self._answer = None
        answer = self._answer = self._port.send(headers, body, self._turns)
        if answer.done:  # within that call, when nobody could be told yet
            self._step(answer)

    def _line(self, message: bytes) -> None:
        """Notifications pass; a question would have to be answered before there is a session."""
        seen = glance(message)
        if seen is not None and seen.kind == "notification":
            self._port.write(message)

    def _look(self, _answer: Answer, seen: Glance, message: bytes) -> None:
        if not seen.error and self._fresh is None:
            self._reply = message

    def _settled(self, answer: Answer) -> None:
        if answer is self._answer:
            self._step(answer)

    def _step(self, answer: Answer) -> None:
        """One of the two messages has been answered in whatever way."""
        known, fresh, reply = self._known, self._fresh, self._reply
        if not self.runs or known is None:
            return
        if reply is None:
            self._fail(f"`initialize` was answered with HTTP status {answer.status} and no result")
        elif fresh is None:
            self._agree(known, answer.session, reply)
        elif not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP success
            self._fail(f"`notifications/initialized` was answered with HTTP status {answer.status}")
        else:
            self._conclude(known, fresh, reply)

    def _late(self) -> None:
        self._fail(f"it took more than {self._limits.within:g} s")

    def _fail(self, reason: str) -> None:
        opened = self._fresh
        self._end()
        self._port.complain(f"the server has lost the session, and no other could be begun: {reason}")
        if opened is not None and opened.session is not None:
            self._port.leave(opened.delete())
        self._port.failed()

    def _end(self) -> None:
        timer, answer = self._timer, self._answer
        self._timer = self._answer = self._reply = self._fresh = None
        if timer is not None:
            timer.cancel()
        if answer is not None:
            answer.give_up("")


def _read(message: bytes) -> _Agreed | None:
    try:
        return msgspec.json.decode(message, type=_InitializeAnswer).result
    except UNREADABLE:
        return None


def _plain(capabilities: Capabilities) -> object:
    """Values that are equal when the JSON means the same."""
    return {name: msgspec.json.decode(raw) for name, raw in capabilities.items()}


def _hears(capability: msgspec.Raw) -> bool:
    try:
        return msgspec.json.decode(capability, type=_News).changed
    except UNREADABLE:
        return False


def _never(_answer: Answer) -> bool:
    return False
