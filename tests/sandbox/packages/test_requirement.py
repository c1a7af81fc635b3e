"""One requirement: what is wanted, and nothing about where it comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.requirement import MAX_LENGTH, MAX_REQUIREMENTS, merge, read_requirement


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Humanize", "humanize"),
        ("  zope.interface >= 5 , < 7 ", "zope-interface<7,>=5"),
        ("pandas[parquet,Excel]~=2.2", "pandas[Excel,parquet]~=2.2"),
        ("a ; python_version < '3.13'", 'a; python_version < "3.13"'),
        ("numpy==2.*", "numpy==2.*"),
        ("a(>=1)", "a>=1"),
    ],
)
def test_a_requirement_has_one_spelling(text: str, normal: str) -> None:
    assert str(read_requirement(text)) == normal


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a @ https://elsewhere.example/a.whl", "where to fetch from"),
        ("a@file:///etc/passwd", "where to fetch from"),
        ("a[b]@https://elsewhere.example/a.whl", "where to fetch from"),
        ("https://elsewhere.example/a.whl", "where to fetch from"),
        ("git+ssh://elsewhere.example/a", "where to fetch from"),
        ("a @ git+https://elsewhere.example/a", "where to fetch from"),
        ("-r requirements.txt", "is an option"),
        ("--index-url=https://elsewhere.example", "is an option"),
        ("-e .", "is an option"),
        ("  --extra-index-url x", "is an option"),
        (".", "is a path"),
        ("./a", "is a path"),
        ("../a.whl", "is a path"),
        ("/tmp/a.whl", "is a path"),
        ("~/a", "is a path"),
        ("C:\\a.whl", "is a path"),
        ("a --no-binary :all:", "cannot be read"),
        ("a --hash=sha256:00", "cannot be read"),
        ("a b", "cannot be read"),
        ("", "cannot be read"),
        ("a==", "cannot be read"),
        ("a; os_nam == 'x'", "cannot be read"),
        ("a\n--index-url=x", "control"),
        ("a\u200b", "control"),
        ("a" * (MAX_LENGTH + 1), "longer than"),
        ("a; " + "(" * 500, "cannot be read|nested"),
    ],
)
def test_what_is_more_than_a_requirement_is_refused(text: str, says: str) -> None:
    with pytest.raises(PackageFault, match=says):
        read_requirement(text)


def test_lists_are_joined_sorted_and_each_requirement_once() -> None:
    assert merge(["numpy>=2", "Humanize"], ["humanize", "numpy>=2"]) == ("humanize", "numpy>=2")


def test_two_bounds_on_one_package_both_stay() -> None:
    assert merge(["a>=2"], ["a<1"]) == ("a<1", "a>=2")


def test_too_many_requirements_are_refused() -> None:
    with pytest.raises(PackageFault, match=f"a run may have {MAX_REQUIREMENTS}"):
        merge([f"a{number}" for number in range(MAX_REQUIREMENTS + 1)])


PIECES = [
    "a",
    "A.b",
    "[x]",
    ">=1",
    "==2.*",
    ",<3",
    " ",
    ";",
    "python_version",
    "'3'",
    "@",
    "/",
    "-",
    "\n",
    "://x",
    "(",
]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
def test_what_is_accepted_is_a_requirement_without_an_address(text: str) -> None:
    try:
        accepted = str(read_requirement(text))
    except PackageFault:
        return

    again = Requirement(accepted)
    assert again.url is None
    assert accepted[0].isalnum()
    assert accepted.isprintable()
    assert str(read_requirement(accepted)) == accepted
