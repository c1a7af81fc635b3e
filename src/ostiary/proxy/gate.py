"""The gate: every request of every downstream enters here and nowhere else.

`Gate` is a `Handler`. It knows HTTP shapes and JSON-RPC, not sockets or pipes.
"""

from __future__ import annotations

import asyncio
import logging

from ostiary.audit.record import Record
from ostiary.calls import records
from ostiary.calls.call import Ended, Era
from ostiary.calls.journal import Entry, Reply
from ostiary.identity.grant import Grant
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import ClientRequest, Head, Responder, UpstreamRequest
from ostiary.proxy.headers import SESSION, towards_upstream
from ostiary.proxy.judge import Judge
from ostiary.proxy.peek import JSON
from ostiary.proxy.relay import Answering, Relay
from ostiary.proxy.sessions import Session
from ostiary.proxy.turn import Turn
from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.era import body_version, check_headers
from ostiary.wire.ids import id_key
from ostiary.wire.message import Message, Refusal
from ostiary.wire.mirror import Parameters, parameters_of

log = logging.getLogger("ostiary.proxy")


class Gate:
    """Takes complete requests, and answers or relays each."""

    def __init__(self, desk: Desk, local: Grant | None) -> None:
        """`local` is the grant of a stdio client; None where a door checks every request."""
        self._desk = desk
        self._local = local
        self._parameters: dict[str, Parameters] = {}

    def __call__(self, request: ClientRequest, responder: Responder) -> None:
        """Handle one request. Never raises; a fault of our own answers 500."""
        try:
            self._enter(request, responder)
        except Exception:  # the gate's edge: nothing was forwarded on this path
            log.exception("a request ended by an unexpected fault")
            _plain(responder, 500, "the gateway failed; nothing was forwarded")

    def _enter(self, request: ClientRequest, responder: Responder) -> None:
        grant = request.grant or self._local
        if grant is None:
            _plain(responder, 401, "nobody vouched for this request")
            return
        wait = self._desk.brake.admit(grant.name)
        if wait is not None:
            _braked(responder, wait)
            return
        sealed = request.header(SESSION)
        session_id: bytes | None = None
        if sealed is not None:
            session_id = self._desk.handles.open(sealed, grant.name)
            if session_id is None:
                self._unknown_session(request, responder)
                return
        if request.method == "POST":
            self._post(request, responder, grant, session_id)
        else:
            self._stream_or_delete(request, responder, grant, session_id)

    def _post(
        self, request: ClientRequest, responder: Responder, grant: Grant, session_id: bytes | None
    ) -> None:
        """The body is plain JSON of a bounded size; large ones are read off the loop."""
        if not _is_plain_json(request):
            self._note_refusal(grant, _MEDIA_TYPE)
            _plain(responder, _MEDIA_TYPE.status, _MEDIA_TYPE.message)
            return
        if len(request.body) > OFF_LOOP and request.peer != "stdio":  # there, order counts
            self._read_elsewhere(request, responder, grant, session_id)
            return
        self._read(read_message(request.body), request, responder, grant, session_id)

    def _read_elsewhere(
        self, request: ClientRequest, responder: Responder, grant: Grant, session_id: bytes | None
    ) -> None:
        """Read a large body on a thread, so that nobody else waits for it."""
        reading = asyncio.get_running_loop().run_in_executor(None, read_message, request.body)
        here = True

        def gone() -> None:
            nonlocal here
            here = False

        def done(read: asyncio.Future[Message | tuple[Message, ...] | Refusal]) -> None:
            if not here:  # nothing was decided yet, and nobody waits for it
                return
            try:
                self._read(read.result(), request, responder, grant, session_id)
            except Exception:  # the gate's edge, as in `__call__`
                log.exception("a request ended by an unexpected fault")
                _plain(responder, 500, "the gateway failed; nothing was forwarded")

        responder.on_gone = gone
        reading.add_done_callback(done)

    def _read(
        self,
        message: Message | tuple[Message, ...] | Refusal,
        request: ClientRequest,
        responder: Responder,
        grant: Grant,
        session_id: bytes | None,
    ) -> None:
        """(1) Strict parse, (2) era and headers, (3) session, (4) the call itself."""
        # (1)
        if isinstance(message, (Refusal, tuple)):
            refusal = message if isinstance(message, Refusal) else _BATCH
            self._refuse(responder, grant, refusal)
            return
        # (2)
        era = check_headers(message, request.headers, parameters=self._mirrored(message, grant, request.peer))
        if isinstance(era, Refusal):
            self._refuse(responder, grant, era)
            return
        # (3)
        session = self._session(grant, session_id if era == "legacy" else None, request.peer)
        headers = towards_upstream(
            request.headers, session_id if era == "legacy" else None, self._desk.own_headers
        )
        # (4)
        self._message(message, era, grant, session, headers, responder)

    def _mirrored(self, message: Message, grant: Grant, peer: str) -> Parameters:
        """The arguments that headers repeat, as far as the called tool's definition is known.

        Tools name such headers on the modern era only. Those of a stdio client are written by
        our own bridge, from the list that this client has seen.
        """
        if message.method != "tools/call" or peer == "stdio" or body_version(message) is None:
            return ()
        catalogue = self._desk.catalogues.known((grant.name, ""))
        tool = catalogue.definitions.get(str(message.params["name"])) if catalogue is not None else None
        if tool is None:
            return ()
        found = self._parameters.get(tool.digest)
        if found is None:
            if len(self._parameters) >= MAX_REMEMBERED:
                self._parameters.clear()
            found = self._parameters[tool.digest] = parameters_of(tool.input_schema)
        return found

    def _message(
        self,
        message: Message,
        era: Era,
        grant: Grant,
        session: Session,
        headers: list[tuple[bytes, bytes]],
        responder: Responder,
    ) -> None:
        answered = ""
        if message.id is not None and message.kind == "response":
            asked = session.answered(message.id)
            if asked is None:
                text = "this answers no open request of the server"
                self._refuse(responder, grant, Refusal(-32600, 400, text, "(unasked answer)"))
                return
            answered = asked
        elif message.id is not None and session.exclusive and id_key(message.id) in session.runs:
            text = "this request id is still in flight in the session"
            self._refuse(responder, grant, Refusal(-32600, 400, text, "(id in flight)", message.id))
            return
        elif message.method == "notifications/cancelled" and self._withdrawn(message, session):
            _plain(responder, 202, "")
            return
        call = self._desk.call(message, era, grant, session, answered)
        Turn(self._desk, call, grant, session, headers, responder).start()

    def _session(self, grant: Grant, session_id: bytes | None, peer: str) -> Session:
        if session_id is not None:
            return self._desk.sessions.get(grant.name, session_id.decode("latin-1"), exclusive=True)
        return self._desk.sessions.get(grant.name, "", exclusive=peer == "stdio")

    def _withdrawn(self, message: Message, session: Session) -> bool:
        """A cancel of a call that is not forwarded yet ends here, with the call.

        Only where ids belong to one client: elsewhere it could be somebody else's call.
        """
        target = message.params.get("requestId")
        if not session.exclusive or not isinstance(target, (str, int)):
            return False
        run = session.runs.get(id_key(target))
        return run is not None and run.withdraw()

    def _stream_or_delete(
        self, request: ClientRequest, responder: Responder, grant: Grant, session_id: bytes | None
    ) -> None:
        """GET opens the server's stream, DELETE ends the session (legacy era)."""
        desk = self._desk
        session = self._session(grant, session_id, request.peer)
        headers = towards_upstream(request.headers, session_id, desk.own_headers)
        judge = Judge(desk, grant, session, "legacy", headers)
        received, call_id = desk.clock(), desk.mint()

        def on_head(head: Head) -> None:
            if request.method == "DELETE" and head.status < 300:  # noqa: PLR2004 - success
                desk.sessions.drop(grant.name, session.name)
                desk.catalogues.drop((grant.name, session.name))

        def done(ended: Ended) -> None:
            record = Record(
                id=call_id,
                ts=received,
                kind="event",
                principal=grant.principal,
                grant=grant.name,
                server=desk.server,
                method=f"HTTP {request.method}",
                decision="allow",
                revision=desk.policy.revision if desk.policy else "",
                session=session.label,
            )
            desk.journal.submit(Entry(records.ended_as(record, ended)), _ignore)

        answering = Answering(
            message_id=None,
            kind="stream" if request.method == "GET" else "end",
            seal=lambda upstream_id: desk.handles.seal(upstream_id, grant.name),
            on_head=on_head,
            digest=desk.digest,
            clock=desk.clock,
            streams=desk.streams,
        )
        relay = Relay(answering, judge, responder, done)
        flow = relay.flow = desk.upstream.send(
            UpstreamRequest(request.method, headers, b"", grant=grant.name), relay
        )
        responder.on_pause, responder.on_resume = flow.pause, flow.resume
        responder.on_gone = relay.cancel

    def _unknown_session(self, request: ClientRequest, responder: Responder) -> None:
        readable = request.method == "POST" and len(request.body) <= OFF_LOOP
        message = read_message(request.body) if readable else None
        message_id = message.id if isinstance(message, Message) else None
        grant = request.grant or self._local
        if grant is not None:
            self._note_refusal(grant, _UNKNOWN_SESSION)
        if message_id is None:
            _plain(responder, 404, "unknown session")
        else:
            _json(responder, 404, answers.error(message_id, -32600, _UNKNOWN_SESSION.message))

    def _refuse(self, responder: Responder, grant: Grant, refusal: Refusal) -> None:
        """Answer what is not acted on, and leave a record that it was refused."""
        self._note_refusal(grant, refusal)
        _json(responder, refusal.status, answers.refusal(refusal))

    def _note_refusal(self, grant: Grant, refusal: Refusal) -> None:
        desk = self._desk
        record = Record(
            id=desk.mint(),
            ts=desk.clock(),
            kind="denial",
            principal=grant.principal,
            grant=grant.name,
            server=desk.server,
            decision="deny",
            rules=(refusal.rule,),
            reasons=(f"refused with {refusal.code}",),
            revision=desk.policy.revision if desk.policy else "",
        )
        desk.journal.submit(Entry(record), _ignore)


MAX_REMEMBERED = 4_096

OFF_LOOP = 256 * 1024
"""Bodies over this size, in bytes, are not read on the event loop."""

_MEDIA_TYPE = Refusal(
    -32600, 415, "the body must be application/json in UTF-8, without a content encoding", "(media type)"
)
_UNKNOWN_SESSION = Refusal(-32600, 404, "unknown session: initialize again", "(unknown session)")
_BATCH = Refusal(-32600, 400, "batches are not accepted here", "(batch)")


def _is_plain_json(request: ClientRequest) -> bool:
    """One JSON type, UTF-8 or no charset, and no encoding: then there is one way to read it."""
    encoding = request.header(b"content-encoding")
    kind = request.header(b"content-type") or b""
    if encoding is not None and encoding.lower() != b"identity":
        return False
    name, _, parameters = kind.partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"").lower()
    return name.strip().lower() == JSON and charset in (b"", b"charset=utf-8")


def _ignore(_reply: Reply) -> None:
    """Nothing waits for these rows; the store reports its own health."""


def _json(responder: Responder, status: int, body: bytes) -> None:
    responder.start(Head(status, ((b"content-type", JSON),), len(body)))
    responder.write(body)
    responder.finish()


def _braked(responder: Responder, wait: int) -> None:
    """Turn a request away unread (P2.2; RFC 6585 section 4)."""
    body = answers.error(None, answers.LIMITED, f"too many requests; try again in {wait} s")
    headers = ((b"content-type", JSON), (b"retry-after", b"%d" % wait))
    responder.start(Head(429, headers, len(body)))
    responder.write(body)
    responder.finish()


def _plain(responder: Responder, status: int, text: str) -> None:
    body = text.encode()
    headers = ((b"content-type", b"text/plain; charset=utf-8"),) if body else ()
    responder.start(Head(status, headers, len(body)))
    if body:
        responder.write(body)
    responder.finish()
