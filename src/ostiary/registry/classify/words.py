"""Names and texts as words, in one pass and with an end."""

from __future__ import annotations

import re
from typing import Final

MAX_NAME: Final = 200
"""Characters of a name that are looked at."""

MAX_TEXT: Final = 8_000
"""Characters of a text that are looked at. Whoever hides something behind them has a longer text than
any honest tool, and a signal says so."""

MAX_SENTENCES: Final = 200

_PARTS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_]+")
# A name like `delete_file` within a text is another tool's, and so one word.
_WORD: Final = re.compile(r"\w+(?:['-]\w+)*|[,/&]")
# A line that goes on in lower case is the same sentence, wrapped.
_SENTENCE: Final = re.compile(
    r"[.;:!?•()](?=\s|$)|\n(?=\n|[ \t]{0,8}[-*#0-9A-Z\u2022])|[ ][-\u2013\u2014][ ]"
)

Words = tuple[str, ...]


def name_words(name: str) -> Words:
    """The words of a name in camelCase, snake_case, kebab-case or with dots, in lower case."""
    return tuple(part.lower() for part in _PARTS.findall(name[:MAX_NAME]))


def text_words(text: str) -> Words:
    """The words of a sentence in lower case, with its commas and strokes."""
    return tuple(word.lower() for word in _WORD.findall(text))


def sentences(text: str) -> tuple[str, ...]:
    """The sentences and lines of a text, without empty ones."""
    parts = _SENTENCE.split(text[:MAX_TEXT])
    return tuple(part for part in parts if part.strip())[:MAX_SENTENCES]


def singular(word: str) -> str:
    """A noun without its plural, well enough to look it up."""
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - `ties` is no plural of `ty`
        return word[:-3] + "y"
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):  # noqa: PLR2004 - `gas`
        return word[:-1]
    return word


def inflections(verb: str) -> dict[str, str]:
    """The forms of a verb that can head a sentence, with the kind of each: `base`, `third`, `gerund`."""
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        third = verb + "es"
    elif verb.endswith("y") and verb[-2:-1] not in "aeiou":
        third = verb[:-1] + "ies"
    else:
        third = verb + "s"
    stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
    return {verb: "base", third: "third", stem + "ing": "gerund", stem + stem[-1:] + "ing": "gerund"}
