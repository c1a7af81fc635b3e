"""The reference page says what the tests expect."""

from __future__ import annotations

import re

from tests.conformance.named import EXPECTED, EXPECTED_OF_CLIENTS
from tests.needs import ROOT


def test_the_page_lists_every_expected_difference_and_no_other() -> None:
    page = (ROOT / "docs/reference/conformance.md").read_text(encoding="utf-8")
    listed = page.partition("## Expected differences")[2]
    expected = {
        key.partition("/")[2]
        for named in (*EXPECTED.values(), *EXPECTED_OF_CLIENTS.values())
        for key in named
    }

    assert set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+){2,})`", listed)) == expected


def test_the_page_counts_the_differences_that_are_expected() -> None:
    page = (ROOT / "docs/reference/conformance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{4}-\d\d-\d\d) \| ([^|(]+) \|.*\| (\d+) \|$", page, re.MULTILINE)

    assert {(target, revision): int(count) for revision, target, count in rows} == {
        where: len(named) for where, named in EXPECTED.items()
    }
