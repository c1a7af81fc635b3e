"""Clients of HTTP+SSE (MCP 2024-11-05) in front of the gate, which sees streamable HTTP clients.

`GET /sse` opens an event stream, whose first event names the URI that messages are POSTed to.
A POST is only ever accepted (202); answers, denials and errors travel on the stream. What cannot
be read as one message is refused in the answer to its POST, like anywhere else.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from ostiary.identity.grant import Grant
from ostiary.proxy.bridge.answers import INTERNAL_ERROR, Verdict
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.glance import Glance, glance
from ostiary.proxy.bridge.outlet import error_body
from ostiary.proxy.bridge.renewal import Renewed, silently
from ostiary.proxy.door import MCP_PATH, MESSAGES_PATH, SSE_PATH, plain_answer
from ostiary.proxy.exchange import ClientRequest, Head, Header, Responder
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.peek import JSON, is_plain_json
from ostiary.proxy.sse.listener import Ending, Listener, SseLimits
from ostiary.proxy.sse.revision import unsupported
from ostiary.wire.message import Refusal

log = logging.getLogger("ostiary.proxy")

SESSION_BYTES = 16
_PARAMETER = b"session_id="
_MAX_QUERY = 256
_SOON: tuple[Header, ...] = ((b"retry-after", b"1"),)

_UNKNOWN = Refusal(-32600, 404, "unknown session: open the stream anew", "(unknown session)")
_STOPPING = Refusal(INTERNAL_ERROR, 503, "the gate is stopping", "(draining)")
_BUSY = Refusal(INTERNAL_ERROR, 503, "too many requests of this session wait for their answers", "(too many)")
_REVISION = Refusal(-32022, 400, "this revision is not spoken over HTTP+SSE", "(version)")


class Gate(Protocol):
    """What handles requests, and counts and records those that go no further than here."""

    def __call__(self, request: ClientRequest, responder: Responder) -> None: ...

    def braked(self, grant: Grant, responder: Responder) -> bool:
        """Count a request; True for one that is too many, which then has been answered."""
        ...

    def stopped(self, grant: Grant, responder: Responder, method: str) -> bool:
        """Whether a stop keeps a request without a message out, which then has been answered."""
        ...

    def note_refusal(self, grant: Grant, refusal: Refusal, method: str = "") -> None:
        """Leave a record of a message that is not acted on."""
        ...


class SseDownstream:
    """A `Handler` that serves `/sse` and `/messages`, and leaves everything else to the gate."""

    def __init__(
        self,
        gate: Gate,
        streams: KeepAlive,
        *,
        prefix: str = "",
        limits: SseLimits | None = None,
        renewed: Callable[[str, Renewed], Iterable[bytes]] | None = None,
    ) -> None:
        """To be made inside a running event loop. `streams` keeps idle streams open.

        `prefix` is what stands before our paths where clients see them, behind a balancer.
        `renewed` is told of each session that was begun anew, with the name of its grant.
        """
        self._loop = asyncio.get_running_loop()
        self._gate = gate
        self._streams = streams
        self._messages = prefix + MESSAGES_PATH
        self._limits = limits or SseLimits()
        self._renewed = renewed
        self._complain = Complaints(log.warning)
        self._sessions: dict[str, Listener] = {}
        self._by_grant: Counter[str] = Counter()
        self._ending: dict[asyncio.Task[None], Listener] = {}
        self._lingering: OrderedDict[Listener, None] = OrderedDict()
        self.draining = False

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        """Take one request."""
        if request.path == MCP_PATH:
            self._gate(request, responder)
        elif request.path == SSE_PATH:
            self._open(request, responder)
        elif request.path == MESSAGES_PATH:
            self._message(request, responder)
        else:
            _answer(responder, 404, "nothing is served here")

    @property
    def sessions(self) -> int:
        """How many streams are open."""
        return len(self._sessions)

    async def close(self, grace: float) -> None:
        """Open no more streams; give what runs `grace` seconds, then end all sessions.

        Answers of clients to the server are still taken meanwhile: a call may wait for one.
        """
        self.draining = True
        for listener in list(self._sessions.values()):
            self._wind_down(listener, grace, "stopped")
        for listener in self._ending.values():
            self._loop.call_later(grace, listener.hurry)
        await asyncio.gather(*self._ending)

    # --- streams ------------------------------------------------------------------------------

    def _open(self, request: ClientRequest, responder: Responder) -> None:
        if request.grant is None:
            _answer(responder, 401, "nobody vouched for this request")
            return
        if self._gate.braked(request.grant, responder) or self._gate.stopped(request.grant, responder, "GET"):
            return
        name = request.grant.name
        limits = self._limits
        full = len(self._sessions) >= limits.sessions or self._by_grant[name] >= limits.per_grant
        if full or self.draining:
            _answer(responder, 503, "the gate is stopping" if self.draining else "too many streams", _SOON)
            return
        listener = Listener(
            self._gate,
            request,
            responder,
            session_id=secrets.token_hex(SESSION_BYTES),
            messages=self._messages,
            limits=limits,
            streams=self._streams,
            complain=self._complain,
            ending=self._ended,
            renewed=partial(self._renewed, name) if self._renewed else silently,
        )
        self._sessions[listener.session_id] = listener
        self._by_grant[name] += 1

    def _ended(self, listener: Listener, ending: Ending) -> None:
        """The stream is over. Calls that still run are awaited for their outcome."""
        if self._forget(listener):
            self._wind_down(listener, self._limits.linger, ending)
            self._lingering[listener] = None
            if len(self._lingering) > self._limits.lingering:
                self._lingering.popitem(last=False)[0].hurry()

    def _wind_down(self, listener: Listener, seconds: float, ending: Ending) -> None:
        task = self._loop.create_task(listener.wind_down(seconds, ending))
        self._ending[task] = listener
        task.add_done_callback(partial(self._done, listener))

    def _done(self, listener: Listener, task: asyncio.Task[None]) -> None:
        self._ending.pop(task, None)
        self._lingering.pop(listener, None)
        self._forget(listener)

    def _forget(self, listener: Listener) -> bool:
        """Whether the session was known until now."""
        if self._sessions.pop(listener.session_id, None) is None:
            return False
        if listener.grant is not None:
            self._by_grant[listener.grant.name] -= 1
            if not self._by_grant[listener.grant.name]:
                del self._by_grant[listener.grant.name]
        return True

    # --- messages -----------------------------------------------------------------------------

    def _message(self, request: ClientRequest, responder: Responder) -> None:
        """(1) Whose session, (2) how the body is written, (3) room and revision, (4) the message."""
        # (1)
        listener = self._sessions.get(_session_in(request.query))
        if listener is None or request.grant is None or listener.grant != request.grant:
            self._unknown(request, responder)
            return
        # (2)
        if not is_plain_json(request):
            self._gate(_at_the_gate(request), responder)  # it refuses and records this
            return
        # (3)
        seen = glance(request.body)
        verdict = partial(_verdict, responder)
        if not self._declined(seen, listener, request.grant, verdict):
            # (4)
            listener.take(request.body, seen, request.headers, verdict)
            if seen is not None:
                verdict(202, b"")

    def _unknown(self, request: ClientRequest, responder: Responder) -> None:
        """Refuse a message of no session of its grant; it counts like any other."""
        if request.grant is not None:
            if self._gate.braked(request.grant, responder):
                return
            self._gate.note_refusal(request.grant, _UNKNOWN)
        _answer(responder, _UNKNOWN.status, _UNKNOWN.message)

    def _declined(self, seen: Glance | None, listener: Listener, grant: Grant, verdict: Verdict) -> bool:
        """Whether there is no room for a message, or no revision of it; then it has been answered."""
        kind = "unreadable" if seen is None else seen.kind
        if self.draining and kind != "response":
            refusal = _STOPPING
        elif listener.busy(answers=kind == "response"):
            refusal = _BUSY
        elif seen is not None and kind == "request" and seen.modern:
            refusal = _REVISION
        else:
            return False
        self._gate.note_refusal(grant, refusal, "" if seen is None else seen.method)
        if seen is None or kind != "request":
            verdict(refusal.status, error_body(b"", refusal.code, refusal.message))
            return True
        answer = error_body(seen.id_raw, refusal.code, refusal.message)
        listener.tell(unsupported(seen) if refusal is _REVISION else answer)
        verdict(202, b"")
        return True


def _session_in(query: bytes) -> str:
    """The session id of a request target; empty when there is not exactly one."""
    if len(query) > _MAX_QUERY:
        return ""
    found = [part for part in query.split(b"&") if part.startswith(_PARAMETER)]
    return found[0][len(_PARAMETER) :].decode("latin-1") if len(found) == 1 else ""


def _at_the_gate(request: ClientRequest) -> ClientRequest:
    """The same request at the path of the gate, without anything that names a session."""
    headers = [header for header in request.headers if not header[0].startswith(b"mcp-")]
    return ClientRequest("POST", MCP_PATH, b"", headers, request.body, request.peer, request.grant)


def _verdict(responder: Responder, status: int, body: bytes) -> None:
    """Answer a POST: taken, or refused in the gate's words."""
    responder.start(Head(status, ((b"content-type", JSON),) if body else (), len(body)))
    if body:
        responder.write(body)
    responder.finish()


def _answer(responder: Responder, status: int, text: str, headers: tuple[Header, ...] = ()) -> None:
    head, body = plain_answer(status, text)
    responder.start(Head(head.status, (*head.headers, *headers), head.length))
    responder.write(body)
    responder.finish()
