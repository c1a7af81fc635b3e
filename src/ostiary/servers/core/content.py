"""Blocks of content as they go on the wire, and the result of a tool that is made of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import msgspec

Json = Mapping[str, object]
Block = Json
"""One content block of MCP: an object with `type`."""

_AUDIO_SINCE = "2025-03-26"
_LINKS_SINCE = "2025-06-18"
STRUCTURED_SINCE = "2025-06-18"


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool answers. `structured` is for programs, `content` for a model; `meta` is `_meta`."""

    content: Sequence[Block] = ()
    structured: Json | None = None
    is_error: bool = False
    meta: Json = {}


def text(words: str) -> Block:
    """A text block."""
    return {"type": "text", "text": words}


def image(data: bytes, mime: str) -> Block:
    """An image, such as of type `image/png`."""
    return {"type": "image", "data": _base64(data), "mimeType": mime}


def audio(data: bytes, mime: str) -> Block:
    """Sound, such as of type `audio/wav`."""
    return {"type": "audio", "data": _base64(data), "mimeType": mime}


def link(uri: str, name: str, *, mime: str = "", size: int | None = None, title: str = "") -> Block:
    """A resource that the client may read. `size` is in bytes."""
    block: dict[str, object] = {"type": "resource_link", "uri": uri, "name": name}
    more = {"title": title, "mimeType": mime, "size": size}
    return block | {key: value for key, value in more.items() if value not in ("", None)}


def embedded(contents: Json) -> Block:
    """The contents of a resource, within the answer. See `words` and `data`."""
    return {"type": "resource", "resource": contents}


def words(uri: str, text: str, mime: str = "text/plain") -> Json:
    """Contents of a resource that is text."""
    return {"uri": uri, "mimeType": mime, "text": text}


def data(uri: str, body: bytes, mime: str = "application/octet-stream") -> Json:
    """Contents of a resource that is not text."""
    return {"uri": uri, "mimeType": mime, "blob": _base64(body)}


def failure(message: str) -> ToolResult:
    """The result of a tool that could not do what it was asked for."""
    return ToolResult((text(message),), is_error=True)


def for_revision(block: Block, revision: str) -> Block:
    """`block`, or words in its place where a revision does not know its kind yet."""
    kind = block.get("type")
    if kind == "resource_link" and revision < _LINKS_SINCE:
        return text(f"{block.get('name')}: {block.get('uri')}")
    if kind == "audio" and revision < _AUDIO_SINCE:
        return text(f"(sound of type {block.get('mimeType')}, which this protocol revision cannot carry)")
    return block


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
