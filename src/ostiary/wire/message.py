"""JSON-RPC messages as the gate understands them, beside the bytes they came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import msgspec

MessageId = str | int


class Message(msgspec.Struct, frozen=True):
    """One strictly parsed JSON-RPC message.

    `raw` are the accepted bytes, which is what is forwarded; `envelope` is their only reading.
    `kind` is `request` (method and id), `notification` (method, no id) or `response` (id with
    result or error). `params` is `{}` when absent on a request or notification.
    """

    raw: bytes
    kind: Literal["request", "notification", "response"]
    envelope: Mapping[str, object]
    method: str = ""
    id: MessageId | None = None
    params: Mapping[str, object] = {}


class Refusal(msgspec.Struct, frozen=True):
    """Why bytes are not a message that the gate will act on. Never forwarded.

    `code` is the JSON-RPC error code, `status` the HTTP status of the answer, `id` the request
    id when one could be read safely. `rule` names the check, e.g. `(duplicate key)`. `data` is
    the `error.data` that the specification asks for with some codes (-32022), else None.
    """

    code: int
    status: int
    message: str
    rule: str
    id: MessageId | None = None
    data: Mapping[str, object] | None = None


def as_object(value: object) -> Mapping[str, object] | None:
    """A parsed value as a JSON object, or None when it is something else."""
    if isinstance(value, (dict, Mapping)):  # nearly always a dict, and that is known at once
        return cast("Mapping[str, object]", value)
    return None
