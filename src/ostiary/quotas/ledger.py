"""All counters of a store, in memory: a view of the journal up to some row. Pure.

A call's charges are reserved together or not at all (P2.15). What was reserved is returned as
data, which the journal writes into the intent record; replaying those rows rebuilds the ledger
(P4.5). Amounts are checked once more here, so that no cost can shrink a counter or wrap it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple, cast

from ostiary.policy.decision import Charge
from ostiary.quotas.exceeded import Exceeded
from ostiary.quotas.window import SHORT, Counter, Form, Number, State, load_counter, new_counter, number, plus

SECOND: Final = 1_000_000
MAX_BUCKETS: Final = 10_000
"""Live buckets of one limit (P4.2)."""
DEFAULT_LEASE: Final = 600
"""Seconds that a slot is held when a charge names no lease: never not at all (P4.4)."""
MAX_DIGITS: Final = 40
MAX_EXPONENT: Final = 308


class Reservation(NamedTuple):
    """What one charge took: the row's data that counters are rebuilt from.

    `amount` is exact text, `at` microseconds, `seconds` the length of window or lease.
    """

    key: str
    amount: str
    at: int
    form: str
    seconds: int
    bucket: str


class CounterState(NamedTuple):
    """One counter in a snapshot."""

    key: str
    form: Form
    length: int
    bucket: str
    state: State


def exact(amount: Decimal) -> Number | None:
    """The amount as something that sums exactly, or None when it may not be counted.

    Refused are negative numbers, NaN, infinities, more than 40 digits and exponents beyond
    308 either way (P3.4, P4.3). Whole numbers of up to 18 digits become int.
    """
    if not amount.is_finite() or amount < 0:  # first: comparing a signalling NaN raises
        return None
    if amount == 1:
        return 1
    digits, exponent = amount.as_tuple()[1:]
    if len(digits) > MAX_DIGITS or abs(amount.adjusted()) > MAX_EXPONENT or abs(int(exponent)) > MAX_EXPONENT:
        return None
    # Bounds come first: turning 1e9999999 into an int takes minutes.
    if exponent == 0 and len(digits) <= SHORT:
        return int(amount)
    return amount


class Ledger:
    """Counters by `Charge.key`. Not thread-safe: one transaction at a time."""

    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        self._max_buckets = max_buckets
        self._counters: dict[str, Counter] = {}
        # Per limit with an `args.*` scope: its live keys, least recently used first. All have
        # the same window, so the first to go quiet is the first to be empty.
        self._groups: dict[str, OrderedDict[str, None]] = {}
        self._bucket_of: dict[str, str] = {}
        self._now = 0

    def reserve(self, charges: Sequence[Charge], now: int) -> tuple[Reservation, ...] | Exceeded:
        """Take every charge at `now`, or none and say which limit has no room.

        Of several exceeded limits the answer is the one with the latest retry time; one that
        no wait helps beats them all (P4.1).
        """
        self._now = now = max(now, self._now)
        taken: list[Reservation] = []
        refused: list[tuple[Charge, str]] = []
        for charge in charges:
            amount = exact(charge.amount)
            if amount is None or not charge.ceiling.is_finite():
                refused.append((charge, "amount"))
                continue
            counter = self._counters.get(charge.key)
            used = 0 if counter is None else counter.used(now)
            if plus(used, amount) > charge.ceiling:
                refused.append((charge, "limit"))
            elif amount == 0:
                continue
            elif counter is None and self._is_full(charge.bucket_of, charge.key, now):
                refused.append((charge, "buckets"))
            else:
                taken.append(self._take(charge, amount, now))
        if refused:
            self.give_back(taken)
            return self._exceeded(refused, now)
        return tuple(taken)

    def give_back(self, reservations: Iterable[Reservation]) -> None:
        """Return each reservation to the window it was taken from, and to no other (P4.4).

        One that has left its window is let be: a part of a ring may by now hold only others.
        """
        for key, amount, at, _, seconds, _ in reservations:
            counter = self._counters.get(key)
            if counter is not None and at + seconds * SECOND > self._now:
                counter.give_back(at, number(amount), seconds * SECOND)
                if not counter.used(self._now):
                    self._drop(key)

    def apply(self, reservations: Iterable[Reservation]) -> None:
        """Count what a row says was taken, without asking whether it fits."""
        for reservation in reservations:
            self._now = max(self._now, reservation.at)
            self._count(reservation, number(reservation.amount))

    def used(self, key: str, now: int) -> Number:
        """What counts against `key` at `now`."""
        counter = self._counters.get(key)
        return 0 if counter is None else counter.used(max(now, self._now))

    def keys(self) -> tuple[str, ...]:
        """The keys of all counters, also of those in which nothing counts any more."""
        return tuple(self._counters)

    def prune(self, now: int) -> None:
        """Forget counters in which nothing counts any more."""
        self._now = now = max(now, self._now)
        for key in [key for key, counter in self._counters.items() if not counter.used(now)]:
            self._drop(key)

    def __len__(self) -> int:
        return len(self._counters)

    def snapshot(self, now: int) -> list[CounterState]:
        """All counters in which something counts at `now`."""
        self.prune(now)
        return [
            CounterState(key, form_of(state), counter.length, self._bucket_of.get(key, ""), state)
            for key, counter in self._counters.items()
            for state in [counter.state()]
        ]

    def restore(self, counters: Iterable[CounterState], now: int) -> None:
        """Become what `snapshot` was taken from; `now` is the time of the snapshot."""
        self._counters.clear()
        self._groups.clear()
        self._bucket_of.clear()
        self._now = now
        for key, form, length, bucket, state in counters:
            self._counters[key] = load_counter(form, length, state)
            self._touch(key, bucket)

    def _take(self, charge: Charge, amount: Number, now: int) -> Reservation:
        window = charge.window
        if window is None:
            form, seconds = "slot", charge.lease_seconds or DEFAULT_LEASE
        else:
            form, seconds = ("calendar" if window.calendar else "sliding"), window.seconds
        bucket = "" if charge.bucket_of == charge.key else charge.bucket_of
        reservation = Reservation(charge.key, str(amount), now, form, seconds, bucket)
        self._count(reservation, amount)
        return reservation

    def _count(self, reservation: Reservation, amount: Number) -> None:
        key, _, at, form, seconds, bucket = reservation
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = new_counter(cast("Form", form), seconds * SECOND)
        counter.add(at, amount, seconds * SECOND)
        if bucket:
            self._touch(key, bucket)

    def _touch(self, key: str, bucket: str) -> None:
        if bucket:
            group = self._groups.setdefault(bucket, OrderedDict())
            group[key] = None
            group.move_to_end(key)
            self._bucket_of[key] = bucket

    def _drop(self, key: str) -> None:
        del self._counters[key]
        bucket = self._bucket_of.pop(key, None)
        if bucket is not None:
            group = self._groups[bucket]
            del group[key]
            if not group:
                del self._groups[bucket]

    def _is_full(self, bucket: str, key: str, now: int) -> bool:
        """Whether a new bucket of this limit would be one too many, after dropping dead ones."""
        group = self._groups.get(bucket) if bucket != key else None
        while group and len(group) >= self._max_buckets:
            oldest = next(iter(group))
            if self._counters[oldest].used(now):
                return True
            self._drop(oldest)
        return False

    def _exceeded(self, refused: list[tuple[Charge, str]], now: int) -> Exceeded:
        worst: Exceeded | None = None
        for charge, reason in refused:
            answer = Exceeded(charge.rule, self._retry(charge, reason, now), charge.message, reason)
            if worst is None or _later(answer.retry_after_ms, worst.retry_after_ms):
                worst = answer
        if worst is None:
            raise ValueError("no charge was refused")
        return worst

    def _retry(self, charge: Charge, reason: str, now: int) -> int | None:
        if reason == "amount":
            return None
        if reason == "buckets":
            oldest = self._counters[next(iter(self._groups[charge.bucket_of]))]
            return oldest.retry_after(now, charge.ceiling, charge.ceiling)
        amount = exact(charge.amount)
        counter = self._counters.get(charge.key)
        if amount is None or counter is None:
            return None  # refused by an empty counter: the cost alone is above the maximum
        return counter.retry_after(now, amount, charge.ceiling)


def form_of(state: State) -> Form:
    """The form of the counter that has this state."""
    kind = state[0]
    return "calendar" if kind == "calendar" else "slot" if kind == "slot" else "sliding"


def _later(left: int | None, right: int | None) -> bool:
    """Whether `left` is the later retry time; None is never."""
    return right is not None and (left is None or left > right)
