"""A document as a tree to be written: what is read from the text, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ostiary.policy.formats.shape import Anything, ListOf, MapOf, OneOf, Shape, Table, TableOf, accepts
from ostiary.policy.source import ListNode, MapNode, Node, Scalar

WIDTH = 110
"""What stands on one line is at most so many characters wide, the indent included."""

_TALL = frozenset({"document", "server", "tool", "all_tools", "rule", "asking"})
_ANYTHING = Anything()

Tables = Mapping[str, Table]


@dataclass(slots=True)
class Leaf:
    """A scalar. `block` holds the lines of a YAML block scalar, its header first."""

    node: Scalar
    block: tuple[str, ...] = ()


@dataclass(slots=True)
class Group:
    """A mapping (`keyed`) or a list.

    `short`: may stand on one line. `after` are comment lines behind the last item. `flow`: was
    written in brackets.
    """

    keyed: bool
    line: int
    column: int
    items: list[Item]
    short: bool
    flow: bool = False
    after: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Item:
    """One entry of a mapping or element of a list.

    `before` are lines above it, each a comment or empty; `beside` is the comment on its own line.
    """

    key: str
    line: int
    column: int
    value: Piece
    rank: int = 0
    before: list[str] = field(default_factory=list[str])
    beside: str = ""


Piece = Leaf | Group


def build(node: Node, shape: Shape, tables: Tables, *, dense: bool) -> Piece:
    """The tree of `node`, in the author's order; `rank` and `short` come from `shape`.

    `dense`: a list of one short thing stands on one line, as is usual in JSON; in YAML only a list of
    one condition does, since other lists grow.
    """
    shape = _taken(shape, node)
    if isinstance(node, Scalar):
        return Leaf(node)
    if isinstance(node, ListNode):
        inner = shape.item if isinstance(shape, ListOf) else _ANYTHING
        listed = [
            Item("", item.line, item.column, build(item, inner, tables, dense=dense), rank)
            for rank, item in enumerate(node.items)
        ]
        short = _short_list(listed, inner, dense=dense)
        return Group(keyed=False, line=node.line, column=node.column, items=listed, short=short)
    return _mapping(node, shape, tables, dense=dense)


def _taken(shape: Shape, node: Node) -> Shape:
    """The one among several shapes that the author used."""
    if isinstance(shape, OneOf):
        return next((_taken(each, node) for each in shape.shapes if accepts(each, node)), _ANYTHING)
    return shape


def _mapping(node: MapNode, shape: Shape, tables: Tables, *, dense: bool) -> Group:
    table = tables[shape.name] if isinstance(shape, TableOf) else None
    ranks = {name: rank for rank, name in enumerate(table or ())}
    items: list[Item] = []
    for index, entry in enumerate(node.entries):
        inner = _ANYTHING if table is None else table[entry.key].shape
        if isinstance(shape, MapOf):
            inner = shape.item
        value = build(entry.value, inner, tables, dense=dense)
        items.append(Item(entry.key, entry.line, entry.column, value, ranks.get(entry.key, index)))
    tall = isinstance(shape, MapOf) or (isinstance(shape, TableOf) and shape.name in _TALL)
    short = not tall and all(_is_short(item.value) for item in items)
    return Group(keyed=True, line=node.line, column=node.column, items=items, short=short or not items)


def _short_list(items: list[Item], inner: Shape, *, dense: bool) -> bool:
    if all(isinstance(item.value, Leaf) for item in items):
        return True
    single = dense or inner == _ANYTHING or (isinstance(inner, TableOf) and inner.name == "condition")
    return single and len(items) == 1 and _is_short(items[0].value)


def _is_short(piece: Piece) -> bool:
    return isinstance(piece, Leaf) or piece.short


def flattened(group: Group) -> Iterator[tuple[Item, tuple[Group, ...]]]:
    """Every item in the author's order, each with the groups around it, outermost first."""
    pending: list[tuple[Group, tuple[Group, ...], int]] = [(group, (group,), 0)]
    while pending:
        current, around, index = pending.pop()
        if index == len(current.items):
            continue
        item = current.items[index]
        pending.append((current, around, index + 1))
        if isinstance(item.value, Group):
            pending.append((item.value, (*around, item.value), 0))
        yield item, around


def put_in_order(piece: Piece) -> None:
    """Sort the entries of every mapping by the order of the reference.

    What then stands above the first entry of an element goes above the element: behind a dash there
    is no place for it.
    """
    if not isinstance(piece, Group):
        return
    if piece.keyed:
        piece.items.sort(key=lambda item: item.rank)
    for item in piece.items:
        put_in_order(item.value)
        if not piece.keyed and isinstance(item.value, Group) and item.value.items:
            first = item.value.items[0]
            item.before += [line for line in first.before if line]
            first.before = []


def on_one_line(piece: Piece) -> bool:
    """Whether `piece` may be written on one line: it is short, and no comment stands in it."""
    if isinstance(piece, Leaf):
        return not piece.block
    return piece.short and not piece.after and all(_plain(item) for item in piece.items)


def _plain(item: Item) -> bool:
    return not any(item.before) and not item.beside and on_one_line(item.value)
