"""The one shape in which both sides of the proxy speak: streamable HTTP, without sockets.

A downstream hands the gate a `ClientRequest` and a `Sink` for the answer. An upstream takes an
`UpstreamRequest` and a `Sink`. A stdio client is adapted to the first, a stdio server to the
second, so the gate in the middle is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from ostiary.errors import UpstreamFault
from ostiary.identity.grant import Grant

Header = tuple[bytes, bytes]
"""Name in lower case, value without surrounding white space."""


class ClientRequest(msgspec.Struct):
    """One complete HTTP request from downstream. `path` excludes the query.

    `grant` is set by the check of the head at an HTTP listener, and only by it. `parent` is the id of
    the gate's call that led to this request, where it comes from within this process; nothing that
    comes over a connection sets it.
    """

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    body: bytes
    peer: str = ""
    grant: Grant | None = None
    parent: str = ""

    def header(self, name: bytes) -> bytes | None:
        """The only value of `name` (lower case), or None when it is absent."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class UpstreamRequest(msgspec.Struct):
    """One HTTP-shaped request to an upstream. `headers` exclude hop-by-hop, Host and length.

    `idempotent` allows one retry on a fresh connection, and only when no byte was written.
    `grant` names on whose behalf it is sent, `call` is the id of the gate's call; neither goes on the
    wire. `target` names another
    path and query of the same origin than the one that the upstream was configured with.
    """

    method: str
    headers: Sequence[Header]
    body: bytes
    idempotent: bool = False
    grant: str = ""
    target: str = ""
    call: str = ""

    def header(self, name: bytes) -> bytes | None:
        """The first value of `name` (lower case), or None when it is absent."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Head(msgspec.Struct):
    """Status line and headers of an answer; headers exclude hop-by-hop and framing ones.

    `length` is the body length in bytes when known in advance.
    """

    status: int
    headers: Sequence[Header] = ()
    length: int | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of `name` (lower case), or None when it is absent."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Sink(Protocol):
    """Where an answer goes: `head` once, `data` any number of times, then `end`; or `fault`.

    `fault` may come at any point before `end` and is final.
    """

    def head(self, head: Head) -> None: ...
    def data(self, data: bytes) -> None: ...
    def end(self) -> None: ...
    def fault(self, fault: UpstreamFault) -> None: ...


class Flow(Protocol):
    """Control over a running answer, held by its consumer. All calls are idempotent.

    `cancel` stops the answer: no further Sink call is made, and the connection it ran on is
    discarded (HTTP) or its late answer dropped (stdio).
    """

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...


class Upstream(Protocol):
    """A connection, or a pool of them, to one MCP server."""

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Send `request` and answer into `sink`, never from inside this call."""
        ...

    async def close(self) -> None:
        """Stop everything that runs, by the drain deadline, and release all resources."""
        ...


@runtime_checkable
class RunsBehind(Protocol):
    """An upstream of ours where something can go on for a grant after its call was answered."""

    def end(self, covers: Callable[[str], bool]) -> None:
        """End all that goes on for the grants that `covers` says."""
        ...


class Responder(Protocol):
    """The downstream half of one exchange: how the gate answers a client.

    `start` once, `write` any number of times, `finish` once; `abort` instead of `finish` cuts
    the connection so that the client cannot take a part for the whole. `on_gone` is called
    when the client goes away first; `on_pause`/`on_resume` carry back-pressure.
    """

    on_gone: Callback
    on_pause: Callback
    on_resume: Callback

    def start(self, head: Head) -> None: ...
    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...


class Callback(Protocol):
    """Something to be told, with no arguments."""

    def __call__(self) -> object: ...


def nothing() -> None:
    """Do nothing: the callback of somebody who need not be told."""


class Handler(Protocol):
    """What a downstream calls for each complete request."""

    def __call__(self, request: ClientRequest, responder: Responder) -> None: ...
