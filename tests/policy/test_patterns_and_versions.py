"""Globs, regular expressions, version ranges and exact numbers."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.policy.numbers import MAX_INTEGER, all_bounded, compact, exact, text_of
from ostiary.policy.patterns import (
    PatternError,
    compile_finder,
    compile_glob,
    compile_regex,
    compile_sieve,
)
from ostiary.policy.semver import VersionError, compile_range, read_version
from tests.policy import naive


@given(st.text(alphabet="ab*?/.[]!-", max_size=8), st.text(alphabet="ab/.-!", max_size=8))
def test_globs_match_as_when_done_by_hand(pattern: str, text: str) -> None:
    """P3.7: against a matcher that goes character by character."""
    try:
        found = compile_glob(pattern)(text)
    except PatternError:
        return
    if "[" not in pattern:
        assert found == naive.matches(pattern, text)


@pytest.mark.parametrize("pattern", ["[", "[a", "[]", "[!]", "[a/b]", "a\\", "[[]", "[z-a]", "x" * 4097])
def test_unusable_globs_are_refused(pattern: str) -> None:
    """P3.7: nothing is guessed about an open class."""
    with pytest.raises(PatternError):
        compile_glob(pattern)


def test_a_glob_takes_a_character_after_a_backslash_as_it_is() -> None:
    """P3.7: a literal star can be written."""
    assert compile_glob("a\\*")("a*")
    assert not compile_glob("a\\*")("ab")


@pytest.mark.parametrize("pattern", ["(?=a)", "(a)\\1", "(", "a{2000}", "((a{100}){100}){100}", "x" * 4097])
def test_unusable_regular_expressions_are_refused(pattern: str) -> None:
    """P3.7: RE2 only, size-bounded."""
    with pytest.raises(PatternError):
        compile_regex(pattern)


def test_a_pattern_of_our_own_finds_every_match_with_its_place_in_bytes() -> None:
    find = compile_finder("(?P<word>ä+)|b", memory=1 << 20)

    found = [(match.span(), match.groupdict()["word"]) for match in find("xäb".encode())]

    assert found == [((1, 3), "ä".encode()), ((3, 4), None)]


@pytest.mark.parametrize("pattern", ["(", "(?=a)", "(?:a{1000}){100}"])
def test_a_pattern_of_our_own_that_cannot_be_compiled_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_finder(pattern, memory=1 << 20)


def test_a_sieve_keeps_what_may_match_and_drops_what_lacks_a_word() -> None:
    likely = compile_sieve(["read.{0,9}file", "(?:send|mail)[ ]ä", "delete"])

    assert likely(b"to read a file, or read none") == [0]
    assert likely("delete what i mail ä".encode()) == [1, 2]
    assert likely(b"nothing") == []


def test_a_sieve_refuses_what_is_no_pattern() -> None:
    with pytest.raises(PatternError):
        compile_sieve(["a", "("])


def test_regular_expressions_are_linear() -> None:
    """P3.7: the classic bomb is harmless."""
    started = time.process_time()
    assert not compile_regex("^(a+)+$")("a" * 100_000 + "b")
    assert time.process_time() - started < 2


ORDERED = (
    "0.0.1-0",
    "0.0.1",
    "1.0.0-1",
    "1.0.0-2",
    "1.0.0-11",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.10",
    "1.2.0",
    "2.0.0-0",
    "2.0.0",
)


def test_versions_order_by_precedence() -> None:
    """P3.7: SemVer 2.0.0 section 11."""
    shuffled = ORDERED[1::2] + ORDERED[::2]
    assert sorted(shuffled, key=read_version) == list(ORDERED)
    assert read_version("1.0.0+a") == read_version("1.0.0+b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "v1.2.3",
        "1.2.3.4",
        "01.2.3",
        "1.2.3-01",
        "1.2.3-",
        "1.2.3+",
        "1.2.3 ",
        "1.2.3\n",
        "١.2.3",
        "1" * 17 + ".0.0",
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    """P3.7: no guess at what `v1.2` means."""
    with pytest.raises(VersionError):
        read_version(text)


@pytest.mark.parametrize(
    "text", ["", " ", "||", "^1 ||", "1.2", ">1.2", "<=1", "1.x", "*", "1.0.0 - 2.0.0", ">= 1.0.0", "^v1.0.0"]
)
def test_ranges_that_readers_differ_on_are_refused(text: str) -> None:
    """P3.7: the author is told, not guessed at."""
    with pytest.raises(VersionError):
        compile_range(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("^1", "1.9.9", "2.0.0-0"),
        ("^0.1", "0.1.9", "0.2.0"),
        ("^0", "0.9.9", "1.0.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("~1", "1.9.0", "2.0.0"),
        ("~1.2", "1.2.9", "1.3.0"),
        (">=1.2", "1.2.0", "1.2.0-rc.1"),
        ("<2", "1.9.9", "2.0.0-alpha"),
        ("<2.0.0", "2.0.0-alpha", "2.0.0"),
    ],
)
def test_ranges_hold_between_their_bounds(text: str, inside: str, outside: str) -> None:
    """P3.7: shortened versions where they have one meaning."""
    assert compile_range(text)(read_version(inside))
    assert not compile_range(text)(read_version(outside))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_double_is_its_own_text(value: float) -> None:
    """P3.4: the value of a float is that of its repr."""
    found = exact(value)
    assert found is None if 0 < abs(value) < 1e-308 else found == Decimal(repr(value))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_passes_exactly_when_it_survives_a_double(value: Decimal) -> None:
    """P3.4: round trip, digits and exponent."""
    bounded = value.is_zero() or (len(value.as_tuple().digits) <= 40 and abs(value.adjusted()) <= 308)
    if value.is_zero():
        bounded = abs(int(value.as_tuple().exponent)) <= 308
    survives = bounded and Decimal(repr(float(value))) == value
    assert (exact(value) is not None) == survives


def test_what_is_no_number_is_none() -> None:
    """P3.4: booleans, infinities and NaN, wide or not."""
    for value in (True, "1", None, [], float("inf"), float("nan"), Decimal("NaN"), Decimal("Infinity")):
        assert exact(value) is None
        assert exact(value, wide=True) is None


def test_absurd_exponents_cost_no_time() -> None:
    """P3.4: bounds come before arithmetic."""
    started = time.process_time()
    assert exact(Decimal("1e9999999")) is None
    assert exact(Decimal("1e9999999"), wide=True) == compact(Decimal("1e9999999"))
    assert not all_bounded({"a": [{"b": Decimal("1e9999999")}]})
    assert time.process_time() - started < 1


def test_integer_bounds_are_those_of_a_double() -> None:
    """P3.4: +-(2^53-1)."""
    assert exact(MAX_INTEGER) == MAX_INTEGER == 2**53 - 1
    assert exact(MAX_INTEGER + 1) is None
    assert exact(-MAX_INTEGER - 1) is None
    assert exact(MAX_INTEGER + 1, wide=True) == MAX_INTEGER + 1


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=3))
def test_equal_numbers_have_equal_texts(value: Decimal) -> None:
    """P3.3, P4.2: a bucket belongs to a value, not to its spelling."""
    text = text_of(value)
    assert Decimal(text) == value
    assert text_of(Decimal(text)) == text_of(value * 1) == text
    assert compact(value) == value
