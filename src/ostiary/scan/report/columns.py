"""Text in columns: what is twice as wide counts twice, and nothing is cut off in silence."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

WIDTH = 80
Show = Callable[[str], str]
"""Makes a text of a server fit for where it is shown."""


def columns(text: str) -> int:
    """How many columns a printable text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def wrapped(text: str, first: str, rest: str = "") -> list[str]:
    """`text` in lines of at most 80 columns. `first` stands before the first line, `rest` before others.

    A word that is longer than a line is broken.
    """
    lines: list[str] = []
    line, empty = first, True
    for word in _pieces(text.split(), WIDTH - max(columns(first), columns(rest))):
        if not empty and columns(line) + 1 + columns(word) > WIDTH:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line.rstrip()]


def _pieces(words: list[str], most: int) -> Iterator[str]:
    for word in words:
        piece = ""
        for char in word:
            if columns(piece) + columns(char) > most:
                yield piece
                piece = ""
            piece += char
        if piece:
            yield piece
