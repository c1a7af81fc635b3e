r"""Where a value stands inside accepted bytes, and edits that leave all other bytes alone.

Only for bytes that `strict.parse_json` has accepted. Keys are compared as they decode, since
`n\u0061me` is `name`. Every level is split by the fast decoder, so the cost is linear in the
bytes for each level of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

_split_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_split_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_KEY = re.compile(rb'[ \t\r\n,]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_GAP = re.compile(rb"[ \t\r\n,]*")
_SPACE = re.compile(rb"[ \t\r\n]*")


class Span(msgspec.Struct, frozen=True):
    """Bytes `start` to `end` (exclusive) of a message."""

    start: int
    end: int

    def of(self, raw: bytes) -> bytes:
        """The bytes themselves."""
        return raw[self.start : self.end]


class Member(msgspec.Struct, frozen=True):
    """One member of an object: its decoded key, the key's span and the value's span."""

    key: str
    name: Span
    value: Span


class Edit(msgspec.Struct, frozen=True):
    """Replace bytes `start` to `end` by `put`; an insertion where they are equal."""

    start: int
    end: int
    put: bytes


def whole(raw: bytes) -> Span:
    """The span of the one value in `raw`, without the white space around it."""
    return Span(_space_end(raw, 0), len(raw.rstrip(b" \t\r\n")))


def members(raw: bytes, span: Span) -> list[Member]:
    """The members of the object at `span`, in order; empty if it is not an object."""
    if raw[span.start : span.start + 1] != b"{":
        return []
    found: list[Member] = []
    position = span.start + 1
    for key, value in _split_object(span.of(raw)).items():
        match = _KEY.match(raw, position, span.end)
        if match is None:
            raise ValueError("the object is not one that was accepted")
        position = match.end() + len(bytes(value))
        found.append(Member(key, Span(*match.span(1)), Span(match.end(), position)))
    return found


def elements(raw: bytes, span: Span) -> list[Span]:
    """The elements of the array at `span`, in order; empty if it is not an array."""
    if raw[span.start : span.start + 1] != b"[":
        return []
    found: list[Span] = []
    position = span.start + 1
    for value in _split_array(span.of(raw)):
        match = _GAP.match(raw, position, span.end)
        start = position if match is None else match.end()
        position = start + len(bytes(value))
        found.append(Span(start, position))
    return found


def find(raw: bytes, path: Sequence[str | int], span: Span | None = None) -> Span | None:
    """The span of the value at `path` (keys and indexes) below `span`, or None."""
    here = whole(raw) if span is None else span
    for step in path:
        below: Span | None = None
        if isinstance(step, str):
            for member in members(raw, here):
                if member.key == step:
                    below = member.value
                    break
        else:
            spans = elements(raw, here)
            below = spans[step] if 0 <= step < len(spans) else None
        if below is None:
            return None
        here = below
    return here


def splice(raw: bytes, edits: Iterable[Edit]) -> bytes:
    """Apply edits that do not overlap; every byte outside them stays as it is.

    Raises ValueError for edits that overlap or lie outside `raw`.
    """
    parts: list[bytes] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if not position <= edit.start <= edit.end <= len(raw):
            raise ValueError("edits overlap or lie outside the message")
        parts += (raw[position : edit.start], edit.put)
        position = edit.end
    parts.append(raw[position:])
    return b"".join(parts)


def replaced(span: Span, put: bytes) -> Edit:
    """Replace the value at `span`."""
    return Edit(span.start, span.end, put)


def without(spans: Sequence[Span], keep: Sequence[bool]) -> list[Edit]:
    """Edits that remove the items whose `keep` is False, each with one comma.

    `spans` are all elements of one array, or all members of one object (`extent`).
    """
    edits: list[Edit] = []
    last_kept: Span | None = None
    start: int | None = None
    end = 0
    for span, kept in zip(spans, keep, strict=True):
        if not kept:
            if start is None:
                start = span.start if last_kept is None else last_kept.end
            end = span.end
            continue
        if start is not None:
            edits.append(Edit(start, span.start if last_kept is None else end, b""))
            start = None
        last_kept = span
    if start is not None:
        edits.append(Edit(start, end, b""))
    return edits


def extent(member: Member) -> Span:
    """A member from its key to the end of its value."""
    return Span(member.name.start, member.value.end)


def without_members(raw: bytes, span: Span, keys: Iterable[str]) -> list[Edit]:
    """Edits that remove the members named `keys` of the object at `span`."""
    gone = frozenset(keys)
    found = members(raw, span)
    return without([extent(member) for member in found], [member.key not in gone for member in found])


def with_member(raw: bytes, span: Span, key: str, put: bytes) -> Edit:
    """The edit that gives the object at `span` the member `key` with value `put`.

    An existing value is replaced; a new member is added at the end.
    """
    found = members(raw, span)
    for member in found:
        if member.key == key:
            return replaced(member.value, put)
    text = msgspec.json.encode(key) + b":" + put
    if found:
        return Edit(found[-1].value.end, found[-1].value.end, b"," + text)
    return Edit(span.start + 1, span.start + 1, text)


def _space_end(raw: bytes, position: int) -> int:
    match = _SPACE.match(raw, position)
    return position if match is None else match.end()
