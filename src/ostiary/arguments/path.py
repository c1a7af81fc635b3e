"""File system paths, read so that no spelling of a place outside passes for one inside.

The reading is lexical: nothing is looked up, so symbolic links are not seen. A relative path
is an error, even one without `..`: its meaning depends on the upstream's working directory,
which cannot be known here.
"""

from __future__ import annotations

from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.text import (
    holds_percent_encoding,
    is_dot_like,
    refuse_controls,
    refuse_folding_separators,
)

MAX_PATH = 4096
"""Longest path in characters; Linux refuses longer ones as well (PATH_MAX)."""


def segments(text: str) -> tuple[str, ...]:
    """Return the parts of the absolute path `text`, with `.`, `..` and `//` resolved.

    `/a//b/../c` is `("a", "c")` and `/` is `()`. `..` at the root stays at the root, as POSIX
    has it.

    Raises:
        ArgumentError: when `text` is empty, relative, too long, or holds NUL, a control or
            invisible character, a backslash, percent-encoding, or a part made only of dots and
            spaces other than `.` and `..` (some systems trim those to `..`).
    """
    if len(text) > MAX_PATH:
        raise ArgumentError("path is too long")
    if not text.startswith("/"):
        raise ArgumentError("path is not absolute")
    refuse_controls(text)
    refuse_folding_separators(text)
    if "\\" in text:
        raise ArgumentError("path holds a backslash")
    if holds_percent_encoding(text):
        raise ArgumentError("path holds percent-encoding")
    kept: list[str] = []
    for part in text.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            del kept[-1:]
        elif is_dot_like(part):
            raise ArgumentError("path holds a part of only dots and spaces")
        else:
            kept.append(part)
    return tuple(kept)


def is_within(path: tuple[str, ...], folder: tuple[str, ...]) -> bool:
    """True when `path` is `folder` itself or below it. Both come from `segments`."""
    return path[: len(folder)] == folder
