"""What the store does about approvals inside a transaction, and what it answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from ostiary.approvals.request import Request, Resolution, Standing, State

MAX_PENDING = 20
"""Requests of one grant that may wait at one time (P5.2)."""


class FormAnswer(msgspec.Struct, frozen=True):
    """What the client's own user said in a form, to the request `id`. `decline` is no answer."""

    id: str
    verdict: Literal["approve", "deny", "decline"]


class Ask(msgspec.Struct, frozen=True):
    """Redeem the approval for exactly this call; or ask for one, joining who asked before.

    `request` is what is asked if nobody has. `content` is the canonical call that approvers are
    shown. `form` is the answer of the client's own user, where the policy lets it count. `waited` is
    the request that the call has already waited for: nobody is asked a second time for one call.
    """

    request: Request
    content: bytes
    form: FormAnswer | None = None
    waited: str = ""


class Resolve(msgspec.Struct, frozen=True):
    """An approver answers the request `id`."""

    id: str
    resolution: Resolution


class Settle(msgspec.Struct, frozen=True):
    """An open request is over: its time is up, or a new policy came."""

    id: str
    to: State
    note: str = ""


Step = Ask | Resolve | Settle


class Redeemed(msgspec.Struct, frozen=True):
    """The approval `id` is used up by this call, in the transaction that reserves and records it."""

    id: str


class Waiting(msgspec.Struct, frozen=True):
    """A person has to answer `id` until `expires` (microseconds). `joined`: it was asked before."""

    id: str
    expires: int
    joined: bool


class Turned(msgspec.Struct, frozen=True):
    """Request `id` of this very call came to nothing. A denial stands until `expires`."""

    id: str
    state: State
    note: str
    expires: int


class Crowded(msgspec.Struct, frozen=True):
    """The grant has `MAX_PENDING` requests waiting already."""


class Stepped(msgspec.Struct, frozen=True):
    """A request was answered or settled; how it stands now."""

    standing: Standing


class Unchanged(msgspec.Struct, frozen=True):
    """Nothing was changed, and why."""

    reason: str


Answer = Redeemed | Waiting | Turned | Crowded | Stepped | Unchanged
