"""Keeps the questions of one session's server apart from those of the session before.

A server that was started again numbers its questions from the start. A client that still thinks
about an older one could answer the newer with it, so in a session that was begun anew the client
is given other ids; what it answers to those of a former session is not passed on.
"""

from __future__ import annotations

import msgspec

from ostiary.proxy.bridge.glance import Glance, glance, scalar
from ostiary.wire.strict import UNREADABLE

CANCELLED = "notifications/cancelled"

_METHOD, _ESCAPE = b'"method"', b"\\u"
"""Without the one, and without an escape that may spell it, a message is no question."""

_encode = msgspec.json.Encoder().encode


def asked(epoch: int, message: bytes) -> bytes:
    """A message of the server as the client of session number `epoch` is given it.

    Number 0 is the session that the client began itself: there ids are left as they are.
    """
    if not epoch or (_METHOD not in message and _ESCAPE not in message):
        return message
    seen = glance(message)
    if seen is not None and seen.kind == "request":
        return with_member(message, "id", _theirs(epoch, seen.id_raw)) or message
    if seen is not None and seen.method == CANCELLED and seen.refers is not None:
        return _cancelled(epoch, message) or message
    return message


def answered(epoch: int, message: bytes, seen: Glance) -> bytes | None:
    """The client's answer `message` as its server takes it; None when it is for a former session."""
    if not epoch:
        return message
    prefix = _prefix(epoch)
    if not isinstance(seen.id, str) or not seen.id.startswith(prefix):
        return None
    own = seen.id[len(prefix) :].encode()
    return None if scalar(own) is None else with_member(message, "id", own)


def with_member(message: bytes, name: str, value: bytes) -> bytes | None:
    """The object `message` with `value`, which is JSON, as its member `name`; None when it is no object."""
    try:
        members = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return None
    members[name] = msgspec.Raw(value)
    return _encode(members)


def _cancelled(epoch: int, message: bytes) -> bytes | None:
    """A cancellation names the question in its parameters."""
    try:
        members = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
        params = members.get("params", b"")
        raw = msgspec.json.decode(params, type=dict[str, msgspec.Raw]).get("requestId", b"")
    except UNREADABLE:
        return None
    changed = with_member(bytes(params), "requestId", _theirs(epoch, bytes(raw)))
    return None if changed is None else with_member(message, "params", changed)


def _prefix(epoch: int) -> str:
    return f"session-{epoch}:"


def _theirs(epoch: int, id_raw: bytes) -> bytes:
    return _encode(_prefix(epoch) + id_raw.decode())
