"""Whether to connect: every reason asks for its least, and the worst of them is the verdict."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.registry.change import Change
from ostiary.registry.classification import Category, Sensitivity, Severity
from ostiary.registry.subject import Sign, Subject
from ostiary.registry.verdict import ACTIONS, Case, Fact, Near, verdict

SUBJECT = Subject(kind="npm", name="files", version="1.0.0")
READS = Fact("read_file", Category.READ, Sensitivity.PUBLIC, Severity.LOW)
KNOWN = Case(subject=SUBJECT, source="record", version="1.0.0", facts=(READS,))


def changed(**fields: Any) -> Case:
    return msgspec.structs.replace(KNOWN, **fields)


def fact(name: str = "other", **fields: Any) -> Fact:
    return msgspec.structs.replace(Fact(name, Category.READ, Sensitivity.PUBLIC, Severity.LOW), **fields)


def codes(case: Case) -> list[str]:
    return [reason.code for reason in verdict(case).reasons]


def test_a_recorded_version_whose_tools_only_read_may_proceed() -> None:
    told = verdict(KNOWN)

    assert (told.action, told.reasons, told.tools) == ("proceed", (), ())


def test_what_nobody_looked_at_is_asked_about() -> None:
    told = verdict(Case(subject=SUBJECT))

    assert (told.action, [one.code for one in told.reasons]) == ("ask-first", ["unknown"])


@pytest.mark.parametrize(
    ("category", "code"),
    [
        (Category.EXECUTE, "executes"),
        (Category.DESTRUCTIVE, "destroys"),
        (Category.FINANCIAL, "moves-money"),
        (Category.UNKNOWN, "unclear-tool"),
    ],
)
def test_a_tool_that_does_harm_is_named_for_a_rule(category: Category, code: str) -> None:
    told = verdict(changed(facts=(READS, fact("run", category=category))))

    assert (told.action, told.tools) == ("connect-with-rule", ("run",))
    assert [(one.code, one.tools) for one in told.reasons] == [(code, ("run",))]


def test_a_tool_that_reads_credentials_is_named_for_a_rule() -> None:
    told = verdict(changed(facts=(READS, fact("keys", sensitivity=Sensitivity.CREDENTIALS))))

    assert (told.action, told.tools) == ("connect-with-rule", ("keys",))


def test_a_write_with_critical_severity_is_named_for_a_rule() -> None:
    told = verdict(changed(facts=(fact("w", category=Category.WRITE, severity=Severity.CRITICAL),)))

    assert (told.action, told.tools) == ("connect-with-rule", ("w",))


@pytest.mark.parametrize(
    ("worst", "action"),
    [
        (Severity.CRITICAL, "ask-first"),
        (Severity.HIGH, "ask-first"),
        (Severity.MEDIUM, "connect-with-rule"),
        (Severity.LOW, "proceed"),
    ],
)
def test_a_text_that_works_on_its_reader_counts_by_its_severity(worst: Severity, action: str) -> None:
    told = verdict(changed(facts=(fact("bad", found=("hidden-instruction",), worst=worst),)))

    assert told.action == action
    assert all("hidden-instruction" in one.text for one in told.reasons)


def test_a_name_close_to_a_known_one_is_asked_about_with_that_name() -> None:
    told = verdict(changed(near=Near("npm:filez", "by a slip")))

    assert told.action == "ask-first"
    assert "`npm:filez`" in told.reasons[0].text


def test_an_open_version_and_another_version_are_told_with_the_one_that_was_looked_at() -> None:
    floating = changed(subject=Subject(kind="npm", name="files", wanted="latest", floating=True))
    other = changed(subject=Subject(kind="npm", name="files", version="2.0.0"))
    bare = changed(subject=Subject(kind="npm", name="files"))

    assert [codes(each) for each in (floating, other, bare)] == [
        ["floating-version"], ["other-version"], ["version-unnamed"],
    ]  # fmt: skip
    assert [verdict(each).action for each in (floating, other, bare)] == [
        "connect-with-rule", "connect-with-rule", "proceed",
    ]  # fmt: skip
    assert all("1.0.0" in verdict(each).reasons[0].text for each in (floating, other, bare))


@pytest.mark.parametrize(
    ("risk", "action"), [("high", "ask-first"), ("medium", "connect-with-rule"), ("low", "proceed")]
)
def test_a_change_since_the_last_look_counts_by_its_risk(risk: str, action: str) -> None:
    change = Change("read_file", risk, "description", "the description changed")  # pyright: ignore[reportArgumentType]
    told = verdict(changed(changes=(change,), since="2026-07-28"))

    assert told.action == action
    assert "2026-07-28" in told.reasons[0].text


def test_a_tool_that_is_listed_twice_is_asked_about() -> None:
    assert verdict(changed(ambiguous=("read_file",))).action == "ask-first"


def test_names_of_tools_are_shown_without_what_steers_a_terminal() -> None:
    told = verdict(changed(facts=(fact("\x1b[2Jrun\u202e", category=Category.EXECUTE),)))

    assert told.tools == ("\x1b[2Jrun\u202e",)
    assert all(one.text.isprintable() for one in told.reasons)


FACTS = st.lists(
    st.builds(
        Fact,
        st.text(max_size=8),
        st.sampled_from(Category),
        st.sampled_from(Sensitivity),
        st.sampled_from(Severity),
        st.lists(st.sampled_from(["hidden-instruction", "unread"]), max_size=2).map(tuple),
        st.sampled_from([None, *Severity]),
    ),
    max_size=6,
)
CASES = st.builds(
    Case,
    subject=st.builds(
        Subject,
        kind=st.sampled_from(["name", "npm", "pypi", "image", "url", "local"]),
        name=st.text(max_size=8),
        version=st.sampled_from(["", "1", "2"]),
        floating=st.booleans(),
        signs=st.lists(st.builds(Sign, st.just("s"), st.sampled_from(ACTIONS), st.text())).map(tuple),
    ),
    source=st.sampled_from(["connected", "seen", "record", "pins", "nothing"]),
    version=st.sampled_from(["", "1"]),
    facts=FACTS.map(tuple),
)


@given(CASES, FACTS)
def test_another_tool_never_makes_a_verdict_milder(case: Case, more: list[Fact]) -> None:
    with_more = Case(
        subject=case.subject, source=case.source, version=case.version, facts=(*case.facts, *more)
    )

    assert ACTIONS.index(verdict(with_more).action) >= ACTIONS.index(verdict(case).action)


@given(CASES)
def test_the_verdict_is_the_worst_of_its_reasons_and_never_says_safe(case: Case) -> None:
    told = verdict(case)

    assert told.action == max((one.action for one in told.reasons), key=ACTIONS.index, default="proceed")
    own = [one.text for one in told.reasons if one.code != "s" and not one.tools]
    assert not any(
        "safe" in text for text in own if case.subject.name.isascii() and "safe" not in case.subject.name
    )
