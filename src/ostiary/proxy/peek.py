"""What an answer says of itself at a glance: its outcome, its id, how it has to be read."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

import msgspec

from ostiary.audit.record import Status
from ostiary.proxy.exchange import ClientRequest, Head, Header
from ostiary.wire import sse
from ostiary.wire.arrays import members_of
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message, MessageId
from ostiary.wire.strict import UNREADABLE

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


class _Handles(msgspec.Struct, rename="camel"):
    """The members of a result that hold something to come back with."""

    result_type: str = ""
    request_state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    task: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Claims(msgspec.Struct):
    """What makes a lax reader take something for a message."""

    method: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Holding(msgspec.Struct):
    result: _Handles | msgspec.UnsetType = msgspec.UNSET


_peek = msgspec.json.Decoder(_Peek).decode
_plain = msgspec.json.Decoder(_Plain).decode
_holding = msgspec.json.Decoder(_Holding).decode
_claims = msgspec.json.Decoder(_Claims).decode


def status_of(body: bytes, http_status: int) -> Status:
    """What an answer says of its call: `ok`, `tool_error` (`isError`) or `error`."""
    if http_status >= 400:  # noqa: PLR2004 - the HTTP class
        return "error"
    if not body:
        return "ok"
    try:
        peek = _peek(body)
    except UNREADABLE:
        return _status_in_array(body)
    if peek.error is not msgspec.UNSET:
        return "error"
    result = peek.result
    return "tool_error" if result is not msgspec.UNSET and result.isError else "ok"


def _status_in_array(body: bytes) -> Status:
    """A server of 2025-03-26 may put its one answer into an array; what else is no answer failed."""
    members = members_of(body)
    if members is None or any(span.of(body).startswith(b"[") for span in members):
        return "error"
    for span in members:
        status = status_of(span.of(body), 200)
        if status != "ok":
            return status
    return "ok"


def has_handles(body: bytes) -> bool:
    """Whether an answer may hold a handle for its client: a task, or a state to come back with."""
    try:
        result = _holding(body).result
    except UNREADABLE:
        return True  # of a shape that has to be looked at closer
    if result is msgspec.UNSET:
        return False
    state, task = result.request_state, result.task
    return result.result_type == "task" or state is not msgspec.UNSET or task is not msgspec.UNSET


def plain_id(body: bytes) -> MessageId | None:
    """The id of a success response without any other member; None for everything else."""
    try:
        return _plain(body).id
    except UNREADABLE:
        return None


def is_bare_error(body: bytes) -> bool:
    """Whether the body says nothing but that the request failed: empty, or an error without an id.

    That is how servers say that a session is over, which a client must hear whatever it asked for.
    """
    if not body:
        return True
    message = read_message(body, null_id=True)
    return isinstance(message, Message) and message.kind == "response" and message.id is None


def error_of(body: bytes, kept: bytes | None, *, lists: bool) -> bytes | None:
    """What passes of the body of an HTTP error that is not the answer; None if not even its status.

    `kept` is what was to pass of it as a message. A list must not get around its filter as an
    error (`lists`); elsewhere the status is what a client must hear.
    """
    if lists:
        return (body if kept is None else kept) if is_bare_error(body) else None
    if plain_id(body) is not None:
        return None
    if kept is not None:
        return kept
    return body if _tells_nothing(body) else b""


def _tells_nothing(body: bytes) -> bool:
    """Whether nobody takes the body of an HTTP error for more than the error of some request.

    That is a strictly read error response, or no message in anybody's eyes: no array, no `method`,
    no `result`, and nothing like the error object of a response (`{"error": "invalid_token"}` is fine).
    """
    message = read_message(body, null_id=True)
    if isinstance(message, Message):
        return "error" in message.envelope
    try:
        claims = _claims(body)
    except UNREADABLE:
        return body.lstrip()[:1] not in (b"{", b"[")
    error = b"" if claims.error is msgspec.UNSET else bytes(claims.error)
    return claims.method is msgspec.UNSET and claims.result is msgspec.UNSET and error[:1] != b"{"


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


def is_plain_json(request: ClientRequest) -> bool:
    """Whether there is one way to read the body: one JSON type, UTF-8 or no charset, no encoding."""
    encoding = request.header(b"content-encoding")
    kind = request.header(b"content-type") or b""
    if encoding is not None and encoding.lower() != b"identity":
        return False
    return media_type(kind) == (JSON, True)


@lru_cache(maxsize=256)
def media_type(value: bytes) -> tuple[bytes, bool]:
    """The media type that a Content-Type names; and whether its text is UTF-8."""
    kind, _, parameters = value.partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"").lower()
    return kind.strip().lower(), charset in (b"", b"charset=utf-8")


def content_type(head: Head) -> tuple[bytes, bool]:
    """The media type, empty where there is not exactly one; and whether its text is UTF-8."""
    kinds = [value for name, value in head.headers if name == b"content-type"]
    return media_type(kinds[0]) if len(kinds) == 1 else (b"", False)


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
    raw = event.raw[len(_BOM) :] if event.marked else event.raw
    kept = b"".join(line for line in _LINE.findall(raw) if _FIELD_LINE.fullmatch(line))
    return kept if kept.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")) else kept + b"\n"


_LINE = re.compile(rb"[^\r\n]*(?:\r\n?|\n)")
_BOM = b"\xef\xbb\xbf"
