"""Bounds and time-outs of the network side that an operator may set, each within fixed ends.

Nothing here can be switched off: the highest value of every bound is still a bound.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from textwrap import fill
from typing import Literal

from ostiary.errors import CallerFault

Kind = Literal["size", "count", "time"]
"""What a value is: bytes, a number of things, or seconds."""

_KIB, _MIB = 1024, 1024 * 1024
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_UNITS: dict[Kind, dict[str, float]] = {
    "size": {"": 1, "B": 1, "KiB": _KIB, "MiB": _MIB},
    "count": {"": 1},
    "time": {"ms": 0.001, "s": 1.0, "m": _MINUTE, "h": _HOUR},
}
_EXAMPLES: dict[Kind, str] = {
    "size": "a size such as `512KiB` or `4MiB`",
    "count": "a number",
    "time": "a time with its unit, such as `500ms`, `10s`, `5m` or `1h`",
}
_VALUE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([A-Za-z]{0,3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """One value for every limit. Sizes in bytes, times in seconds. Meanings stand in `LIMITS`."""

    body: int = 4 * _MIB
    head: int = 32 * _KIB
    headers: int = 100
    target: int = 8 * _KIB
    pipelined: int = 8
    connections: int = 10_000
    write_buffer: int = 64 * _KIB
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    linger_timeout: float = 2.0
    peer_timeout: float = 2 * _MINUTE
    tls_handshake_timeout: float = 10.0
    drain: float = 10.0
    upstream_head: int = 64 * _KIB
    upstream_headers: int = 100
    upstream_connections: int = 4096
    upstream_idle: int = 256
    upstream_connect_timeout: float = 10.0
    upstream_head_timeout: float = 5 * _MINUTE
    upstream_body_timeout: float = _MINUTE
    upstream_stream_timeout: float = _HOUR
    upstream_idle_timeout: float = 4.0


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Limit:
    """One name of `--limit`: what it bounds, and between which ends it may be set."""

    name: str
    kind: Kind
    lowest: float
    highest: float
    meaning: str

    @property
    def field(self) -> str:
        """The name of its value in `Bounds`."""
        return self.name.replace("-", "_")

    @property
    def default(self) -> str:
        """The value in force when none is given, with its unit."""
        return shown(self.kind, float(getattr(DEFAULT_BOUNDS, self.field)))

    @property
    def range(self) -> str:
        """Both ends, with their units."""
        return f"{shown(self.kind, self.lowest)} to {shown(self.kind, self.highest)}"


LIMITS: tuple[Limit, ...] = (
    Limit("body", "size", _KIB, 16 * _MIB, "bytes of one request's body"),
    Limit("head", "size", _KIB, 256 * _KIB, "bytes of one request's head"),
    Limit("headers", "count", 16, 1000, "headers of one request"),
    Limit("target", "size", 64, 64 * _KIB, "bytes of a request's path and query"),
    Limit("pipelined", "count", 1, 64, "requests that wait on one connection before reading pauses"),
    Limit("connections", "count", 1, 1_000_000, "clients connected at one time; the rest is answered 503"),
    Limit("write-buffer", "size", 4 * _KIB, 16 * _MIB, "bytes held for a client that reads slowly"),
    Limit("head-timeout", "time", 0.1, 10 * _MINUTE, "from the first byte of a head to its last"),
    Limit("body-timeout", "time", 0.1, _HOUR, "from the head of a request to the end of its body"),
    Limit("idle-timeout", "time", 0.1, _DAY, "between two requests on one connection"),
    Limit("linger-timeout", "time", 0.1, _MINUTE, "for a client to read the last answer and close"),
    Limit("peer-timeout", "time", 1, _HOUR, "before a peer that acknowledges nothing is given up"),
    Limit("tls-handshake-timeout", "time", 0.1, 2 * _MINUTE, "for a client's TLS handshake"),
    Limit("drain", "time", 0, _HOUR, "for running calls after the signal to stop"),
    Limit("upstream-head", "size", _KIB, _MIB, "bytes of the head of an upstream's answer"),
    Limit("upstream-headers", "count", 16, 1000, "headers of an upstream's answer"),
    Limit("upstream-connections", "count", 1, 100_000, "connections to the upstream at one time"),
    Limit("upstream-idle", "count", 0, 10_000, "connections to the upstream kept for reuse"),
    Limit("upstream-connect-timeout", "time", 0.1, 5 * _MINUTE, "to connect, with egress proxy and TLS"),
    Limit("upstream-head-timeout", "time", 0.1, _DAY, "from a request to the head of its answer"),
    Limit("upstream-body-timeout", "time", 0.1, _DAY, "between two pieces of an answer"),
    Limit("upstream-stream-timeout", "time", 0.1, 7 * _DAY, "between two pieces of an event stream"),
    Limit("upstream-idle-timeout", "time", 0.1, _HOUR, "how long a connection is kept for reuse"),
)

_BY_NAME = {limit.name: limit for limit in LIMITS}


def parse_limits(given: Sequence[str]) -> Bounds:
    """The bounds in force after every `NAME=VALUE` of `--limit`.

    Raises CallerFault for an unknown name, a name given twice, a value without a meaning and one
    outside its range.
    """
    changes: dict[str, float | int] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise CallerFault(
                f"--limit: expected NAME=VALUE, found `{text[:80]}`", hint="for example --limit body=8MiB"
            )
        limit = _named(name.strip())
        if limit.field in changes:
            raise CallerFault(f"--limit: `{limit.name}` is given twice")
        changes[limit.field] = _value(limit, value.strip())
    return replace(DEFAULT_BOUNDS, **changes)


def shown(kind: Kind, value: float) -> str:
    """A value as it is written for `--limit`, in its largest whole unit."""
    if kind == "count" or not value:
        return f"{value:.0f}" + ("s" if kind == "time" else "")
    units = [(name, size) for name, size in _UNITS[kind].items() if name]
    for name, size in reversed(units):
        whole = value / size
        if whole >= 1 and whole == int(whole):
            return f"{int(whole)}{name}"
    return f"{value:g}{units[0][0]}"


def help_lines() -> str:
    """All limits for `--help`: name, default, what it bounds."""
    lines: list[str] = []
    for limit in LIMITS:
        begin = f"  {limit.name:<26} {limit.default:<7} "
        lines.append(fill(limit.meaning, 80, initial_indent=begin, subsequent_indent=" " * len(begin)))
    return "\n".join(lines)


def _named(name: str) -> Limit:
    limit = _BY_NAME.get(name)
    if limit is None:
        near = get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean `{near[0]}`" if near else "`ostiary proxy --help` lists them"
        raise CallerFault(f"--limit: `{name[:64]}` is not a limit", hint=hint)
    return limit


def _value(limit: Limit, text: str) -> float | int:
    found = _VALUE.fullmatch(text)
    unit = _UNITS[limit.kind].get(found[2]) if found else None
    if found is None or unit is None:
        raise CallerFault(f"--limit {limit.name}: expected {_EXAMPLES[limit.kind]}, found `{text[:40]}`")
    value = float(found[1]) * unit
    if limit.kind != "time" and value != int(value):
        raise CallerFault(f"--limit {limit.name}: `{text}` is not a whole number")
    if not limit.lowest <= value <= limit.highest:
        raise CallerFault(f"--limit {limit.name}: `{text}` is out of range, which is {limit.range}")
    return value if limit.kind == "time" else int(value)
