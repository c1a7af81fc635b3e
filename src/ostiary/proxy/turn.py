"""One client message and its answer: carries out what the machine commands, over HTTP shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ostiary.approvals.step import Ask
from ostiary.calls import asking
from ostiary.calls.call import (
    Await,
    Call,
    Consulted,
    Emptied,
    Ended,
    Formed,
    NoCatalogue,
    Outcome,
    Refused,
    Waited,
)
from ostiary.calls.driver import Run
from ostiary.calls.journal import Entry, Reply
from ostiary.calls.stop import RULE, Stop
from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.identity.grant import Grant
from ostiary.policy.decision import Charge
from ostiary.proxy.answering import Answering
from ostiary.proxy.approvals.wait import Wait, asks_in_form
from ostiary.proxy.cancelling import cancel_request
from ostiary.proxy.catalogue import Asking
from ostiary.proxy.changes import LISTEN, Listener
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Head, Header, Responder, UpstreamRequest
from ostiary.proxy.headers import SESSION, for_own_request, own_meta
from ostiary.proxy.judge import Judge
from ostiary.proxy.peek import EVENTS, JSON
from ostiary.proxy.relay import Relay
from ostiary.proxy.sessions import Session
from ostiary.wire import answers
from ostiary.wire.envelope import is_known
from ostiary.wire.era import METHOD_NOT_FOUND
from ostiary.wire.ids import id_key
from ostiary.wire.message import Message

STORE = 4503
UPSTREAM = 4502
CODES = {
    "denied": answers.DENIED,
    "limited": answers.LIMITED,
    "store": STORE,
    "upstream": UPSTREAM,
    "pending": answers.PENDING,
    "stopped": answers.STOPPED,
}
CANCELLED = -32800


class Turn:
    """Implements `calls.driver.Effects` for one POSTed message."""

    __slots__ = (
        "_desk",
        "_done",
        "_grant",
        "_headers",
        "_judge",
        "_left",
        "_over",
        "_relay",
        "_responder",
        "_session",
        "_started",
        "_stopped",
        "_wait",
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
        self._judge: Judge | None = None
        self._done: Callable[[Ended], None] | None = None
        self._started = False
        self._left = False
        self._over = False
        self._wait: Wait | None = None
        self._stopped: Refused | None = None
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

        def read(consulted: Consulted) -> None:
            if isinstance(consulted, NoCatalogue) and consulted.gone and self._session.name:
                self._over = True
                self._end_session()
            done(consulted)

        catalogues.consult(self._asking(call), read)

    def write(self, entry: Entry, done: Callable[[Reply], None]) -> None:
        asked, room = entry.step, self._desk.room
        if not isinstance(asked, Ask):
            self._desk.journal.submit(entry, done)
            return

        def answered(reply: Reply) -> None:
            room.asked(asked.request, reply)
            done(reply)

        self._desk.journal.submit(entry, answered)

    def hold(self, call: Call, command: Await, done: Callable[[Waited], None]) -> None:
        desk = self._desk

        def waited(answer: Waited) -> None:
            self._wait = None
            stopped = desk.stops.covering(call.grant)
            again = msgspec.structs.replace(answer.call, policy=desk.policy, stopped=stopped)
            done(Waited(again, answer.how))

        desk.stops.add(self, call.grant)
        if desk.stops.covering(call.grant) is not None:  # it came while the request was written
            waited(Waited(call, "answered"))
        elif self._left or self.run.withdrawn:
            waited(Waited(call, "gone"))
        elif call.era == "modern" and asks_in_form(call, command, self._session):
            waited(Waited(call, "form"))
        elif call.parent or command.hold.hold_seconds == 0 or not takes_events(self._headers):
            waited(Waited(call, "late"))
        else:
            self._wait = wait = Wait(
                call,
                command,
                room=desk.room,
                session=self._session,
                responder=self._responder,
                streams=desk.streams,
                now=desk.clock(),
                done=waited,
            )
            self._responder = wait.held.member
            self._responder.on_gone = self._gone

    def let_go(self) -> None:
        if self._wait is not None:
            self._wait.leave()

    def forward(self, call: Call, done: Callable[[Ended], None]) -> None:
        desk, message, responder = self._desk, call.message, self._responder
        stop = desk.stops.covering(call.grant)
        if stop is not None:  # it came while the call was decided and recorded
            self._stopped = Refused("stopped", stop.text, (RULE,))
            done(Ended("not_sent", desk.clock(), note=stop.note))
            return
        own = id_key(message.id) if message.kind == "request" and message.id is not None else None
        judge = self._judge = Judge(desk, self._grant, self._session, call.era, self._headers, own, call)
        answering = Answering(
            message_id=message.id if message.kind == "request" else None,
            kind=message.kind,
            seal=self._seal,
            on_head=self._on_head,
            digest=desk.digest,
            clock=desk.clock,
            streams=desk.streams,
        )
        self._done = done
        relay = self._relay = Relay(answering, judge, responder, self._ended)
        if message.method == LISTEN and call.era == "modern":
            desk.changes.add(Listener(call.grant, relay, self._session, message, judge))
        request = UpstreamRequest("POST", self._headers, message.raw, grant=call.grant, call=call.id)
        self._started = True
        desk.stops.add(self, call.grant)
        try:
            flow = relay.flow = desk.upstream.send(request, relay)
        except GatewayFault as fault:  # a message that cannot be sent at all
            relay.fault(UpstreamFault(fault.message, written=False))
            return
        responder.on_pause = flow.pause
        responder.on_resume = flow.resume
        if self._left:
            self._orphan(relay)

    def entrust(self, call: Call, charges: tuple[Charge, ...]) -> None:
        assert self._judge is not None  # noqa: S101 - only forwarded calls come to that
        if self._judge.task is not None:
            self._desk.book.tasks.entrust(self._judge.task, charges)
        else:
            self._desk.book.entrust(self._judge.context, charges)

    def finish(self, call: Call, outcome: Outcome) -> None:
        message, outcome = call.message, self._stopped or outcome
        self._desk.stops.discard(self)
        if message.kind == "request" and message.id is not None:
            self._session.end(message.id, self.run)
        if self._relay is not None:
            self._desk.orphans.discard(self._relay)
            if message.method == LISTEN:
                self._desk.changes.discard(self._relay)
            self._relay.give_up()
            self._relay = None  # it knows this turn: together they would wait for the collector
            self._judge = self._done = None
        if not self._started:
            self._started = True
            self._speak(call, outcome)

    # A stop.

    def stop(self, stop: Stop) -> None:
        """End what was forwarded: (1) for the client, (2) for the server, which may not see that we left.

        A call that waits for a person is decided again, which denies it.
        """
        relay, call = self._relay, self.run.call
        if self._wait is not None:
            self._wait.again()
        if relay is None:
            return
        # (1)
        status, body = _taken(call.message), b""
        if call.message.kind == "request":
            body, status = self._refusal(call, Refused("stopped", stop.text_in_flight, (RULE,)))
        relay.halt(stop.note, status, body)
        # (2)
        if call.era == "legacy" and self._session.exclusive:
            headers = for_own_request(self._headers, self._desk.own_headers)
            cancel_request(self._desk.upstream, call, headers)

    # Inside.

    def _speak(self, call: Call, outcome: Outcome) -> None:
        """Answer in the upstream's place."""
        message = call.message
        if message.kind != "request" or message.id is None:
            self._answer(b"", _taken(message))
        elif self._over:  # a client starts anew on this status, and on this only
            self._answer(answers.error(message.id, -32600, "the server no longer knows this session"), 404)
        elif isinstance(outcome, Refused):
            self._answer(*self._refusal(call, outcome))
        elif isinstance(outcome, Formed):
            tool, asked = str(message.params["name"]), outcome.waiting.id
            body = self._desk.forms.result(message, asked, tool, outcome.hold, self._grant.name)
            self._answer(body)
        elif isinstance(outcome, Emptied):
            modern = call.era == "modern"
            self._answer(answers.empty_list(message.id, message.method, modern=modern))
        elif self.run.withdrawn:
            self._answer(answers.error(message.id, CANCELLED, "the request was cancelled by the client"))
        else:
            self._answer(answers.error(message.id, answers.INTERNAL, "the gateway failed on this request"))

    def _asking(self, call: Call) -> Asking:
        """How the gate itself lists the tools, as this client would."""
        headers = for_own_request(self._headers, self._desk.own_headers)
        meta = own_meta(call.message) if call.era == "modern" else None
        return Asking((call.grant, self._session.name), headers, meta)

    def _seal(self, upstream_id: bytes) -> bytes:
        return self._desk.handles.seal(upstream_id, self._grant.name)

    def _ended(self, ended: Ended) -> None:
        """The answer is over. What may still come, or come again, is judged by what is kept here."""
        judge, done, message_id = self._judge, self._done, self.run.call.message.id
        if judge is not None and message_id is not None and self.run.call.message.kind == "request":
            kept = ended.later == "stream" or judge.session.resumable
            self._session.end(message_id, self.run, judge.context if kept else None)
        if judge is not None and judge.drifted:
            self._desk.look_again(self._asking(self.run.call))
        if done is not None:
            done(ended)

    def _on_head(self, head: Head) -> None:
        if self._judge is not None and self.run.call.message.method == "initialize":
            opened = head.header(SESSION)
            if opened is not None:
                name = opened.decode("latin-1")
                self._judge.session = self._desk.sessions.get(self._grant.name, name, exclusive=True)
        if head.status == 404 and self._session.name:  # noqa: PLR2004 - session is gone
            self._end_session()

    def _end_session(self) -> None:
        self._desk.end_session(self._grant.name, self._session.name)

    def _gone(self) -> None:
        """The client went away: a cancel on the modern era, nothing on the legacy one.

        Nobody is left for whom a person might be asked on either (P5.2).
        """
        if self._wait is not None:
            self.run.withdraw()
        elif self.run.call.era == "modern":
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

    def _refusal(self, call: Call, refused: Refused) -> tuple[bytes, int]:
        """The answer to a refused request, and its HTTP status."""
        message_id = call.message.id
        assert message_id is not None  # noqa: S101 - only requests are answered
        waiting = refused.approval
        note = answers.Note(
            decision="deny" if waiting is None else "hold",
            message=refused.message,
            revision=call.policy.revision if call.policy else "",
            evaluation_id=call.id,
            retry_after_ms=refused.retry_after_ms,
            approval=None if waiting is None else asking.told(waiting),
        )
        if call.message.method == "tools/call":
            return answers.denied_call(message_id, note, modern=call.era == "modern"), 200
        if call.era == "modern" and refused.kind == "denied" and not is_known(call.message.method):
            # In the terms of the revision; on the legacy era 404 is about sessions.
            return answers.denied_method(message_id, note, METHOD_NOT_FOUND), 404
        return answers.denied_method(message_id, note, CODES[refused.kind]), 200

    def _answer(self, body: bytes, status: int = 200) -> None:
        headers = ((b"content-type", JSON),) if body else ()
        self._responder.start(Head(status, headers, len(body)))
        if body:
            self._responder.write(body)
        self._responder.finish()


def takes_events(headers: Sequence[Header]) -> bool:
    """Whether the client of these headers takes an event stream for an answer."""
    return any(name == b"accept" and EVENTS in value.lower() for name, value in headers)


def _taken(message: Message) -> int:
    """The status for what gets no answer: a notification is never told, a response is turned away."""
    return 202 if message.kind == "notification" else 403
