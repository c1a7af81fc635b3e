"""Writes a tree as JSON: two spaces, short things on one line."""

from __future__ import annotations

from ostiary.policy.layout.piece import WIDTH, Group, Leaf, Piece
from ostiary.policy.layout.scalars import in_json, json_text

_STEP = "  "


def write_json(root: Group) -> str:
    """The text of a document, with a line break at the end."""
    return _written(root, "", 0) + "\n"


def _written(piece: Piece, indent: str, taken: int) -> str:
    """`taken`: how many characters of the first line are used already."""
    if isinstance(piece, Leaf):
        return in_json(piece.node)
    if piece.short:
        line = _line(piece)
        if taken + len(line) < WIDTH or not piece.items:  # a comma may follow
            return line
    inner = indent + _STEP
    rows: list[str] = []
    for item in piece.items:
        head = f"{json_text(item.key)}: " if piece.keyed else ""
        rows.append(f"{inner}{head}{_written(item.value, inner, len(inner) + len(head))}")
    opening, closing = "{}" if piece.keyed else "[]"
    return f"{opening}\n" + ",\n".join(rows) + f"\n{indent}{closing}"


def _line(piece: Piece) -> str:
    if isinstance(piece, Leaf):
        return in_json(piece.node)
    parts = ((f"{json_text(item.key)}: " if piece.keyed else "") + _line(item.value) for item in piece.items)
    inner = ", ".join(parts)
    return f"{{{inner}}}" if piece.keyed else f"[{inner}]"
