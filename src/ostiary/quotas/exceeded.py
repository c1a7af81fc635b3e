"""The answer of a ledger that has no room."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that has no room: which one, and when a retry of this call could pass.

    `retry_after_ms` is None when no wait helps (the cost alone is above the maximum), else
    the latest retry time of all exceeded limits (P4.1). `reason` is `limit`, `buckets` (more
    than the permitted number of live buckets, P4.2) or `amount` (not a finite, non-negative
    number within bounds, P4.3).
    """

    rule: str
    retry_after_ms: int | None
    message: str | None = None
    reason: str = "limit"
