"""Writes a tree as YAML: block style, two spaces, short things on one line, comments in their places."""

from __future__ import annotations

from ostiary.policy.layout.piece import WIDTH, Group, Item, Leaf, Piece, on_one_line
from ostiary.policy.layout.scalars import in_yaml, yaml_text

_STEP = "  "
_LONGEST_KEY = 900
"""YAML readers look for the colon of a key within 1,024 characters."""


def write_yaml(root: Group, *, header: tuple[str, ...] = ()) -> str:
    """The text of a document. `header` stands above it, apart."""
    lines = [*header, *([""] if header else []), *_group(root, "")]
    return "\n".join(lines) + "\n"


def _group(group: Group, indent: str) -> list[str]:
    """The items of a group that is not written on one line."""
    lines: list[str] = []
    for index, item in enumerate(group.items):
        before = item.before[1:] if index == 0 and item.before[:1] == [""] else item.before
        lines += [f"{indent}{line}" if line else "" for line in before]
        lines += _entry(item, indent) if group.keyed else _element(item, indent)
    return lines + [f"{indent}{line}" if line else "" for line in group.after]


def _entry(item: Item, indent: str) -> list[str]:
    key = yaml_text(item.key, flow=False)
    if len(key) > _LONGEST_KEY:
        return [f"{indent}? {key}", *_placed(item, indent, ":")]
    return _placed(item, indent, f"{key}:")


def _placed(item: Item, indent: str, head: str) -> list[str]:
    """A value behind its key."""
    beside = f"  {item.beside}" if item.beside else ""
    if isinstance(item.value, Leaf) and item.value.block:
        return _block(item.value, indent, head, beside)
    text = _line(item.value, len(indent) + len(head) + 1)
    if text is not None:
        return [f"{indent}{head} {text}{beside}"]
    inner = _group(item.value, indent + _STEP) if isinstance(item.value, Group) else []
    return [f"{indent}{head}{beside}", *inner]


def _element(item: Item, indent: str) -> list[str]:
    """An element behind its dash. Comments that would stand between the two go above the dash."""
    beside = f"  {item.beside}" if item.beside else ""
    if isinstance(item.value, Leaf) and item.value.block:
        return _block(item.value, indent, "-", beside)
    text = _line(item.value, len(indent) + 2)
    if text is not None:
        return [f"{indent}- {text}{beside}"]
    inner = _group(item.value, indent + _STEP) if isinstance(item.value, Group) else []
    above = [f"{indent}{item.beside}"] if item.beside else []
    while inner[0].lstrip().startswith("#"):  # beside an element that is a list itself
        above.append(inner.pop(0).removeprefix(_STEP))
    first, *rest = inner
    return [*above, f"{indent}- {first.removeprefix(indent + _STEP)}", *rest]


def _block(leaf: Leaf, indent: str, head: str, beside: str) -> list[str]:
    header, *lines = leaf.block
    inner = [f"{indent}{_STEP}{line}" if line else "" for line in lines]
    return [f"{indent}{head} {header}{beside}", *inner]


def _line(piece: Piece, taken: int) -> str | None:
    """The piece on one line, or None when it does not belong or fit there."""
    if isinstance(piece, Leaf):
        return in_yaml(piece.node, flow=False)
    if not piece.items:
        return _flow(piece)
    if not on_one_line(piece) or _has_long_key(piece):
        return None
    text = _flow(piece)
    return text if taken + len(text) <= WIDTH else None


def _has_long_key(group: Group) -> bool:
    return any(
        len(item.key) > WIDTH or (isinstance(item.value, Group) and _has_long_key(item.value))
        for item in group.items
    )


def _flow(group: Group) -> str:
    inner = ", ".join(
        (f"{yaml_text(item.key, flow=True)}: " if group.keyed else "") + _flow_value(item.value)
        for item in group.items
    )
    return f"{{{inner}}}" if group.keyed else f"[{inner}]"


def _flow_value(piece: Piece) -> str:
    return in_yaml(piece.node, flow=True) if isinstance(piece, Leaf) else _flow(piece)
