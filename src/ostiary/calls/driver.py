"""The one loop that performs a machine's commands.

Replies come back through callbacks, never from inside a command, so no task is needed per
call. A fault that the machine does not expect ends the call: no later command is performed,
so there is no path from an exception to `Forward`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from ostiary.calls.call import (
    Await,
    Call,
    Consult,
    Consulted,
    Ended,
    Forward,
    Outcome,
    Refused,
    Relayed,
    Waited,
)
from ostiary.calls.journal import Entry, Reply
from ostiary.calls.machine import Command, Steps, handle
from ostiary.policy.decision import Charge

log = logging.getLogger("ostiary.calls")

FAULT = "a call ended by an unexpected fault (evaluation %s)"

INTERNAL = Refused(
    "store", "the gateway failed while handling this call; it was not forwarded", ("(internal)",)
)


class Effects(Protocol):
    """What the driver needs from the outside to carry one call through."""

    def consult(self, call: Call, done: Callable[[Consulted], None]) -> None: ...
    def hold(self, call: Call, command: Await, done: Callable[[Waited], None]) -> None: ...
    def let_go(self) -> None: ...
    def write(self, entry: Entry, done: Callable[[Reply], None]) -> None: ...
    def forward(self, call: Call, done: Callable[[Ended], None]) -> None: ...
    def entrust(self, call: Call, charges: tuple[Charge, ...]) -> None: ...
    def finish(self, call: Call, outcome: Outcome) -> None: ...


class _Over:
    """The effects of a run that has ended: nothing is performed any more."""

    def consult(self, call: Call, done: Callable[[Consulted], None]) -> None: ...
    def hold(self, call: Call, command: Await, done: Callable[[Waited], None]) -> None: ...
    def let_go(self) -> None: ...
    def write(self, entry: Entry, done: Callable[[Reply], None]) -> None: ...
    def forward(self, call: Call, done: Callable[[Ended], None]) -> None: ...
    def entrust(self, call: Call, charges: tuple[Charge, ...]) -> None: ...
    def finish(self, call: Call, outcome: Outcome) -> None: ...


_OVER = _Over()


def _unheard(_reply: Reply) -> None:
    """Nobody waits for this row."""


class Run:
    """One call being carried through. `forwarded` turns True when the bytes are handed on."""

    __slots__ = ("_effects", "_steps", "_withdrawn", "call", "forwarded")

    def __init__(self, call: Call, effects: Effects) -> None:
        self.call = call
        self.forwarded = False
        self._effects: Effects = effects
        self._steps: Steps = handle(call)
        self._withdrawn = False

    def start(self) -> None:
        """Begin. Call once."""
        self._advance(None)

    def withdraw(self) -> bool:
        """Give the call up if it was not forwarded yet; False when it is too late for that.

        A wait for a person ends with it.
        """
        if self.forwarded:
            return False
        self._withdrawn = True
        self._effects.let_go()
        return True

    @property
    def withdrawn(self) -> bool:
        """Whether the client gave the call up before it was forwarded."""
        return self._withdrawn

    def _advance(self, reply: object) -> None:
        try:
            command = self._steps.send(reply)
        except StopIteration as stop:
            self._end(stop.value)
            return
        except Exception:  # the driver's edge: whatever it was, nothing more is performed
            log.exception(FAULT, self.call.id)
            self._fail()
            return
        try:
            self._perform(command)
        except Exception:  # the same edge, on the side of the effects
            log.exception(FAULT, self.call.id)
            self._fail()

    def _fail(self) -> None:
        self._steps.close()
        self._end(Relayed() if self.forwarded else INTERNAL)

    def _end(self, outcome: Outcome) -> None:
        """Finish, and let go: the effects hold this run, so together they would wait for the collector."""
        effects, self._effects = self._effects, _OVER
        effects.finish(self.call, outcome)

    def _perform(self, command: Command) -> None:
        if isinstance(command, Entry):
            if command.late:
                self._effects.write(command, _unheard)
                self._advance(None)
            else:
                self._effects.write(command, self._advance)
        elif isinstance(command, Forward):
            self._forward()
        elif isinstance(command, Consult):
            self._effects.consult(self.call, self._advance)
        elif isinstance(command, Await):
            self._effects.hold(self.call, command, self._waited)
        else:
            self._effects.entrust(self.call, command.charges)
            self._advance(None)

    def _waited(self, waited: Waited) -> None:
        """From here on it is this call: the policy may have changed while its client waited."""
        self.call = waited.call
        self._advance(waited)

    def _forward(self) -> None:
        if self._withdrawn:
            self._advance(Ended(status="not_sent", at=self.call.received, note="withdrawn by the client"))
            return
        self.forwarded = True
        self._effects.forward(self.call, self._advance)
