"""Tells clients that a list which they were shown has changed because the policy or the pins have.

Who may be told: on the legacy era a client whose server declared `listChanged` for that list, on
the stream from the server that it holds open, or as a line on standard streams; on the modern era a
`subscriptions/listen` stream that asked for it and was acknowledged (MCP 2026-07-28). The server
alone decides whether such notifications exist; the gate only adds some.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue
from ostiary.policy.methods import decide_method
from ostiary.policy.sight import ListKind, may_differ, pins_differ, tools_differ
from ostiary.proxy.catalogue import Catalogues, Link
from ostiary.proxy.sessions import Session, Sessions
from ostiary.wire.ids import SUBSCRIPTION
from ostiary.wire.message import Message, as_object

KINDS: tuple[ListKind, ...] = ("tools", "resources", "prompts")

LISTEN = "subscriptions/listen"

AT_ONCE = 32
"""Streams that are looked at in one turn of the loop: there may be thousands, with long lists."""

_encode = msgspec.json.Encoder().encode


class Stream(Protocol):
    """An event stream towards one client."""

    def insert(self, message: bytes) -> bool:
        """Write a message between two events; False when the stream is not open."""
        ...


class Subscribed(Protocol):
    """What the server has said on the stream of a subscription."""

    acknowledged: Mapping[str, object] | None
    """The kinds that it agreed to send; None until it has."""


class Listener(msgspec.Struct, frozen=True):
    """One stream on which a client may be told.

    A legacy one belongs to `session`. A modern one is the answer to `request`, which asked for
    certain kinds; `subscribed` says which of them the server granted.
    """

    grant: str
    stream: Stream
    session: Session
    request: Message | None = None
    subscribed: Subscribed | None = None

    def hears(self, kind: ListKind) -> bool:
        """Whether news about `kind` may go out on this stream."""
        if self.request is None:
            return declares(self.session, kind)
        granted = None if self.subscribed is None else self.subscribed.acknowledged
        asked = as_object(self.request.params.get("notifications")) or {}
        name = f"{kind}ListChanged"
        return granted is not None and granted.get(name) is True and asked.get(name) is True


def declares(session: Session, kind: ListKind) -> bool:
    """Whether the server of a legacy session said at the handshake that it sends such news."""
    return f"{kind}.listChanged" in session.declared


def method_of(kind: ListKind) -> str:
    """The notification about `kind`."""
    return f"notifications/{kind}/list_changed"


def notification(kind: ListKind, request: Message | None) -> bytes:
    """The bytes of the notification; on a subscription it names the request that opened it."""
    document: dict[str, object] = {"jsonrpc": "2.0", "method": method_of(kind)}
    if request is not None:
        document["params"] = {"_meta": {SUBSCRIPTION: request.id}}
    return _encode(document)


class Changes:
    """The open streams of a gate, and who is told what when its policy changes."""

    __slots__ = ("_catalogues", "_listeners", "_local", "_locked", "_output", "_sessions")

    def __init__(self, catalogues: Catalogues, sessions: Sessions, *, locked: bool) -> None:
        self._catalogues = catalogues
        self._sessions = sessions
        self._locked = locked
        self._listeners: dict[int, Listener] = {}
        self._output: Callable[[bytes], object] | None = None
        self._local = ""

    def serve_local(self, grant: str, output: Callable[[bytes], object]) -> None:
        """Tell the one client on standard streams, of `grant`, through `output` what concerns its session."""
        self._local, self._output = grant, output

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """A stream was asked for."""
        self._listeners[id(listener.stream)] = listener

    def discard(self, stream: Stream) -> None:
        """The stream is over."""
        self._listeners.pop(id(stream), None)

    def announce(self, before: Compiled | None, after: Compiled | None) -> None:
        """The policy in force is `after` now: tell everybody whose lists that alters."""
        kinds: tuple[ListKind, ...] = tuple(
            kind for kind in KINDS if may_differ(before, after, kind) and permitted(after, kind)
        )
        if not kinds:
            return
        self._spread(_PolicyNews(self._catalogues, before, after, kinds, self._locked))

    def announce_pins(
        self, policy: Compiled | None, lists: Mapping[Link, tuple[Catalogue, Catalogue]]
    ) -> None:
        """Other pins are in force: tell everybody whose tools that alters. `lists` are before and after."""
        if permitted(policy, "tools"):
            self._spread(_PinNews(policy, lists))

    def _spread(self, news: _News) -> None:
        if self._output is not None:
            self._tell_local(news, self._output)
        newest_first = deque(reversed(self._listeners.values()))
        self._some(news, newest_first, set())

    def _some(self, news: _News, waiting: deque[Listener], told: set[int]) -> None:
        """Go through some of the streams, and the rest in later turns of the loop."""
        for _ in range(min(AT_ONCE, len(waiting))):
            listener = waiting.popleft()
            if self._listeners.get(id(listener.stream)) is not listener:
                continue
            if listener.request is not None:
                self._tell(news, listener)
            elif self._output is None and id(listener.session) not in told and self._tell(news, listener):
                told.add(id(listener.session))  # a message goes out on one stream of a session only
        if waiting:
            asyncio.get_running_loop().call_soon(self._some, news, waiting, told)

    def _tell(self, news: _News, listener: Listener) -> bool:
        """Write the news on one stream. False when it is not open (any more)."""
        link = (listener.grant, "" if listener.request is not None else listener.session.name)
        written = [
            listener.stream.insert(notification(kind, listener.request))
            for kind in news.about(link, listener.hears)
        ]
        return all(written)

    def _tell_local(self, news: _News, output: Callable[[bytes], object]) -> None:
        session = self._sessions.newest(self._local)
        if session is None:
            return

        def hears(kind: ListKind) -> bool:
            return declares(session, kind)

        for kind in news.about((self._local, session.name), hears):
            output(notification(kind, None))


class _News(Protocol):
    """Something that has changed the lists of some clients."""

    def about(self, link: Link, hears: Callable[[ListKind], bool]) -> Iterable[ListKind]:
        """The kinds of which whoever is at `link` must be told."""
        ...


class _PinNews(msgspec.Struct, frozen=True):
    """Other pins, and each list as it was judged before and is now."""

    policy: Compiled | None
    lists: Mapping[Link, tuple[Catalogue, Catalogue]]

    def about(self, link: Link, hears: Callable[[ListKind], bool]) -> Iterable[ListKind]:
        """The tools, where others are shown now or may be."""
        before, after = self.lists.get(link, (None, None))
        if hears("tools") and pins_differ(self.policy, before, after):
            yield "tools"


class _PolicyNews(msgspec.Struct, frozen=True):
    """One change of policy, and the kinds of lists that it may alter."""

    catalogues: Catalogues
    before: Compiled | None
    after: Compiled | None
    kinds: tuple[ListKind, ...]
    locked: bool

    def about(self, link: Link, hears: Callable[[ListKind], bool]) -> Iterable[ListKind]:
        """The kinds of which whoever is at `link` must be told."""
        for kind in self.kinds:
            if not hears(kind):
                continue
            if kind != "tools" or tools_differ(
                self.before, self.after, self.catalogues.latest(link), locked=self.locked
            ):
                yield kind


def permitted(policy: Compiled | None, kind: ListKind) -> bool:
    """Whether the policy lets this notification reach clients at all."""
    if policy is not None and policy.monitor:
        return True
    return decide_method(policy, method_of(kind), {}, from_server=True).effect == "allow"
