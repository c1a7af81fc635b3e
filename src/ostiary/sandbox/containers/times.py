"""Moments as the docker CLI takes them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ostiary.errors import CallerFault

_AGO = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:h|m|s))+")
_PART = re.compile(r"([0-9.]+)(h|m|s)")
_SECONDS = {"h": 3_600, "m": 60, "s": 1}
_LONGEST = 64


def moment(text: str, now: float) -> str:
    """Seconds since 1970 for RFC 3339, for seconds since 1970, or for how long ago (`1h30m`).

    Raises CallerFault.
    """
    if len(text) <= _LONGEST:
        if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", text):
            return text
        if _AGO.fullmatch(text):
            ago = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
            return f"{max(0.0, now - ago):.6f}"
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return f"{(read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp():.6f}"
    raise CallerFault(
        f"{text[:_LONGEST]!r} is no time",
        hint="write `2026-01-31T12:00:00Z`, seconds since 1970, or `10m` for ago",
    )
