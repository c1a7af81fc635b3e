"""A text as its reader takes it: without tricks of writing. Linear in the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What is drawn as nothing, or turns the direction, as the inside of a character class."""

_UNSEEN: Final = re.compile(f"[{UNSEEN}\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r" ?\n[ \n]*")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Whole words, so that none is begun anew at each of its letters.
_MIXED: Final = re.compile(r"(?<![a-z013457@$|!])[a-z]*+[013457@$|!][a-z013457@$|!]*+")
_LETTER: Final = re.compile(r"[a-z]")
_SPACED: Final = re.compile(r"(?<![^\W_])(?:[^\W\d_][ .*_-]){4,}[^\W\d_](?![^\W_])")
_DIGITS: Final = str.maketrans("013457@$|!", "oieastasii")
_QUOTES: Final = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u00b4\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)
_SWELLING: Final = {0xFDFA: None, 0xFDFB: None}
"""Two characters that normalise to whole sentences."""

MAX_MARKS: Final = 8


def plain(text: str) -> str:
    """Lower case, one form of each character, nothing unseen, short white space."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _few_marks(_UNSEEN.sub("", text).translate(_SWELLING)))
        text = text.translate(_QUOTES)
    elif _UNSEEN.search(text):
        text = _UNSEEN.sub("", text)
    if " " not in text[:4_096]:
        text = _CAMEL.sub(" ", text)
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).casefold()


def views(text: str, confusables: Mapping[int, str]) -> Iterator[str]:
    """The plain text, and what else it may be read as: each different from those before it."""
    first = plain(text)
    seen = {first}
    yield first
    for view in _others(text, first, confusables):
        if view not in seen:
            seen.add(view)
            yield view


def _others(text: str, first: str, confusables: Mapping[int, str]) -> Iterator[str]:
    if _UNSEEN.search(text):
        yield plain(_UNSEEN.sub(" ", text))
    if not first.isascii():
        yield latin(first, confusables)
    for apart in (text, first):
        if _SPACED.search(apart):
            yield plain(_SPACED.sub(_together, apart))
    leet = _MIXED.sub(_letters, first)
    if leet != first:
        yield leet


def _together(found: re.Match[str]) -> str:
    return re.sub(r"[ .*_-]", "", found.group())


def _letters(found: re.Match[str]) -> str:
    word = found.group()
    return word.translate(_DIGITS) if _LETTER.search(word) else word


def latin(text: str, confusables: Mapping[int, str]) -> str:
    """Letters that look like Latin ones as those, and without accents."""
    if text.isascii():
        return text.translate(confusables).casefold()
    bare = "".join(
        char for char in unicodedata.normalize("NFKD", _few_marks(text)) if not unicodedata.combining(char)
    )
    return bare.translate(confusables).casefold()


def _few_marks(text: str) -> str:
    """Without what stands in heaps: putting marks in order takes time squared in their number."""
    if text.isascii() or not any(map(unicodedata.combining, text)):
        return text
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)
