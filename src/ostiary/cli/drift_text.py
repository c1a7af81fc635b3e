"""How changes since the pins are shown: worst first, in 80 columns, texts of the server escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap

import msgspec

from ostiary.proxy.pin_file import PinFile
from ostiary.registry.change import Change, named, worst

WIDTH = 80


def diff_lines(server: str, pinned: PinFile, changes: Sequence[Change]) -> Iterator[str]:
    """The lines for people. `changes` are sorted by risk."""
    since = f"the pins of {pinned.written}" if pinned.written else "it was pinned"
    if not changes:
        yield f"{server}: nothing has changed since {since}"
        return
    tools = len({change.tool for change in changes})
    yield f"{server}: {_count(len(changes), 'change')} in {_count(tools, 'tool')} since {since}"
    for risk, group in groupby(changes, key=lambda change: change.risk):
        yield ""
        yield risk
        for change in group:
            yield from _folded(f"{named(change.tool)}: {change.words}", "  ", "      ")
            if change.before:
                yield from _folded(change.before, "      - ", "        ")
            if change.after:
                yield from _folded(change.after, "      + ", "        ")


def _folded(text: str, first: str, later: str) -> Iterable[str]:
    return wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
        break_long_words=True,
    ) or [first.rstrip()]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def as_json(server: str, pinned: PinFile, present: PinFile, changes: list[Change]) -> dict[str, object]:
    """The same for programs."""
    return {
        "v": 1,
        "server": server,
        "pinned": pinned.written,
        "present": present.written,
        "worst": worst(changes),
        "changes": [
            {"before": "", "after": "", "pointer": "", **msgspec.to_builtins(change)} for change in changes
        ],
    }
