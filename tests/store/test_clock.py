"""Time that never goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ostiary.store.clock import Anchor, BootClock
from tests.store.writing import SECOND, Times


def test_a_wall_that_is_stepped_does_not_move_the_clock() -> None:
    """P4.1: a step neither reopens nor skips a window."""
    for step in (-3600, 3600):
        times = Times()
        clock = times.clock()
        start = clock.now()
        times.wall += step * SECOND
        times.pass_(10)

        assert clock.now() == start + 10 * SECOND


def test_time_since_boot_that_goes_back_does_not_take_the_clock_back() -> None:
    """P4.1: a suspended or migrated machine may be unsure of it for a moment."""
    times = Times()
    clock = times.clock()
    times.pass_(10)
    before = clock.now()
    times.boot -= 5 * SECOND

    assert clock.now() == before


def test_a_difference_from_the_wall_is_slewed_slowly() -> None:
    for step in (-3600, 3600):
        times = Times()
        clock = times.clock()
        start = clock.now()
        times.wall += step * SECOND
        clock.discipline()
        times.pass_(100)

        assert abs(clock.now() - start - 100 * SECOND) == 100 * SECOND * 500 // 1_000_000


def test_a_small_difference_is_gone_and_stays_gone() -> None:
    times = Times()
    clock = times.clock()
    times.wall += 1_000
    clock.discipline()
    times.pass_(100)

    assert clock.now() == times.wall
    times.pass_(1000)
    assert clock.now() == times.wall


def test_a_restart_on_the_same_boot_goes_on_exactly() -> None:
    times = Times()
    clock = times.clock()
    anchor = clock.anchor()
    times.wall -= 5000 * SECOND
    times.pass_(7)
    again = times.clock()

    again.resume(anchor)

    assert again.now() == anchor.wall + 7 * SECOND


def test_after_another_boot_the_clock_is_never_earlier_than_it_was() -> None:
    anchor = Anchor("boot-1", 5, 2_000_000_000 * SECOND)
    early, late = (
        Times(this_boot="boot-2").clock(),
        Times(wall=2_100_000_000 * SECOND, this_boot="boot-2").clock(),
    )

    early.resume(anchor)
    late.resume(anchor)

    assert early.now() == anchor.wall
    assert late.now() == 2_100_000_000 * SECOND


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.booleans()), max_size=30))
def test_the_clock_never_goes_back(steps: list[tuple[int, int, bool]]) -> None:
    times = Times()
    clock = times.clock()
    last = clock.now()
    for elapsed, step, disciplined in steps:
        times.boot += elapsed
        times.wall += elapsed + step
        if disciplined:
            clock.discipline()
        assert clock.now() >= last
        last = clock.now()


def test_the_clock_of_this_machine_moves() -> None:
    clock = BootClock()
    first = clock.now()
    while clock.now() == first:
        pass

    assert first > 1_700_000_000 * SECOND
