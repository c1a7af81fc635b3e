"""From what a tool answers to a value that code gets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.wire.answers import DECISION_KEY, DENIED
from ostiary.wire.message import as_object

PENDING: Final = 4202
_MAX_SAID: Final = 2_000

Keep = Callable[[str, object, object], str | None]
"""Keeps content by its kind, type and base64, and says where: see `artifacts.Artifacts.keep`."""


def value_of(result: Mapping[str, object], keep: Keep | None = None) -> Any:
    """The value of a `tools/call` result.

    `structuredContent` where there is some; a text as JSON where it is JSON, else as it is; several blocks
    as a list of such values. What is no text (images, sound, resources) stays the block that it is, and has
    the URI where `keep` put its content as `artifact`.
    Raises ToolFault for an error of the tool or a denial, ToolHeld for a call that waits for a person.
    """
    blocks = result.get("content")
    content = cast("list[object]", blocks) if isinstance(blocks, list) else []
    if result.get("isError") is True:
        _refuse(result, content)
    structured = result.get("structuredContent")
    if structured is not None:
        return _unwrapped(structured)
    values = [_of_block(block, keep) for block in content]
    return values[0] if len(values) == 1 else (values or None)


def _refuse(result: Mapping[str, object], content: list[object]) -> None:
    said = "\n".join(text for text in (_text(block) for block in content) if text is not None)[:_MAX_SAID]
    decision = as_object((as_object(result.get("_meta")) or {}).get(DECISION_KEY)) or {}
    if decision.get("decision") == "hold":
        approval = as_object(decision.get("approval")) or {}
        raise ToolHeld(said, PENDING, str(approval.get("id", "")))
    raise ToolFault(said or "the tool failed and did not say why", DENIED if decision else 0)


def _unwrapped(structured: object) -> Any:
    """A value that had to be put into an object for its schema's sake, without that object."""
    members = as_object(structured)
    return members["result"] if members is not None and set(members) == {"result"} else structured


def _of_block(block: object, keep: Keep | None) -> Any:
    text = _text(block)
    if text is None:
        return _with_artifact(block, keep) if keep is not None else block
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return text


def _with_artifact(block: object, keep: Keep) -> Any:
    known = as_object(block) or {}
    kind = known.get("type")
    if kind == "resource":
        inside = as_object(known.get("resource")) or {}
        uri = keep("resource", inside.get("mimeType"), inside.get("blob"))
    elif kind in {"image", "audio"}:
        uri = keep(str(kind), known.get("mimeType"), known.get("data"))
    else:
        return block
    return block if uri is None else {**known, "artifact": uri}


def _text(block: object) -> str | None:
    known = as_object(block) or {}
    text = known.get("text")
    return text if known.get("type") == "text" and isinstance(text, str) else None
