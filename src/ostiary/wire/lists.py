"""Listings as an upstream sends them: hostile input that is filtered by cutting, never rebuilt.

A filter that re-encodes drops what it does not know (`_meta`, extensions) and changes what
clients hash. Here the removed entries are cut out and every other byte stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import cast

import msgspec

from ostiary.wire import answers
from ostiary.wire.message import Message, as_object
from ostiary.wire.spans import Edit, Span, elements, find, members, replaced, splice, with_member, without
from ostiary.wire.strict import fold

MAX_TTL_MS = answers.MAX_TTL_MS

_RESULT_KEYS = ("tools", "nextCursor", "_meta", "resultType", "ttlMs", "cacheScope")
_FOLDED = {fold(key): key for key in _RESULT_KEYS}


class ListPage(msgspec.Struct, frozen=True):
    """One page of a listing: name, exact bytes and parsed value of each entry (`tools`).

    `next_cursor` is opaque; None on the last page.
    """

    tools: tuple[tuple[str, bytes, Mapping[str, object]], ...]
    next_cursor: str | None = None


def read_page(message: Message) -> ListPage | str:
    """Read the definitions of a `tools/list` response, or say why they cannot be relied on."""
    return read_list(message, "tools")


def read_list(message: Message, key: str, by: str = "name") -> ListPage | str:
    """As `read_page`, for the list at `result[key]`, whose entries are told apart by `by`."""
    entries = _entries(message, key, by)
    if isinstance(entries, str):
        return entries
    result = as_object(message.envelope["result"]) or {}
    cursor = result.get("nextCursor")
    if cursor is not None and type(cursor) is not str:
        return "`nextCursor` is not a string"
    spans = _spans(message.raw, key)
    tools = tuple(
        (name, span.of(message.raw), value) for (name, value), span in zip(entries, spans, strict=True)
    )
    return ListPage(tools, cursor)


def filter_tools(message: Message, keep: Callable[[str], bool], *, modern: bool) -> bytes:
    """The bytes of a `tools/list` response with only the tools that `keep` names.

    The result becomes private to the client and short-lived. An error response passes. A
    result that cannot be read reliably is replaced by a gateway error: nothing of it passes.
    """
    return filter_list(message, keep, key="tools", modern=modern)


def filter_list(
    message: Message, keep: Callable[[str], bool], *, key: str, modern: bool, by: str = "name"
) -> bytes:
    """As `filter_tools`, for the list at `result[key]`, whose entries are told apart by `by`."""
    if "result" not in message.envelope:
        return message.raw
    entries = _entries(message, key, by)
    if isinstance(entries, str):
        return unreliable(message, entries)
    edits = without(_spans(message.raw, key), [keep(name) for name, _ in entries])
    return splice(message.raw, [*edits, *_private(message, modern=modern)])


def make_private(message: Message, *, modern: bool) -> bytes:
    """The bytes of a cacheable result, private to this client and kept at most 30 s."""
    return splice(message.raw, _private(message, modern=modern))


def unreliable(message: Message, reason: str) -> bytes:
    """The gateway error that stands for an answer the gate could not check."""
    text = f"the gateway could not check the upstream's answer: {reason}"
    return answers.error(message.id, answers.INTERNAL, text)


def _entries(message: Message, key: str, by: str = "name") -> list[tuple[str, Mapping[str, object]]] | str:
    """Name and value of each entry, or what is wrong with the list."""
    result = as_object(message.envelope.get("result"))
    if result is None:
        return "there is no result"
    # A client that ignores case would read an entry, or a list, that was not looked at.
    for name in result:
        meant = _FOLDED.get(fold(name), key if fold(name) == fold(key) else name)
        if meant != name:
            return f"a member of the result could be read as `{meant}`"
    listed = result.get(key)
    if not isinstance(listed, list):
        return f"`{key}` is not an array"
    entries: list[tuple[str, Mapping[str, object]]] = []
    for item in cast("list[object]", listed):
        entry = as_object(item)
        name = None if entry is None else _name(entry, by)
        if entry is None or name is None:
            return f"an entry of `{key}` has no usable {by}"
        entries.append((name, entry))
    return entries


def _name(entry: Mapping[str, object], by: str) -> str | None:
    """An entry's name. Another spelling beside it was refused when the message was read."""
    name = entry.get(by)
    return name if isinstance(name, str) and name else None


def _spans(raw: bytes, key: str) -> list[Span]:
    span = find(raw, ("result", key))
    return [] if span is None else elements(raw, span)


def _private(message: Message, *, modern: bool) -> list[Edit]:
    """Edits for `cacheScope` and `ttlMs`: where present, and always on the modern era."""
    result = as_object(message.envelope.get("result"))
    span = find(message.raw, ("result",))
    if result is None or span is None:
        return []
    edits: list[Edit] = []
    missing: list[bytes] = []
    if "cacheScope" in result or modern:
        if "cacheScope" not in result:
            missing.append(b'"cacheScope":"private"')
        elif result["cacheScope"] != "private":
            edits.append(with_member(message.raw, span, "cacheScope", b'"private"'))
    if "ttlMs" in result or modern:
        if "ttlMs" not in result:
            missing.append(b'"ttlMs":0')  # what said nothing was not cacheable
        elif (put := _capped(result["ttlMs"])) is not None:
            edits.append(with_member(message.raw, span, "ttlMs", put))
    if missing:
        edits.append(_added(message.raw, span, missing))
    return edits


def _capped(value: object) -> bytes | None:
    """What `ttlMs` must become, or None if it may stay. Decimals are compared, never expanded."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value < 0:
        return b"0"
    return None if value <= MAX_TTL_MS else b"%d" % MAX_TTL_MS


def _added(raw: bytes, span: Span, texts: list[bytes]) -> Edit:
    found = members(raw, span)
    if found:
        return replaced(Span(found[-1].value.end, found[-1].value.end), b"," + b",".join(texts))
    return replaced(Span(span.start + 1, span.start + 1), b",".join(texts))
