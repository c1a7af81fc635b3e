"""YAML by the 1.2 core schema only (P1.7), with places.

PyYAML's event parser does the syntax; what a plain scalar means is decided here. Anchors, aliases,
merge keys, tags and further documents are refused, and so is every character that YAML 1.1 and 1.2
disagree about. The pure Python parser is used everywhere, so that one text has one meaning whether
or not libyaml is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NoReturn

import yaml

from ostiary.policy.source import (
    MAX_DIGITS,
    Bounds,
    Entry,
    ListNode,
    MapNode,
    Node,
    Scalar,
    SourceFault,
    Spot,
    number,
    offset_column,
    shown,
)

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_FOREIGN_BREAK = re.compile("[\x85\u2028\u2029\ufeff]")
_HALF_PAIR = re.compile("[\ud800-\udfff]")

_Start = yaml.MappingStartEvent | yaml.SequenceStartEvent | yaml.ScalarEvent


def read(text: str) -> tuple[Node | None, list[SourceFault]]:
    """The tree, or None for an empty file; the list holds duplicate keys. Raises `SourceFault`."""
    found = _FOREIGN_BREAK.search(text)
    if found is not None:
        before = text[: found.start()]
        spot = Spot(before.count("\n") + 1, offset_column(before))
        raise SourceFault("bad-character", f"the character U+{ord(found.group()):04X} is not read", spot)
    composer = _Composer(text)
    try:
        return composer.document(), composer.duplicates
    except yaml.MarkedYAMLError as fault:
        raise _syntax_fault(fault) from fault
    except yaml.YAMLError as fault:
        raise _character_fault(text, fault) from fault
    except (ValueError, OverflowError) as fault:  # an escape such as "\UFFFFFFFF", a huge version
        raise SourceFault("bad-yaml", "an escape or version that is out of range", composer.spot) from fault


def _syntax_fault(fault: yaml.MarkedYAMLError) -> SourceFault:
    mark = fault.problem_mark or fault.context_mark
    spot = Spot(1, 1) if mark is None else Spot(mark.line + 1, mark.column + 1)
    return SourceFault("bad-yaml", " ".join(str(fault.problem or "not YAML").split())[:200], spot)


def _character_fault(text: str, fault: yaml.YAMLError) -> SourceFault:
    position = getattr(fault, "position", 0)
    before = text[: position if isinstance(position, int) else 0]
    spot = Spot(before.count("\n") + 1, offset_column(before))
    return SourceFault("bad-character", "a control character", spot)


def _spot(event: yaml.Event) -> Spot:
    mark = event.start_mark
    return Spot(1, 1) if mark is None else Spot(mark.line + 1, mark.column + 1)


class _Composer:
    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self._bounds = Bounds()
        self.spot = Spot(1, 1)
        self.duplicates: list[SourceFault] = []

    def _next(self) -> yaml.Event:
        event = next(self._events)
        self.spot = _spot(event)
        return event

    def document(self) -> Node | None:
        self._next()  # stream start
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        self._check_directives(start)
        node = self._node(self._next(), 0)
        self._next()  # document end
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise SourceFault("several-documents", "a second document begins here", self.spot)
        return None if isinstance(node, Scalar) and node.value is None else node

    def _check_directives(self, start: yaml.Event) -> None:
        if not isinstance(start, yaml.DocumentStartEvent):
            return
        if start.tags or start.version not in {None, (1, 2)}:
            raise SourceFault("yaml-directive", "a directive other than `%YAML 1.2`", self.spot)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        spot = _spot(event)
        self._bounds.enter(depth, spot)
        if isinstance(event, yaml.AliasEvent):
            raise SourceFault("yaml-anchor", "an alias", spot, "write the value out")
        if not isinstance(event, _Start):
            raise SourceFault("bad-yaml", "expected a value", spot)
        self._refuse_properties(event, spot)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, spot)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(spot, depth)
        return self._list(spot, depth)

    def _refuse_properties(self, event: _Start, spot: Spot) -> None:
        if event.anchor is not None:
            raise SourceFault("yaml-anchor", "an anchor", spot, "write the value out where it is used")
        if event.tag is not None:
            raise SourceFault("yaml-tag", "a tag", spot)

    def _list(self, spot: Spot, depth: int) -> ListNode:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return ListNode(spot.line, spot.column, tuple(items))

    def _mapping(self, spot: Spot, depth: int) -> MapNode:
        entries: dict[str, Entry] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, depth)
            at = _spot(event)
            entry = Entry(at.line, at.column, key, self._node(self._next(), depth + 1))
            if key in entries:
                self.duplicates.append(SourceFault("duplicate-key", f"the key {shown(key)} stands twice", at))
            entries.setdefault(key, entry)
        return MapNode(spot.line, spot.column, tuple(entries.values()))

    def _key(self, event: yaml.Event, depth: int) -> str:
        node = self._node(event, depth + 1)
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
            raise SourceFault("yaml-merge", "a merge key", node, "write the keys out")
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            raise SourceFault("key-not-text", "a key that is not text", node, "put the key in quotes")
        return node.value


def _scalar(event: yaml.ScalarEvent, spot: Spot) -> Scalar:
    text = event.value
    if _HALF_PAIR.search(text):
        raise SourceFault("bad-character", "half of a surrogate pair is no character", spot)
    plain = event.implicit[0]  # not quoted, not a block
    value = _plain_value(text, spot) if plain else text
    return Scalar(spot.line, spot.column, value, text)


def _plain_value(text: str, spot: Spot) -> str | bool | Decimal | None:
    """What an unquoted scalar means in the YAML 1.2 core schema (10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _BASED.fullmatch(text):
        if len(text) > MAX_DIGITS:  # converting a long one takes long
            raise SourceFault("wide-number", f"a number has more than {MAX_DIGITS} digits", spot)
        return number(str(int(text, 0)), spot)
    if _DECIMAL.fullmatch(text):
        return number(text, spot)
    if _NOT_FINITE.fullmatch(text):
        _refuse_not_finite(text, spot)
    return text


def _refuse_not_finite(text: str, spot: Spot) -> NoReturn:
    raise SourceFault("not-a-number", f"not a number: `{text}`", spot, "put it in quotes if it is text")
