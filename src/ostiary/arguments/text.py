"""Checks on raw text that every reader in this package makes first."""

from __future__ import annotations

import re
import unicodedata

from ostiary.arguments.fault import ArgumentError

_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^?#]*)")


def refuse_controls(text: str) -> None:
    """Refuse NUL, control and formatting characters, and lone surrogates.

    Formatting characters (zero-width, bidirectional) are removed by some readers and kept by
    others, so a text that holds one has no single meaning.
    """
    if text.isascii() and text.isprintable():
        return
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise ArgumentError("holds a control or invisible character")


def holds_percent_encoding(text: str) -> bool:
    """True when `text` holds `%` and two hexadecimal digits anywhere."""
    return _ENCODED.search(text) is not None


def refuse_dot_segments(text: str) -> None:
    """Refuse text in which a reader of paths could find `.`, `..` or an empty part, in any spelling.

    `//` stands only behind the scheme of an address, or in its query or fragment. For patterns
    over texts that may be paths or addresses: where a pattern compares the text as it stands, the
    text must be the only spelling of what it names.

    Raises:
        ArgumentError: on a dot segment, a doubled separator, a backslash, percent-encoding or an
            invisible character.
    """
    refuse_controls(text)
    if "/" not in text and "\\" not in text and "%" not in text and text.isascii():
        if text in (".", ".."):
            raise ArgumentError("is a dot segment")
        return
    if "\\" in text:
        raise ArgumentError("holds a backslash")
    if holds_percent_encoding(text):
        raise ArgumentError("holds percent-encoding")
    refuse_folding_separators(text)
    for segment in text.split("/"):
        if is_dot_like(segment) and segment:
            raise ArgumentError("holds a dot segment")
    address = _ADDRESS.match(text)
    if "//" in (text if address is None else address[1]):
        raise ArgumentError("holds a doubled separator")


def is_dot_like(segment: str) -> bool:
    """True for segments of only dots and spaces: `.`, `..`, and what some systems trim to them."""
    return not segment.strip(". ")


def refuse_folding_separators(text: str) -> None:
    """Refuse characters that compatibility normalisation turns into separators or dots."""
    if text.isascii():
        return
    folded = unicodedata.normalize("NFKC", text)
    for mark in "/\\.%:@?#":
        if folded.count(mark) != text.count(mark):
            raise ArgumentError("holds a character that normalises to punctuation")
