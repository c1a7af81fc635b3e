"""One call that waits for a person: how, how long, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec

from ostiary.approvals.step import FormAnswer
from ostiary.calls.call import Await, Call, Waited
from ostiary.proxy.approvals import forms
from ostiary.proxy.approvals.held import Held, progress_token
from ostiary.proxy.approvals.room import Room
from ostiary.proxy.exchange import Responder
from ostiary.proxy.keepalive import KeepAlive
from ostiary.proxy.sessions import Session
from ostiary.wire.message import Message, as_object

HOLD = 45
"""Seconds that a call is held without a progress token: many clients give up after 60."""

HOLD_WITH_PROGRESS = 240
"""Seconds with one (P5.2): reports of progress tell the client that somebody is still there."""

SECOND = 1_000_000
MARGIN = 0.05
"""Seconds after which a request whose time is up has surely expired by the clock of the store."""

Ending = Literal["answered", "late", "gone"]

LEGACY_FORMS = frozenset({"2025-06-18", "2025-11-25"})
"""Legacy revisions that know elicitation."""


def asks_in_form(call: Call, command: Await, session: Session) -> bool:
    """Whether the client's own user is to be asked, and can be."""
    if not command.hold.convenience:
        return False
    if call.era == "modern":
        fits = len(forms.carried_by(call.message)) <= forms.MAX_CARRIED
        return fits and forms.takes_forms(forms.declared(call.message))
    own = session.exclusive and session.version in LEGACY_FORMS
    return own and forms.takes_forms(session.client)


class Wait:
    """Holds one call open. `done` is called once; `held` is where its answer goes from then on."""

    def __init__(  # noqa: PLR0913 - what one call and its gate have, all named
        self,
        call: Call,
        command: Await,
        *,
        room: Room,
        session: Session,
        responder: Responder,
        streams: KeepAlive,
        now: int,
        done: Callable[[Waited], None],
    ) -> None:
        self._call = call
        self._room = room
        self._session = session
        self._id = command.waiting.id
        self._done: Callable[[Waited], None] | None = done
        self._question = ""
        said = f"waiting for approval {self._id}"
        self.held = Held(responder, call.message, streams, said)
        room.wait(self._id, self._answered)
        seconds, ending = _patience(call.message, command, now)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end, ending)
        if asks_in_form(call, command, session):
            self._ask(command)

    def leave(self) -> None:
        """The client has gone, or wants the call no more."""
        self._end("gone")

    def again(self) -> None:
        """Something else has changed: decide the call again now."""
        self._end("answered")

    # Inside.

    def _ask(self, command: Await) -> None:
        """Ask the client's user on the stream of the call (legacy era)."""
        self._question = f"ostiary-{self._id}-{self._call.id}"
        params = forms.question(str(self._call.message.params["name"]), command.hold)
        self._session.own[self._question] = self._formed
        body = {"jsonrpc": "2.0", "id": self._question, "method": "elicitation/create", "params": params}
        self.held.ask(msgspec.json.encode(body))

    def _formed(self, answer: Message) -> None:
        said = forms.verdict(self._id, as_object(answer.envelope.get("result")))
        if said.verdict == "decline":  # no answer, and whoever may approve still can
            self._end("late")
        else:
            self._end("answered", said)

    def _answered(self) -> None:
        self._end("answered")

    def _end(self, how: Ending, form: FormAnswer | None = None) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._timer.cancel()
        self._room.leave(self._id, self._answered)
        self._session.own.pop(self._question, None)
        self.held.answering()
        call = self._call if form is None else msgspec.structs.replace(self._call, form=form)
        done(Waited(call, how))


def _patience(message: Message, command: Await, now: int) -> tuple[float, Ending]:
    """How long the client may wait, and what it means when that is over.

    The request itself may end first, and the store then says that it has.
    """
    longest = HOLD if progress_token(message) is None else HOLD_WITH_PROGRESS
    given = command.hold.hold_seconds
    left = (command.waiting.expires - now) / SECOND
    allowed = longest if given is None else given
    return (allowed, "late") if allowed < left else (max(0.0, left) + MARGIN, "answered")
