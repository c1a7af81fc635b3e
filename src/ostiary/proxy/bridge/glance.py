"""A glance at a JSON-RPC message, just deep enough to route it between pipes and streams.

This decides nothing: messages from the client have been parsed strictly before, and messages
from the server are relayed as they are.
"""

from __future__ import annotations

import json
import re
from typing import Literal, NoReturn, cast

import msgspec
from msgspec import Raw

from ostiary.wire.message import MessageId
from ostiary.wire.strict import UNREADABLE

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
SUBSCRIPTION_KEY = "io.modelcontextprotocol/subscriptionId"


class _Meta(
    msgspec.Struct,
    rename={"version": VERSION_KEY, "subscription": SUBSCRIPTION_KEY, "token": "progressToken"},
):
    version: Raw = Raw()
    subscription: Raw = Raw()
    token: Raw = Raw()


class _Params(
    msgspec.Struct,
    rename={"meta": "_meta", "token": "progressToken", "request": "requestId", "task": "taskId"},
):
    meta: Raw = Raw()
    token: Raw = Raw()
    request: Raw = Raw()
    name: Raw = Raw()
    uri: Raw = Raw()
    task: Raw = Raw()


class _Envelope(msgspec.Struct):
    id: Raw = Raw()
    method: Raw = Raw()
    params: Raw = Raw()
    result: Raw = Raw()
    error: Raw = Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_PARAMS = msgspec.json.Decoder(_Params)
_META = msgspec.json.Decoder(_Meta)
_ID: msgspec.json.Decoder[MessageId] = msgspec.json.Decoder(int | str)

Kind = Literal["request", "notification", "response"]


class Glance(msgspec.Struct):
    """What a message says of itself.

    `id_raw` is the id as it was spelled, `error` that member of a failed response. `token` is
    the progress token that a request offers or a progress notification carries, `refers` the
    request that a cancellation names, `subject` what the `Mcp-Name` header repeats.
    """

    kind: Kind
    method: str = ""
    id: MessageId | None = None
    id_raw: bytes = b""
    error: bytes = b""
    version: MessageId | None = None
    subscription: MessageId | None = None
    token: MessageId | None = None
    refers: MessageId | None = None
    subject: str | None = None

    @property
    def modern(self) -> bool:
        """Whether the message belongs to the era without sessions (2026-07-28 and later)."""
        return isinstance(self.version, str)


def glance(line: bytes) -> Glance | None:
    """Look at one message, or return None when it is not one."""
    try:
        envelope = _ENVELOPE.decode(line)
    except UNREADABLE:
        return _second_look(line)
    return _read(envelope)


def _read(envelope: _Envelope) -> Glance | None:
    message_id = scalar(envelope.id)
    method = scalar(envelope.method)
    if isinstance(method, str):
        seen = Glance(
            "notification" if not len(envelope.id) else "request", method, message_id, bytes(envelope.id)
        )
        if seen.kind == "request" and message_id is None:
            return None
        _read_params(seen, envelope.params)
        return seen
    if len(envelope.method) or not (len(envelope.result) or len(envelope.error)):
        return None
    error = bytes(envelope.error)
    return Glance(
        "response",
        id=message_id,
        id_raw=bytes(envelope.id),
        error=error,
    )


def _read_params(seen: Glance, raw: Raw) -> None:
    try:
        params = _PARAMS.decode(raw)
    except UNREADABLE:  # absent, or not an object
        return
    try:
        meta = _META.decode(params.meta)
    except UNREADABLE:
        meta = _Meta()
    seen.version = scalar(meta.version)
    seen.subscription = scalar(meta.subscription)
    seen.token = scalar(meta.token) if seen.kind == "request" else scalar(params.token)
    seen.refers = scalar(params.request)
    seen.subject = _subject(seen.method, params)


def _subject(method: str, params: _Params) -> str | None:
    """What the `Mcp-Name` header of a request must say (MCP 2026-07-28, streamable HTTP)."""
    if method in ("tools/call", "prompts/get"):
        value = scalar(params.name)
    elif method == "resources/read":
        value = scalar(params.uri)
    elif method in ("tasks/get", "tasks/update", "tasks/cancel"):
        value = scalar(params.task)
    else:
        return None
    return value if isinstance(value, str) else None


def scalar(raw: Raw | bytes) -> MessageId | None:
    """The integer or string that `raw` spells, or None when it spells something else."""
    if not len(raw):
        return None
    try:
        return _ID.decode(raw)
    except UNREADABLE:
        return None


def _second_look(line: bytes) -> Glance | None:
    """Read what the fast decoder refuses and others accept, such as a lone surrogate."""
    if _OPENING.match(line) is None:
        return None
    try:
        value: object = json.loads(line.decode("utf-8"), parse_constant=_refuse)
        if not isinstance(value, dict):
            return None
    except (ValueError, RecursionError):
        return None
    members = cast("dict[str, object]", value)
    return _read(_Envelope(**{key: _spelled(members[key]) for key in _WANTED if key in members}))


def broken_answer(line: bytes) -> MessageId | None:
    """The id of a response that is JSON but for `NaN` or `Infinity`, or None.

    Raises RecursionError where the nesting is too deep to find one.
    """
    if _OPENING.match(line) is None:
        return None
    try:
        value: object = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    members = cast("dict[str, object]", value)
    if "method" in members or not ("result" in members or "error" in members):
        return None
    found = members.get("id")
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


_OPENING = re.compile(rb"[ \t\r\n]*[\[{]")
_WANTED = frozenset({"id", "method", "params", "result", "error"})


def _spelled(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
