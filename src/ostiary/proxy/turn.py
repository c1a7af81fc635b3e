"""One client message and its answer: carries out what the machine commands, over HTTP shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from ostiary.calls.call import Call, Consulted, Emptied, Ended, Outcome, Refused
from ostiary.calls.driver import Run
from ostiary.calls.journal import Entry, Reply
from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.proxy.catalogue import Asking
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Head, Header, Responder, UpstreamRequest
from ostiary.proxy.headers import for_own_request
from ostiary.proxy.judge import Judge
from ostiary.proxy.peek import JSON
from ostiary.proxy.relay import Answering, Relay
from ostiary.proxy.sessions import Session
from ostiary.wire import answers
from ostiary.wire.ids import id_key

STORE = 4503
UPSTREAM = 4502
CODES = {"denied": answers.DENIED, "limited": answers.LIMITED, "store": STORE, "upstream": UPSTREAM}
CANCELLED = -32800
_META_KEYS = (
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
)


class Turn:
    """Implements `calls.driver.Effects` for one POSTed message."""

    __slots__ = (
        "_desk",
        "_grant",
        "_headers",
        "_left",
        "_relay",
        "_responder",
        "_session",
        "_started",
        "run",
    )

    def __init__(
        self,
        desk: Desk,
        call: Call,
        grant: Grant,
        session: Session,
        headers: list[Header],
        responder: Responder,
    ) -> None:
        self._desk = desk
        self._grant = grant
        self._session = session
        self._headers = headers
        self._responder = responder
        self._relay: Relay | None = None
        self._started = False
        self._left = False
        self.run = Run(call, self)

    def start(self) -> None:
        """Begin; remembers the call under its id while it runs."""
        message = self.run.call.message
        if message.kind == "request" and message.id is not None:
            self._session.begin(message.id, self.run)
        self._responder.on_gone = self._gone
        self.run.start()

    # Effects.

    def consult(self, call: Call, done: Callable[[Consulted], None]) -> None:
        catalogues, link = self._desk.catalogues, (call.grant, self._session.name)
        known = catalogues.known(link)
        if known is not None:
            done(known)
            return
        headers = for_own_request(self._headers, self._desk.own_headers)
        meta = _meta(call) if call.era == "modern" else None
        catalogues.consult(Asking(link, headers, meta), done)

    def write(self, entry: Entry, done: Callable[[Reply], None]) -> None:
        self._desk.journal.submit(entry, done)

    def forward(self, call: Call, done: Callable[[Ended], None]) -> None:
        desk, message, responder = self._desk, call.message, self._responder
        own = id_key(message.id) if message.kind == "request" and message.id is not None else None
        judge = Judge(desk, self._grant, self._session, call.era, self._headers, own, message.method)
        answering = Answering(
            message_id=message.id if message.kind == "request" else None,
            kind=message.kind,
            seal=self._seal,
            on_head=self._on_head,
            digest=desk.digest,
            clock=desk.clock,
            streams=desk.streams,
        )
        relay = self._relay = Relay(answering, judge, responder, done)
        request = UpstreamRequest("POST", self._headers, message.raw, grant=call.grant)
        self._started = True
        try:
            flow = relay.flow = desk.upstream.send(request, relay)
        except GatewayFault as fault:  # a message that cannot be sent at all
            relay.fault(UpstreamFault(fault.message, written=False))
            return
        responder.on_pause = flow.pause
        responder.on_resume = flow.resume
        if self._left:
            self._orphan(relay)

    def finish(self, call: Call, outcome: Outcome) -> None:
        message = call.message
        if message.kind == "request" and message.id is not None:
            unanswered = self._relay is not None and not self._relay.answered
            self._session.end(message.id, self.run, owed=unanswered)
        if self._relay is not None:
            self._desk.orphans.discard(self._relay)
            self._relay.give_up()
            self._relay = None  # it knows this turn: together they would wait for the collector
        if self._started:
            return
        self._started = True
        if message.kind != "request" or message.id is None:
            status = 202 if message.kind == "notification" else 403
            self._answer(b"", status)
        elif isinstance(outcome, Refused):
            self._answer(self._refusal(call, outcome))
        elif isinstance(outcome, Emptied):
            modern = call.era == "modern"
            self._answer(answers.empty_list(message.id, message.method, modern=modern))
        elif self.run.withdrawn:
            self._answer(answers.error(message.id, CANCELLED, "the request was cancelled by the client"))
        else:
            self._answer(answers.error(message.id, answers.INTERNAL, "the gateway failed on this request"))

    # Inside.

    def _seal(self, upstream_id: bytes) -> bytes:
        return self._desk.handles.seal(upstream_id, self._grant.name)

    def _on_head(self, head: Head) -> None:
        if head.status == 404 and self._session.name:  # noqa: PLR2004 - session is gone
            self._desk.sessions.drop(self._grant.name, self._session.name)
            self._desk.catalogues.drop((self._grant.name, self._session.name))

    def _gone(self) -> None:
        """The client went away: a cancel on the modern era, nothing on the legacy one."""
        if self.run.call.era == "modern":
            self.run.withdraw()
            if self._relay is not None:
                self._relay.cancel()
        elif self._relay is not None:
            self._orphan(self._relay)
        else:
            self._left = True

    def _orphan(self, relay: Relay) -> None:
        """Nobody reads this answer; only its outcome is awaited."""
        relay.client_gone()
        self._desk.orphans.add(relay)

    def _refusal(self, call: Call, refused: Refused) -> bytes:
        message_id = call.message.id
        assert message_id is not None  # noqa: S101 - only requests are answered
        note = answers.Note(
            decision="deny",
            message=refused.message,
            revision=call.policy.revision if call.policy else "",
            evaluation_id=call.id,
            retry_after_ms=refused.retry_after_ms,
        )
        if call.message.method == "tools/call":
            return answers.denied_call(message_id, note, modern=call.era == "modern")
        return answers.denied_method(message_id, note, CODES[refused.kind])

    def _answer(self, body: bytes, status: int = 200) -> None:
        headers = ((b"content-type", JSON),) if body else ()
        self._responder.start(Head(status, headers, len(body)))
        if body:
            self._responder.write(body)
        self._responder.finish()


def _meta(call: Call) -> Mapping[str, object]:
    """The part of a modern request's `_meta` that our own request must repeat."""
    meta = call.message.params.get("_meta")
    if not isinstance(meta, Mapping):
        return {}
    known = cast("Mapping[str, object]", meta)
    return {key: known[key] for key in _META_KEYS if key in known}
