"""When a scan fails: a threshold that is named is one that holds."""

from __future__ import annotations

import pytest

from ostiary.errors import CallerFault
from ostiary.registry.classification import Severity
from ostiary.scan.examined import examine
from ostiary.scan.threshold import Threshold, reaching, threshold
from tests.scan.servers import DROP, LIST, POISONED, SHELL, server, tool

WRITE = tool("add_row", "Add a row")
SCANNED = [server("db", LIST, WRITE, DROP), server("os", SHELL, POISONED)]


@pytest.mark.parametrize("word", ["high", "High", "HIGH", " hIgH "])
def test_the_case_of_the_word_does_not_matter(word: str) -> None:
    assert threshold(word) is Threshold.HIGH


def test_another_word_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(CallerFault) as near:
        threshold("hihg")
    with pytest.raises(CallerFault) as far:
        threshold("")

    assert near.value.hint == "did you mean `high`"
    assert far.value.hint == "low, medium, high, critical or poisoned"


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("low", ["list_rows", "add_row", "drop_table", "run_command", "add"]),
        ("medium", ["add_row", "drop_table", "run_command", "add"]),
        ("high", ["drop_table", "run_command", "add"]),
        ("critical", ["drop_table", "run_command", "add"]),
        ("poisoned", ["add"]),
    ],
)
def test_everything_at_or_above_it_counts_and_a_finding_by_its_own_severity(
    word: str, names: list[str]
) -> None:
    assert [name for _, name in reaching(examine(SCANNED), threshold(word))] == names


def test_a_name_with_two_definitions_counts_as_a_finding_that_is_high() -> None:
    found = examine([server("db", LIST, ambiguous=("list_rows",))])

    assert {word: len([*reaching(found, word)]) for word in Threshold} == {
        "low": 1, "medium": 1, "high": 1, "critical": 0, "poisoned": 1,
    }  # fmt: skip


def test_there_is_a_threshold_for_every_severity() -> None:
    assert {each.lower() for each in Severity} | {"poisoned"} == {each.value for each in Threshold}
