"""The question put to the policy, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

from ostiary.policy.definition import Catalogue
from ostiary.policy.model import Window


class Question(msgspec.Struct, frozen=True):
    """One `tools/call`, as the policy sees it.

    `arguments` is strictly parsed JSON: dict, list, str, bool, None, int, float (only when its
    text is its own repr) or Decimal. `catalogue` is None when the upstream's tools are not
    known; steps 8 and 10 of P2 are then skipped and listed in `Decision.unchecked`.
    `stopped` says that an emergency stop is in force (P2.5).
    """

    tool: str
    arguments: Mapping[str, object]
    grant: str = "local"
    server: str = "local"
    user: str = ""
    org: str = ""
    track: str = ""
    catalogue: Catalogue | None = None
    stopped: bool = False
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Charge:
    """A reservation that one limit asks of the ledger for this call (P4).

    `key` names the counter: a canonical JSON array of (server, grant, tool or `all_tools`,
    counter, window, scope values). `bucket_of` groups the buckets of one limit for the
    10,000-bucket bound (P4.2); equal to `key` when the limit has no `args.*` scope.
    `amount` is the raw cost and `ceiling` is `max * per`: reserve when
    `used + amount <= ceiling`. A concurrency charge has `window` None, `amount` 1 and
    `ceiling` `max_concurrent`, and is released at the outcome or after `lease_seconds`.
    """

    key: str
    rule: str
    amount: Decimal
    ceiling: Decimal
    window: Window | None
    bucket_of: str = ""
    refund_on_error: bool = False
    lease_seconds: int = 0
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A call that may go ahead once people agree (P2.14, P5).

    `rules` are the rules that hold, and `reasons` why, one for each: for the approver, and never
    with an argument value. Each set of `approvers` needs the agreement of one of its members; none
    at all means that any one approver suffices. `hold_seconds` None leaves the time to the gate.
    `message` is for the approver. `convenience` lets the client's own user answer in a form.
    """

    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    approvers: tuple[frozenset[str], ...] = ()
    timeout_seconds: int = 1800
    hold_seconds: int | None = None
    message: str = ""
    convenience: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says to one call.

    `rules` are the ids that decided it: JSON pointers, or one of `(no policy)`, `(stopped)`,
    `(hidden)`, `(default deny)`, `(unknown tool)`, `(drift)`, `(argument twin)`, `(name twin)`,
    `(intercept default allow)`; empty when allowed by a listed tool.
    `message` is for the agent and identical for steps 6-8 (P2.16); `reasons` are for people
    (records, `explain`) and never hold an argument value.
    `charges` must all be reserved, or none, before the call is forwarded; those of a hold when it
    is redeemed. `hold` is there exactly when `effect` is `hold`, and `rules` and `reasons` are then its.
    """

    effect: Literal["allow", "deny", "hold"]
    rules: tuple[str, ...] = ()
    message: str = ""
    reasons: tuple[str, ...] = ()
    charges: tuple[Charge, ...] = ()
    revision: str = ""
    unchecked: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    hold: Hold | None = None
