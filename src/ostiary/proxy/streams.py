"""The requests that carry no message: GET, which opens or resumes a stream, and DELETE (legacy era)."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary.audit.record import Record
from ostiary.calls import records
from ostiary.calls.call import Ended
from ostiary.calls.journal import Entry, Reply
from ostiary.calls.stop import RULE, Stop
from ostiary.identity.grant import Grant
from ostiary.proxy.answering import Answering
from ostiary.proxy.changes import Listener
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Head, Header, Responder, UpstreamRequest
from ostiary.proxy.judge import Judge
from ostiary.proxy.relay import Relay
from ostiary.proxy.sessions import Session
from ostiary.wire import answers
from ostiary.wire.message import Refusal


def relay_stream(
    desk: Desk,
    method: str,
    headers: Sequence[Header],
    responder: Responder,
    grant: Grant,
    session: Session,
) -> None:
    """Forward one such request, and judge what comes back message by message."""
    judge = Judge(desk, grant, session, "legacy", headers)
    received, call_id = desk.clock(), desk.mint()

    def on_head(head: Head) -> None:
        unknown = head.status == 404 and session.name  # noqa: PLR2004 - the session is gone
        if unknown or (method == "DELETE" and head.status < 300):  # noqa: PLR2004 - success
            desk.end_session(grant.name, session.name)

    def done(ended: Ended) -> None:
        desk.changes.discard(relay)
        desk.stops.discard(running)
        record = Record(
            id=call_id,
            ts=received,
            kind="event",
            principal=grant.principal,
            grant=grant.name,
            server=desk.server,
            method=f"HTTP {method}",
            decision="allow",
            revision=desk.policy.revision if desk.policy else "",
            session=session.label,
        )
        desk.journal.submit(Entry(records.ended_as(record, ended)), _ignore)

    answering = Answering(
        message_id=None,
        kind="stream" if method == "GET" else "end",
        seal=lambda upstream_id: desk.handles.seal(upstream_id, grant.name),
        on_head=on_head,
        digest=desk.digest,
        clock=desk.clock,
        streams=desk.streams,
    )
    relay = Relay(answering, judge, responder, done)
    running = _Running(relay)
    desk.stops.add(running, grant.name)
    if method == "GET":
        desk.changes.add(Listener(grant.name, relay, session))
    flow = relay.flow = desk.upstream.send(UpstreamRequest(method, headers, b"", grant=grant.name), relay)
    responder.on_pause, responder.on_resume = flow.pause, flow.resume
    responder.on_gone = relay.cancel


class _Running:
    """Such a request, as a stop ends it."""

    __slots__ = ("_relay",)

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def stop(self, stop: Stop) -> None:
        self._relay.halt(stop.note, turned_away(stop).status, b"")  # a stream just ends


def turned_away(stop: Stop) -> Refusal:
    """How such a request is refused while a stop is in force (423 Locked: RFC 4918 section 11.3)."""
    return Refusal(answers.STOPPED, 423, stop.text, RULE)


def _ignore(_reply: Reply) -> None:
    """Nothing waits for this row; the store reports its own health."""
