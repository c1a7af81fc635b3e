"""From what a tool answers to a value that code gets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.wire.answers import DECISION_KEY, DENIED
from ostiary.wire.message import as_object

PENDING: Final = 4202
_MAX_SAID: Final = 2_000


def value_of(result: Mapping[str, object]) -> Any:
    """The value of a `tools/call` result.

    `structuredContent` where there is some; a text as JSON where it is JSON, else as it is; several blocks
    as a list of such values. What is no text (images, sound, resources) stays the block that it is.
    Raises ToolFault for an error of the tool or a denial, ToolHeld for a call that waits for a person.
    """
    blocks = result.get("content")
    content = cast("list[object]", blocks) if isinstance(blocks, list) else []
    if result.get("isError") is True:
        _refuse(result, content)
    structured = result.get("structuredContent")
    if structured is not None:
        return _unwrapped(structured)
    values = [_of_block(block) for block in content]
    return values[0] if len(values) == 1 else (values or None)


def _refuse(result: Mapping[str, object], content: list[object]) -> None:
    said = "\n".join(text for text in (_text(block) for block in content) if text is not None)[:_MAX_SAID]
    decision = as_object((as_object(result.get("_meta")) or {}).get(DECISION_KEY)) or {}
    if decision.get("decision") == "pending":
        approval = as_object(decision.get("approval")) or {}
        raise ToolHeld(said, PENDING, str(approval.get("id", "")))
    raise ToolFault(said or "the tool failed and did not say why", DENIED if decision else 0)


def _unwrapped(structured: object) -> Any:
    """A value that had to be put into an object for its schema's sake, without that object."""
    members = as_object(structured)
    return members["result"] if members is not None and set(members) == {"result"} else structured


def _of_block(block: object) -> Any:
    text = _text(block)
    if text is None:
        return block
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def _text(block: object) -> str | None:
    known = as_object(block) or {}
    text = known.get("text")
    return text if known.get("type") == "text" and isinstance(text, str) else None
