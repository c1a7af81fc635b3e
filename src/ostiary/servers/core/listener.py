"""Clients that want to hear of changes: legacy sessions with a stream, modern subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from ostiary.proxy.exchange import Responder
from ostiary.servers.core.call import id_of
from ostiary.servers.core.channel import Channel
from ostiary.servers.core.fault import BUSY, INVALID_PARAMS
from ostiary.servers.core.server import Change
from ostiary.servers.core.session import MAX_SUBSCRIPTIONS, Session, Sessions
from ostiary.wire.ids import SUBSCRIPTION
from ostiary.wire.message import Message, MessageId, as_object

_encode = msgspec.json.Encoder().encode
_FLAGS = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")


class Listener(msgspec.Struct, frozen=True):
    """One modern subscription: `granted` is what it hears of."""

    owner: str
    id: MessageId
    channel: Channel
    granted: Mapping[str, object]

    def hears(self, change: Change) -> bool:
        """Whether a change concerns it."""
        if change.owner not in ("", self.owner):
            return False
        if change.uri:
            return change.uri in cast("list[str]", self.granted.get("resourceSubscriptions", ()))
        return self.granted.get(f"{change.kind}ListChanged") is True

    def tell(self, method: str, params: Mapping[str, object]) -> None:
        """Send a notification, marked as one of this subscription."""
        marked = {**params, "_meta": {SUBSCRIPTION: self.id}}
        self.channel.tell(_encode({"jsonrpc": "2.0", "method": method, "params": marked}))


class Listeners:
    """Everybody who listens. News for a client that does not keep up are dropped."""

    def __init__(self, sessions: Sessions, most: int) -> None:
        self._sessions = sessions
        self._most = most
        self._open: dict[int, Listener] = {}
        self._count = 0

    def add(self, message: Message, responder: Responder, owner: str) -> tuple[str, int] | None:
        """Answer `subscriptions/listen` with a stream; or say why not: words and an error code."""
        if len(self._open) >= self._most:
            return f"over {self._most} subscriptions are open; try again later", BUSY
        granted = _granted(message)
        if isinstance(granted, str):
            return granted, INVALID_PARAMS
        self._count += 1
        number = self._count
        channel = Channel(responder)
        channel.on_gone = lambda: self._open.pop(number, None)
        listener = self._open[number] = Listener(owner, id_of(message), channel, granted)
        channel.open()
        listener.tell("notifications/subscriptions/acknowledged", {"notifications": granted})
        return None

    def tell(self, change: Change) -> None:
        """Pass a change on to all whom it concerns."""
        news = "resources/updated" if change.uri else f"{change.kind}/list_changed"
        method = f"notifications/{news}"
        params: dict[str, object] = {"uri": change.uri} if change.uri else {}
        for listener in list(self._open.values()):
            if listener.hears(change):
                listener.tell(method, params)
        told = _encode({"jsonrpc": "2.0", "method": method} | ({"params": params} if params else {}))
        for session in self._sessions:
            if session.stream is not None and _concerns(change, session):
                session.stream.tell(told)

    def close(self) -> None:
        """End every subscription in order: with its result."""
        for listener in list(self._open.values()):
            result = {"resultType": "complete", "_meta": {SUBSCRIPTION: listener.id}}
            listener.channel.answer(_encode({"jsonrpc": "2.0", "id": listener.id, "result": result}))
        self._open.clear()


def _concerns(change: Change, session: Session) -> bool:
    if change.owner not in ("", session.owner):
        return False
    return not change.uri or change.uri in session.subscribed


def _granted(message: Message) -> dict[str, object] | str:
    """What is granted of what a client wants to hear, or what is wrong with its wish."""
    wanted = as_object(message.params.get("notifications"))
    if wanted is None:
        return "`notifications` must be an object"
    granted: dict[str, object] = {flag: True for flag in _FLAGS if wanted.get(flag) is True}
    uris: object = wanted.get("resourceSubscriptions", [])
    if not isinstance(uris, list) or not all(isinstance(one, str) for one in cast("list[object]", uris)):
        return "`resourceSubscriptions` must be a list of URIs"
    if len(cast("list[object]", uris)) > MAX_SUBSCRIPTIONS:
        return f"`resourceSubscriptions` may name {MAX_SUBSCRIPTIONS} resources at most"
    if uris:
        granted["resourceSubscriptions"] = cast("list[str]", uris)
    return granted
