"""Changes keys of one server in a configuration, and no other character of it.

What comes out is read again and compared with what was there: every other value has to be the same,
or nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.scan.clients import jsonc, toml
from ostiary.scan.clients.config import BOM, Document, parse
from ostiary.scan.clients.spans import ConfigFault, Member, Slot
from ostiary.wire.message import as_object
from ostiary.wire.strict import quoted

Changes = Mapping[str, object]
"""By key of an entry the value that it is to have; None removes the key."""

_COMMAND: Final = "command"


class Edit(msgspec.Struct, frozen=True):
    """One stretch of text and what is to stand there instead. Either may hold secrets."""

    start: int
    old: str
    new: str

    def __repr__(self) -> str:
        """Without the text."""
        return f"Edit(start={self.start})"


def edit(document: Document, slot: Slot, changes: Changes) -> Edit | None:
    """The one stretch in which all `changes` of an entry lie; None where there is nothing to change.

    Raises ConfigFault for an entry that is spelled so that it cannot be changed without guessing.
    """
    changer = _Changer(document, slot)
    pieces = changer.pieces(_wanted(slot, changes))
    if not pieces:
        return None
    start, end = pieces[0][0], max(piece[1] for piece in pieces)
    new: list[str] = []
    at = start
    for first, last, text in pieces:
        if first < at:
            raise ConfigFault("this entry's keys lie within each other and cannot be changed", slot.start)
        new += [document.text[at:first], text]
        at = last
    return Edit(start, document.text[start:end], "".join(new))


def applied(document: Document, edits: Sequence[Edit]) -> bytes:
    """The bytes of the document with `edits` in it, which must not overlap. Raises GatewayFault."""
    parts: list[str] = []
    at = 0
    for one in sorted(edits, key=lambda each: each.start):
        if one.start < at or document.text[one.start : one.start + len(one.old)] != one.old:
            raise GatewayFault(f"two entries of `{document.path}` lie within each other; nothing was written")
        parts += [document.text[at : one.start], one.new]
        at = one.start + len(one.old)
    parts.append(document.text[at:])
    return (BOM if document.raw.startswith(BOM) else b"") + "".join(parts).encode()


def check(before: Document, raw: bytes, changed: Mapping[tuple[str, ...], Changes]) -> None:
    """See that `raw` differs from `before` in just the keys of the entries in `changed`.

    Raises GatewayFault otherwise: then a change would have done something else than was meant.
    """
    message = f"`{before.path}` cannot be changed without changing something else; nothing was written"
    try:
        after = parse(raw, before.path, before.client)
    except CallerFault as fault:
        raise GatewayFault(message) from fault
    if _rest(before, changed) != _rest(after, changed):
        raise GatewayFault(message)
    slots = {slot.route: slot for slot in after.slots}
    for slot in before.slots:
        changes = changed.get(slot.route)
        if changes is not None and _solid(slots[slot.route].value) != _solid(with_changes(slot, changes)):
            raise GatewayFault(message)


def _solid(value: object) -> dict[str, object]:
    """The fields of an entry without those that are null, which clients take for absent."""
    return {key: each for key, each in (as_object(value) or {}).items() if each is not None}


def with_changes(slot: Slot, changes: Changes) -> object:
    """The value that an entry has after `changes`."""
    fields = dict(slot.fields)
    nested = as_object(fields.get(_COMMAND)) if slot.inner else None
    inner = dict(nested or {})
    for key, value in changes.items():
        where, name = (inner, _inner(key)) if slot.inner and key in _NESTED else (fields, key)
        if value is None:
            where.pop(name, None)
        else:
            where[name] = value
    if slot.inner:
        fields[_COMMAND] = inner
    return fields


def current(slot: Slot, key: str) -> object:
    """The value of an entry's key; None where it has none."""
    if slot.inner and key in _NESTED:
        return (as_object(slot.fields.get(_COMMAND)) or {}).get(_inner(key))
    return slot.fields.get(key)


_NESTED: Final = frozenset({_COMMAND, "args", "env"})


def _inner(key: str) -> str:
    """How a key is called in the object that older versions of Zed have under `command`."""
    return "path" if key == _COMMAND else key


def _wanted(slot: Slot, changes: Changes) -> dict[str, object]:
    return {key: value for key, value in changes.items() if current(slot, key) != value}


def _rest(document: Document, changed: Mapping[tuple[str, ...], Changes]) -> object:
    """All of a document but the changed entries, token by token."""
    if document.form == "toml":
        data = dict(toml.read(document.text))
        servers = dict(as_object(data.get(toml.SERVERS)) or {})
        data[toml.SERVERS] = {
            name: None if (toml.SERVERS, name) in changed else value for name, value in servers.items()
        }
        return repr(data)  # in which a NaN is like another
    return _tokens(jsonc.read(document.text), document.text, (), changed)


def _tokens(
    node: jsonc.Node, text: str, route: tuple[str, ...], changed: Mapping[tuple[str, ...], Changes]
) -> object:
    if route in changed:
        return None
    if node.kind == "object":
        return [
            (member.key, _tokens(child, text, (*route, member.key), changed))
            for member, child in node.members
        ]
    if node.kind == "array":
        return [_tokens(child, text, (*route, ""), changed) for child in node.items]
    return text[node.start : node.end]


class _Changer:
    """Finds the pieces of text to replace for one entry."""

    def __init__(self, document: Document, slot: Slot) -> None:
        self._text = document.text
        self._slot = slot
        self._json = document.form == "json"
        self._line = "\r\n" if "\r\n" in document.text[:4096] else "\n"
        self._members = sorted(slot.inner or slot.members, key=lambda each: each.start)

    def pieces(self, changes: Changes) -> list[tuple[int, int, str]]:
        """Start, end and new text of every piece, in order."""
        known = {member.key: member for member in self._members}
        named = {_inner(key) if self._slot.inner else key: value for key, value in changes.items()}
        for key in named:
            if key in known and not known[key].whole:
                self._refuse(f"`{key}` stands in several places; write it as one table", known[key].start)
        added = {key: value for key, value in named.items() if key not in known and value is not None}
        gone = [member for member in self._members if member.key in named and named[member.key] is None]
        found = [
            (member.value, member.end, self._encoded(named[member.key]))
            for member in self._members
            if named.get(member.key) is not None
        ]
        if any(self._is_header(member) for member in self._members if named.get(member.key) is not None):
            self._refuse("a table of its own cannot be changed here", self._slot.start)
        slot = next((member for member in gone if not self._is_header(member)), None)
        if added and slot is not None:
            found.append((slot.start, slot.end, self._joined(added, slot)))
            gone.remove(slot)
        elif added:
            found = self._after_a_member(added, found, named)
        found += [self._deletion(member) for member in gone]
        return sorted(found)

    def _refuse(self, message: str, offset: int) -> None:
        raise ConfigFault(f"{message} (server {quoted(self._slot.name)})", offset)

    def _is_header(self, member: Member) -> bool:
        return not self._json and self._text.startswith("[", member.start)

    def _after_a_member(
        self, added: Changes, found: list[tuple[int, int, str]], named: Changes
    ) -> list[tuple[int, int, str]]:
        """Put the new keys behind the command, else behind the last key that is no table of its own."""
        simple = [member for member in self._members if not self._is_header(member)]
        if not simple:
            self._refuse("there is no key to put another one beside", self._slot.start)
        anchor = next((member for member in simple if member.key in {"command", "path"}), simple[-1])
        text = self._separator(anchor) + self._joined(added, anchor)
        if named.get(anchor.key) is None:
            return [*found, (anchor.end, anchor.end, text)]
        return [(start, end, new + text if start == anchor.value else new) for start, end, new in found]

    def _joined(self, added: Changes, beside: Member) -> str:
        prefix = self._text[beside.start : beside.name]
        sign = ": " if self._json else " = "
        keys = (
            f"{json.dumps(key)}{sign}{self._encoded(value)}"
            if self._json
            else f"{prefix}{key}{sign}{self._encoded(value)}"
            for key, value in added.items()
        )
        return self._separator(beside).join(keys)

    def _separator(self, beside: Member) -> str:
        """What stands between two keys, as it stands before the key that is there."""
        before = self._text[: beside.start]
        gap = before[len(before.rstrip(" \t\r\n")) :]
        if beside.style == "statement":
            return self._line + gap.rpartition("\n")[2]
        return "," + (gap if self._json else " ")

    def _deletion(self, member: Member) -> tuple[int, int, str]:
        if member.style == "statement":
            start = self._text.rfind("\n", 0, member.start) + 1
            end = self._text.find("\n", member.end)
            return start, len(self._text) if end == -1 else end + 1, ""
        at = self._members.index(member)
        if at > 0:
            return self._members[at - 1].end, member.end, ""
        if len(self._members) > 1:
            return member.start, self._members[1].start, ""
        return member.start, member.end, ""

    def _encoded(self, value: object) -> str:
        if self._json:
            return json.dumps(value, ensure_ascii=False)
        if isinstance(value, str):
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        if isinstance(value, list):
            return "[" + ", ".join(self._encoded(each) for each in cast("list[object]", value)) + "]"
        fields = as_object(value)
        if fields is not None:
            pairs = ", ".join(f"{self._encoded(key)} = {self._encoded(each)}" for key, each in fields.items())
            return "{ " + pairs + " }"
        return json.dumps(value)
