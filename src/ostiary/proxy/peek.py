"""What an answer says of itself at a glance: its outcome, its id, how it has to be read."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from ostiary.audit.record import Status
from ostiary.proxy.exchange import Head, Header
from ostiary.wire import sse
from ostiary.wire.message import MessageId

JSON = b"application/json"
EVENTS = b"text/event-stream"

Expected = Literal["request", "notification", "response", "stream", "end"]
"""What was sent: a message of one of three kinds, a GET (`stream`) or a DELETE (`end`)."""

Mode = Literal["events", "whole", "stream", "bare", "refused"]
"""How an answer is passed on: event by event; once all of it was seen; as it comes; without its
body; not at all."""

_FIELD_LINE = re.compile(rb"(?:(?:data|event|id|retry)(?::[^\r\n]*)?|:[^\r\n]*)?(?:\r\n?|\n)")
_PLAIN_EVENT = re.compile(rb"(?:" + _FIELD_LINE.pattern + rb")*")


class _ToolResult(msgspec.Struct):
    isError: bool = False  # noqa: N815 - the wire's name


class _Peek(msgspec.Struct):
    result: _ToolResult | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    """A success response with nothing beside it."""

    jsonrpc: Literal["2.0"]
    id: MessageId
    result: msgspec.Raw


_peek = msgspec.json.Decoder(_Peek).decode
_plain = msgspec.json.Decoder(_Plain).decode


def status_of(body: bytes, http_status: int) -> Status:
    """What an answer says of its call: `ok`, `tool_error` (`isError`) or `error`."""
    if http_status >= 400:  # noqa: PLR2004 - the HTTP class
        return "error"
    if not body:
        return "ok"
    try:
        peek = _peek(body)
    except msgspec.MsgspecError:
        return "error"
    if peek.error is not msgspec.UNSET:
        return "error"
    result = peek.result
    return "tool_error" if result is not msgspec.UNSET and result.isError else "ok"


def plain_id(body: bytes) -> MessageId | None:
    """The id of a success response without any other member; None for everything else."""
    try:
        return _plain(body).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def mode_of(head: Head, expected: Expected, *, lists: bool, unguarded: bool) -> Mode:
    """How to read an answer. What a client could take for a message must be seen, or not pass.

    `lists`: it answers a listing. `unguarded`: nothing is hidden or denied in answers.
    """
    kind, _ = content_type(head)
    if kind == EVENTS:
        return "events"
    guarded = lists or not unguarded
    if expected == "request" and guarded and kind == JSON:
        return "whole"
    if not guarded or head.status >= 400:  # noqa: PLR2004 - the HTTP class
        return "stream"
    if expected in ("notification", "response", "end") or head.length == 0:
        return "bare"
    return "refused"


def content_type(head: Head) -> tuple[bytes, bool]:
    """The media type, empty where there is not exactly one; and whether its text is UTF-8."""
    kinds = [value for name, value in head.headers if name == b"content-type"]
    if len(kinds) != 1:
        return b"", False
    kind, _, parameters = kinds[0].partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"").lower()
    return kind.strip().lower(), charset in (b"", b"charset=utf-8")


def in_utf8(head: Head) -> Head:
    """`head` with a media type that leaves one reading of the body: the one that was looked at."""
    kind, plain = content_type(head)
    if plain:
        return head
    headers: list[Header] = [header for header in head.headers if header[0] != b"content-type"]
    return Head(head.status, [*headers, (b"content-type", kind)], head.length)


def compressed(head: Head) -> bool:
    """Whether the body is encoded in any way."""
    return any(name == b"content-encoding" and value.lower() != b"identity" for name, value in head.headers)


def plain_event(event: sse.Event) -> bytes:
    """The bytes of an event without lines that the standard ignores and a lax reader may not."""
    if _PLAIN_EVENT.fullmatch(event.raw):
        return event.raw
    kept = b"".join(line for line in _LINE.findall(event.raw) if _FIELD_LINE.fullmatch(line))
    return kept if kept.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")) else kept + b"\n"


_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)")
