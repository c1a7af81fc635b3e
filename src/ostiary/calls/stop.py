"""An emergency stop, as plain values (P2.5). Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["all", "grant", "server"]

RULE = "(stopped)"


class Scope(msgspec.Struct, frozen=True):
    """What a stop covers: everything, one grant or one server. `name` is empty for everything."""

    kind: Kind
    name: str = ""

    def covers(self, grant: str, server: str) -> bool:
        """Whether a call of `grant` to `server` is stopped by it."""
        if self.kind == "grant":
            return self.name == grant
        return self.kind == "all" or self.name == server

    def __str__(self) -> str:
        return "everything" if self.kind == "all" else f"{self.kind} `{self.name}`"


class Stop(msgspec.Struct, frozen=True):
    """A stop in force. `at` is microseconds since the epoch.

    `who` is a user of the operating system, with `user:` in front. `reason` is for people who
    operate the gate; clients are not told. `number` is its row, 0 for what stands in for the
    stops while they cannot be read.
    """

    number: int
    scope: Scope
    at: int = 0
    who: str = ""
    reason: str = ""

    @property
    def note(self) -> str:
        """What records say of it."""
        return f"stop {self.number}: {self.scope}" if self.number else "the stops cannot be read"

    @property
    def text(self) -> str:
        """What a client is told. Names of grants and servers are the operator's own."""
        if not self.number:
            return "stopped: the gateway cannot tell whether a stop is in force, so nothing is forwarded"
        about = _ABOUT[self.scope.kind]
        return f"stopped: the operator has stopped {about}; nothing is forwarded until that is lifted"

    @property
    def text_in_flight(self) -> str:
        """What the client of a call is told that had been forwarded."""
        return f"{self.text}; this call was under way and was ended, what it did before is done"


_ABOUT = {"all": "everything", "grant": "this client", "server": "this server"}

UNREADABLE = Stop(0, Scope("all"))
"""In force while the stops cannot be read: doubt ends in no."""
