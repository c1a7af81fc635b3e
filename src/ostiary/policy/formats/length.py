"""Lengths of time: a whole number and `s`, `m`, `h` or `d`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ostiary.policy.formats.draft import Draft
from ostiary.policy.source import Located, shown

LONGEST: Final = 366 * 86_400
"""The longest window or lease, in seconds."""

_LENGTH = re.compile(r"(0|[1-9][0-9]{0,8})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Span(NamedTuple):
    """The lengths that a key takes, in seconds, and how its bounds are written."""

    least: int
    most: int
    words: str


WINDOW: Final = Span(1, LONGEST, "`1s` to `366d`")
TIMEOUT: Final = Span(10, 7 * 86_400, "`10s` to `7d`")
HOLD: Final = Span(0, 240, "`0s` to `240s`")


def read_length(draft: Draft, text: str, at: Located, what: str, span: Span = WINDOW) -> int | None:
    """Seconds of a length such as `30s`, `10m`, `12h` or `7d`; None after a problem."""
    found = _LENGTH.fullmatch(text)
    seconds = int(found.group(1)) * _UNITS[found.group(2)] if found else -1
    if not span.least <= seconds <= span.most:
        message = f"`{what}` is a length from {span.words}, found {shown(text)}"
        hint = "a whole number and its unit, such as `30s` or `10m`" if span is not WINDOW else _EXAMPLES
        draft.error("bad-window", message, at, hint)
        return None
    return seconds


_EXAMPLES: Final = "such as `30s`, `10m`, `12h` or `7d`"
