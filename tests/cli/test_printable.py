"""What other people chose reaches a terminal only in a form that cannot mislead."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from ostiary.cli.printable import (
    clock_time,
    columns_of,
    fitted,
    full_time,
    padded,
    printable,
    printable_lines,
    terminal_json,
)

HOSTILE = [
    "\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "\x7f", "a\r\nb", "\u202egnp.exe", "\u2066x\u2069", "\u200b",
    "\ufeff", "e\u0301\u0301\u0301", "שלום", "مرحبا", "👩‍💻", "ｄelete", "\ud800", "\U000e0041",
    "\u2028", "\u3000", "⛔", "a🙂", "ａ",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_mislead_is_escaped(text: str) -> None:
    shown = printable(text)

    assert shown != text
    assert shown.isprintable()
    assert "\\u" in shown or "\\U" in shown


@pytest.mark.parametrize("text", ["delete_repo", "über/straße", "查询", "проверка", "p50 4.1 µs — ▁▂█ ✓ …"])
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


@given(st.text())
@example("\x1b[31m")
@example("\u0301" * 20)
def test_every_character_stands_alone_and_from_left_to_right(text: str) -> None:
    for char in printable(text):
        assert char.isprintable()
        assert not unicodedata.combining(char)
        assert unicodedata.bidirectional(char) not in {"R", "AL", "AN", "RLO", "LRO", "RLE", "LRE"}


@given(st.text(), st.integers(0, 200))
@example("查询查询", 3)
@example("👩‍💻", 4)
def test_a_cell_never_takes_more_columns_than_it_has(text: str, columns: int) -> None:
    assert columns_of(fitted(text, columns)) <= columns
    assert columns_of(padded(text, columns)) == columns


def test_our_widths_are_those_that_the_page_is_laid_out_by() -> None:
    """Every character there is: one that both sides measure differently would break a table."""
    differ = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if printable(char) == char and columns_of(char) != cell_len(char)
    ]

    assert differ == []


def test_line_ends_of_our_own_stay_and_nothing_else_does() -> None:
    assert printable_lines("a\n  b\rc") == "a\n  b\\u000dc"


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_for_a_terminal_is_equal_in_value(value: object) -> None:
    line = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")

    shown = terminal_json(line + b"\n")

    assert json.loads(shown) == json.loads(line)
    assert printable_lines(shown.decode()) == shown.decode()


@pytest.mark.parametrize("number", [-(2**63), 2**63, 10**30])
def test_a_time_that_cannot_be_is_shown_as_its_number(number: int) -> None:
    assert clock_time(number) == full_time(number) == str(number)


def test_only_one_place_decides_what_may_be_printed() -> None:
    """A second opinion on what is printable would be the one that is forgotten."""
    here = Path(__file__).resolve().parents[2] / "src/ostiary/cli"

    found = [path.name for path in here.rglob("*.py") if re.search(r"isprintable\(", path.read_text())]

    # Two others ask what is a key that types something, and what is kept of a reason.
    assert sorted(found) == ["keys.py", "printable.py", "stop.py"]
