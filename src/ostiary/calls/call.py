"""One message on its way through the gate, as plain values."""

from __future__ import annotations

from typing import Literal

import msgspec

from ostiary.approvals.step import FormAnswer, Waiting
from ostiary.audit.record import Status
from ostiary.calls.stop import Stop
from ostiary.policy.compile import Compiled
from ostiary.policy.decision import Charge, Hold
from ostiary.policy.definition import Catalogue
from ostiary.wire.message import Message

Era = Literal["legacy", "modern"]


class Call(msgspec.Struct, frozen=True):
    """What one client message asks, and on whose behalf.

    `id` is the evaluation id. `received` is microseconds since the epoch. `policy` is the one
    policy this call is judged by, taken once, so a reload in between changes nothing for it;
    None means that no policy is attached. `args_digest` is keyed; `track` and `session` tie
    calls together in the record. `answers` is the method of the server's request that a
    client's response belongs to, empty for other messages. `form` is what the client's own user
    answered to a question of the gate, where the message brought that back. `stopped` is the
    stop that covers the call. `parent` is the id of the call in which this one was made.
    """

    id: str
    received: int
    message: Message
    era: Era
    grant: str
    principal: str
    server: str
    policy: Compiled | None
    session: str = ""
    track: str = ""
    args_digest: str = ""
    locked: bool = False
    answers: str = ""
    form: FormAnswer | None = None
    stopped: Stop | None = None
    parent: str = ""


class Refused(msgspec.Struct, frozen=True):
    """The call is not forwarded. `kind` chooses the answer's code (denied, limited, …).

    `approval` is the request that a person has to answer first.
    """

    kind: Literal["denied", "limited", "store", "upstream", "pending", "stopped"]
    message: str
    rules: tuple[str, ...] = ()
    retry_after_ms: int | None = None
    approval: Waiting | None = None


class Formed(msgspec.Struct, frozen=True):
    """The client's own user is asked in a form; their answer comes with a message of its own."""

    waiting: Waiting
    hold: Hold


class GivenUp(msgspec.Struct, frozen=True):
    """The client went away or withdrew its call while a person was asked. Nothing was forwarded."""


class Emptied(msgspec.Struct, frozen=True):
    """The gate itself answers a listing with nothing in it (P6)."""


class Relayed(msgspec.Struct, frozen=True):
    """The upstream's answer was passed on, or its failure was reported to the client."""


Outcome = Refused | Emptied | Relayed | Formed | GivenUp


# Commands that go out of the machine, and the replies that come in.


class Consult(msgspec.Struct, frozen=True):
    """Get the upstream's tool list. The reply is a `Catalogue` or `NoCatalogue`."""


class NoCatalogue(msgspec.Struct, frozen=True):
    """The tool list could not be read; `reason` is for people.

    `gone`: the session is over. `stopped`: this stop came while it was read.
    """

    reason: str
    gone: bool = False
    stopped: Stop | None = None


class Forward(msgspec.Struct, frozen=True):
    """Send the accepted bytes upstream and relay the answer. The reply is `Ended`."""


class Entrust(msgspec.Struct, frozen=True):
    """Hand over what the call holds to whoever will see its outcome. The reply is None."""

    charges: tuple[Charge, ...]


class Await(msgspec.Struct, frozen=True):
    """Let the client wait until a person has answered. The reply is `Waited`."""

    waiting: Waiting
    hold: Hold


class Waited(msgspec.Struct, frozen=True):
    """The wait is over. `call` is to be decided again, by the policy in force by now.

    `answered`: something became of the request, or a form was answered. `late`: nothing did in
    the time that the client may wait. `form`: its answer comes with another message.
    `gone`: there is no client any more, so nothing may be sent on.
    """

    call: Call
    how: Literal["answered", "late", "form", "gone"]


class Ended(msgspec.Struct, frozen=True):
    """How a forwarded call ended. `at` is microseconds since the epoch.

    `status` `not_sent` is claimed only when no byte was handed to the upstream. `later` says
    that more may come of it: it became a task, whose end is its outcome, or its stream ended
    without an answer and can be resumed.
    """

    status: Status
    at: int
    http_status: int = 0
    bytes: int = 0
    result_digest: str = ""
    note: str = ""
    later: Literal["", "task", "stream"] = ""


Consulted = Catalogue | NoCatalogue
