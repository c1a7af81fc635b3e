"""The ledger against a list of events, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.policy.decision import Charge
from ostiary.policy.model import Window
from ostiary.quotas.exceeded import Exceeded
from ostiary.quotas.ledger import Ledger, Reservation

SECOND = 1_000_000


def charge(
    key: str = "k",
    amount: str = "1",
    ceiling: int = 10,
    seconds: int = 60,
    *,
    calendar: bool = False,
    bucket: str = "",
) -> Charge:
    return Charge(key, f"/{key}", Decimal(amount), Decimal(ceiling), Window(seconds, calendar), bucket)


def slot(key: str = "s", ceiling: int = 2, lease: int = 600) -> Charge:
    return Charge(key, f"/{key}", Decimal(1), Decimal(ceiling), None, lease_seconds=lease)


@dataclass
class Naive:
    """Every reservation ever made, counted anew each time."""

    events: list[Reservation] = field(default_factory=list)

    def used(self, key: str, now: int) -> Decimal:
        return sum(
            (Decimal(e.amount) for e in self.events if e.key == key and self.counts(e, now)), Decimal(0)
        )

    def counts(self, event: Reservation, now: int) -> bool:
        length = event.seconds * SECOND
        if event.form == "calendar":
            return event.at // length == now // length
        return event.at > now - length


CHARGES = [
    charge("a", ceiling=4, seconds=2),
    charge("b", amount="0.4", ceiling=2, seconds=3),
    charge("c", amount="2.5", ceiling=9, seconds=4, calendar=True),
    slot("s", ceiling=2, lease=3),
]


@given(
    st.lists(
        st.tuples(
            st.integers(0, SECOND),
            st.one_of(
                st.lists(st.sampled_from(CHARGES), min_size=1, max_size=4, unique_by=lambda c: c.key),
                st.integers(0, 30),
                st.just("restart"),
            ),
        ),
        max_size=60,
    )
)
def test_reservations_agree_with_a_list_of_events(steps: list[tuple[int, object]]) -> None:
    """P4.1, P4.4, P4.5: all or none, never over, refunds go home, a restart changes nothing."""
    ledger, naive = Ledger(), Naive()
    now = 0
    for wait, step in steps:
        now += wait
        if isinstance(step, list):
            fits = all(naive.used(c.key, now) + c.amount <= c.ceiling for c in step)
            result = ledger.reserve(step, now)
            assert isinstance(result, tuple) == fits
            if isinstance(result, tuple):
                naive.events.extend(result)
        elif isinstance(step, int) and naive.events:
            ledger.give_back([naive.events.pop(step % len(naive.events))])
        elif step == "restart":
            saved = ledger.snapshot(now)
            ledger = Ledger()
            ledger.restore(saved, now)
        for one in CHARGES:
            assert ledger.used(one.key, now) == naive.used(one.key, now)
            assert ledger.used(one.key, now) <= one.ceiling


def test_one_exceeded_limit_reserves_nothing_of_the_others() -> None:
    """P2.15: all or none."""
    ledger = Ledger()

    result = ledger.reserve([charge("free"), charge("full", ceiling=0)], 1)

    assert result == Exceeded("/full", None)
    assert ledger.used("free", 1) == 0
    assert len(ledger) == 0


def test_of_several_exceeded_limits_the_latest_retry_time_is_named() -> None:
    """P4.1: several exceeded."""
    ledger = Ledger()
    quick, slow = charge("quick", ceiling=1, seconds=5), charge("slow", ceiling=1, seconds=60)
    ledger.reserve([quick, slow], 0)

    assert ledger.reserve([quick, slow], SECOND) == Exceeded("/slow", 59_000)
    assert ledger.reserve([slow, quick], SECOND) == Exceeded("/slow", 59_000)


@pytest.mark.parametrize("amount", ["-1000", "-0.01", "NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_cost_that_is_negative_or_not_a_number_is_refused_and_frees_nothing(amount: str) -> None:
    """P4.3: a negative cost would refund the quota."""
    ledger = Ledger()
    ledger.reserve([charge(amount="10")], 0)

    result = ledger.reserve([charge(amount=amount)], 1)

    assert isinstance(result, Exceeded)
    assert (result.reason, result.retry_after_ms) == ("amount", None)
    assert ledger.used("k", 1) == 10


@pytest.mark.parametrize("amount", ["1e19", "1e308", "1e309", "1e9999999", "9" * 41, "1e-400"])
def test_a_huge_or_overlong_cost_neither_wraps_nor_hangs(amount: str) -> None:
    """P4.3, P3.4: a cost above 64 bits once turned a cap off for the day."""
    ledger = Ledger()

    assert isinstance(ledger.reserve([charge(amount=amount, ceiling=100)], 0), Exceeded)
    assert ledger.used("k", 0) == 0


def test_fractions_count_in_full() -> None:
    """P4.3: 0.99 is not nothing, and 100.99 is not 100."""
    ledger = Ledger()
    for _ in range(10):
        assert isinstance(ledger.reserve([charge(amount="0.99")], 0), tuple)

    assert ledger.used("k", 0) == Decimal("9.90")
    assert isinstance(ledger.reserve([charge(amount="0.11")], 0), Exceeded)
    assert isinstance(ledger.reserve([charge(amount="0.10")], 0), tuple)


def test_two_grants_or_servers_with_a_tool_of_the_same_name_share_no_counter() -> None:
    """P4.5: the key names server and grant."""
    ledger = Ledger()
    one = charge('["a","x","run"]', ceiling=1)
    other = charge('["b","x","run"]', ceiling=1)

    assert isinstance(ledger.reserve([one], 0), tuple)
    assert isinstance(ledger.reserve([other], 0), tuple)
    assert isinstance(ledger.reserve([one], 0), Exceeded)


def test_one_bucket_too_many_is_denied_until_an_old_one_is_empty() -> None:
    """P4.2: more than the permitted number of live buckets per limit deny."""
    ledger = Ledger(max_buckets=3)
    for number in range(3):
        ledger.reserve([charge(f"u{number}", bucket="limit")], number * SECOND)

    refused = ledger.reserve([charge("u9", bucket="limit")], 5 * SECOND)

    assert refused == Exceeded("/u9", 55_000, None, "buckets")
    assert isinstance(ledger.reserve([charge("u1", bucket="limit")], 5 * SECOND), tuple)
    assert isinstance(ledger.reserve([charge("v", bucket="another limit")], 5 * SECOND), tuple)
    assert isinstance(ledger.reserve([charge("u9", bucket="limit")], 60 * SECOND), tuple)


def test_a_denied_or_returned_call_leaves_no_bucket_behind() -> None:
    """P4.2: refused calls must not use up the buckets."""
    ledger = Ledger(max_buckets=2)
    for number in range(10):
        ledger.reserve([charge(f"u{number}", bucket="limit"), charge("full", ceiling=0)], 0)
        taken = ledger.reserve([charge(f"w{number}", bucket="limit")], 0)
        assert isinstance(taken, tuple)
        ledger.give_back(taken)

    assert len(ledger) == 0
    assert isinstance(ledger.reserve([charge("u", bucket="limit")], 0), tuple)


def test_buckets_are_still_bounded_after_a_restart() -> None:
    """P4.2, P4.5: the groups are part of what rows and snapshots carry."""
    ledger, replayed = Ledger(max_buckets=1), Ledger(max_buckets=1)
    taken = ledger.reserve([charge("u1", bucket="limit")], 0)
    assert isinstance(taken, tuple)
    replayed.apply(taken)
    restored = Ledger(max_buckets=1)
    restored.restore(ledger.snapshot(1), 1)

    assert isinstance(replayed.reserve([charge("u2", bucket="limit")], 1), Exceeded)
    assert isinstance(restored.reserve([charge("u2", bucket="limit")], 1), Exceeded)


def test_time_that_goes_back_reopens_nothing() -> None:
    """P4.1: an earlier time counts as the latest one seen."""
    ledger = Ledger()
    ledger.reserve([charge(amount="10")], 0)
    ledger.used("k", 59 * SECOND)
    ledger.reserve([charge("other")], 70 * SECOND)
    ledger.reserve([charge(amount="10")], 5 * SECOND)

    assert ledger.used("k", 6 * SECOND) == 10
    assert isinstance(ledger.reserve([charge()], 60 * SECOND), Exceeded)


def test_the_same_counter_named_twice_in_one_call_is_counted_twice() -> None:
    """P2.15: the second charge sees the first."""
    ledger = Ledger()

    assert isinstance(ledger.reserve([charge(ceiling=1), charge(ceiling=1)], 0), Exceeded)
    assert ledger.used("k", 0) == 0


def test_a_slot_without_a_lease_is_still_held() -> None:
    """P4.4: the lease is ten minutes unless something else is said."""
    ledger = Ledger()
    ledger.reserve([slot(ceiling=1, lease=0)], 0)

    assert isinstance(ledger.reserve([slot(ceiling=1, lease=0)], 599 * SECOND), Exceeded)
    assert isinstance(ledger.reserve([slot(ceiling=1, lease=0)], 600 * SECOND), tuple)


def test_a_refund_that_comes_too_late_takes_nothing_from_others_in_the_same_part_of_a_ring() -> None:
    """P4.4: a refund goes to the window it was taken from, and that one is over."""
    ledger = Ledger()
    each = charge(ceiling=2_000)
    first = ledger.reserve([each], 0)
    assert not isinstance(first, Exceeded)
    ledger.reserve([each], 10)
    assert ledger.used("k", 60 * SECOND) == 1
    for at in range(1_000):  # the log becomes a ring, whose first part holds the second charge alone
        ledger.reserve([each], 60 * SECOND + at - 1_000 if at < 999 else 60 * SECOND)
    before = ledger.used("k", 60 * SECOND)

    ledger.give_back(first)

    assert ledger.used("k", 60 * SECOND) == before
