"""How much there is to judge in a server's texts, counted before anything is judged. Pure.

What a judgement takes grows with the characters and values that it reads, so counting them bounds it, and
alike on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

from ostiary.registry.classification import Described

MOST: Final = 4_000_000
"""Of one server. The largest one on record has less than a tenth of it."""

TOOL: Final = 100
VALUE: Final = 20
"""What a tool and a value cost, beside their characters."""

GROWTH: Final = 6
"""What a character beyond ASCII counts as: into so many it is taken apart at most, before it is read."""

TOGETHER: Final = 4 * MOST
"""Of a list that says itself of which servers its tools are."""


def work_of(value: object, most: int = MOST) -> int:
    """What it takes to judge a value with all in it; of more than `most`, only that it is more."""
    waiting: list[object] = [value]
    work = 0
    while waiting and work <= most:
        each = waiting.pop()
        work += VALUE
        if isinstance(each, str):
            work += _characters(each)
        elif isinstance(each, Mapping):
            inner = cast("Mapping[object, object]", each)
            if len(inner) * VALUE > most:
                return most + 1
            work += sum(_characters(key) for key in inner if isinstance(key, str))
            waiting += inner.values()
        elif isinstance(each, list | tuple):
            items = cast("Sequence[object]", each)
            if len(items) * VALUE > most:
                return most + 1
            waiting += items
    return work


def within(tools: Sequence[Described], most: int = MOST) -> tuple[bool, ...]:
    """Which tools are judged: those of each server, in order, until they are together more than `most`."""
    left: dict[str, int] = {}
    found: list[bool] = []
    for tool in tools:
        before = left.get(tool.server, most)
        after = before - _work_of_tool(tool, before) if before >= 0 else before
        left[tool.server] = after
        found.append(after >= 0)
    return tuple(found)


def fits(tools: Sequence[Described], most: int = TOGETHER) -> bool:
    """Whether tools are together no more than `most`, whatever servers they name."""
    left = most
    for tool in tools:
        left -= _work_of_tool(tool, left)
        if left < 0:
            return False
    return True


def _characters(text: str) -> int:
    if text.isascii():
        return len(text)
    plain = len(text.encode("ascii", "ignore"))
    return plain + GROWTH * (len(text) - plain)


def _work_of_tool(tool: Described, most: int) -> int:
    members = (tool.name, tool.title, tool.description, tool.input_schema, tool.output_schema)
    return TOOL + work_of([*members, tool.annotations, tool.icons, tool.meta], most)
