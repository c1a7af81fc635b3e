"""How requests for approval are shown: as lines for a terminal of 80 columns, and as JSON.

What comes from the agent or the server is shown escaped: an argument must not be able to paint
over the question that an approver answers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import msgspec

from ostiary.approvals import lifecycle
from ostiary.approvals.request import Standing
from ostiary.cli.printable import fitted, padded, printable

SECOND = 1_000_000
NAME = 28
MAX_PLAIN = 40
"""Digits up to which a decimal is written out instead of with an exponent."""


def list_lines(found: Sequence[Standing], now: int) -> list[str]:
    """A table of requests; one line says that there are none."""
    if not found:
        return ["nothing waits for approval"]
    lines = [f"{'request':<30} {'tool':<{NAME}} {'state':<9} {'left':>9}"]
    for standing in found:
        request, state = standing.request, lifecycle.at(standing, now).state
        left = duration(request.expires - now) if state in lifecycle.OPEN else ""
        lines.append(f"{padded(request.id, 30)} {padded(request.tool, NAME)} {state:<9} {left:>9}")
    return lines


def show_lines(standing: Standing, content: bytes | None, now: int) -> list[str]:
    """Everything an approver needs, the call last."""
    standing = lifecycle.at(standing, now)
    request, state = standing.request, standing.state
    until = f", until {clock(request.expires)} (in {duration(request.expires - now)})"
    asked = f"{clock(request.asked)} ({duration(now - request.asked)} ago)"
    lines = [
        f"request    {printable(request.id)}",
        f"state      {state}{until if state in lifecycle.OPEN else ''}",
        f"tool       {fitted(request.tool, 200)} on server {printable(request.server)}",
        f"asked by   {printable(request.principal)}, {asked}",
    ]
    if request.message:
        lines.append(f"message    {printable(request.message)}")
    lines += _many("because", [printable(reason) for reason in request.reasons])
    lines += _many("approvers", _approvers(standing))
    answers = [
        f"{printable(one.approver)} said {one.verdict}" + (f": {printable(one.note)}" if one.note else "")
        for one in standing.resolutions
    ]
    lines += _many("answers", answers)
    if standing.note and state == "cancelled":
        lines.append(f"note       {printable(standing.note)}")
    lines.append(f"record     ostiary audit show {printable(request.evaluation)}")
    lines.append("")
    if content is None:
        return [*lines, "The call itself is kept only while the request is open."]
    return [*lines, "The call, exactly as it would be sent on:", *call_lines(content)]


def as_json(standing: Standing, now: int, content: bytes | None = None) -> dict[str, object]:
    """One request as documented in `docs/reference/approvals.md`; `call` only where `content` is given."""
    standing = lifecycle.at(standing, now)
    request = standing.request
    document: dict[str, object] = {
        "id": request.id,
        "state": standing.state,
        "tool": request.tool,
        "server": request.server,
        "grant": request.grant,
        "principal": request.principal,
        "asked": stamp(request.asked),
        "expires": stamp(request.expires),
        "rules": list(request.rules),
        "reasons": list(request.reasons),
        "message": request.message,
        "approvers": [list(names) for names in request.approvers],
        "missing": [list(names) for names in lifecycle.missing(request, _agreeing(standing))],
        "convenience": request.convenience,
        "revision": request.revision,
        "definition": request.definition,
        "digest": request.digest,
        "evaluation_id": request.evaluation,
        "note": standing.note,
        "answers": [
            {"approver": one.approver, "verdict": one.verdict, "note": one.note, "at": stamp(one.at)}
            for one in standing.resolutions
        ],
    }
    if content is not None:
        document["call"] = msgspec.Raw(content)
    return document


def call_lines(content: bytes) -> list[str]:
    """The canonical call, indented; every character outside ASCII is escaped."""
    value = json.loads(content, parse_float=_Exact)
    return _render(cast("object", value), 0).split("\n")


class _Exact(str):
    """A number as it is written in the canonical text."""

    __slots__ = ()


def _render(value: object, depth: int) -> str:
    inside, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        parts = [f"{inside}{json.dumps(key)}: {_render(one, depth + 1)}" for key, one in members]
        return "{\n" + ",\n".join(parts) + f"\n{end}}}" if parts else "{}"
    if isinstance(value, list):
        parts = [f"{inside}{_render(one, depth + 1)}" for one in cast("list[object]", value)]
        return "[\n" + ",\n".join(parts) + f"\n{end}]" if parts else "[]"
    if isinstance(value, _Exact):
        return _plain(Decimal(value))
    return json.dumps(value)


def _plain(number: Decimal) -> str:
    """A decimal as people write it, always with a point: `1.0` is not the integer 1."""
    if abs(number.adjusted()) > MAX_PLAIN:
        return str(number)
    text = f"{number:f}"
    return text if "." in text else text + ".0"


def duration(microseconds: int) -> str:
    """A length of time in two units at most."""
    seconds = max(0, microseconds // SECOND)
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min" if minutes >= 10 or not seconds else f"{minutes} m {seconds} s"  # noqa: PLR2004 - below ten, seconds matter
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours < 48 else f"{hours // 24} days"  # noqa: PLR2004 - two days


def clock(microseconds: int) -> str:
    """A moment for people, in UTC; the number itself when it is no time that there is."""
    moment = _moment(microseconds)
    return str(microseconds) if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def stamp(microseconds: int) -> str:
    """A moment for programs (RFC 3339); the number itself when it is no time that there is."""
    moment = _moment(microseconds)
    if moment is None:
        return str(microseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(microseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(microseconds / SECOND, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _agreeing(standing: Standing) -> frozenset[str]:
    return lifecycle.approving(standing.resolutions)


def _approvers(standing: Standing) -> list[str]:
    request = standing.request
    if request.convenience:
        return ["the client's own user, in a form", *_sets(request.approvers)]
    return _sets(request.approvers) or ["any registered approver"]


def _sets(approvers: Sequence[Sequence[str]]) -> list[str]:
    return [printable("one of " * (len(names) > 1) + ", ".join(names)) for names in approvers]


def _many(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{label if index == 0 else '':<10} {line}" for index, line in enumerate(lines)]
