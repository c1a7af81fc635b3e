"""The audit records that one call leaves behind. No argument value ever enters one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import msgspec

from ostiary.audit.record import Kind, Record
from ostiary.calls.call import Call, Ended

_QUERY = re.compile(r"[?#]")
_USER_INFO = re.compile(r"://[^/]*@")

MAX_KEYS = 64
MAX_NAME = 256
MAX_RULES = 32
"""Rules of one denial that its record names; a policy may have thousands, and all may deny one call."""
MAX_REASON = 512


def method_of(call: Call) -> str:
    """The method, bounded: either side may make one up."""
    return (call.message.method or f"response:{call.answers}")[:MAX_NAME]


def subject_of(call: Call) -> str:
    """The tool, prompt or resource that a call names, bounded; empty when it names none."""
    params = call.message.params
    name = params.get("name")
    if isinstance(name, str):
        return name[:MAX_NAME]
    uri = params.get("uri")
    return _shown_uri(uri)[:MAX_NAME] if isinstance(uri, str) else ""


def _shown_uri(uri: str) -> str:
    """A URI without query, user name and password; without its content if it is a `data:` one."""
    if uri[:5].lower() == "data:":
        return "data:"
    return _USER_INFO.sub("://", _QUERY.split(uri, 1)[0])


def argument_keys(call: Call) -> tuple[str, ...]:
    """Top-level argument names, bounded in number and length."""
    arguments = call.message.params.get("arguments")
    if not isinstance(arguments, dict) or not arguments:
        return ()
    names = tuple(cast("dict[str, object]", arguments))
    if len(names) > MAX_KEYS or max(map(len, names)) > MAX_NAME:
        names = tuple(name[:MAX_NAME] for name in names[:MAX_KEYS])
    return names


def decided(  # noqa: PLR0913 - each is one field of the record
    call: Call,
    kind: Kind,
    decision: str,
    rules: Sequence[str] = (),
    reasons: Sequence[str] = (),
    message: str = "",
    *,
    enforced: bool = True,
    note: str = "",
) -> Record:
    """The record of a decision: an intent, a denial, or a single-row event."""
    return Record(
        id=call.id,
        ts=call.received,
        kind=kind,
        principal=call.principal,
        grant=call.grant,
        server=call.server,
        method=method_of(call),
        tool=subject_of(call),
        decision=decision,
        rules=tuple(rules[:MAX_RULES]),
        reasons=_bounded(reasons),
        message=message,
        revision=call.policy.revision if call.policy else "",
        args_keys=argument_keys(call),
        args_digest=call.args_digest,
        session=call.session,
        parent=call.parent,
        enforced=enforced,
        note=note,
    )


def about_approval(record: Record, approval: str) -> Record:
    """The same row, naming the approval that it is about."""
    return msgspec.structs.replace(record, approval=approval)


def _bounded(reasons: Sequence[str]) -> tuple[str, ...]:
    if not reasons:
        return ()
    kept = tuple(reason[:MAX_REASON] for reason in reasons[:MAX_RULES])
    more = len(reasons) - len(kept)
    return (*kept, f"and {more} more") if more else kept


def outcome(call: Call, ended: Ended) -> Record:
    """The record of what became of an intent."""
    return Record(
        id=call.id,
        ts=ended.at,
        kind="outcome",
        grant=call.grant,
        server=call.server,
        method=method_of(call),
        tool=subject_of(call),
        status=ended.status,
        http_status=ended.http_status,
        latency_us=max(0, ended.at - call.received),
        bytes=ended.bytes,
        result_digest=ended.result_digest,
        note=ended.note,
    )


def passed(call: Call, ended: Ended, rules: Sequence[str]) -> Record:
    """The one row of a message that is recorded after it was forwarded."""
    return ended_as(decided(call, "event", "allow", rules), ended)


def ended_as(record: Record, ended: Ended) -> Record:
    """A single-row record, completed with how it ended. `record.ts` is when it began."""
    return msgspec.structs.replace(
        record,
        status=ended.status,
        http_status=ended.http_status,
        latency_us=max(0, ended.at - record.ts),
        bytes=ended.bytes,
        note=ended.note,
    )
