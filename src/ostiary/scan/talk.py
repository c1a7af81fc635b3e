"""One short conversation with a server, as its only client, over whatever it is reached by."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.proxy.collect import Collected, Terms, collect
from ostiary.proxy.exchange import Flow, Head, Header, Upstream, UpstreamRequest
from ostiary.proxy.headers import SESSION
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message, Refusal, as_object

GRANT: Final = "scan"
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_NAME: Final = 200
LEAVE: Final = 5.0
"""Seconds for what ends the conversation: nobody waits for more."""

_BASE: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
)
_BODIES: Final = frozenset({400, 404})
"""Statuses of the modern era whose bodies say why (MCP 2026-07-28, HTTP transport)."""


class Answer(msgspec.Struct, frozen=True):
    """What came of one request: a message, or a fault. `status` is 0 where nothing came at all."""

    status: int
    message: Message | None = None
    fault: UpstreamFault | None = None

    @property
    def result(self) -> Mapping[str, object] | None:
        """The result, where there is one."""
        return None if self.message is None else as_object(self.message.envelope.get("result"))

    @property
    def error(self) -> Mapping[str, object] | None:
        """The JSON-RPC error, where there is one."""
        return None if self.message is None else as_object(self.message.envelope.get("error"))


class Talk:
    """Asks on behalf of `grant`, with ids that begin with `name`.

    `session` and `version` are set by the handshake.
    """

    def __init__(
        self, upstream: Upstream, own: Sequence[Header], grant: str = GRANT, name: str = GRANT
    ) -> None:
        self.upstream = upstream
        self._name = name
        self._grant = grant
        self._own = tuple(own)
        self._asked = 0
        self.latest = ""
        """The id of the request that was made last."""

        self.received = 0
        self.session: bytes | None = None
        self.version = ""

    async def ask(
        self, method: str, params: Mapping[str, object], *, seconds: float, headers: Sequence[Header] = ()
    ) -> Answer:
        """Send a request and wait for its response; progress, questions and news are passed over.

        Cancelling this gives the answer up. A server of the legacy era has to be told besides.
        """
        self._asked += 1
        message_id = self.latest = f"{self._name}-{self._asked}"
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": message_id, "method": method, "params": params})
        arrived: asyncio.Future[Collected] = asyncio.get_running_loop().create_future()
        heads: list[Head] = []

        def done(collected: Collected) -> None:
            if not arrived.done():
                arrived.set_result(collected)

        request = UpstreamRequest("POST", [*self._headers(), *headers], body, grant=self._grant)
        terms = Terms(seconds, _BODIES, heads.append)
        give_up = collect(self.upstream, request, message_id, MAX_BYTES, done, terms)
        try:
            collected = await arrived
        finally:
            give_up()  # after the end this does nothing
        head = heads[0] if heads else None
        if head is not None and method == "initialize":
            self.session = head.header(SESSION)
        return self._answer(0 if head is None else head.status, collected, message_id)

    def _answer(self, status: int, collected: Collected, message_id: str) -> Answer:
        if isinstance(collected, UpstreamFault):
            return Answer(status, fault=collected)
        self.received += len(collected)
        message = read_message(collected, max_bytes=MAX_BYTES, null_id=True)
        if isinstance(message, Refusal):
            text = f"the answer is not acceptable JSON-RPC: {message.message}"
        elif isinstance(message, tuple) or message.kind != "response":
            text = "the answer is not one response"
        elif message.id not in (message_id, None):
            text = "the answer has the id of another request"
        else:
            return Answer(status, message)
        return Answer(status, fault=UpstreamFault(text, written=True))

    async def tell(self, method: str, seconds: float, params: Mapping[str, object] | None = None) -> None:
        """Send a notification, and wait until it was taken."""
        more = {} if params is None else {"params": params}
        body = msgspec.json.encode({"jsonrpc": "2.0", "method": method, **more})
        await self._send(UpstreamRequest("POST", self._headers(), body, grant=self._grant), seconds)

    async def leave(self) -> None:
        """End the session, if there is one. The server cannot keep anybody waiting."""
        if self.session is not None:
            await self._send(UpstreamRequest("DELETE", self._headers(), b"", grant=self._grant), LEAVE)
            self.session = None

    async def _send(self, request: UpstreamRequest, seconds: float) -> None:
        sink = _Taken()
        flow = self.upstream.send(request, sink)
        try:
            await asyncio.wait_for(sink.over.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            flow.cancel()

    def _headers(self) -> list[Header]:
        kept = [*_BASE, *self._own]
        if self.version:
            kept.append((b"mcp-protocol-version", self.version.encode()))
        if self.session is not None:
            kept.append((SESSION, self.session))
        return kept


class _Taken:
    """A sink for answers of which only the head matters."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.flow: Flow | None = None

    def head(self, head: Head) -> None:
        self.over.set()

    def data(self, data: bytes) -> None: ...

    def end(self) -> None:
        self.over.set()

    def fault(self, fault: UpstreamFault) -> None:
        self.over.set()
