"""What the gate itself asks a server to give up, because a stop has come.

Sources: MCP 2025-11-25, cancellation and tasks; MCP 2026-07-28, tasks extension (SEP-2663).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ostiary.calls.call import Call
from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.exchange import Flow, Head, Header, Upstream, UpstreamRequest
from ostiary.wire.message import Message
from ostiary.wire.mirror import encode_value

PATIENCE = 0.5
"""Seconds that the answer to such a message is waited for: what it is about is over for its client."""

MAX_ANSWER = 64 * 1024

REASON = "stopped by the operator"

_encode = msgspec.json.Encoder().encode


class Way(msgspec.Struct, frozen=True):
    """How a message of the gate's own about one task reaches its server.

    `headers` and `meta` are those of the call that made the task; `meta` is None on the legacy era.
    """

    task_id: str
    headers: Sequence[Header]
    meta: Mapping[str, object] | None


def cancelled(message: Message) -> bytes | None:
    """`notifications/cancelled` for a legacy request; None where it must not be cancelled so.

    Not `initialize`, and not what asked to become a task: that has a way of its own, by a name
    that nobody knows yet.
    """
    if message.kind != "request" or message.method == "initialize" or "task" in message.params:
        return None
    params = {"requestId": message.id, "reason": REASON}
    return _encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})


def cancel_request(upstream: Upstream, call: Call, headers: Sequence[Header]) -> None:
    """Tell the server that the answer to a legacy request is not wanted any more."""
    body = cancelled(call.message)
    if body is not None:
        _send(upstream, UpstreamRequest("POST", headers, body, grant=call.grant), _ignored)


def cancel_task(
    upstream: Upstream, way: Way, grant: str, message_id: str, answered: Callable[[bytes], object]
) -> None:
    """Ask the server to cancel a task. `answered` gets the body of its answer, or nothing at all."""
    params: dict[str, object] = {"taskId": way.task_id}
    headers = list(way.headers)
    if way.meta is not None:
        params["_meta"] = dict(way.meta)
        headers.append((b"mcp-method", b"tasks/cancel"))
        headers.append((b"mcp-name", encode_value(way.task_id).encode()))
    body = _encode({"jsonrpc": "2.0", "id": message_id, "method": "tasks/cancel", "params": params})
    _send(upstream, UpstreamRequest("POST", headers, body, grant=grant), answered)


def _send(upstream: Upstream, request: UpstreamRequest, answered: Callable[[bytes], object]) -> None:
    sink = _Answer(answered)
    try:
        sink.flow = upstream.send(request, sink)
    except GatewayFault:  # a server that cannot be told is given up without a word
        return
    asyncio.get_running_loop().call_later(PATIENCE, sink.give_up)


def _ignored(_body: bytes) -> None:
    """Nothing follows from the answer."""


class _Answer:
    """Takes a short answer, and not for long."""

    __slots__ = ("_answered", "_body", "_over", "flow")

    def __init__(self, answered: Callable[[bytes], object]) -> None:
        self._answered = answered
        self._body = b""
        self._over = False
        self.flow: Flow | None = None

    def head(self, head: Head) -> None: ...

    def data(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > MAX_ANSWER:
            self.give_up()

    def end(self) -> None:
        if not self._over:
            self._over = True
            self._answered(self._body)

    def fault(self, fault: UpstreamFault) -> None:
        self._over = True

    def give_up(self) -> None:
        """Wait no longer."""
        if not self._over:
            self._over = True
            if self.flow is not None:
                self.flow.cancel()
