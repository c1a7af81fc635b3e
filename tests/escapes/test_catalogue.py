"""The list of attempts is as long as it is said to be, and leaves nothing out."""

from __future__ import annotations

from pathlib import Path

from tests.escapes.catalogue import ATTEMPTS, CATEGORIES, ONLY_CONTAINED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "escapes.md"


def test_more_than_sixty_attempts_succeed_without_walls() -> None:
    assert len(ATTEMPTS) >= 60


def test_every_category_has_an_attempt_and_no_attempt_a_category_of_its_own() -> None:
    found = {one.category for one in ATTEMPTS} | {one.attempt.category for one in ONLY_CONTAINED}
    assert found == CATEGORIES


def test_no_attempt_is_made_twice() -> None:
    names = [one.name for one in ATTEMPTS] + [one.attempt.name for one in ONLY_CONTAINED]
    assert len(set(names)) == len(names)


def test_each_that_fails_without_walls_says_why() -> None:
    assert all(one.reason for one in ONLY_CONTAINED)


def test_the_page_lists_every_attempt_in_its_category() -> None:
    page = PAGE.read_text("utf-8")
    succeeding, _, failing = page.partition("## Attempts that fail without walls too")
    for part, attempts in ((succeeding, ATTEMPTS), (failing, [one.attempt for one in ONLY_CONTAINED])):
        listed = {
            line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| Cat")
        }
        assert listed - {"| --- | --- |"} == {f"| {one.category} | {one.name} |" for one in attempts}
