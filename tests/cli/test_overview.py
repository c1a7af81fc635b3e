"""The numbers of `ostiary status` against plain sums over the same rows."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ostiary.audit.record import Record
from ostiary.cli.overview import HOUR, MAX_NAMES, MINUTE, OTHERS, SLOT, Overview, Totals, most_common, spark

NOW = 1_800_000_000 * 1_000_000


def denial(back: int, tool: str = "t", rule: str = "(hidden)", count: int = 0) -> Record:
    return Record(
        id="ev",
        ts=NOW - back,
        kind="denial",
        decision="deny",
        tool=tool,
        rules=(rule,),
        grant="g",
        count=count,
    )


def outcome(latency: int) -> Record:
    return Record(id="ev", ts=NOW, kind="outcome", status="ok", latency_us=latency)


@given(st.lists(st.integers(0, 2 * MINUTE), max_size=60), st.integers(0, SLOT - 1))
@example([MINUTE + 1], SLOT // 2)
@example([MINUTE - SLOT - 1], SLOT // 2)
def test_a_minute_holds_what_is_younger_than_a_minute(ages: list[int], into: int) -> None:
    """To the ten seconds of a slot: nothing younger is left out, nothing much older is in."""
    overview = Overview()
    overview.add(denial(age - into) for age in ages)

    counted = overview.totals(NOW + into, MINUTE).decisions["deny"]

    assert sum(age < MINUTE - SLOT for age in ages) <= counted <= sum(age <= MINUTE for age in ages)


def test_what_is_older_than_an_hour_or_from_the_future_is_forgotten() -> None:
    overview = Overview()
    overview.add([denial(0), denial(2 * HOUR), denial(-HOUR)])

    overview.forget(NOW)

    assert overview.totals(NOW, 10 * HOUR).decisions["deny"] == 1


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=100), st.floats(0.01, 1))
def test_a_quantile_is_within_five_per_cent(latencies: list[int], share: float) -> None:
    overview = Overview()
    overview.add(outcome(each) for each in latencies)
    ordered = sorted(latencies)
    exact = ordered[max(0, -int(-share * len(ordered) // 1) - 1)]

    told = overview.totals(NOW, MINUTE).quantile(share)

    assert told is not None
    assert exact * 0.95 - 1 <= told <= exact * 1.05 + 1


def test_a_row_that_stands_for_many_counts_as_many() -> None:
    overview = Overview()
    overview.add([denial(0, "", "(brake)", count=500)])

    assert overview.totals(NOW, MINUTE).rules == {"(brake)": 500}


def test_whoever_invents_names_cannot_fill_memory() -> None:
    overview = Overview()
    overview.add(denial(0, f"tool-{number}") for number in range(5_000))

    tools = overview.totals(NOW, HOUR).tools

    assert len(tools) == MAX_NAMES + 1
    assert tools.total() == 5_000
    assert tools[OTHERS] == 5_000 - MAX_NAMES


@given(st.lists(st.integers(0, 59), max_size=80))
def test_every_decision_of_the_hour_is_in_its_part_of_the_line(minutes: list[int]) -> None:
    overview = Overview()
    overview.add(denial(minute * MINUTE) for minute in minutes)

    line = overview.series(NOW, "deny", 60)

    assert line == [minutes.count(59 - part) for part in range(60)]


@given(st.lists(st.integers(0, 10**9), max_size=80))
def test_a_bar_stands_where_something_was(values: list[int]) -> None:
    line = spark(values)

    assert [char != " " for char in line] == [value > 0 for value in values]
    if any(values):
        assert line[values.index(max(values))] == "█"


def test_no_answer_has_no_latency() -> None:
    assert Totals().quantile(0.5) is None


def test_names_are_ranked_by_count_and_then_by_name() -> None:
    assert most_common({"b": 2, "a": 2, "": 9, "c": 3}, 2) == [("c", 3), ("a", 2)]
