"""Asking the client's own user in a form, where the policy says `convenience: true`.

The answer comes from the party that is policed: a client may answer by itself. So this is a
second look for whoever sits at a trusted machine, never a control; a policy that means one has
registered approvers. On the legacy era the question is a request of the gate's own on the stream
of the held call; on the modern era the call ends with a question, and comes again with the answer
and a state that only this gate can have issued (MCP 2026-07-28, multi round-trip requests). Where
that call answered a question of its server, the state carries this round, since the client will not
send it again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from ostiary.approvals.step import FormAnswer
from ostiary.calls.asking import ROUND
from ostiary.identity.handles import Handles
from ostiary.policy.decision import Hold
from ostiary.wire import answers
from ostiary.wire.envelope import read_message
from ostiary.wire.message import Message, Refusal, as_object
from ostiary.wire.spans import find, splice, with_member, without_members
from ostiary.wire.strict import INVALID_PARAMS, MAX_BYTES

KEY = "io.ostiary/approval"
"""Under which the gate's question stands among those of a modern result."""

PREFIX = "ostiary-form:"
FIELD = "approve"
FORGED = "(unknown handle)"

MAX_CARRIED = 8 * 1024
"""Bytes of a later round that a state carries. The client of a longer one waits for an approver."""

_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


def takes_forms(capabilities: Mapping[str, object] | None) -> bool:
    """Whether a client declared that it shows forms. An empty `elicitation` means forms."""
    offered = as_object((capabilities or {}).get("elicitation"))
    return offered is not None and ("form" in offered or "url" not in offered)


def declared(message: Message) -> Mapping[str, object] | None:
    """The capabilities that a modern request declares in its `_meta`."""
    meta = as_object(message.params.get("_meta"))
    return None if meta is None else as_object(meta.get(_CAPABILITIES))


def question(tool: str, hold: Hold) -> Mapping[str, object]:
    """The parameters of `elicitation/create`. One field that has to be filled in: never an empty form."""
    why = "; ".join([hold.message] * bool(hold.message) + list(hold.reasons))
    text = f'The policy asks before "{tool}" is called: {why}. Approve this one call?'
    field = {"type": "boolean", "title": "Approve this call"}
    schema = {"type": "object", "properties": {FIELD: field}, "required": [FIELD]}
    return {"message": text, "requestedSchema": schema}


def verdict(request_id: str, result: Mapping[str, object] | None) -> FormAnswer:
    """What an elicitation result says. Only an accepted form with a plain true approves."""
    if result is None or result.get("action") != "accept":
        return FormAnswer(request_id, "decline")
    said = (as_object(result.get("content")) or {}).get(FIELD)
    if said is True:
        return FormAnswer(request_id, "approve")
    return FormAnswer(request_id, "deny" if said is False else "decline")


class Forms:
    """Issues and recognises the states of modern rounds, under a key of their own."""

    def __init__(self, key: bytes) -> None:
        self._handles = Handles(hmac.digest(key, b"approval forms", hashlib.sha256))

    def result(self, message: Message, request_id: str, tool: str, hold: Hold, grant: str) -> bytes:
        """The answer to `message` that asks the client's user about the request `request_id`."""
        assert message.id is not None  # noqa: S101 - only requests are held
        carried = base64.urlsafe_b64encode(carried_by(message)).decode()
        state = self._handles.seal(f"{PREFIX}{request_id}.{carried}".encode(), grant).decode()
        params = {"mode": "form", **question(tool, hold)}
        body = {
            "resultType": "input_required",
            "inputRequests": {KEY: {"method": "elicitation/create", "params": params}},
            "requestState": state,
        }
        return answers.result(message.id, body)

    def opened(self, message: Message, grant: str) -> tuple[Message, FormAnswer] | Refusal | None:
        """A call that comes back with a state of ours: the call without it, and the answer.

        None for messages that have nothing to do with it, a Refusal for a state that is not ours
        although it looks like it, or is another grant's.
        """
        state = message.params.get("requestState")
        if not isinstance(state, str) or not state.startswith(PREFIX):
            return None
        sealed = self._handles.open(state.encode("utf-8", "replace"), grant)
        if sealed is None or message.method != "tools/call":
            text = "`requestState` was not given for this request"
            return Refusal(INVALID_PARAMS, 200, text, FORGED, message.id)
        request_id, _, carried = sealed.decode().removeprefix(PREFIX).partition(".")
        said = as_object((as_object(message.params.get("inputResponses")) or {}).get(KEY))
        before = _before(message, base64.urlsafe_b64decode(carried))
        stripped = read_message(before, max_bytes=MAX_BYTES)
        if not isinstance(stripped, Message):
            text = "the call cannot be read without `requestState`"
            return Refusal(INVALID_PARAMS, 200, text, FORGED, message.id)
        return stripped, verdict(request_id, said)


def carried_by(message: Message) -> bytes:
    """The members of a later round as they came, as one JSON object; empty for a first round."""
    found = {key: find(message.raw, ("params", key)) for key in ROUND if key in message.params}
    kept = {key: msgspec.Raw(span.of(message.raw)) for key, span in found.items() if span is not None}
    return msgspec.json.encode(kept) if kept else b""


def _before(message: Message, carried: bytes) -> bytes:
    """The bytes of the call as it was before the gate asked."""
    raw = message.raw
    params = find(raw, ("params",))
    if params is None:
        return raw
    if carried:
        bare = splice(raw, without_members(raw, params, ROUND))
        for key, value in msgspec.json.decode(carried, type=dict[str, msgspec.Raw]).items():
            params = find(bare, ("params",))
            assert params is not None  # noqa: S101 - it was there a moment ago
            bare = splice(bare, [with_member(bare, params, key, bytes(value))])
        return bare
    asked = as_object(message.params.get("inputResponses")) or {}
    if set(asked) <= {KEY}:
        return splice(raw, without_members(raw, params, ROUND))
    inner = find(raw, ("params", "inputResponses"))
    edits = without_members(raw, params, ("requestState",))
    return splice(raw, edits + ([] if inner is None else without_members(raw, inner, (KEY,))))
