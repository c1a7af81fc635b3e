"""One difference between two definitions of a tool, with how much it matters."""

from __future__ import annotations

import json
from typing import Final, Literal, cast

import msgspec

Risk = Literal["high", "medium", "low"]

ORDER: Final[tuple[Risk, ...]] = ("high", "medium", "low")
"""Worst first."""

MAX_EXCERPT: Final = 400
MAX_NAME: Final = 64
MAX_VALUE: Final = 60


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is different, for people and for programs.

    `kind` is a word of a fixed list. `words` names arguments, never more than a name of a server's
    text. `pointer` is where in the definition (RFC 6901). `before` and `after` are excerpts of
    texts that are shown to a model; they are for a person to read and stand in no record.
    """

    tool: str
    risk: Risk
    kind: str
    words: str
    pointer: str = ""
    before: str = ""
    after: str = ""


def worst(changes: list[Change]) -> Risk | None:
    """The highest risk among `changes`; None without any."""
    return next((risk for risk in ORDER if any(change.risk == risk for change in changes)), None)


def by_risk(changes: list[Change]) -> list[Change]:
    """Worst first; within a class by tool, in the order in which they were found."""
    return sorted(changes, key=lambda change: (ORDER.index(change.risk), change.tool))


def printable(text: str) -> str:
    """`text` on one line, without characters that steer a terminal or hide from a reader."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the end of the first plane


def named(name: str) -> str:
    """A name from a server in back-ticks, short and printable."""
    short = name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
    return f"`{printable(short)}`"


def excerpt(value: object) -> str:
    """A text (or any other value as JSON), bounded and printable."""
    text = value if isinstance(value, str) else valued(value)
    short = text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 1] + "…"
    return printable(short)


def valued(value: object) -> str:
    """A JSON value in few characters, for a sentence."""
    if isinstance(value, str):
        text = json.dumps(value[: MAX_VALUE + 1], ensure_ascii=False)
    elif isinstance(value, list):
        items = cast("list[object]", value)
        text = "[" + ", ".join(valued(each) for each in items[:8]) + (", …]" if len(items) > 8 else "]")  # noqa: PLR2004 - as many as a sentence bears
    elif isinstance(value, dict):
        text = "{…}"
    elif isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    else:
        text = str(value)[: MAX_VALUE + 1]
    return printable(text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…")


def hides(text: object) -> int:
    """How many characters of a text a reader does not see: invisible, or steering their direction."""
    if not isinstance(text, str):
        return 0
    return sum(not char.isprintable() and char not in "\n\r\t\u00a0" for char in text)
