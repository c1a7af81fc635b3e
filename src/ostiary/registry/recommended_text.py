"""A document of ours as JSON and as YAML in the style of `policy fmt`, its comments in both. Pure.

In a document, the key `#` holds comments: lines for `#` in YAML, `$comment` in JSON. The text is
written from a tree, never pasted together, so no value can leave its quotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from textwrap import wrap
from typing import Final, cast

from ostiary.policy.formats.shape import TableOf
from ostiary.policy.formats.table import TABLES
from ostiary.policy.layout.json_text import write_json
from ostiary.policy.layout.piece import Group, Piece, Tables, build, put_in_order
from ostiary.policy.layout.scalars import number_text
from ostiary.policy.layout.yaml_text import write_yaml
from ostiary.policy.source import Entry, ListNode, MapNode, Node, Scalar
from ostiary.policy.testing.table import TESTS
from ostiary.registry.change import printable
from ostiary.wire.message import as_object

WIDTH: Final = 96
NOTE: Final = "#"

Document = Mapping[str, object]


def as_json(document: Document) -> str:
    """The policy as JSON."""
    root = _tree(_node(document, comments=True), TABLES, dense=True)
    put_in_order(root)
    return write_json(root)


def as_yaml(document: Document) -> str:
    """The policy as YAML."""
    return _yaml(document, TABLES)


def tests_yaml(document: Document) -> str:
    """A tests file as YAML."""
    return _yaml(document, TESTS)


def size_of(document: object) -> int:
    """How many values a document holds."""
    if isinstance(document, Mapping):
        members = cast("Mapping[str, object]", document)
        return 1 + sum(size_of(each) for each in members.values())
    if isinstance(document, list):
        return 1 + sum(size_of(each) for each in cast("list[object]", document))
    return 1


def lines_of(texts: Sequence[str]) -> Iterator[str]:
    """Comments as lines that a reader can take in, with nothing in them that steers or ends a line."""
    for text in texts:
        yield from wrap(printable(text), WIDTH, break_on_hyphens=False)


def _yaml(document: Document, tables: Tables) -> str:
    root = _tree(_node(document, comments=False), tables, dense=False)
    _annotate(root, document, top=True)
    put_in_order(root)
    return write_yaml(root, header=tuple(_marked(document)))


def _tree(node: Node, tables: Tables, *, dense: bool) -> Group:
    return cast("Group", build(node, TableOf("document"), tables, dense=dense))


def _node(value: object, *, comments: bool) -> Node:
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value)
        entries = [
            Entry(1, 1, key, _node(each, comments=comments)) for key, each in members.items() if key != NOTE
        ]
        notes = [Scalar(1, 1, line, line) for line in lines_of(_notes(members))]
        if comments and notes:
            entries.insert(0, Entry(1, 1, "$comment", ListNode(1, 1, tuple(notes))))
        return MapNode(1, 1, tuple(entries))
    if isinstance(value, list):
        return ListNode(1, 1, tuple(_node(each, comments=comments) for each in cast("list[object]", value)))
    if isinstance(value, bool) or value is None:
        return Scalar(1, 1, value, "")
    if isinstance(value, int | Decimal):
        return Scalar(1, 1, Decimal(value), number_text(Decimal(value)))
    return Scalar(1, 1, str(value), str(value))


def _notes(members: Mapping[str, object]) -> Sequence[str]:
    return cast("Sequence[str]", members.get(NOTE, ()))


def _marked(members: Mapping[str, object]) -> list[str]:
    return [f"# {line}".rstrip() for line in lines_of(_notes(members))]


def _annotate(piece: Piece, value: object, *, top: bool = False) -> None:
    """Put the comments of `value` above the items that they are about."""
    if not isinstance(piece, Group):
        return
    if piece.keyed:
        members = cast("Mapping[str, object]", value)
        inner = [each for key, each in members.items() if key != NOTE]
    else:
        inner = cast("list[object]", value)
    for item, each in zip(piece.items, inner, strict=True):
        members = as_object(each)
        if members is not None:
            notes = _marked(members)
            item.before = ["", *notes] if piece.keyed and notes and not top else notes
        _annotate(item.value, each)
