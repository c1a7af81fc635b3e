"""Whether to connect a server: go on, with a rule, or ask a person first. Pure.

Every reason carries the least that it asks for; the verdict is the worst of them. There is no
score, and no verdict says that a server is harmless: the best one says that nothing speaks against it
in what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from ostiary.registry.change import Change, named
from ostiary.registry.classification import Category, Classification, Sensitivity, Severity
from ostiary.registry.subject import Action, Subject

ACTIONS: Final[tuple[Action, ...]] = ("proceed", "connect-with-rule", "ask-first")
"""From the mildest to the strictest."""

Source = Literal["connected", "seen", "record", "pins", "nothing"]
"""Where the tools are known from: asked just now, asked earlier, shipped, pinned by a person, or not."""

GRAVE: Final = frozenset({Severity.HIGH, Severity.CRITICAL})
MAX_SHOWN: Final = 8


class Fact(msgspec.Struct, frozen=True):
    """What a verdict goes by, of one tool: what it can do, and what its definition does to a reader."""

    name: str
    category: Category
    sensitivity: Sensitivity
    severity: Severity
    found: tuple[str, ...] = ()
    worst: Severity | None = None


class Near(msgspec.Struct, frozen=True):
    """The known package, as `npm:NAME` or `pypi:NAME`, and how the other name differs from it."""

    known: str
    how: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a server. `version` is that of which the tools are known, if it is.

    `changes` are those since `since`, a day as 2026-07-28. `ambiguous` tools are listed twice.
    `whole` is False where it has more tools than these.
    """

    subject: Subject
    source: Source = "nothing"
    version: str = ""
    facts: tuple[Fact, ...] = ()
    near: Near | None = None
    changes: tuple[Change, ...] = ()
    since: str = ""
    ambiguous: tuple[str, ...] = ()
    whole: bool = True


class Reason(msgspec.Struct, frozen=True):
    """One thing that speaks for caution, or says what is known. `tools` are those that it is about."""

    code: str
    action: Action
    text: str
    tools: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """What to do, why (worst first), and the tools that a rule should deny."""

    action: Action
    reasons: tuple[Reason, ...]
    tools: tuple[str, ...]


class _Rule(msgspec.Struct, frozen=True):
    """Tools of one category: what that means for whoever connects them."""

    category: Category
    code: str
    text: str


_CATEGORIES: Final = (
    _Rule(Category.EXECUTE, "executes", "runs code or commands that the model writes"),
    _Rule(Category.DESTRUCTIVE, "destroys", "deletes or overwrites what cannot be brought back"),
    _Rule(Category.FINANCIAL, "moves-money", "moves money or commits to pay it"),
    _Rule(Category.UNKNOWN, "unclear-tool", "does not say what it does"),
)


def fact_of(one: Classification) -> Fact:
    """What counts of a classification with its findings."""
    grades = [found.severity for found in one.findings]
    worst = next((each for each in reversed(Severity) if each in grades), None)
    kinds = tuple(dict.fromkeys(found.kind for found in one.findings))
    return Fact(one.name, one.category, one.sensitivity, one.severity, kinds, worst)


def weight(fact: Fact) -> tuple[int, bool, int]:
    """How much a verdict rests on a tool: what works on its reader first, then what it can do."""
    grades = list(Severity)
    found = -1 if fact.worst is None else grades.index(fact.worst)
    told = {rule.category for rule in _CATEGORIES}
    named = fact.category in told or fact.sensitivity is Sensitivity.CREDENTIALS
    return found, named, grades.index(fact.severity)


def verdict(case: Case) -> Verdict:
    """The verdict on what is known. The same case always has the same one."""
    found = [*_of_the_way(case), *_of_the_name(case), *_of_the_version(case), *_of_changes(case)]
    found += _of_the_tools(case)
    reasons = sorted(found, key=lambda one: -ACTIONS.index(one.action))
    action = reasons[0].action if reasons else "proceed"
    ruled = {tool for one in reasons if one.action != "proceed" for tool in one.tools}
    return Verdict(action, tuple(reasons), tuple(fact.name for fact in case.facts if fact.name in ruled))


def _of_the_way(case: Case) -> Iterator[Reason]:
    """How the server is named and started, and whether it is known at all."""
    for sign in case.subject.signs:
        yield Reason(sign.code, sign.action, sign.text)
    if case.source == "nothing":
        text = "what its tools do is in no shipped record, and this machine has not looked at it"
        yield Reason("unknown", "ask-first", text)
    elif case.source == "pins":
        yield Reason("pinned", "proceed", "its tools are known from the pins of this machine")
    elif case.source in ("seen", "connected") and case.subject.kind in ("npm", "pypi", "name", "image"):
        text = "what is known is what it said on this machine; who publishes it was not looked at"
        yield Reason("seen-here", "proceed", text)
    if not case.whole:
        text = f"it has more tools than are remembered: only {len(case.facts):,} of its tools are known"
        yield Reason("not-whole", "ask-first", text)


def _of_the_name(case: Case) -> Iterator[Reason]:
    if case.near is not None:
        text = f"the name is close to {named(case.near.known)} and is not it: {case.near.how}"
        yield Reason("near-name", "ask-first", text)


def _of_the_version(case: Case) -> Iterator[Reason]:
    """Whether what will be started is what was looked at."""
    subject, known = case.subject, case.version
    fixed = f"name {named(_exact(subject, known))} where you connect it" if known else "name an exact version"
    if subject.floating:
        text = f"the version is left open, so that the next start may bring another: {fixed}"
        yield Reason("floating-version", "connect-with-rule", text)
    elif subject.version and known and subject.version != known:
        text = f"version {named(subject.version)} was not looked at, {named(known)} was"
        yield Reason("other-version", "connect-with-rule", text)
    elif known and not subject.version and subject.kind in ("npm", "pypi", "name"):
        yield Reason("version-unnamed", "proceed", f"judged by version {known}: {fixed}")


def _exact(subject: Subject, version: str) -> str:
    return msgspec.structs.replace(subject, version=version, wanted="").spec


def _of_changes(case: Case) -> Iterator[Reason]:
    """What became of the definitions since the last look."""
    since = f" since {case.since}" if case.since else ""
    for risk, action in (("high", "ask-first"), ("medium", "connect-with-rule"), ("low", "proceed")):
        tools = _names(change.tool for change in case.changes if change.risk == risk)
        if tools:
            text = f"changed{since}, {risk} risk: {_list(tools)}"
            yield Reason(f"changed-{risk}", _action(action), text, tools)


def _action(text: str) -> Action:
    return next(each for each in ACTIONS if each == text)


def _of_the_tools(case: Case) -> Iterator[Reason]:
    facts = case.facts
    grave = [fact for fact in facts if fact.worst in GRAVE]
    yield from _about(grave, "poisoned", "ask-first", "has a text that works on its reader", kinds=True)
    mild = [fact for fact in facts if fact.worst is Severity.MEDIUM]
    yield from _about(
        mild, "suspect-text", "connect-with-rule", "has a text that may work on its reader", kinds=True
    )
    if case.ambiguous:
        text = f"listed in two versions, of which nobody can say which one counts: {_list(case.ambiguous)}"
        yield Reason("ambiguous", "ask-first", text, tuple(case.ambiguous))
    for rule in _CATEGORIES:
        fitting = [fact for fact in facts if fact.category is rule.category]
        yield from _about(fitting, rule.code, "connect-with-rule", rule.text)
    secret = [fact for fact in facts if fact.sensitivity is Sensitivity.CREDENTIALS]
    yield from _about(secret, "shows-credentials", "connect-with-rule", "can show or take credentials")
    told = {rule.category for rule in _CATEGORIES}
    rest = [
        fact
        for fact in facts
        if fact.severity is Severity.CRITICAL and fact.category not in told and fact not in secret
    ]
    yield from _about(rest, "critical", "connect-with-rule", "does grave harm where the call is a mistake")


def _about(
    facts: Sequence[Fact], code: str, action: Action, text: str, *, kinds: bool = False
) -> Iterator[Reason]:
    """One reason for all tools that it holds for."""
    if not facts:
        return
    tools = _names(fact.name for fact in facts)
    what = sorted({kind for fact in facts for kind in fact.found})
    said = f" ({', '.join(what)})" if kinds and what else ""
    yield Reason(code, action, f"{text}{said}: {_list(tools)}", tools)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _list(tools: Sequence[str]) -> str:
    shown = ", ".join(named(tool) for tool in tools[:MAX_SHOWN])
    return shown + (f" and {len(tools) - MAX_SHOWN} more" if len(tools) > MAX_SHOWN else "")
