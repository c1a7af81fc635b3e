"""What may become of a request, and whose word counts.

pending ── approve by one of every set ──▶ approved ── the exact call, once ──▶ consumed
│  └──── deny by anybody asked ───────▶ denied          │
└──── time, or a new policy ──────────▶ expired, cancelled ◀──┘
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from ostiary.approvals.request import FORM, Request, Resolution, Standing, State

OPEN: frozenset[State] = frozenset({"pending", "approved"})
"""States from which something can still come."""


def at(standing: Standing, now: int) -> Standing:
    """The same at `now`, in microseconds: what is open and past its time has expired."""
    if standing.state in OPEN and now >= standing.request.expires:
        return msgspec.structs.replace(standing, state="expired", ended=standing.request.expires)
    return standing


def may_answer(request: Request, approver: str) -> str:
    """Why `approver` may not answer `request`, in words; empty when they may."""
    if approver == request.principal:
        return f"`{approver}` asked for this, and nobody approves their own call"
    if request.approvers and not any(approver in names for names in request.approvers):
        named = ", ".join(sorted({name for names in request.approvers for name in names}))
        return f"`{approver}` is not among those who may answer this: {named}"
    return ""


def agreed(request: Request, approvers: Collection[str]) -> bool:
    """Whether those who approved are enough: one of every set, or anybody where none is named."""
    if not request.approvers:
        return bool(approvers)
    return all(any(name in approvers for name in names) for names in request.approvers)


def missing(request: Request, approvers: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The sets of which nobody has agreed yet."""
    return tuple(names for names in request.approvers if not any(name in approvers for name in names))


def resolved(standing: Standing, resolution: Resolution, now: int) -> Standing | str:
    """The standing after an approver's answer at `now`; or why the answer does not count.

    Only a pending request can be answered: what was denied, has expired or was used stays so.
    An approver who answers again while it is pending replaces the former answer.
    """
    standing = at(standing, now)
    if standing.state != "pending":
        return f"this request is {_SAID[standing.state]}"
    problem = may_answer(standing.request, resolution.approver)
    if problem:
        return problem
    others = tuple(one for one in standing.resolutions if one.approver != resolution.approver)
    answers = (*others, resolution)
    state: State = "pending"
    if resolution.verdict == "deny":
        state = "denied"
    elif agreed(standing.request, approving(answers)):
        state = "approved"
    ended = now if state == "denied" else 0
    return msgspec.structs.replace(
        standing, state=state, ended=ended, note=resolution.note, resolutions=answers
    )


def approving(resolutions: tuple[Resolution, ...]) -> frozenset[str]:
    """Who has approved, the client's own user apart: a form is no approver."""
    return frozenset(one.approver for one in resolutions if one.verdict == "approve" and one.approver != FORM)


_SAID: dict[State, str] = {
    "pending": "pending",
    "approved": "already approved",
    "denied": "already denied",
    "expired": "expired",
    "cancelled": "cancelled",
    "consumed": "already used",
}
