"""What a key takes, as data: the loader checks it, the JSON Schema is printed from it (P1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ostiary.policy.source import ListNode, MapNode, Node, Scalar

MAX_TEXT = 4_096


@dataclass(frozen=True, slots=True)
class Text:
    """Text of 1 to 4,096 characters."""


@dataclass(frozen=True, slots=True)
class Version:
    """The text `1`; in YAML it may also stand without quotes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Number:
    """Any number, or a whole one; bounds are checked by whoever reads it."""

    whole: bool = False


@dataclass(frozen=True, slots=True)
class Anything:
    """Any value; whoever reads it checks more."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of `item`; `least` is the smallest length."""

    item: Shape
    least: int = 0


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping from names of the author's to `item`."""

    item: Shape


@dataclass(frozen=True, slots=True)
class TableOf:
    """A mapping whose keys are those of the table `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Any of several shapes."""

    shapes: tuple[Shape, ...]


Shape = Text | Version | Choice | Flag | Number | Anything | ListOf | MapOf | TableOf | OneOf


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    `extension`: format 1 does not have it. `later`: refused with `needs-later-version`.
    """

    shape: Shape
    about: str
    required: bool = False
    extension: bool = False
    later: bool = False


Table = Mapping[str, Key]


def accepts(shape: Shape, node: Node) -> bool:
    """Whether `node` has the kind that `shape` asks for; what is inside is not looked at."""
    if isinstance(shape, OneOf):
        return any(accepts(each, node) for each in shape.shapes)
    if isinstance(shape, Anything):
        return True
    if isinstance(shape, ListOf):
        return isinstance(node, ListNode)
    if isinstance(shape, MapOf | TableOf):
        return isinstance(node, MapNode)
    return isinstance(node, Scalar) and _accepts_scalar(shape, node)


def _accepts_scalar(shape: Text | Version | Choice | Flag | Number, node: Scalar) -> bool:
    if isinstance(shape, Flag):
        return isinstance(node.value, bool)
    if isinstance(shape, Number):
        return node.is_number
    if isinstance(shape, Version):
        return node.is_number or isinstance(node.value, str)
    return isinstance(node.value, str)


def list_shape(shape: Shape) -> ListOf | None:
    """The list among what `shape` takes, or None."""
    if isinstance(shape, OneOf):
        return next((each for each in shape.shapes if isinstance(each, ListOf)), None)
    return shape if isinstance(shape, ListOf) else None


def expected(shape: Shape) -> str:
    """`shape` in words, for a message."""
    if isinstance(shape, OneOf):
        return " or ".join(expected(each) for each in shape.shapes)
    if isinstance(shape, Choice):
        return "one of " + ", ".join(f"`{option}`" for option in shape.options)
    if isinstance(shape, Number):
        return "a whole number" if shape.whole else "a number"
    return _NAMES[type(shape)]


_NAMES: Mapping[type, str] = {
    Text: "text",
    Version: "the text `1`",
    Flag: "true or false",
    Anything: "a value",
    ListOf: "a list",
    MapOf: "a mapping",
    TableOf: "a mapping",
}


def kind(node: Node) -> str:
    """What `node` is, in words, for a message."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node.value, bool):
        return f"`{str(node.value).lower()}`"
    if node.value is None:
        return "null"
    return "a number" if node.is_number else "text"
