"""One MCP server on a pipe, talked to as if it spoke streamable HTTP.

Every POSTed request becomes an `Exchange` that waits for the response with its id. What else the
server says is sorted here: progress and subscription events go to the exchange they name, all
the rest to the client's GET stream, or to the newest open exchange, or into a bounded buffer
until one of them opens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Flow, Header, Sink
from ostiary.proxy.stdio import ids
from ostiary.proxy.stdio.child import SIGNAL_BASE, Child, ChildEvents, Grace
from ostiary.proxy.stdio.complaint import Complaints
from ostiary.proxy.stdio.glance import Glance, broken_answer, glance
from ostiary.proxy.stdio.mailbox import Mailbox
from ostiary.proxy.stdio.outlet import Outlet, error_body
from ostiary.proxy.stdio.pending import Exchange, Pending, key_of
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.watchdog import Watchdog
from ostiary.wire.lines import MAX_LINE, TooLong, to_line
from ostiary.wire.strict import Refused

METHOD_NOT_FOUND = -32601
CANCELLED = "notifications/cancelled"

STATUS_OF_ERROR = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}
"""HTTP status of a whole error answer on the modern era (MCP 2026-07-28, streamable HTTP)."""


class PipeLimits(msgspec.Struct, frozen=True):
    """Bounds of one conversation, in bytes, messages and (`cancelled_for`) seconds."""

    max_line: int = MAX_LINE
    max_queued: int = 2 * MAX_LINE
    max_buffered: int = 256
    max_buffered_bytes: int = MAX_LINE
    max_pending: int = 4_096
    max_retired: int = 1_024
    cancelled_for: float = 10.0


class PipeUse(msgspec.Struct, frozen=True):
    """How a pipe is used.

    `shared` pipes serve several clients of one grant under minted ids; others belong to one
    client, whose ids travel as they are. `headers` go with every answer. With `http_status`,
    modern errors carry the HTTP status that the specification gives them.
    """

    shared: bool = False
    http_status: bool = False
    headers: tuple[Header, ...] = ()


class Conversation:
    """One child, everything asked of it, and everything it said that nobody has taken yet."""

    def __init__(
        self,
        command: Command,
        watchdog: Watchdog,
        use: PipeUse,
        limits: PipeLimits,
        complain: Complaints,
        ended: Callable[[Conversation, int], object],
    ) -> None:
        """Start the child. Raises GatewayFault when it cannot be started."""
        self._loop = asyncio.get_running_loop()
        self._name = command.label
        self._use = use
        self._limits = limits
        self._complain = complain
        self._ended = ended
        self._pending = Pending(limits.max_retired)
        self._mailbox = Mailbox(
            max_messages=limits.max_buffered,
            max_bytes=limits.max_buffered_bytes,
            full=self._hold,
            dropped=self._dropped,
        )
        self._full = 0
        self._minted = 0
        self.used = self._loop.time()
        self._child = Child(
            command,
            watchdog,
            ChildEvents(line=self._line, too_long=self._too_long, deaf=self._deaf, exited=self._exited),
            max_line=limits.max_line,
        )

    @property
    def idle(self) -> bool:
        """Whether nobody waits for anything from this child."""
        return not len(self._pending) and not self._mailbox.fetched

    @property
    def status(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._child.status

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid

    def signal(self, signum: int) -> None:
        """Send a signal to the child and all it started."""
        self._child.signal(signum)

    async def stop(self, grace: Grace) -> int:
        """End the child and return its exit status. What still waits gets a fault."""
        return await self._child.stop(grace)

    # --- client to server -------------------------------------------------------------------

    def post(self, body: bytes, seen: Glance, sink: Sink) -> Flow:
        """Take one message from the client.

        (1) No raw line end may reach the child, and a dead or full pipe takes nothing; (2) a
        request waits for its response; (3) everything else is accepted with 202.
        """
        self.used = self._loop.time()
        # (1)
        try:
            line = to_line(body)
            refusal = self._refusal(len(line), seen)
        except Refused as refused:
            line, refusal = b"", UpstreamFault(refused.message, written=False)
        if refusal is not None:
            return failed(sink, refusal)
        # (2)
        if seen.kind == "request":
            return self._ask(line, seen, sink)
        # (3)
        told = self._tell(line, seen)
        if told is not None:
            self._child.write(told + b"\n")
        return accepted(sink)

    def listen(self, sink: Sink) -> Flow:
        """Open the stream from server to client; it takes the place of one that was open."""
        self.used = self._loop.time()
        return self._mailbox.open(sink)

    def _refusal(self, size: int, seen: Glance) -> UpstreamFault | None:
        """Why the pipe cannot take a message of `size` bytes, or None."""
        server = f"the MCP server `{self._name}`"
        key = key_of(seen.id)
        text = None
        if self._child.status is not None:
            text = f"{server} {self._fate()}"
        elif self._child.deaf:
            text = f"{server} has closed its input"
        elif self._child.queued and self._child.queued + size > self._limits.max_queued:
            text = f"{server} does not read its input"
        elif size > self._limits.max_line:
            text = f"the message is over {self._limits.max_line} bytes"
        elif seen.kind == "request" and len(self._pending) >= self._limits.max_pending:
            text = f"over {self._limits.max_pending} requests wait for an answer"
        elif not self._use.shared and seen.kind == "request" and self._taken(key):
            text = "a request with this id still waits for its answer"
        return None if text is None else UpstreamFault(text, written=False)

    def _taken(self, key: tuple[type, int | str]) -> bool:
        return key in self._pending or self._pending.abandoned(key)

    def _ask(self, line: bytes, seen: Glance, sink: Sink) -> Flow:
        """Send a request; on a shared pipe under an id and a progress token of our own."""
        pipe_id, token = seen.id, seen.token
        if self._use.shared:
            self._minted += 1
            pipe_id = self._minted
            token = None if token is None else pipe_id
            line = ids.outgoing(line, seen, pipe_id)

        def give_up() -> None:
            self._given_up(exchange)

        def cut(full: bool) -> None:  # noqa: FBT001 - a callback of Outlet
            if full:
                self._cut(exchange)

        if self._use.shared:
            outlet = Outlet(sink, full=cut, cancelled=give_up, high=2 * MAX_LINE)
        else:
            outlet = Outlet(sink, full=self._hold, cancelled=give_up)
        exchange = Exchange(seen, key_of(pipe_id), token, outlet, self._use.headers)
        self._pending.add(exchange)
        exchange.ticket = self._child.write(line + b"\n")
        if self._mailbox.waiting and not self._mailbox.fetched:
            outlet.soon(lambda: self._hand_over(exchange))
        return outlet

    def _hand_over(self, exchange: Exchange) -> None:
        """Give messages that nobody fetches to the next request, so that they arrive at all."""
        if exchange.key in self._pending and not exchange.listens and not self._mailbox.fetched:
            self._mailbox.empty(exchange.event)

    def _tell(self, line: bytes, seen: Glance) -> bytes | None:
        """The notification or response to send on, or None when it has no meaning here.

        On a shared pipe a cancellation counts only when exactly one open request has the id it
        names: nobody may cancel a neighbour's. Responses have no place on the modern era.
        """
        if seen.method != CANCELLED:
            return None if self._use.shared and seen.kind == "response" else line
        if not self._use.shared:
            named = self._pending.get(key_of(seen.refers))
            if named is not None:
                self._expect_no_answer(named)
            return line
        called = self._pending.called(seen.refers)
        if len(called) != 1:
            return None
        self._expect_no_answer(called[0])
        return ids.replaced(line, ids.CANCELLED, msgspec.json.encode(called[0].key[1]))

    def _given_up(self, exchange: Exchange) -> None:
        """The consumer cancelled: the request is taken back, or its late answer dropped."""
        if self._child.status is not None or self._child.withdraw(exchange.ticket):
            self._pending.forget(exchange)
            return
        self._pending.abandon(exchange)
        if exchange.seen.modern:
            params = {"requestId": exchange.key[1], "reason": "the client has gone"}
            note = {"jsonrpc": "2.0", "method": CANCELLED, "params": params}
            self._child.write(msgspec.json.encode(note) + b"\n")

    def _cut(self, exchange: Exchange) -> None:
        """A client that does not read must not hold up its neighbours on a shared pipe."""
        self._given_up(exchange)
        exchange.outlet.cut(UpstreamFault("the client reads too slowly for a shared pipe", written=True))

    def _expect_no_answer(self, exchange: Exchange) -> None:
        """A cancelled request need not be answered, so its exchange ends after a while."""
        if not exchange.cancelling:
            exchange.cancelling = True
            self._loop.call_later(self._limits.cancelled_for, self._end_cancelled, exchange)

    def _end_cancelled(self, exchange: Exchange) -> None:
        if self._pending.get(exchange.key) is exchange:
            self._pending.abandon(exchange)
            exchange.close()

    # --- server to client -------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        seen = glance(line)
        if seen is None:
            self._not_a_message(line)
        elif seen.kind == "response":
            self._response(line, seen)
        elif not self._related(line, seen):
            self._unrelated(line, seen)

    def _response(self, line: bytes, seen: Glance) -> None:
        key = key_of(seen.id)
        exchange = self._pending.get(key)
        if exchange is None:
            if not self._pending.arrived(key):
                self._complain(f"`{self._name}` answered a request that nobody made; dropped")
            return
        self._pending.forget(exchange)
        if self._use.shared:
            line = ids.answer(line, exchange.seen.id_raw, listening=exchange.listens)
        exchange.answer(line, self._status_of(exchange, seen))

    def _status_of(self, exchange: Exchange, seen: Glance) -> int:
        if not (seen.error and self._use.http_status and exchange.seen.modern):
            return 200
        try:
            code = msgspec.json.decode(seen.error, type=_Code).code
        except (msgspec.DecodeError, msgspec.ValidationError):
            return 200
        return STATUS_OF_ERROR.get(code, 200)

    def _related(self, line: bytes, seen: Glance) -> bool:
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
            return self._use.shared  # late, and on a shared pipe it could only mislead somebody
        exchange.event(ids.replaced(line, path, value) if self._use.shared else line)
        return True

    def _unrelated(self, line: bytes, seen: Glance) -> None:
        if self._use.shared and seen.kind == "request":
            self._complain(
                f"`{self._name}` sent a request to the client, which its revision forbids; refused"
            )
            text = "requests from server to client are not available"
            self._child.write(to_line(error_body(seen.id_raw, METHOD_NOT_FOUND, text)) + b"\n")
            return
        likely = () if self._mailbox.fetched else self._pending.likely()
        if self._use.shared and len(likely) != 1:
            self._complain(f"`{self._name}` sent a message that belongs to no client; dropped")
        elif likely:
            likely[-1].event(line)
        else:
            self._mailbox.put(line)

    def _dropped(self) -> None:
        self._complain(
            f"`{self._name}` sends messages that its client does not fetch; the oldest was dropped"
        )

    def _not_a_message(self, line: bytes) -> None:
        """Drop a line; when it is an answer that cannot be read, its request gets a fault."""
        self._complain(
            f"`{self._name}` wrote a line of {len(line)} bytes that is not a JSON-RPC message; dropped"
        )
        broken = broken_answer(line)
        exchange = None if broken is None else self._pending.get(key_of(broken))
        if exchange is not None:
            self._pending.forget(exchange)
            exchange.outlet.fault(
                UpstreamFault("the answer of the MCP server is not valid JSON", written=True)
            )

    def _too_long(self, _: TooLong) -> None:
        """Nobody can tell whose answer this was, so everyone who waits gets a fault."""
        text = f"`{self._name}` wrote a line of more than {self._limits.max_line} bytes"
        self._complain(f"{text}; all open requests fail")
        for exchange in self._pending.everyone():
            self._pending.abandon(exchange)
            exchange.outlet.fault(UpstreamFault(f"the MCP server {text}", written=True))

    def _deaf(self) -> None:
        """The child has closed its input: what has not left can no longer reach it."""
        text = f"the MCP server `{self._name}` has closed its input"
        for exchange in self._pending.everyone():
            if self._child.untouched(exchange.ticket):
                self._pending.forget(exchange)
                exchange.outlet.fault(UpstreamFault(text, written=False))

    def _exited(self, status: int) -> None:
        text = f"the MCP server `{self._name}` {self._fate()} before it answered"
        for exchange in self._pending.everyone():
            self._pending.forget(exchange)
            exchange.outlet.fault(UpstreamFault(text, written=not self._child.untouched(exchange.ticket)))
        self._mailbox.close()
        self._ended(self, status)

    def _fate(self) -> str:
        status = self._child.status or 0
        if status > SIGNAL_BASE:
            return f"was ended by signal {status - SIGNAL_BASE}"
        return f"exited with status {status}"

    def _hold(self, full: bool) -> None:  # noqa: FBT001 - a callback of Outlet
        """Stop reading from the child while any consumer is far behind."""
        self._full += 1 if full else -1
        if full and self._full == 1:
            self._child.pause()
        elif self._full == 0:
            self._child.resume()


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
