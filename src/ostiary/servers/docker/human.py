"""Sizes and times as the clients of container engines write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

_HOUR: Final = 3_600
_DAY: Final = 24

_NAME: Final = re.compile(r"[A-Za-z_-][A-Za-z0-9_.-]*")
_OPTION: Final = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]*")

HIDDEN: Final = "[redacted]"

_SECRET_NAME: Final = re.compile(
    r"secret|token|passw(or)?d|pass(?![a-z])|pwd|passphrase|key|dsn|credential|auth|cookie|private|jwt",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"  # a URL with a password
    r"|(?i:(pass|passwd|password|pwd|token|secret|accountkey|sharedaccesskey)=[^;\s])"  # `…;Password=x;…`
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(gh[pousr]_|github_pat_|glpat-|xox[abposr]-|sk-|AKIA|ASIA|AIza|eyJ[\w-]+\.eyJ)"
)


def size(count: float, digits: int = 4) -> str:
    """Bytes in powers of 1000, as `12.3MB`."""
    return _scaled(count, 1_000, _DECIMAL, digits)


def binary_size(count: float) -> str:
    """Bytes in powers of 1024, as `1.5MiB`."""
    return _scaled(count, 1_024, _BINARY, 4)


def _scaled(count: float, base: int, units: tuple[str, ...], digits: int) -> str:
    unit = 0
    while count >= base and unit < len(units) - 1:
        count /= base
        unit += 1
    return f"{float(f'{count:.{digits}g}'):.15g}{units[unit]}"


def ago(created: float, now: float) -> str:
    """How long ago something was made, in words. Both in seconds since 1970."""
    return f"{_lasting(max(0.0, now - created))} ago"


def _lasting(seconds: float) -> str:
    if seconds < 2:  # noqa: PLR2004 - one second
        return "1 second" if seconds >= 1 else "Less than a second"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{int(seconds)} seconds"
    if seconds < _HOUR:
        minutes = int(seconds // 60)
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for below, unit, name in (
        (2 * _DAY, 1, "hours"),
        (14 * _DAY, _DAY, "days"),
        (60 * _DAY, 7 * _DAY, "weeks"),
        (730 * _DAY, 30 * _DAY, "months"),
    ):
        if hours < below:
            return f"{hours // unit} {name}"
    return f"{hours // (365 * _DAY)} years"


def moment(seconds: float) -> str:
    """A time in ISO 8601, from seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def is_secret(name: str, value: str) -> bool:
    """Whether a value looks like something that nobody should read: by its name, or by itself."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))


def without_secrets(variables: list[str]) -> list[str]:
    """`NAME=VALUE` each, the values that look like secrets replaced."""
    parts = [one.partition("=") for one in variables]
    return [f"{name}={HIDDEN if value and is_secret(name, value) else value}" for name, _, value in parts]


def words_without_secrets(words: Sequence[str]) -> list[str]:
    """The same for a command line: `--password=x`, and `x` after `--password`."""
    shown: list[str] = []
    named = False
    for word in words:
        name, equals, value = word.partition("=")
        option = bool(_OPTION.fullmatch(name)) and is_secret(name, "")
        if named and not word.startswith("-"):
            shown.append(HIDDEN)
        elif equals and value and _NAME.fullmatch(name) and is_secret(name, value):
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(HIDDEN if is_secret("", word) else word)
        named = option and not equals
    return shown


def labels_without_secrets(labels: Mapping[str, str]) -> dict[str, str]:
    """The same for labels."""
    return {name: HIDDEN if is_secret(name, value) else value for name, value in labels.items()}
