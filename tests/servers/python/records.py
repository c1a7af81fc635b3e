"""Records to convert."""

from __future__ import annotations

from typing import Any

from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.record import IsolationReport, RunRecord


def record(**given: Any) -> RunRecord:
    """A run that succeeded, apart from what is given."""
    return RunRecord(
        **{
            "run_id": "run_1",
            "owner": "g",
            "engine": "cpython",
            "version": "CPython 3.11.7",
            "status": "success",
            "started": 1,
            "isolation": IsolationReport("strict"),
            "limits": DEFAULT_LIMITS,
            **given,
        }
    )
