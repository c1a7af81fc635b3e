"""The four outcomes of a condition and how they combine (P3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final


class Outcome(Enum):
    """What a condition says about one call.

    `ABSENT`: what it speaks about is not there (or null). `ERROR`: it is there, and the
    condition cannot judge it.
    """

    TRUE = "true"
    FALSE = "false"
    ABSENT = "absent"
    ERROR = "error"


TRUE: Final = Outcome.TRUE
FALSE: Final = Outcome.FALSE
ABSENT: Final = Outcome.ABSENT
ERROR: Final = Outcome.ERROR


def all_hold(outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene AND: false wins, then error, then absent. Nothing at all is absent (P3.2)."""
    found = set(outcomes)
    if FALSE in found:
        return FALSE
    if ERROR in found:
        return ERROR
    if ABSENT in found or not found:
        return ABSENT
    return TRUE


def any_holds(outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene OR: true wins, then error, then absent. Nothing at all is false (P3.2)."""
    found = set(outcomes)
    if TRUE in found:
        return TRUE
    if ERROR in found:
        return ERROR
    return ABSENT if ABSENT in found else FALSE


def inverted(outcome: Outcome) -> Outcome:
    """NOT: swaps true and false, keeps absent and error."""
    if outcome is TRUE:
        return FALSE
    return TRUE if outcome is FALSE else outcome
