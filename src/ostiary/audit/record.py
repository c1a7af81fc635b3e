"""Audit records: what was decided, before it is done, and what came of it.

A record never holds an argument value. Digests are keyed (HMAC-SHA256 under the state's audit
key), so a guessed value cannot be confirmed by who reads the log.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["intent", "denial", "outcome", "event"]
"""`intent`: allowed and about to be forwarded. `denial`: decided and not forwarded (also
refused messages). `outcome`: what became of an intent. `event`: everything else (start, stop,
policy activated, listing, initialize, notification, counting records, checkpoint notes)."""

Status = Literal["ok", "error", "tool_error", "unknown", "cancelled", "not_sent"]
"""Of an outcome. `error`: JSON-RPC error or HTTP error. `tool_error`: `isError: true`.
`unknown`: time-out, crash, connection lost after a byte was written. `not_sent`: provably
never left, so what was reserved is returned."""

Reserved = tuple[str, str, int, str, int, str]
"""`[key, amount, at, form, seconds, bucket]`: the counter, the exact amount as text, when in
microseconds, `sliding`, `calendar` or `slot`, the length of the window or of the lease, and
the bucket group (empty without an `args.*` scope)."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One row of the audit log, without the chain fields that the store adds.

    `id` names the call (an evaluation id, `ev_` + 26 characters, time-ordered); an intent and
    its outcome share it. `ts` is microseconds since the epoch, UTC. `args_keys` are top-level
    argument names. `reservations` and `refunds` are what an intent took and an outcome gave
    back: the data counters are rebuilt from (P4.5). Both are filled in by the store, which
    alone knows the time of the transaction. `bytes` are of the answer. `approval` is the id of
    the approval that a row is about, or that an intent used up.
    """

    id: str
    ts: int
    kind: Kind
    principal: str = ""
    grant: str = ""
    server: str = ""
    method: str = ""
    tool: str = ""
    decision: str = ""
    rules: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    message: str = ""
    revision: str = ""
    reservations: tuple[Reserved, ...] = ()
    refunds: tuple[Reserved, ...] = ()
    args_keys: tuple[str, ...] = ()
    args_digest: str = ""
    result_digest: str = ""
    status: Status | Literal[""] = ""
    http_status: int = 0
    latency_us: int = 0
    bytes: int = 0
    parent: str = ""
    session: str = ""
    enforced: bool = True
    note: str = ""
    count: int = 0
    approval: str = ""
