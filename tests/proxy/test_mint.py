from __future__ import annotations

from ostiary.proxy.mint import ALPHABET, Mint, base32


def test_ids_of_one_millisecond_are_counted_in_order_without_a_gap():
    mint = Mint(lambda: 1_700_000_000_123_456)

    ids = [mint() for _ in range(3000)]

    assert ids == sorted(set(ids))
    assert [one[13:19] for one in ids] == [base32(count, 6) for count in range(1, 3001)]


def test_an_id_names_its_millisecond_and_has_the_documented_form():
    mint = Mint(lambda: 1_700_000_000_123_456)

    found = mint()

    assert found.startswith("ev_" + base32(1_700_000_000_123, 10))
    assert len(found) == 29
    assert set(found[3:]) <= set(ALPHABET)


def test_the_counter_starts_anew_with_the_next_millisecond_and_order_is_kept():
    now = 1_700_000_000_123_000
    mint = Mint(lambda: now)
    earlier = [mint() for _ in range(1500)]
    now += 1000

    later = mint()

    assert later > earlier[-1]
    assert later[13:19] == base32(1, 6)


def test_a_clock_that_stands_still_or_goes_back_keeps_the_order():
    times = iter([2_000_000, 1_000_000, 2_000_000])
    mint = Mint(lambda: next(times))

    ids = [mint() for _ in range(3)]

    assert ids == sorted(set(ids))
