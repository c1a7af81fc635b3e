"""One counter against a list of events."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.quotas.window import (
    LOG_LIMIT,
    RING_PARTS,
    Calendar,
    Sliding,
    Slots,
    load_counter,
    number,
    plus,
    room,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND


def amounts() -> st.SearchStrategy[int | Decimal]:
    return st.one_of(st.integers(1, 5), st.decimals("0.01", "99.99", places=2))


def test_a_burst_on_each_side_of_a_minute_boundary_does_not_pass_twice() -> None:
    """P4.1: a sliding window never holds more than max in any span of its length."""
    window = Sliding(MINUTE)
    boundary = 20 * MINUTE
    for _ in range(10):
        window.add(boundary - 1, 1)

    assert room(window, boundary + 1, 10) == 0
    assert room(window, boundary - 1 + MINUTE - 1, 10) == 0
    assert room(window, boundary - 1 + MINUTE, 10) == 10


def test_a_calendar_window_empties_when_the_utc_day_turns() -> None:
    """P4.1: `align: calendar`."""
    window = Calendar(DAY)
    window.add(DAY * 3 - 1, 10)

    assert window.used(DAY * 3 - 1) == 10
    assert window.retry_after(DAY * 3 - 1_000_000, 1, 10) == 1_000
    assert window.used(DAY * 3) == 0


def test_a_refund_that_comes_late_does_not_free_room_in_the_next_window() -> None:
    """P4.4: a refund goes to the window it was taken from."""
    calendar, sliding = Calendar(MINUTE), Sliding(MINUTE)
    for window in (calendar, sliding):
        window.add(10, 1)
        window.add(2 * MINUTE, 3)
        assert window.used(2 * MINUTE) == 3

        window.give_back(10, 1)

        assert window.used(2 * MINUTE) == 3


@given(st.lists(st.tuples(st.integers(0, 40), amounts()), max_size=60), st.integers(1, 50))
def test_a_sliding_window_counts_exactly_what_a_list_of_events_counts(
    steps: list[tuple[int, int | Decimal]], length: int
) -> None:
    """P4.1: exact up to a thousand entries, fractions included."""
    window = Sliding(length)
    events: list[tuple[int, int | Decimal]] = []
    now = 0
    for wait, amount in steps:
        now += wait
        window.add(now, amount)
        events.append((now, amount))

        expected = sum((Decimal(a) for at, a in events if at > now - length), Decimal(0))

        assert window.used(now) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from((0, 1, 3, 29, 61)), st.sampled_from(["add", "return"]), st.integers(0, 200)
        ),
        max_size=120,
    ),
    st.integers(60, 300),
)
def test_the_ring_never_counts_less_than_the_events_and_little_more(
    steps: list[tuple[int, str, int]], length: int
) -> None:
    """P4.1, P4.4: above the log a part counts until it lies wholly outside; refunds go home."""
    window = Sliding(length)
    for _ in range(LOG_LIMIT + 1):
        window.add(_ // 20, 1)
    now = (LOG_LIMIT + 1) // 20
    events = [i // 20 for i in range(LOG_LIMIT + 1)]
    window._to_ring()
    span = -(-length // RING_PARTS)
    for wait, step, which in steps:
        now += wait
        if step == "add":
            window.add(now, 1)
            events.append(now)
        elif events:
            at = events.pop(which % len(events))
            window.give_back(at, 1)

        exact = sum(at > now - length for at in events)
        wider = sum(at > now - length - span for at in events)

        assert exact <= window.used(now) <= wider


def test_the_last_entry_of_a_ring_part_counts_for_the_whole_window() -> None:
    """P4.1: a part leaves when its youngest entry does, not its oldest."""
    window = Sliding(MINUTE)
    for at in range(LOG_LIMIT + 1):
        window.add(at, 1)
    window.add(SECOND - 1, 5)  # a part is one second wide

    assert window.used(MINUTE + SECOND - 2) >= 5
    assert window.used(MINUTE + SECOND - 1) == 0


def test_the_log_turns_into_a_ring_above_its_limit_and_back_when_all_is_over() -> None:
    window = Sliding(MINUTE)
    for at in range(LOG_LIMIT + 1):
        window.add(at, 1)

    assert window.state()[0] == "ring"
    assert window.used(LOG_LIMIT) == LOG_LIMIT + 1
    assert window.used(3 * MINUTE) == 0
    window.add(3 * MINUTE, 1)
    assert window.state()[0] == "log"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), min_size=1, max_size=30), st.integers(1, 12)
)
def test_the_retry_time_is_the_first_moment_at_which_the_call_fits(
    steps: list[tuple[int, int]], amount: int
) -> None:
    """P4.1: not before, and no later than needed."""
    window = Sliding(50_000)
    now = 0
    for wait, size in steps:
        now += wait * 1_000
        window.add(now, size)

    wait_ms = window.retry_after(now, amount, 12)

    assert wait_ms is not None
    if wait_ms:
        assert window.used(now + wait_ms * 1_000 - 1_000) + amount > 12
    assert window.used(now + wait_ms * 1_000) + amount <= 12


@pytest.mark.parametrize("window", [Sliding(MINUTE), Calendar(MINUTE), Slots()])
def test_no_wait_helps_a_call_that_costs_more_than_the_maximum(window: Sliding) -> None:
    """P4.1: the answer names no retry time then."""
    assert window.retry_after(5, 11, 10) is None


def test_a_slot_is_held_until_it_is_given_back_or_its_lease_ends() -> None:
    """P4.4: a slot with unknown outcome is held until the answer or the end of the lease."""
    slots = Slots()
    slots.add(0, 1, 10 * SECOND)
    slots.add(5, 1, 20 * SECOND)
    slots.add(5, 1, 20 * SECOND)

    slots.give_back(5, 1, 20 * SECOND)

    assert slots.used(6) == 2
    assert slots.used(10 * SECOND) == 1
    slots.give_back(0, 1, 10 * SECOND)  # the late outcome of the one whose lease ended
    assert slots.used(10 * SECOND) == 1
    assert slots.used(20 * SECOND + 5) == 0


@given(st.lists(st.tuples(st.integers(0, 9), amounts()), max_size=40), st.booleans())
def test_a_restored_window_goes_on_as_the_one_it_was_taken_from(
    steps: list[tuple[int, int | Decimal]], ring: bool
) -> None:
    """P4.5: counters survive a restart."""
    window = Sliding(60)
    now = 0
    for wait, amount in steps:
        now += wait
        window.add(now, amount)
    if ring:
        window._to_ring()

    copy = load_counter("sliding", 60, window.state())

    for later in range(now, now + 130, 7):
        assert copy.used(later) == window.used(later)


def test_sums_stay_exact_where_floats_and_default_decimals_do_not() -> None:
    """P4.3: 0.1 ten times is 1, and a tiny cost beside a huge one is not lost."""
    total: int | Decimal = 0
    for _ in range(10):
        total = plus(total, Decimal("0.1"))

    assert total == 1
    assert plus(Decimal("1e308"), Decimal("1e-308")) > Decimal("1e308")


@given(amounts())
def test_an_amount_reads_back_as_it_was_written(amount: int | Decimal) -> None:
    assert number(str(amount)) == amount
