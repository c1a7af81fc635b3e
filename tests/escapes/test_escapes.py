"""Every attempt succeeds without walls, and is contained by them; then the next call is answered as ever."""

from __future__ import annotations

import pytest

from tests.escapes.attempt import Attempt, Contained
from tests.escapes.catalogue import ATTEMPTS, ONLY_CONTAINED
from tests.escapes.tier import Tier


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda one: one.name)
def test_an_attempt_succeeds_without_walls(bare: Tier, attempt: Attempt) -> None:
    record, succeeded = bare.make(attempt)
    assert succeeded, f"this proves nothing: it fails without walls, too\n{record}"
    bare.ordinary()


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda one: one.name)
def test_an_attempt_is_contained_by_the_walls(walled: Tier, attempt: Attempt) -> None:
    record, succeeded = walled.make(attempt)
    assert not succeeded, f"escaped: {record}"
    walled.nothing_is_left()
    walled.ordinary()


@pytest.mark.parametrize("one", ONLY_CONTAINED, ids=lambda one: one.attempt.name)
def test_what_fails_without_walls_too_fails_behind_them(walled: Tier, one: Contained) -> None:
    record, succeeded = walled.make(one.attempt)
    assert not succeeded, f"escaped: {record}"
    assert not one.attempt.ends or record.status in one.attempt.ends, record
    walled.nothing_is_left()
    walled.ordinary()
