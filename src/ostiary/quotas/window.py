"""Counters of one key: a sliding window, a calendar window, slots with leases. Pure.

All times are integer microseconds since the epoch and must not decrease from call to call
(the ledger sees to that). A window is half open: what was added at `t` counts at every `now`
with `t <= now < t + length`.
"""

from __future__ import annotations

from bisect import bisect_left
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Literal, Protocol

Number = int | Decimal
"""An exact amount. Whole counts stay int, which is the fast path."""

Form = Literal["sliding", "calendar", "slot"]

State = tuple[str, list[tuple[int, str, int]]]
"""What a snapshot keeps of one counter: `log`, `ring`, `calendar` or `slot`, and its entries
as (time or index, amount, length in microseconds)."""

LOG_LIMIT = 1_000
"""Distinct times that a sliding window remembers one by one."""

RING_PARTS = 60
"""Parts of a sliding window that has more; each counts until it lies wholly outside."""

SHORT = 18
"""Digits of a whole number that is surely read in no time."""

SLOT_RETRY_MS = 1_000
"""When to try again for a slot: it may come free at any moment, so nobody is sent away long."""

_SUM = Context(prec=700, traps=[Inexact, InvalidOperation])
"""Wide enough for every sum of amounts with 40 digits and an exponent within 308 (P3.4)."""


def plus(left: Number, right: Number) -> Number:
    """The exact sum."""
    if type(left) is int and type(right) is int:
        return left + right
    return _SUM.add(left, right)


def minus(left: Number, right: Number) -> Number:
    """The exact difference, never below zero."""
    if type(left) is int and type(right) is int:
        return left - right if left > right else 0
    rest = _SUM.subtract(left, right)
    return max(0, rest)


def number(text: str) -> Number:
    """Read an amount that `str` wrote."""
    return int(text) if text.isdecimal() and len(text) <= SHORT else Decimal(text)


class Counter(Protocol):
    """What the ledger needs of each form. Lengths are microseconds."""

    length: int

    def used(self, now: int) -> Number:
        """What counts at `now`."""
        ...

    def add(self, at: int, amount: Number, length: int) -> None:
        """Count `amount` as taken at `at`."""
        ...

    def give_back(self, at: int, amount: Number, length: int) -> None:
        """Return `amount` to where it was taken at `at`; nothing if that is over (P4.4)."""
        ...

    def retry_after(self, now: int, amount: Number, ceiling: Number) -> int | None:
        """Milliseconds until `amount` fits if nothing else comes; None if it never does."""
        ...

    def state(self) -> State:
        """Everything needed to go on after a restart."""
        ...


def room(counter: Counter, now: int, ceiling: Number) -> Number:
    """How much still fits under `ceiling` at `now`."""
    return minus(ceiling, counter.used(now))


class Sliding:
    """Never more than the ceiling in any window of `length` microseconds.

    An exact log of up to `LOG_LIMIT` entries (one for each distinct time); beyond that a ring
    of sub-buckets, which may count an entry for up to a 60th of the window too long but never
    too short. An emptied ring becomes a log again.
    """

    __slots__ = ("_amounts", "_head", "_ring", "_span", "_times", "_used", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self._span = -(-length // RING_PARTS)
        self._times: list[int] = []
        self._amounts: list[Number] = []
        self._head = 0
        self._ring: dict[int, Number] = {}
        self._used: Number = 0

    def used(self, now: int) -> Number:
        """What was added within the last `length` microseconds."""
        if self._ring:
            self._expire_ring(now)
            return self._used
        times, head, horizon = self._times, self._head, now - self.length
        if head < len(times) and times[head] <= horizon:
            self._expire_log(horizon)
        return self._used

    def add(self, at: int, amount: Number, length: int = 0) -> None:
        """Count `amount` as taken at `at`."""
        del length
        self._used = plus(self._used, amount)
        if self._ring:
            self._add_to_ring(at // self._span, amount)
            return
        times = self._times
        if not times or at > times[-1]:
            times.append(at)
            self._amounts.append(amount)
        elif at == times[-1] and self._head < len(times):  # another call of the same transaction
            self._amounts[-1] = plus(self._amounts[-1], amount)
        else:
            where = bisect_left(times, at, self._head)
            if where < len(times) and times[where] == at:
                self._amounts[where] = plus(self._amounts[where], amount)
            else:
                times.insert(where, at)
                self._amounts.insert(where, amount)
        if len(times) - self._head > LOG_LIMIT:
            self._to_ring()

    def give_back(self, at: int, amount: Number, length: int = 0) -> None:
        """Return `amount` to the time it was taken at; nothing if that has passed."""
        del length
        if self._ring:
            index = at // self._span
            there = self._ring.get(index, 0)
            self._used = minus(self._used, min(amount, there))
            if there > amount:
                self._ring[index] = minus(there, amount)
            elif index in self._ring:
                del self._ring[index]
            return
        where = bisect_left(self._times, at, self._head)
        if where == len(self._times) or self._times[where] != at:
            return
        there = self._amounts[where]
        self._used = minus(self._used, min(amount, there))
        if there > amount:
            self._amounts[where] = minus(there, amount)
        else:
            del self._times[where], self._amounts[where]

    def retry_after(self, now: int, amount: Number, ceiling: Number) -> int | None:
        """Milliseconds until enough has left the window, or None."""
        if amount > ceiling:
            return None
        used, until = self.used(now), now
        for leaves, freed in self._leaving():
            if plus(used, amount) <= ceiling:
                break
            used, until = minus(used, freed), leaves
        return _milliseconds(until - now)

    def state(self) -> State:
        """The log, or the ring by index."""
        if self._ring:
            return "ring", [(index, str(amount), self.length) for index, amount in self._ring.items()]
        pairs = zip(self._times[self._head :], self._amounts[self._head :], strict=True)
        return "log", [(at, str(amount), self.length) for at, amount in pairs]

    @classmethod
    def load(cls, length: int, state: State) -> Sliding:
        """The counter that `state` was taken from."""
        kind, entries = state
        window = cls(length)
        if kind == "ring":
            window._ring = {index: number(text) for index, text, _ in sorted(entries)}
            for amount in window._ring.values():
                window._used = plus(window._used, amount)
        else:
            for at, text, _ in entries:
                window.add(at, number(text))
        return window

    def _expire_log(self, horizon: int) -> None:
        times, amounts, head = self._times, self._amounts, self._head
        while head < len(times) and times[head] <= horizon:
            self._used = minus(self._used, amounts[head])
            head += 1
        if head == len(times):
            times.clear()
            amounts.clear()
            head = 0
        elif head > LOG_LIMIT // 2:
            del times[:head], amounts[:head]
            head = 0
        self._head = head

    def _expire_ring(self, now: int) -> None:
        ring, span = self._ring, self._span
        while ring:
            first = next(iter(ring))
            if (first + 1) * span + self.length > now + 1:
                return
            self._used = minus(self._used, ring.pop(first))

    def _add_to_ring(self, index: int, amount: Number) -> None:
        ring = self._ring
        out_of_order = index not in ring and index < next(reversed(ring))
        ring[index] = plus(ring.get(index, 0), amount)
        if out_of_order:
            self._ring = dict(sorted(ring.items()))

    def _to_ring(self) -> None:
        for at, amount in zip(self._times[self._head :], self._amounts[self._head :], strict=True):
            index = at // self._span
            self._ring[index] = plus(self._ring.get(index, 0), amount)
        self._times.clear()
        self._amounts.clear()
        self._head = 0

    def _leaving(self) -> list[tuple[int, Number]]:
        """When each part leaves the window, and how much it frees, earliest first."""
        if self._ring:
            return [((i + 1) * self._span - 1 + self.length, a) for i, a in self._ring.items()]
        pairs = zip(self._times[self._head :], self._amounts[self._head :], strict=True)
        return [(at + self.length, amount) for at, amount in pairs]


class Calendar:
    """A window aligned to UTC: it empties when the minute, hour or day turns (P4.1)."""

    __slots__ = ("_index", "_used", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self._index = 0
        self._used: Number = 0

    def used(self, now: int) -> Number:
        """What was added in the calendar window that `now` falls in."""
        index = now // self.length
        if index > self._index:
            self._index, self._used = index, 0
        return self._used

    def add(self, at: int, amount: Number, length: int = 0) -> None:
        """Count `amount` in the window of `at`; a window that is over stays over."""
        del length
        self.used(at)
        if at // self.length == self._index:
            self._used = plus(self._used, amount)

    def give_back(self, at: int, amount: Number, length: int = 0) -> None:
        """Return `amount` to the window of `at`, never to a later one."""
        del length
        if at // self.length == self._index:
            self._used = minus(self._used, amount)

    def retry_after(self, now: int, amount: Number, ceiling: Number) -> int | None:
        """Milliseconds until the next window, 0 if it fits now, None if it never does."""
        if amount > ceiling:
            return None
        if plus(self.used(now), amount) <= ceiling:
            return 0
        return _milliseconds((self._index + 1) * self.length - now)

    def state(self) -> State:
        """The current window by index."""
        return "calendar", [(self._index, str(self._used), self.length)] if self._used else []

    @classmethod
    def load(cls, length: int, state: State) -> Calendar:
        """The counter that `state` was taken from."""
        window = cls(length)
        for index, text, _ in state[1]:
            window._index, window._used = index, number(text)
        return window


class Slots:
    """How many run at once. A slot is freed by its outcome, or when its lease ends (P4.4)."""

    __slots__ = ("_held", "_next", "_used", "length")

    def __init__(self, length: int = 0) -> None:
        self.length = length
        self._held: dict[tuple[int, int], Number] = {}
        self._used: Number = 0
        self._next = 0  # the earliest end of a lease, while any is held

    def used(self, now: int) -> Number:
        """Slots whose lease has not ended."""
        if self._held and now >= self._next:
            for taken, lease in [held for held in self._held if sum(held) <= now]:
                self._used = minus(self._used, self._held.pop((taken, lease)))
            self._next = min(map(sum, self._held), default=0)
        return self._used

    def add(self, at: int, amount: Number, length: int) -> None:
        """Take a slot at `at` for at most `length` microseconds."""
        self._next = min(self._next, at + length) if self._held else at + length
        self._held[at, length] = plus(self._held.get((at, length), 0), amount)
        self._used = plus(self._used, amount)

    def give_back(self, at: int, amount: Number, length: int) -> None:
        """Free the slot taken at `at` with that lease; nothing if it ended already."""
        there = self._held.get((at, length))
        if there is None:
            return
        self._used = minus(self._used, min(amount, there))
        if there > amount:
            self._held[at, length] = minus(there, amount)
        else:
            del self._held[at, length]

    def retry_after(self, now: int, amount: Number, ceiling: Number) -> int | None:
        """A short wait, at most until the first lease ends; None if it never fits."""
        if amount > ceiling:
            return None
        if plus(self.used(now), amount) <= ceiling:
            return 0
        return min(SLOT_RETRY_MS, _milliseconds(self._next - now))

    def state(self) -> State:
        """Every held slot with its lease."""
        return "slot", [(at, str(amount), lease) for (at, lease), amount in self._held.items()]

    @classmethod
    def load(cls, length: int, state: State) -> Slots:
        """The counter that `state` was taken from."""
        slots = cls(length)
        for at, text, lease in state[1]:
            slots.add(at, number(text), lease)
        return slots


def new_counter(form: Form, length: int) -> Counter:
    """An empty counter; `length` in microseconds, at least 1."""
    if form == "sliding":
        return Sliding(length)
    return Calendar(length) if form == "calendar" else Slots(length)


def load_counter(form: Form, length: int, state: State) -> Counter:
    """The counter that `state` was taken from."""
    if form == "sliding":
        return Sliding.load(length, state)
    return Calendar.load(length, state) if form == "calendar" else Slots.load(length, state)


def _milliseconds(microseconds: int) -> int:
    return max(0, -(-microseconds // 1_000))
