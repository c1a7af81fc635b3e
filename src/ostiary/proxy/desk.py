"""What every exchange through the gate shares: policy in force, journal, upstream, keys, clock."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from ostiary.approvals.step import FormAnswer
from ostiary.audit.keyed import KeyedDigest
from ostiary.audit.record import Record
from ostiary.calls.call import Call, Consulted, Era
from ostiary.calls.journal import Entry, Journal, Reply
from ostiary.calls.stop import Stop
from ostiary.identity.grant import Grant
from ostiary.identity.handles import Handles
from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue
from ostiary.policy.reach import validated
from ostiary.policy.schema import prepare
from ostiary.proxy.approvals.forms import Forms
from ostiary.proxy.approvals.room import NoSource, Room, Source
from ostiary.proxy.brake import Brake
from ostiary.proxy.catalogue import Asking, Catalogues, Link, Pins
from ostiary.proxy.changes import Changes
from ostiary.proxy.differences import Differences
from ostiary.proxy.exchange import Header, RunsBehind, Upstream
from ostiary.proxy.handles.book import Book
from ostiary.proxy.handles.ending import end_tasks
from ostiary.proxy.handles.shelf import NoShelf, Shelf
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.orphans import Orphans
from ostiary.proxy.sessions import Session, Sessions
from ostiary.proxy.stops import Board, NoBoard, Stops
from ostiary.settings import USUAL_RATE
from ostiary.wire.message import Message

_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


class Desk:
    """The shared state of one gate. `policy` is replaced as a whole on reload.

    `shelf` keeps what must survive a restart; without one nothing does. `track` names this
    process where it serves one client alone (stdio); else the grant is the track (P8.4). `brake`
    is how many requests a minute each grant may send (P2.2). `board` is where emergency stops are
    found (P2.5); without one there are none. `headers_end_here` says that the
    server sees no HTTP header, so that nobody behind the gate compares them with the body.
    `approvals` is where requests for approval are looked up.
    """

    def __init__(  # noqa: PLR0913 - one port or key each, all named
        self,
        *,
        upstream: Upstream,
        journal: Journal,
        policy: Compiled | None,
        server: str,
        own_headers: Sequence[Header],
        handles: Handles,
        digest_key: bytes,
        mint: Callable[[], str],
        clock: Callable[[], int],
        pins: Pins | None = None,
        track: str = "",
        brake: int = USUAL_RATE,
        board: Board | None = None,
        shelf: Shelf | None = None,
        headers_end_here: bool = False,
        approvals: Source | None = None,
    ) -> None:
        self.upstream = upstream
        self.journal = journal
        self.policy = policy
        self.server = server
        self.own_headers = tuple(own_headers)
        self.handles = handles
        self.book = Book(
            key=digest_key, server=server, shelf=shelf or NoShelf(), clock=clock, write=self._outcome
        )
        self.sessions = Sessions(self.label, self.book.recall)
        self.orphans = Orphans()
        self.mint = mint
        self.clock = clock
        self.locked = pins is not None
        self.track = track
        self.headers_end_here = headers_end_here
        self._digest_key = digest_key
        self.digest = KeyedDigest(digest_key)
        self.streams = KeepAlive()
        self.brake = Brake(brake, clock, self._braked)
        self.stops = Stops(server, board or NoBoard(), tells=self._stop_seen, ends=self._end_for)
        self.catalogues = Catalogues(
            upstream, mint=mint, pins=pins, on_changed=self._definitions_changed, prepare=self._prepare
        )
        self.forms = Forms(digest_key)
        self.room = Room(approvals or NoSource(), clock=clock, mint=mint, submit=journal.submit)
        self.changes = Changes(self.catalogues, self.sessions, locked=self.locked)

    def label(self, session: str) -> str:
        """A short name for a session in records; a session id itself is a credential."""
        if not session:
            return ""
        short = hmac.digest(self._digest_key, session.encode(), hashlib.sha256)[:9]
        return base64.urlsafe_b64encode(short).decode()

    def call(
        self,
        message: Message,
        era: Era,
        grant: Grant,
        session: Session,
        answers: str = "",
        form: FormAnswer | None = None,
    ) -> Call:
        """Turn a message into the values that the machine works on."""
        arguments = message.params.get("arguments")
        digest = self.digest(_encode(cast("object", arguments))) if isinstance(arguments, dict) else ""
        return Call(
            id=self.mint(),
            received=self.clock(),
            message=message,
            era=era,
            grant=grant.name,
            principal=grant.principal,
            server=self.server,
            policy=self.policy,
            session=session.label,
            track=self.track or grant.name,
            args_digest=digest,
            locked=self.locked,
            answers=answers,
            form=form,
            stopped=self.stops.covering(grant.name),
        )

    def note(
        self, kind: str, note: str = "", *, grant: str = "", reasons: Sequence[str] = (), approval: str = ""
    ) -> None:
        """Write an event row that nothing waits for."""
        record = Record(
            id=self.mint(),
            ts=self.clock(),
            kind="event",
            server=self.server,
            grant=grant,
            method=kind,
            reasons=tuple(reasons),
            revision=self.policy.revision if self.policy else "",
            note=note,
            approval=approval,
        )
        self.journal.submit(Entry(record), _ignore)

    def look_again(self, asking: Asking) -> None:
        """Read the tool list where it is not known: a person will want to see what has changed."""
        if self.locked:
            self.catalogues.consult(asking, _unheard)

    def repin(self, pins: Pins) -> None:
        """Other pins are in force from now on: tell everybody whose list that alters."""
        self.changes.announce_pins(self.policy, self.catalogues.repin(pins))

    def end_session(self, grant: str, name: str) -> None:
        """A session is over: nothing of it is good any more."""
        self.sessions.drop(grant, name)
        self.catalogues.drop((grant, name))
        self.book.events.forget(grant, name)

    def _stop_seen(self, stop: Stop, what: str) -> None:
        grant = stop.scope.name if stop.scope.kind == "grant" else ""
        self.note(what, stop.note, grant=grant)

    def _end_for(self, stop: Stop) -> None:
        """End what belongs to no call that is under way."""
        self.catalogues.stop(stop, self.server)
        end_tasks(stop, self.book, self.upstream, self.server, self.mint)
        if isinstance(self.upstream, RunsBehind):
            self.upstream.end(lambda grant: stop.scope.covers(grant, self.server))

    def _outcome(self, entry: Entry) -> None:
        """Write the outcome of a call that is over for its client."""
        self.journal.submit(entry, _ignore)

    def _braked(self, grant: str, number: int) -> None:
        record = Record(
            id=self.mint(),
            ts=self.clock(),
            kind="event",
            principal=f"grant:{grant}",
            grant=grant,
            server=self.server,
            decision="deny",
            rules=("(brake)",),
            reasons=("more requests in a minute than the brake lets through",),
            revision=self.policy.revision if self.policy else "",
            count=number,
        )
        self.journal.submit(Entry(record), _ignore)

    def _prepare(self, catalogue: Catalogue, ready: Callable[[], None]) -> None:
        """Compile advertised schemas on a thread: a hostile one takes a noticeable time."""
        checked = validated(self.policy, catalogue)
        if not checked:
            ready()
            return
        compiling = asyncio.get_running_loop().run_in_executor(None, prepare, checked)
        compiling.add_done_callback(lambda _done: ready())

    def _definitions_changed(self, link: Link, changed: Differences) -> None:
        text = " ".join(name[:80] for name in changed.names[:20])
        self.note("definitions-changed", text, grant=link[0], reasons=changed.reasons)


def _unheard(_consulted: Consulted) -> None:
    """Nobody waits for this list."""


def _ignore(_reply: Reply) -> None:
    """Nothing waits for an event row; the store reports its own health."""
