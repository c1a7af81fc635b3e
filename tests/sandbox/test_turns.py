"""Places and the queue are shared among owners."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.sandbox.bounds import Bounds
from ostiary.sandbox.turns import Busy, Turns, check_room

OWNERS = ("ana", "bob", "cyd")


def given_now(turns: Turns[str]) -> list[str]:
    found: list[str] = []
    while (one := turns.give()) is not None:
        found.append(one)
    return found


def waiting(turns: Turns[str], *ones: str) -> Turns[str]:
    """Each waits; its owner is its first letter."""
    for one in ones:
        turns.wait(one[0], one)
    return turns


def test_an_owner_alone_gets_every_place_in_its_own_order() -> None:
    assert given_now(waiting(Turns(3), "a1", "a2", "a3", "a4")) == ["a1", "a2", "a3"]


def test_places_go_round_the_owners_that_wait() -> None:
    turns = waiting(Turns(6), "a1", "a2", "a3", "b1", "c1", "c2")

    assert given_now(turns) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_free_place_goes_to_who_has_the_fewest_and_not_just_to_who_is_next() -> None:
    turns = waiting(Turns(4), "a1", "a2", "a3", "a4")
    given_now(turns)
    waiting(turns, "a5", "b1", "b2")

    turns.back("a")
    first = given_now(turns)
    turns.back("a")
    second = given_now(turns)

    assert (first, second) == (["b1"], ["b2"])  # two of each now; round and round it would be a5


def test_who_leaves_the_queue_takes_no_turn() -> None:
    turns = waiting(Turns(1), "a1", "b1", "b2")

    turns.leave("b", "b1")
    given_now(turns)
    turns.back("a")

    assert given_now(turns) == ["b2"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from(OWNERS)),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("back"), st.integers(0, 50)),
    ),
    max_size=80,
)


@given(st.integers(1, 4), STEPS)
def test_whatever_happens_no_place_is_lost_none_idles_and_fewest_goes_first(
    places: int, steps: list[tuple[str, str | int]]
) -> None:
    turns = Turns[tuple[str, int]](places)
    queue: list[tuple[str, int]] = []
    held: list[str] = []
    for number, (what, which) in enumerate(steps):
        match what, which:
            case "wait", str(owner):
                queue.append((owner, number))
                turns.wait(owner, (owner, number))
            case "leave", int(index) if queue:
                one = queue.pop(index % len(queue))
                turns.leave(one[0], one)
            case "back", int(index) if held:
                turns.back(held.pop(index % len(held)))
            case _:
                continue
        while (one := turns.give()) is not None:
            assert one == next(other for other in queue if other[0] == one[0])  # its owner's first
            assert held.count(one[0]) == min(held.count(owner) for owner, _ in queue)
            queue.remove(one)
            held.append(one[0])
        assert len(held) <= places
        assert len(held) == places or not queue


@given(st.integers(1, 4), st.lists(st.sampled_from(OWNERS), min_size=1, max_size=40))
def test_who_waits_is_passed_at_most_once_by_each_other_owner_with_as_many_places(
    places: int, others: list[str]
) -> None:
    """Runs end as soon as they have begun, so that all have none when a place is given."""
    turns = Turns[str](1)
    for index, owner in enumerate(others):
        turns.wait(owner, f"{owner}{index}")
    turns.wait("eve", "eve")

    order: list[str] = []
    while (one := turns.give()) is not None:
        order.append(one)
        turns.back(one.rstrip("0123456789"))

    assert order.index("eve") <= len(set(others))


def runs(**of: tuple[int, int]) -> list[tuple[str, bool]]:
    """Of each owner: how many have a place, and how many wait."""
    return [
        run
        for owner, (placed, waits) in of.items()
        for run in [(owner, False)] * placed + [(owner, True)] * waits
    ]


BOUNDS = Bounds(at_once=4, queue=32)


def most_waiting(owner: str, **others: tuple[int, int]) -> int:
    """How many `owner` has waiting when it is refused; all places are taken by others' runs first."""
    own = 0
    while True:
        try:
            check_room(owner, runs(**others, **{owner: (0, own)}), BOUNDS)
        except Busy:
            return own
        own += 1


def test_an_owner_alone_may_fill_half_the_queue() -> None:
    assert most_waiting("ana", system=(4, 0)) == 16


def test_each_further_owner_may_fill_half_of_what_is_left() -> None:
    assert most_waiting("bob", ana=(4, 16)) == 8
    assert most_waiting("cyd", ana=(4, 16), bob=(0, 8)) == 4


def test_who_has_nothing_waiting_may_take_the_last_of_the_queue() -> None:
    assert most_waiting("cyd", ana=(4, 16), bob=(0, 15)) == 1


def test_runs_that_have_only_just_been_accepted_count_as_waiting_only_beyond_the_places() -> None:
    check_room("ana", runs(ana=(0, 19)), BOUNDS)
    with pytest.raises(Busy, match=r"^you have 16 runs waiting, .* is for others$"):
        check_room("ana", runs(ana=(0, 20)), BOUNDS)


@pytest.mark.parametrize("queue", [0, 1, 2, 32])
def test_an_owner_alone_may_use_every_place_whatever_the_queue(queue: int) -> None:
    bounds = Bounds(at_once=4, queue=queue)
    for already in range(4):
        check_room("ana", runs(ana=(0, already)), bounds)
        check_room("ana", runs(ana=(already, 0)), bounds)


def test_a_full_queue_is_busy_for_everybody_and_nobody_in_particular() -> None:
    full = runs(ana=(4, 16), bob=(0, 16))
    for owner in ("ana", "bob", "cyd"):
        with pytest.raises(Busy, match=r"^busy: 4 runs at once and 32 waiting is the most$"):
            check_room(owner, full, BOUNDS)
