"""The gate: every request of every downstream enters here and nowhere else.

`Gate` is a `Handler`. It knows HTTP shapes and JSON-RPC, not sockets or pipes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import msgspec

from ostiary.audit.record import Record
from ostiary.calls.call import Era
from ostiary.calls.journal import Entry, Reply
from ostiary.identity.grant import Grant
from ostiary.proxy.batch import Batch, admitted, form_of
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import ClientRequest, Head, Responder
from ostiary.proxy.handles.book import UNKNOWN
from ostiary.proxy.handles.recall import MAX_METHOD
from ostiary.proxy.headers import PLACE, SESSION, towards_upstream
from ostiary.proxy.mirrored import Mirrored
from ostiary.proxy.peek import JSON, is_plain_json
from ostiary.proxy.sessions import Session
from ostiary.proxy.streams import relay_stream, turned_away
from ostiary.proxy.turn import Turn
from ostiary.wire import answers
from ostiary.wire.arrays import REVISION
from ostiary.wire.envelope import read_message
from ostiary.wire.era import check_headers
from ostiary.wire.ids import id_key
from ostiary.wire.message import Message, Refusal
from ostiary.wire.mirror import Parameters
from ostiary.wire.strict import MAX_BYTES

log = logging.getLogger("ostiary.proxy")


class Gate:
    """Takes complete requests, and answers or relays each."""

    def __init__(
        self, desk: Desk, local: Grant | None, *, max_body: int = MAX_BYTES, parent: str = ""
    ) -> None:
        """`local` is the grant of a stdio client; None where a door checks every request.

        `parent` is the id of the call in which all that comes here is made; empty for clients.
        """
        self._desk = desk
        self._max_body = max_body
        self._local = local
        self._parent = parent
        self._mirrored = Mirrored(desk)

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
        if self.braked(grant, responder):
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

    def braked(self, grant: Grant, responder: Responder) -> bool:
        """Count a request; True for one that is too many (P2.2), which then has been answered."""
        wait = self._desk.brake.admit(grant.name)
        if wait is not None:
            _braked(responder, wait)
        return wait is not None

    def stopped(self, grant: Grant, responder: Responder, method: str) -> bool:
        """Whether a stop keeps this request without a message out (P2.5); then it has been answered."""
        stop = self._desk.stops.covering(grant.name)
        if stop is not None:
            self._refuse(responder, grant, turned_away(stop), f"HTTP {method}")
        return stop is not None

    def _post(
        self, request: ClientRequest, responder: Responder, grant: Grant, session_id: bytes | None
    ) -> None:
        """The body is plain JSON of a bounded size; large ones are read off the loop."""
        if not is_plain_json(request):
            self.note_refusal(grant, _MEDIA_TYPE)
            _plain(responder, _MEDIA_TYPE.status, _MEDIA_TYPE.message)
            return
        if len(request.body) > OFF_LOOP and request.peer != "stdio":  # there, order counts
            self._read_elsewhere(request, responder, grant, session_id)
            return
        message = read_message(request.body, max_bytes=self._max_body)
        self._read(message, request, responder, grant, session_id)

    def _read_elsewhere(
        self, request: ClientRequest, responder: Responder, grant: Grant, session_id: bytes | None
    ) -> None:
        """Read a large body on a thread, so that nobody else waits for it."""
        batches = self._session(grant, session_id, request.peer).version == REVISION
        read = partial(read_message, request.body, max_bytes=self._max_body, batches=batches)
        reading = asyncio.get_running_loop().run_in_executor(None, read)
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
            self._not_one(message, request, responder, grant, session_id)
            return
        # (2)
        repeated = self._mirrored.known(message, grant, request.peer)
        era = check_headers(message, request.headers, parameters=repeated)
        if isinstance(era, Refusal):
            self._refuse(responder, grant, era)
            return
        # (3)
        session = self._session(grant, session_id if era == "legacy" else None, request.peer)
        headers = towards_upstream(
            request.headers, session_id if era == "legacy" else None, self._desk.own_headers
        )
        # (4)
        go = partial(self._message, message, era, grant, session, headers, responder)
        stopped = self._desk.stops.covering(grant.name) is not None  # then nothing is asked of the server
        if repeated is None and era == "modern" and not stopped:  # others repeat nothing
            self._once_listed(message, request, responder, grant, headers, go)
        else:
            go()

    def _not_one(
        self,
        found: tuple[Message, ...] | Refusal,
        request: ClientRequest,
        responder: Responder,
        grant: Grant,
        session_id: bytes | None,
    ) -> None:
        """What is not one message is refused as a whole, but for a batch where its revision has them."""
        session = self._session(grant, session_id, request.peer)
        members = admitted(found, request, session)
        if isinstance(members, Refusal):
            self._refuse(responder, grant, members)
            return
        wait = self._desk.brake.admit(grant.name, len(members) - 1)  # the first one is counted
        if wait is not None:
            _braked(responder, wait)
            return
        headers = towards_upstream(request.headers, session_id, self._desk.own_headers)
        batch = Batch(members, responder, form_of(request), self._desk.streams)
        for message, member in zip(members, batch.members, strict=True):
            try:
                self._message(message, "legacy", grant, session, headers, member)
            except Exception:  # the gate's edge, as in `__call__`, for this one member
                log.exception("a member of a batch ended by an unexpected fault")
                member.abort()

    def _once_listed(
        self,
        message: Message,
        request: ClientRequest,
        responder: Responder,
        grant: Grant,
        headers: list[tuple[bytes, bytes]],
        go: Callable[[], None],
    ) -> None:
        """Step (2) again for headers that only the list of tools explains; then step (4)."""
        here = True

        def gone() -> None:
            nonlocal here
            here = False

        def told(parameters: Parameters) -> None:
            if not here:  # nothing was decided yet, and nobody waits for it
                return
            try:
                era = check_headers(message, request.headers, parameters=parameters)
                if isinstance(era, Refusal):
                    self._refuse(responder, grant, era)
                else:
                    go()
            except Exception:  # the gate's edge, as in `__call__`
                log.exception("a request ended by an unexpected fault")
                _plain(responder, 500, "the gateway failed; nothing was forwarded")

        responder.on_gone = gone
        self._mirrored.ask(message, grant, headers, told)

    def _message(
        self,
        message: Message,
        era: Era,
        grant: Grant,
        session: Session,
        headers: list[tuple[bytes, bytes]],
        responder: Responder,
    ) -> None:
        answered, form = "", None
        opened = self._desk.forms.opened(message, grant.name)
        if isinstance(opened, Refusal):
            self._refuse(responder, grant, opened, message.method)
            return
        if opened is not None:
            message, form = opened
        unknown = self._desk.book.refusal(message, grant.name)
        if unknown is not None:
            self._refuse(responder, grant, unknown, message.method)
            return
        if message.id is not None and message.kind == "response":
            own = session.own.pop(message.id, None) if isinstance(message.id, str) else None
            if own is not None:  # it answers a question of the gate, and goes no further
                own(message)
                _plain(responder, 202, "")
                return
            asked = session.answered(message.id)
            if asked is None:
                text = "this answers no open request of the server"
                self._refuse(responder, grant, Refusal(-32600, 400, text, "(unasked answer)"))
                return
            answered = asked
        elif message.id is not None and (taken := session.taken(message.id, message.method)):
            text = f"this request id is {taken[4:-1]} in the session"
            self._refuse(responder, grant, Refusal(-32600, 400, text, taken, message.id))
            return
        elif message.method == "notifications/cancelled" and self._withdrawn(message, session):
            _plain(responder, 202, "")
            return
        call = self._desk.call(message, era, grant, session, answered, form)
        if self._parent:
            call = msgspec.structs.replace(call, parent=self._parent)
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
        """GET opens or resumes a stream of the server, DELETE ends the session (legacy era)."""
        if self.stopped(grant, responder, request.method):
            return
        session = self._session(grant, session_id, request.peer)
        headers = towards_upstream(request.headers, session_id, self._desk.own_headers)
        place = request.header(PLACE) if request.method == "GET" else None
        if place:
            if not self._desk.book.events.known(grant.name, session.name, place):
                self._refuse(responder, grant, _UNKNOWN_PLACE, "HTTP GET")
                return
            headers.append((PLACE, place))
        relay_stream(self._desk, request.method, headers, responder, grant, session)

    def _unknown_session(self, request: ClientRequest, responder: Responder) -> None:
        readable = request.method == "POST" and len(request.body) <= OFF_LOOP
        message = read_message(request.body) if readable else None
        message_id = message.id if isinstance(message, Message) else None
        grant = request.grant or self._local
        if grant is not None:
            self.note_refusal(grant, _UNKNOWN_SESSION)
        if message_id is None:
            _plain(responder, 404, "unknown session")
        else:
            _json(responder, 404, answers.error(message_id, -32600, _UNKNOWN_SESSION.message))

    def _refuse(self, responder: Responder, grant: Grant, refusal: Refusal, method: str = "") -> None:
        """Answer what is not acted on, and leave a record that it was refused."""
        self.note_refusal(grant, refusal, method)
        _json(responder, refusal.status, answers.refusal(refusal))

    def note_refusal(self, grant: Grant, refusal: Refusal, method: str = "") -> None:
        """Leave a record of a message that is not acted on."""
        desk = self._desk
        record = Record(
            id=desk.mint(),
            ts=desk.clock(),
            kind="denial",
            principal=grant.principal,
            grant=grant.name,
            server=desk.server,
            method=method[:MAX_METHOD],
            decision="deny",
            rules=(refusal.rule,),
            reasons=(f"refused with {refusal.code}",),
            revision=desk.policy.revision if desk.policy else "",
        )
        desk.journal.submit(Entry(record), _ignore)


OFF_LOOP = 256 * 1024
"""Bodies over this size, in bytes, are not read on the event loop."""

_MEDIA_TYPE = Refusal(
    -32600, 415, "the body must be application/json in UTF-8, without a content encoding", "(media type)"
)
_UNKNOWN_PLACE = Refusal(-32602, 400, "Last-Event-ID names no event of this session", UNKNOWN)
_UNKNOWN_SESSION = Refusal(-32600, 404, "unknown session: initialize again", "(unknown session)")


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
