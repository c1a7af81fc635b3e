"""A server of HTTP+SSE (MCP 2024-11-05) behind the one interface that all upstreams have.

Towards the gate this is a streamable HTTP server that has sessions: the id of each is minted
here and stands for one event stream, which is what a session is on this transport.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import msgspec

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.bridge.complaint import Complaints, Log, to_stderr
from ostiary.proxy.bridge.conversation import Use, failed
from ostiary.proxy.bridge.glance import Glance, glance
from ostiary.proxy.bridge.outlet import refused, whole
from ostiary.proxy.exchange import Flow, Sink, UpstreamRequest
from ostiary.proxy.headers import SESSION
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.sse.link import Link, LinkLimits, Target
from ostiary.proxy.sse.opening import Opening
from ostiary.proxy.sse.revision import unsupported

PARSE_ERROR = -32700
INVALID_REQUEST = -32600

PREFIX = b"sse-"
"""What the session ids minted here begin with."""

_SESSION_BYTES = 16
_GONE = "the session does not exist or has ended"


class SessionLimits(msgspec.Struct, frozen=True):
    """How many sessions may be open, in all and for one grant.

    Each holds a connection to the server for as long as it is open, and others come and go with
    its messages, so `within` gives sessions half of the connections that there are, and one
    grant half of the sessions. A session that nobody has used for `idle_after` seconds makes
    room for another one, of its own grant where that grant is at its bound.
    """

    max_sessions: int = 1_024
    per_grant: int = 512
    idle_after: float = 60.0

    @classmethod
    def within(cls, connections: int) -> SessionLimits:
        """The bounds where so many connections to the server may be open."""
        most = min(cls().max_sessions, max(1, connections // 2))
        return cls(max_sessions=most, per_grant=max(1, most // 2))


class SseUpstream:
    """Implements `Upstream` on the event streams of one server."""

    def __init__(
        self,
        http: HttpUpstream,
        url: str,
        *,
        link_limits: LinkLimits | None = None,
        session_limits: SessionLimits | None = None,
        log: Log = to_stderr,
    ) -> None:
        """`http` sends requests to `url`, where the server's streams are, and becomes ours."""
        self._http = http
        self._target = Target(http, url, http.name)
        self._link_limits = link_limits or LinkLimits()
        self._session_limits = session_limits or SessionLimits()
        self._complain = Complaints(log)
        self._by_ref: dict[tuple[str, bytes], Link] = {}
        self._closed = False

    def send(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """Take one HTTP-shaped request; see `Upstream.send`."""
        if self._closed:
            return failed(sink, UpstreamFault("the gate is stopping", written=False))
        if request.method == "POST":
            return self._post(request, sink)
        session = request.header(SESSION)
        if session is None or request.method not in ("GET", "DELETE"):
            return whole(sink, 405, b"", ((b"allow", b"POST"),))
        link = self._by_ref.get((request.grant, session))
        if link is None:
            return refused(sink, 404, INVALID_REQUEST, _GONE, b"")
        if request.method == "GET":
            return link.listen(sink)
        link.close("was left: the client has ended the session")
        return whole(sink, 200, b"")

    async def close(self) -> None:
        """End all sessions and release everything."""
        self._closed = True
        for link in list(self._by_ref.values()):
            link.close("was left: the gate is stopping")
        await self._http.close()

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self._by_ref)

    def _post(self, request: UpstreamRequest, sink: Sink) -> Flow:
        """(1) One message (2) of an era with sessions, (3) in a new one or (4) in its own."""
        # (1)
        seen = glance(request.body)
        if seen is None:
            return refused(sink, 400, PARSE_ERROR, "the body is not one JSON-RPC message", b"")
        # (2)
        if seen.modern:
            return whole(sink, 400, unsupported(seen) if seen.kind == "request" else b"")
        # (3)
        session = request.header(SESSION)
        if session is None:
            if seen.kind == "request" and seen.method == "initialize":
                return self._initialize(request, seen, sink)
            return refused(sink, 400, INVALID_REQUEST, "a session id is needed", seen.id_raw)
        # (4)
        link = self._by_ref.get((request.grant, session))
        if link is None:
            return refused(sink, 404, INVALID_REQUEST, _GONE, seen.id_raw)
        return link.post(request, seen, sink)

    def _initialize(self, request: UpstreamRequest, seen: Glance, sink: Sink) -> Flow:
        try:
            self._make_room(request.grant)
        except GatewayFault as fault:
            return failed(sink, UpstreamFault(fault.message, written=False, hint=fault.hint))
        session = PREFIX + secrets.token_hex(_SESSION_BYTES).encode()
        use = Use(headers=((SESSION, session),))
        link = Link(self._target, request, use, self._link_limits, self._complain, self._ended)
        self._by_ref[request.grant, session] = link
        opening = Opening(sink, link)
        opening.flow = link.post(request, seen, opening)
        return opening

    def _make_room(self, grant: str) -> None:
        """Keep within the number of sessions: the one that has been idle longest may go.

        Raises GatewayFault when all of them are in use.
        """
        limits = self._session_limits
        own = [link for (owner, _), link in self._by_ref.items() if owner == grant]
        if len(own) >= limits.per_grant:
            self._end_idle(own)
        elif len(self._by_ref) >= limits.max_sessions:
            self._end_idle(list(self._by_ref.values()))

    def _end_idle(self, links: Sequence[Link]) -> None:
        limits = self._session_limits
        before = asyncio.get_running_loop().time() - limits.idle_after
        idle = [one for one in links if one.idle and one.used <= before]
        if not idle:
            raise GatewayFault(
                f"{len(links)} sessions with `{self._target.name}` are in use",
                hint="end sessions that are no longer needed",
            )
        min(idle, key=lambda one: one.used).close("was left: another session needs its place")

    def _ended(self, link: Link) -> None:
        for ref in [ref for ref, one in self._by_ref.items() if one is link]:
            del self._by_ref[ref]
