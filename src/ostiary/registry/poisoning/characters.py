"""What a person does not see and a model reads: looked for in the text as it came."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, NamedTuple

from ostiary.registry.classification import Severity

_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a]"
    "|(?<=[\x00-\x7f])[\u200c\u200d]+(?=[\x00-\x7f])|[\u200c\u200d]{2,}"
)
_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKS: Final = re.compile("[\u200e\u200f\u061c]")
_TAGS: Final = re.compile("[\U000e0000-\U000e007f]+")
_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_RARE_SELECTOR: Final = re.compile(
    "(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
_STEERING: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Keys that a terminal ignores when they are shown, alone in quotes as an example: '\x03' for Ctrl+C.
_KEY: Final = re.compile(
    "(?<![^\\s(\\[,:=])(?P<quote>['\"`])[\x01-\x04\x06\x10\x12\x14-\x17\x19](?P=quote)(?![^\\W_])"
)
_MOST_KEYS: Final = 8
"""Keys that are shown as examples. More of them may spell a text."""

_HEAP: Final = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4,}")
_GAP: Final = re.compile(r"[\s\u2800]{25,}")
_WIDE: Final = 100
_TALL: Final = 25
_FLAG: Final = "\U0001f3f4"
_MAX_FLAG: Final = 8


class Seen(NamedTuple):
    """Something unseen: its kind, where in the text, and the reason."""

    kind: str
    start: int
    end: int
    reason: str
    severity: Severity


def unseen(text: str) -> Iterator[Seen]:
    """The first of each kind that is in `text`."""
    if text.isascii():
        if not text.isprintable():
            yield from _steering(text)
            yield from _pushed(text)
        elif len(text) >= 100:  # noqa: PLR2004 - as many blanks as it takes
            yield from _pushed(text)
        return
    yield from _tags(text)
    yield from _first(
        "invisible-characters",
        _UNSEEN,
        text,
        "drawn as nothing; words are cut or joined by it",
        Severity.HIGH,
    )
    yield from _turning(text)
    for pattern in (_SELECTORS, _RARE_SELECTOR):
        yield from _first(
            "variation-selectors",
            pattern,
            text,
            "selectors that select nothing: each can stand for a byte",
            Severity.HIGH,
        )
    yield from _steering(text)
    yield from _first("stacked-marks", _HEAP, text, "no language stacks so many marks", Severity.MEDIUM)
    yield from _pushed(text)


def _first(kind: str, pattern: re.Pattern[str], text: str, reason: str, severity: Severity) -> Iterator[Seen]:
    found = pattern.search(text)
    if found is not None:
        yield Seen(kind, found.start(), found.end(), reason, severity)


def _steering(text: str) -> Iterator[Seen]:
    if _STEERING.search(text) is None:
        return
    keys = {found.start() + 1 for found in _KEY.finditer(text)}
    for found in _STEERING.finditer(text):
        if found.start() in keys and len(keys) <= _MOST_KEYS:
            continue
        reason = "a terminal obeys it: what is shown is not what is read"
        yield Seen("terminal-escape", found.start(), found.end(), reason, Severity.HIGH)
        return


def _pushed(text: str) -> Iterator[Seen]:
    """White space before a word, wider or taller than what is in view; tables are drawn with less."""
    for found in _GAP.finditer(text):
        if found.end() == len(text) or text[found.end()] in "|+":
            continue
        lines = found.group().split("\n")
        if len(lines) > _TALL or max(map(len, lines)) >= _WIDE:
            reason = "words behind white space that reaches past the edge of the view"
            yield Seen("out-of-sight", found.start(), found.end(), reason, Severity.HIGH)
            return


def _turning(text: str) -> Iterator[Seen]:
    """Marks of direction belong to texts with letters that run from right to left."""
    yield from _first(
        "bidirectional-characters",
        _TURNING,
        text,
        "what is shown has another order than what is read",
        Severity.HIGH,
    )
    found = _MARKS.search(text)
    if found is not None and not any(
        unicodedata.bidirectional(char) in ("R", "AL") and char not in "\u200f\u061c" for char in text
    ):
        yield Seen(
            "bidirectional-characters",
            found.start(),
            found.end(),
            "a mark of direction in a text that needs none",
            Severity.MEDIUM,
        )


def _tags(text: str) -> Iterator[Seen]:
    for found in _TAGS.finditer(text):
        if not _is_flag(text, found):
            yield Seen(
                "tag-characters",
                found.start(),
                found.end(),
                "a second text that nobody sees and a model reads",
                Severity.CRITICAL,
            )
            return


def _is_flag(text: str, found: re.Match[str]) -> bool:
    """The flags of England, Scotland and Wales are a black flag and a few tags."""
    return text[: found.start()].endswith(_FLAG) and len(found.group()) <= _MAX_FLAG


def smuggled(text: str) -> Iterator[tuple[str, str]]:
    """The texts that unseen characters spell, with how. Every run of them counts."""
    tags = "".join(chr(ord(char) - 0xE0000) for run in _TAGS.findall(text) for char in run)
    if tags:
        yield "in tag characters", tags
    selected = bytes(
        code - 0xFE00 if code < 0xFE10 else code - 0xE0100 + 16  # noqa: PLR2004 - the end of the first block
        for run in _SELECTORS.findall(text)
        for code in map(ord, run)
    )
    if selected:
        yield "in variation selectors", selected.decode("utf-8", "replace")
    if _TURNING.search(text):
        yield "from right to left", text[::-1]
