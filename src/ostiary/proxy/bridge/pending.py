"""The requests under way on one pipe, by the ids they have there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from ostiary.proxy.bridge.glance import Glance
from ostiary.proxy.bridge.outlet import Outlet
from ostiary.proxy.exchange import Header
from ostiary.wire.message import MessageId

IdKey = tuple[type, MessageId]
"""Ids `1` and `"1"` differ, so the type is part of the key."""

LISTEN = "subscriptions/listen"


def key_of(message_id: MessageId | None) -> IdKey:
    """The key of an id; that of None never meets one of a request."""
    return (type(message_id), "" if message_id is None else message_id)


class Exchange:
    """One request under way: what it said of itself, its place in the pipe and its outlet."""

    __slots__ = ("cancelling", "headers", "key", "outlet", "seen", "ticket", "token")

    def __init__(
        self, seen: Glance, key: IdKey, token: MessageId | None, outlet: Outlet, headers: tuple[Header, ...]
    ) -> None:
        self.seen = seen
        self.key = key
        self.token = token
        self.outlet = outlet
        self.headers = headers
        self.ticket = 0
        self.cancelling = False

    @property
    def token_raw(self) -> bytes:
        """The progress token as the client knows it."""
        return b"" if self.seen.token is None else msgspec.json.encode(self.seen.token)

    @property
    def listens(self) -> bool:
        """Whether this is a subscription, which is open for as long as the client likes."""
        return self.seen.method == LISTEN

    def event(self, message: bytes) -> None:
        """Send a message ahead of the answer, which thereby becomes an event stream."""
        self.outlet.open_events(self.headers)
        self.outlet.event(message)

    def answer(self, message: bytes, status: int) -> None:
        """Send the response and end."""
        if self.outlet.started:
            self.outlet.event(message)
            self.outlet.end()
        else:
            self.outlet.whole(status, message, self.headers)

    def close(self) -> None:
        """End without a response: the client has cancelled and expects none."""
        self.outlet.open_events(self.headers)
        self.outlet.end()


class Pending:
    """Exchanges in the order in which they began, and the ids that must not be used again yet."""

    __slots__ = ("_by_key", "_by_token", "_max_retired", "_retired")

    def __init__(self, max_retired: int) -> None:
        self._by_key: OrderedDict[IdKey, Exchange] = OrderedDict()
        self._by_token: dict[IdKey, Exchange] = {}
        self._retired: OrderedDict[IdKey, None] = OrderedDict()
        self._max_retired = max_retired

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: IdKey) -> bool:
        return key in self._by_key

    def add(self, exchange: Exchange) -> None:
        """A request has been made."""
        self._by_key[exchange.key] = exchange
        if exchange.token is not None:
            self._by_token[key_of(exchange.token)] = exchange

    def get(self, key: IdKey) -> Exchange | None:
        """The open request with this id on the pipe."""
        return self._by_key.get(key)

    def with_token(self, token: MessageId) -> Exchange | None:
        """The open request that offered this progress token."""
        return self._by_token.get(key_of(token))

    def forget(self, exchange: Exchange) -> None:
        """The request is over."""
        if self._by_key.get(exchange.key) is exchange:
            del self._by_key[exchange.key]
        if exchange.token is not None and self._by_token.get(key_of(exchange.token)) is exchange:
            del self._by_token[key_of(exchange.token)]

    def abandon(self, exchange: Exchange) -> None:
        """The request is over for its client, but the server may still answer it."""
        self.forget(exchange)
        self._retired[exchange.key] = None
        if len(self._retired) > self._max_retired:
            self._retired.popitem(last=False)

    def abandoned(self, key: IdKey) -> bool:
        """Whether an answer to this id is still to come and to be dropped."""
        return key in self._retired

    def arrived(self, key: IdKey) -> bool:
        """A late answer has come. Returns whether it was expected."""
        if key not in self._retired:
            return False
        del self._retired[key]
        return True

    def everyone(self) -> Sequence[Exchange]:
        """All open requests, oldest first."""
        return list(self._by_key.values())

    def called(self, client_id: MessageId | None) -> Sequence[Exchange]:
        """The open requests that their clients know by this id."""
        return [one for one in self._by_key.values() if key_of(one.seen.id) == key_of(client_id)]

    def likely(self) -> Sequence[Exchange]:
        """The open requests that a message without any reference may belong to, newest last."""
        return [one for one in self._by_key.values() if not one.cancelling and not one.listens]
