"""A forwarded call whose outcome comes later: as a task, or on a stream that is resumed.

Its outcome row carries the id of the call, whenever it is written. Pure.
"""

from __future__ import annotations

import msgspec

from ostiary.audit.record import Record
from ostiary.calls import records
from ostiary.calls.call import Call, Ended
from ostiary.calls.journal import Entry
from ostiary.policy.decision import Charge


class Outstanding(msgspec.Struct, frozen=True):
    """What the outcome of a call needs, without its arguments. `received` as in `Call`."""

    id: str
    received: int
    grant: str
    server: str
    method: str
    tool: str
    revision: str


def outstanding(call: Call) -> Outstanding:
    """What is kept of `call`."""
    return Outstanding(
        id=call.id,
        received=call.received,
        grant=call.grant,
        server=call.server,
        method=records.method_of(call),
        tool=records.subject_of(call),
        revision=call.policy.revision if call.policy else "",
    )


def outcome(of: Outstanding, ended: Ended, charges: tuple[Charge, ...] = ()) -> Entry:
    """The row of an outcome that came later. `charges` are what the call still holds.

    Its slots are free unless the outcome is unknown: then something may still work on it (P4.4).
    """
    record = Record(
        id=of.id,
        ts=ended.at,
        kind="outcome",
        grant=of.grant,
        server=of.server,
        method=of.method,
        tool=of.tool,
        status=ended.status,
        http_status=ended.http_status,
        latency_us=max(0, ended.at - of.received),
        bytes=ended.bytes,
        result_digest=ended.result_digest,
        note=ended.note,
    )
    return Entry(record, returns=returned(charges, ended, over=ended.status != "unknown"))


def returned(charges: tuple[Charge, ...], ended: Ended, *, over: bool) -> tuple[Charge, ...]:
    """What goes back (P4.4): everything if the call never left, slots once it is `over`."""
    if ended.status == "not_sent":
        return charges
    failed = ended.status in ("error", "tool_error")
    back = [
        charge
        for charge in charges
        if (charge.window is None and over) or (charge.refund_on_error and failed)
    ]
    return tuple(back)
