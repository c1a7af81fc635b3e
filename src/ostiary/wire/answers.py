"""Answers that the gate gives itself, as exact bytes.

Codes of our own lie outside the range that JSON-RPC reserves (-32768 to -32000). A denied
`tools/call` is a result with `isError`, because a model is shown those; every other method is
answered with an error. Ids are written as they were read: a string stays a string.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ostiary.wire.message import MessageId, Refusal

DENIED = 4403
LIMITED = 4429
NO_GRANT = 4401
STOPPED = 4423
PENDING = 4202
INTERNAL = -32603

DECISION_KEY = "io.ostiary/decision"
DENIED_PREFIX = "[POLICY DENIED] "
HELD_PREFIX = "[APPROVAL REQUIRED] "

MAX_TTL_MS = 30_000
"""Longest time, in milliseconds, that a client may keep a list that policy can change."""

_encode = msgspec.json.Encoder().encode

EMPTY_LISTS: Mapping[str, str] = {
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
    "tools/list": "tools",
}
"""Listing methods and the member of their result that holds the list."""


class Note(msgspec.Struct, frozen=True):
    """What a client is told about a decision, machine-readable.

    `rules` only where the operator lets clients see them; `retry_after_ms` for limits;
    `approval` is `{id, url?, expires}` for a held call.
    """

    decision: str
    message: str
    revision: str
    evaluation_id: str
    rules: Sequence[str] | None = None
    retry_after_ms: int | None = None
    approval: Mapping[str, object] | None = None

    def members(self) -> dict[str, object]:
        """The members of `io.ostiary/decision`, absent ones left out."""
        note: dict[str, object] = {
            "v": 1,
            "decision": self.decision,
            "message": self.message,
            "revision": self.revision,
            "evaluation_id": self.evaluation_id,
        }
        if self.rules is not None:
            note["rules"] = list(self.rules)
        if self.retry_after_ms is not None:
            note["retry_after_ms"] = self.retry_after_ms
        if self.approval is not None:
            note["approval"] = dict(self.approval)
        return note


def result(message_id: MessageId, body: Mapping[str, object]) -> bytes:
    """A success response."""
    return _encode({"jsonrpc": "2.0", "id": message_id, "result": body})


def error(
    message_id: MessageId | None, code: int, message: str, data: Mapping[str, object] | None = None
) -> bytes:
    """An error response; `id` is null where no id could be read."""
    body: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return _encode({"jsonrpc": "2.0", "id": message_id, "error": body})


def denied_call(message_id: MessageId, note: Note, *, modern: bool) -> bytes:
    """The answer to a denied, limited or held `tools/call` (HTTP 200)."""
    body: dict[str, object] = {}
    if modern:
        body["resultType"] = "complete"
    prefix = HELD_PREFIX if note.decision == "hold" else DENIED_PREFIX
    body["content"] = [{"type": "text", "text": prefix + note.message}]
    body["isError"] = True
    body["_meta"] = {DECISION_KEY: note.members()}
    return result(message_id, body)


def denied_method(message_id: MessageId, note: Note, code: int = DENIED) -> bytes:
    """The answer to any other denied request, a server's request to its client included."""
    return error(message_id, code, note.message, {DECISION_KEY: note.members()})


def refusal(refused: Refusal) -> bytes:
    """The answer to bytes that are not acceptable."""
    return error(refused.id, refused.code, refused.message, refused.data)


def empty_list(message_id: MessageId, method: str, *, modern: bool) -> bytes:
    """A listing with nothing in it; KeyError for a method that is not a listing."""
    body: dict[str, object] = {}
    if modern:
        body["resultType"] = "complete"
    body[EMPTY_LISTS[method]] = []
    if modern:
        body["ttlMs"] = MAX_TTL_MS
        body["cacheScope"] = "private"
    return result(message_id, body)
