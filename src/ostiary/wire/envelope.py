"""From bytes to JSON-RPC messages: one shape is accepted, every other is refused.

Shapes: JSON-RPC 2.0 and the schemas of the MCP revisions 2024-11-05 to 2026-07-28. Members
that no revision names are left alone, except those that a lenient parser would take for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from ostiary.wire.message import Message, MessageId, Refusal
from ostiary.wire.revisions import PROTOCOL_VERSION, is_removed
from ostiary.wire.strict import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_BYTES,
    Refused,
    fold,
    parse_json,
    quoted,
    refused,
)

MAX_ID_BYTES = 256
"""Longest string id, in bytes of UTF-8."""

MAX_ID = 2**53 - 1
"""Largest integer id, either sign: beyond it two ids are one in JavaScript."""

MAX_BATCH = 32

_ENVELOPE_KEYS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAM_KEYS = frozenset(
    {
        "_meta",
        "argument",
        "arguments",
        "capabilities",
        "clientInfo",
        "context",
        "cursor",
        "inputRequests",
        "inputResponses",
        "level",
        "name",
        "notifications",
        "progress",
        "progressToken",
        "protocolVersion",
        "ref",
        "requestId",
        "requestState",
        "task",
        "taskId",
        "uri",
    }
)
_META_KEYS = frozenset(
    {
        "progressToken",
        PROTOCOL_VERSION,
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/logLevel",
        "io.modelcontextprotocol/related-task",
        "io.modelcontextprotocol/subscriptionId",
    }
)
_FILTER_KEYS = frozenset(
    {"toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds"}
)
_MEMO_ENTRIES = 1024
_MEMO_KEYS = 32
_MEMO_LENGTH = 512

Memo = set[tuple[str, ...]]


class _Level:
    """One place where keys of the protocol stand, and the spellings that are not those keys."""

    __slots__ = ("_clean", "_code", "_exact", "_folded")

    def __init__(self, keys: frozenset[str], code: int) -> None:
        self._exact = keys
        self._folded = {fold(key): key for key in keys}
        self._code = code
        self._clean: Memo = set()

    def check(self, members: Mapping[str, object]) -> None:
        """Refuse a key that is not one of the protocol's but folds to one."""
        keys = tuple(members)
        if keys in self._clean:
            return
        for key in keys:
            if key not in self._exact and (meant := self._folded.get(fold(key))) is not None:
                text = f"key {quoted(key)} is not `{meant}` but could be read as it"
                raise refused("(protocol key)", text, code=self._code)
        if len(keys) <= _MEMO_KEYS and sum(map(len, keys)) <= _MEMO_LENGTH:
            if len(self._clean) >= _MEMO_ENTRIES:
                self._clean.clear()
            self._clean.add(keys)


_envelope_level = _Level(_ENVELOPE_KEYS, INVALID_REQUEST)
_params_level = _Level(_PARAM_KEYS, INVALID_PARAMS)
_meta_level = _Level(_META_KEYS, INVALID_PARAMS)
_filter_level = _Level(_FILTER_KEYS, INVALID_PARAMS)


def read_message(
    data: bytes, *, max_bytes: int = MAX_BYTES, batches: bool = False, null_id: bool = False
) -> Message | tuple[Message, ...] | Refusal:
    """Read the one message, or with `batches` the one batch, that `data` holds.

    `batches` is for a session that negotiated 2025-03-26. `null_id` is for what an upstream
    sends: an error response there may lack an id or have a null one.
    """
    try:
        value = parse_json(data, max_bytes=max_bytes)
        if type(value) is list:
            return _batch(data, cast("list[object]", value), batches=batches, null_id=null_id)
        return _message(data, value, null_id=null_id)
    except Refused as error:
        return error.refusal


def _message(data: bytes, value: object, *, null_id: bool) -> Message:
    if type(value) is not dict:
        raise refused("(envelope)", "a message is an object", code=INVALID_REQUEST)
    envelope = cast("dict[str, object]", value)
    # 1. The id first, so that every later refusal can carry it.
    message_id = _id(envelope, null_id=null_id)
    try:
        # 2. The envelope.
        _envelope_level.check(envelope)
        if envelope.get("jsonrpc") != "2.0":
            raise refused("(jsonrpc)", '`jsonrpc` must be "2.0"', code=INVALID_REQUEST)
        if "method" not in envelope:
            return _response(data, envelope, message_id, null_id=null_id)
        # 3. A call.
        return _call(data, envelope, message_id)
    except Refused as error:
        if message_id is None or "method" not in envelope:
            raise
        raise Refused(msgspec.structs.replace(error.refusal, id=message_id)) from None


def _id(envelope: Mapping[str, object], *, null_id: bool) -> MessageId | None:
    if "id" not in envelope:
        return None
    value = envelope["id"]
    if type(value) is int and -MAX_ID <= value <= MAX_ID:
        return value
    if type(value) is str and len(value.encode()) <= MAX_ID_BYTES:
        return value
    if value is None and null_id and "error" in envelope and "method" not in envelope:
        return None
    text = "`id` must be a string of at most 256 bytes or an integer within 2^53-1 of zero"
    raise refused("(id)", text, code=INVALID_REQUEST)


def _call(data: bytes, envelope: Mapping[str, object], message_id: MessageId | None) -> Message:
    method = envelope["method"]
    if type(method) is not str or not method:
        raise refused("(method)", "`method` must be a non-empty string", code=INVALID_REQUEST)
    if method not in _REQUESTS and (meant := _MEANT.get(fold(method).strip())) is not None:
        text = f"method {quoted(method)} is not `{meant}` but could be read as it"
        raise refused("(method)", text, code=INVALID_REQUEST)
    if "result" in envelope or "error" in envelope:
        raise refused("(response)", "`result` or `error` beside `method`", code=INVALID_REQUEST)
    if message_id is None:
        if method in _REQUESTS:
            raise refused("(id)", f"`{method}` needs an id", code=INVALID_REQUEST)
    elif method.startswith("notifications/"):
        raise refused("(id)", "a notification has no id", code=INVALID_REQUEST)
    params: Mapping[str, object] = {}
    if "params" in envelope:
        given = envelope["params"]
        if type(given) is not dict:
            raise refused("(params)", "`params` must be an object", code=INVALID_PARAMS)
        params = cast("dict[str, object]", given)
        _params_level.check(params)
        _check_meta(params)
    check = _SHAPES.get(method)
    if check is not None and not is_removed(method, params):
        check(params)
    kind = "notification" if message_id is None else "request"
    return Message(data, kind, envelope, method, message_id, params)


def _response(
    data: bytes, envelope: Mapping[str, object], message_id: MessageId | None, *, null_id: bool
) -> Message:
    has_error = "error" in envelope
    if ("result" in envelope) == has_error:
        text = "a message has `method`, or exactly one of `result` and `error`"
        raise refused("(response)", text, code=INVALID_REQUEST)
    if "params" in envelope:
        raise refused("(response)", "`params` in a response", code=INVALID_REQUEST)
    if message_id is None and not (null_id and has_error):
        raise refused("(id)", "a response needs an id", code=INVALID_REQUEST)
    body = envelope["error" if has_error else "result"]
    if type(body) is not dict:
        raise refused("(response)", "`result` and `error` are objects", code=INVALID_REQUEST)
    if has_error:
        _check_error(cast("dict[str, object]", body))
    return Message(data, "response", envelope, id=message_id)


def _check_error(error: Mapping[str, object]) -> None:
    if type(error.get("code")) is not int or type(error.get("message")) is not str:
        text = "an error has an integer `code` and a string `message`"
        raise refused("(response)", text, code=INVALID_REQUEST)


def _check_meta(params: Mapping[str, object]) -> None:
    if "_meta" not in params:
        return
    meta = params["_meta"]
    if type(meta) is not dict:
        raise refused("(params)", "`_meta` must be an object", code=INVALID_PARAMS)
    members = cast("dict[str, object]", meta)
    _meta_level.check(members)
    if PROTOCOL_VERSION in members and type(members[PROTOCOL_VERSION]) is not str:
        raise refused("(params)", "the protocol version in `_meta` must be a string", code=INVALID_PARAMS)
    if "progressToken" in members:
        _token(members["progressToken"], "progressToken")


def _token(value: object, name: str) -> None:
    """A progress token or a request id inside params: as narrow as an id."""
    if type(value) is int and -MAX_ID <= value <= MAX_ID:
        return
    if type(value) is str and len(value.encode()) <= MAX_ID_BYTES:
        return
    raise refused("(params)", f"`{name}` must be a string or an integer", code=INVALID_PARAMS)


Shape = Callable[[Mapping[str, object]], None]


def _text(params: Mapping[str, object], name: str) -> None:
    value = params.get(name)
    if type(value) is not str or not value:
        raise refused("(params)", f"`{name}` must be a non-empty string", code=INVALID_PARAMS)


def _object(params: Mapping[str, object], name: str) -> None:
    if name in params and type(params[name]) is not dict:
        raise refused("(params)", f"`{name}` must be an object", code=INVALID_PARAMS)


def _tool_call(params: Mapping[str, object]) -> None:
    _text(params, "name")
    _object(params, "arguments")
    _object(params, "task")
    _retry(params)


def _prompt(params: Mapping[str, object]) -> None:
    _text(params, "name")
    _object(params, "arguments")
    _retry(params)


def _resource(params: Mapping[str, object]) -> None:
    _text(params, "uri")
    _retry(params)


def _retry(params: Mapping[str, object]) -> None:
    _object(params, "inputResponses")
    if "requestState" in params and type(params["requestState"]) is not str:
        raise refused("(params)", "`requestState` must be a string", code=INVALID_PARAMS)


def _task(params: Mapping[str, object]) -> None:
    _text(params, "taskId")
    _object(params, "inputResponses")


def _completion(params: Mapping[str, object]) -> None:
    for name in ("ref", "argument"):
        if name not in params:
            raise refused("(params)", f"`{name}` is missing", code=INVALID_PARAMS)
        _object(params, name)
    _text(cast("Mapping[str, object]", params["ref"]), "type")
    _text(cast("Mapping[str, object]", params["argument"]), "name")


def _initialize(params: Mapping[str, object]) -> None:
    _text(params, "protocolVersion")
    _object(params, "capabilities")


def _listing(params: Mapping[str, object]) -> None:
    if "cursor" in params and type(params["cursor"]) is not str:
        raise refused("(params)", "`cursor` must be a string", code=INVALID_PARAMS)


def _level(params: Mapping[str, object]) -> None:
    _text(params, "level")


def _cancelled(params: Mapping[str, object]) -> None:
    if "requestId" in params:  # absent where a task is cancelled (2025-11-25)
        _token(params["requestId"], "requestId")


def _progress(params: Mapping[str, object]) -> None:
    _token(params.get("progressToken"), "progressToken")


def _listen(params: Mapping[str, object]) -> None:
    """What is listened to is decided part by part, so each part has one name."""
    wanted = params.get("notifications")
    if type(wanted) is dict:
        _filter_level.check(cast("dict[str, object]", wanted))


def _any(params: Mapping[str, object]) -> None:
    """No member of these is looked at by the gate."""


_REQUESTS: Mapping[str, Shape] = {
    "tools/call": _tool_call,
    "tools/list": _listing,
    "prompts/get": _prompt,
    "prompts/list": _listing,
    "resources/read": _resource,
    "resources/list": _listing,
    "resources/templates/list": _listing,
    "resources/subscribe": _resource,
    "resources/unsubscribe": _resource,
    "completion/complete": _completion,
    "logging/setLevel": _level,
    "initialize": _initialize,
    "server/discover": _any,
    "subscriptions/listen": _listen,
    "tasks/get": _task,
    "tasks/result": _task,
    "tasks/update": _task,
    "tasks/cancel": _task,
    "tasks/list": _listing,
    "ping": _any,
    "sampling/createMessage": _any,
    "elicitation/create": _any,
    "roots/list": _any,
}
"""Methods that are requests in some revision: without an id they are refused."""


def is_known(method: str) -> bool:
    """Whether some revision has a request of this name."""
    return method in _REQUESTS


_MEANT = {fold(name): name for name in _REQUESTS}
"""What a reader that ignores case or white space would take another spelling of a method for."""

_SHAPES: Mapping[str, Shape] = {
    **_REQUESTS,
    "notifications/cancelled": _cancelled,
    "notifications/progress": _progress,
}

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _batch(data: bytes, values: Sequence[object], *, batches: bool, null_id: bool) -> tuple[Message, ...]:
    """Read a batch: 1-32 members, distinct ids, no initialize, calls and responses never mixed."""
    if not batches:
        raise refused("(batch)", "a batch is only part of revision 2025-03-26", code=INVALID_REQUEST)
    if not 1 <= len(values) <= MAX_BATCH:
        raise refused("(batch)", f"a batch has 1 to {MAX_BATCH} members", code=INVALID_REQUEST)
    raws = _split(data)
    try:
        members = tuple(
            _message(bytes(raw), value, null_id=null_id) for raw, value in zip(raws, values, strict=True)
        )
    except Refused as error:
        raise Refused(msgspec.structs.replace(error.refusal, id=None)) from None
    ids = [(type(member.id), member.id) for member in members if member.id is not None]
    if len(set(ids)) != len(ids):
        raise refused("(batch)", "two members of a batch have one id", code=INVALID_REQUEST)
    if any(member.method == "initialize" for member in members):
        raise refused("(batch)", "`initialize` cannot be in a batch", code=INVALID_REQUEST)
    if len({member.kind == "response" for member in members}) > 1:
        raise refused("(batch)", "requests and responses in one batch", code=INVALID_REQUEST)
    return members
