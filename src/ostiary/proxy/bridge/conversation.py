"""One MCP server that answers out of band, talked to as if it spoke streamable HTTP.

Every POSTed request becomes an `Exchange` that waits for the response with its id. What else the
server says is sorted here: progress and subscription events go to the exchange they name, all
the rest to the client's GET stream, or to the newest open exchange, or into a bounded buffer
until one of them opens. How messages travel is the business of a `Channel`.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.bridge import ids
from ostiary.proxy.bridge.complaint import Log
from ostiary.proxy.bridge.glance import Glance, Kind, broken_answer, glance
from ostiary.proxy.bridge.mailbox import Mailbox
from ostiary.proxy.bridge.outlet import Outlet, error_body, one_line
from ostiary.proxy.bridge.pending import Exchange, Pending, key_of
from ostiary.proxy.exchange import Flow, Header, Sink
from ostiary.wire.arrays import taken_apart
from ostiary.wire.lines import MAX_LINE
from ostiary.wire.strict import UNREADABLE

METHOD_NOT_FOUND = -32601
CANCELLED = "notifications/cancelled"

STATUS_OF_ERROR = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}
"""HTTP status of a whole error answer on the modern era (MCP 2026-07-28, streamable HTTP)."""


class Channel(Protocol):
    """How messages reach one server, and how what it says is held back."""

    def refusal(self, size: int) -> str | None:
        """Why no message of `size` bytes is taken now, or None."""
        ...

    def write(self, message: bytes, kind: Kind) -> int:
        """Send a message; returns its ticket. Messages arrive in the order of this."""
        ...

    def untouched(self, ticket: int) -> bool:
        """Whether no byte of the message with this ticket has left."""
        ...

    def withdraw(self, ticket: int) -> bool:
        """Take back a message that cannot arrive any more; False when it may have left."""
        ...

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Bounds(msgspec.Struct, frozen=True):
    """Bounds of one conversation, in bytes, messages and (`cancelled_for`) seconds."""

    max_buffered: int = 256
    max_buffered_bytes: int = MAX_LINE
    max_pending: int = 4_096
    max_retired: int = 1_024
    cancelled_for: float = 10.0


class Use(msgspec.Struct, frozen=True):
    """How a channel is used.

    `shared` ones serve several clients of one grant under minted ids; others belong to one
    client, whose ids travel as they are. `headers` go with every answer. With `http_status`,
    modern errors carry the HTTP status that the specification gives them.
    """

    shared: bool = False
    http_status: bool = False
    headers: tuple[Header, ...] = ()


class Conversation:
    """Everything asked of one server, and everything it said that nobody has taken yet."""

    def __init__(self, channel: Channel, name: str, use: Use, bounds: Bounds, complain: Log) -> None:
        """`name` is what complaints and faults call the server."""
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._name = name
        self._use = use
        self._bounds = bounds
        self._complain = complain
        self._pending = Pending(bounds.max_retired)
        self._mailbox = Mailbox(
            max_messages=bounds.max_buffered,
            max_bytes=bounds.max_buffered_bytes,
            full=self._hold,
            dropped=self._dropped,
        )
        self._full = 0
        self._minted = 0
        self.used = self._loop.time()

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything from this server."""
        return not len(self._pending) and not self._mailbox.fetched

    # --- client to server -------------------------------------------------------------------

    def post(self, message: bytes, seen: Glance, sink: Sink) -> Flow:
        """Take one message from the client: a request waits for its response, else it is 202."""
        self.used = self._loop.time()
        refusal = self._refusal(len(message), seen)
        if refusal is not None:
            return failed(sink, UpstreamFault(refusal, written=False))
        if seen.kind == "request":
            return self._ask(message, seen, sink)
        told = self._tell(message, seen)
        if told is not None:
            self._channel.write(told, seen.kind)
        return accepted(sink)

    def listen(self, sink: Sink) -> Flow:
        """Open the stream from server to client; it takes the place of one that was open."""
        self.used = self._loop.time()
        return self._mailbox.open(sink)

    def _refusal(self, size: int, seen: Glance) -> str | None:
        """Why a message of `size` bytes cannot be taken, or None."""
        refusal = self._channel.refusal(size)
        if refusal is not None or seen.kind != "request":
            return refusal
        if len(self._pending) >= self._bounds.max_pending:
            return f"over {self._bounds.max_pending} requests wait for an answer"
        if not self._use.shared and self._taken(key_of(seen.id)):
            return "a request with this id still waits for its answer"
        return None

    def _taken(self, key: tuple[type, int | str]) -> bool:
        return key in self._pending or self._pending.abandoned(key)

    def _ask(self, message: bytes, seen: Glance, sink: Sink) -> Flow:
        """Send a request; on a shared channel under an id and a progress token of our own."""
        own_id, token = seen.id, seen.token
        if self._use.shared:
            self._minted += 1
            own_id = self._minted
            token = None if token is None else own_id
            message = ids.outgoing(message, seen, own_id)

        def give_up() -> None:
            self._given_up(exchange)

        def cut(full: bool) -> None:  # noqa: FBT001 - a callback of Outlet
            if full:
                self._cut(exchange)

        if self._use.shared:
            outlet = Outlet(sink, full=cut, cancelled=give_up, high=2 * MAX_LINE)
        else:
            outlet = Outlet(sink, full=self._hold, cancelled=give_up)
        exchange = Exchange(seen, key_of(own_id), token, outlet, self._use.headers)
        self._pending.add(exchange)
        exchange.ticket = self._channel.write(message, "request")
        if self._mailbox.waiting and not self._mailbox.fetched:
            outlet.soon(lambda: self._hand_over(exchange))
        return outlet

    def _hand_over(self, exchange: Exchange) -> None:
        """Give messages that nobody fetches to the next request, so that they arrive at all."""
        if exchange.key in self._pending and not exchange.listens and not self._mailbox.fetched:
            self._mailbox.empty(exchange.event)

    def _tell(self, message: bytes, seen: Glance) -> bytes | None:
        """The notification or response to send on, or None when it has no meaning here.

        On a shared channel a cancellation counts only when exactly one open request has the id
        it names: nobody may cancel a neighbour's. Responses have no place on the modern era.
        """
        if seen.method != CANCELLED:
            return None if self._use.shared and seen.kind == "response" else message
        if not self._use.shared:
            named = self._pending.get(key_of(seen.refers))
            if named is not None:
                self._expect_no_answer(named)
            return message
        called = self._pending.called(seen.refers)
        if len(called) != 1:
            return None
        self._expect_no_answer(called[0])
        return ids.replaced(message, ids.CANCELLED, msgspec.json.encode(called[0].key[1]))

    def _given_up(self, exchange: Exchange) -> None:
        """The consumer cancelled: the request is taken back, or its late answer dropped."""
        if self._channel.withdraw(exchange.ticket):
            self._pending.forget(exchange)
            return
        self._pending.abandon(exchange)
        if exchange.seen.modern:
            params = {"requestId": exchange.key[1], "reason": "the client has gone"}
            note = {"jsonrpc": "2.0", "method": CANCELLED, "params": params}
            self._channel.write(msgspec.json.encode(note), "notification")

    def _cut(self, exchange: Exchange) -> None:
        """A client that does not read must not hold up its neighbours on a shared channel."""
        self._given_up(exchange)
        exchange.outlet.cut(UpstreamFault("the client reads too slowly for a shared pipe", written=True))

    def _expect_no_answer(self, exchange: Exchange) -> None:
        """A cancelled request need not be answered, so its exchange ends after a while."""
        if not exchange.cancelling:
            exchange.cancelling = True
            self._loop.call_later(self._bounds.cancelled_for, self._end_cancelled, exchange)

    def _end_cancelled(self, exchange: Exchange) -> None:
        if self._pending.get(exchange.key) is exchange:
            self._pending.abandon(exchange)
            exchange.close()

    # --- server to client -------------------------------------------------------------------

    def received(self, message: bytes) -> None:
        """The server has sent a message."""
        seen = glance(message)
        if seen is not None:
            self._sort(message, seen)
            return
        for one in taken_apart(message):  # a server of revision 2025-03-26 may send several at once
            seen = glance(one)
            if seen is None:
                self._not_a_message(one)
            else:
                self._sort(one, seen)

    def _sort(self, message: bytes, seen: Glance) -> None:
        if seen.kind == "response":
            self._response(message, seen)
        elif not self._related(message, seen):
            self._unrelated(message, seen)

    def _response(self, message: bytes, seen: Glance) -> None:
        key = key_of(seen.id)
        exchange = self._pending.get(key)
        if exchange is None:
            if not self._pending.arrived(key):
                self._complain(f"`{self._name}` answered a request that nobody made; dropped")
            return
        self._pending.forget(exchange)
        told: bytes | None = message
        if self._use.shared:
            told = ids.answer(message, exchange.seen.id_raw, listening=exchange.listens)
        if told is None:
            exchange.outlet.fault(UpstreamFault(_UNREADABLE, written=True))
        else:
            exchange.answer(told, self._status_of(exchange, seen))

    def _status_of(self, exchange: Exchange, seen: Glance) -> int:
        if not (seen.error and self._use.http_status and exchange.seen.modern):
            return 200
        try:
            code = msgspec.json.decode(seen.error, type=_Code).code
        except UNREADABLE:
            return 200
        return STATUS_OF_ERROR.get(code, 200)

    def _related(self, message: bytes, seen: Glance) -> bool:
        """Deliver a notification that names its request. Returns whether that settled it."""
        if seen.method == "notifications/progress" and seen.token is not None:
            exchange = self._pending.with_token(seen.token)
            path, value = ids.TOKEN_CARRIED, b"" if exchange is None else exchange.token_raw
        elif seen.subscription is not None and seen.kind == "notification":
            exchange = self._pending.get(key_of(seen.subscription))
            path, value = ids.SUBSCRIPTION, b"" if exchange is None else exchange.seen.id_raw
        else:
            return False
        if exchange is None:
            if self._use.shared:  # where it could only mislead somebody
                self._complain(f"`{self._name}` sent word of a request that is over or unknown; dropped")
            return self._use.shared
        told = ids.replaced(message, path, value) if self._use.shared else message
        if told is None:
            self._complain(f"`{self._name}` sent {len(message)} bytes that cannot be read; dropped")
        else:
            exchange.event(told)
        return True

    def _unrelated(self, message: bytes, seen: Glance) -> None:
        if self._use.shared and seen.kind == "request":
            self._complain(
                f"`{self._name}` sent a request to the client, which its revision forbids; refused"
            )
            text = "requests from server to client are not available"
            self._channel.write(one_line(error_body(seen.id_raw, METHOD_NOT_FOUND, text)), "response")
            return
        likely = () if self._mailbox.fetched else self._pending.likely()
        if self._use.shared and len(likely) != 1:
            self._complain(f"`{self._name}` sent a message that belongs to no client; dropped")
        elif likely:
            likely[-1].event(message)
        else:
            self._mailbox.put(message)

    def _dropped(self) -> None:
        self._complain(
            f"`{self._name}` sends messages that its client does not fetch; the oldest was dropped"
        )

    def _not_a_message(self, message: bytes) -> None:
        """Drop it; when it is an answer that cannot be read, its request gets a fault."""
        self._complain(f"`{self._name}` sent {len(message)} bytes that are not a JSON-RPC message; dropped")
        try:
            broken = broken_answer(message)
        except RecursionError:
            self.lost("the MCP server sent a message that is nested too deeply to be read")
            return
        exchange = None if broken is None else self._pending.get(key_of(broken))
        if exchange is not None:
            self._pending.forget(exchange)
            exchange.outlet.fault(UpstreamFault(_UNREADABLE, written=True))

    # --- when the channel fails ---------------------------------------------------------------

    def lost(self, text: str) -> None:
        """An answer was lost, nobody can tell whose: everyone who waits gets a fault."""
        for exchange in self._pending.everyone():
            self._pending.abandon(exchange)
            exchange.outlet.fault(UpstreamFault(text, written=True))

    def deaf(self, text: str) -> None:
        """The server takes nothing more: what has not left can no longer reach it."""
        for exchange in self._pending.everyone():
            if self._channel.untouched(exchange.ticket):
                self._pending.forget(exchange)
                exchange.outlet.fault(UpstreamFault(text, written=False))

    def ended(self, text: str) -> None:
        """The channel is gone: whoever waits gets a fault, and the client's stream ends."""
        for exchange in self._pending.everyone():
            self._pending.forget(exchange)
            exchange.outlet.fault(UpstreamFault(text, written=not self._channel.untouched(exchange.ticket)))
        self._mailbox.close()

    def of_ticket(self, ticket: int) -> Exchange | None:
        """The open request that went out under `ticket`."""
        return next((one for one in self._pending.everyone() if one.ticket == ticket), None)

    def failed(self, ticket: int, fault: UpstreamFault) -> bool:
        """One message did not arrive. Returns whether somebody waited for its answer."""
        exchange = self.of_ticket(ticket)
        if exchange is None:
            return False
        if fault.written:
            self._pending.abandon(exchange)  # it may have arrived, so an answer may still come
        else:
            self._pending.forget(exchange)
        exchange.outlet.fault(fault)
        return True

    def refused(self, ticket: int, status: int, message: str, headers: tuple[Header, ...] = ()) -> bool:
        """One message was turned away with an HTTP status. Returns whether somebody waited."""
        exchange = self.of_ticket(ticket)
        if exchange is None:
            return False
        self._pending.abandon(exchange)
        if exchange.outlet.started:
            exchange.outlet.fault(UpstreamFault(message, written=True))
        else:
            body = error_body(exchange.seen.id_raw, INTERNAL_ERROR, message)
            exchange.outlet.whole(status, body, self._use.headers + headers)
        return True

    def _hold(self, full: bool) -> None:  # noqa: FBT001 - a callback of Outlet
        """Stop reading from the server while any consumer is far behind."""
        self._full += 1 if full else -1
        if full and self._full == 1:
            self._channel.pause()
        elif self._full == 0:
            self._channel.resume()


INTERNAL_ERROR = -32603
_UNREADABLE = "the answer of the MCP server is not valid JSON"


class _Code(msgspec.Struct):
    code: int


def accepted(sink: Sink) -> Flow:
    """Answer 202 without a body, as to every notification and response."""
    outlet = Outlet(sink)
    outlet.soon(lambda: outlet.whole(202, b""))
    return outlet


def failed(sink: Sink, fault: UpstreamFault) -> Flow:
    """Answer with a fault."""
    outlet = Outlet(sink)
    outlet.soon(lambda: outlet.fault(fault))
    return outlet
