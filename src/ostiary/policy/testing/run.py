"""Decides every call of a tests file and compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ostiary.policy.compile import Compiled, compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Decision, Question
from ostiary.policy.definition import Catalogue
from ostiary.policy.diagnostic import Diagnostic, PolicyError
from ostiary.policy.formats.draft import near
from ostiary.policy.model import Document, Place, Policy
from ostiary.policy.source import shown
from ostiary.policy.testing.coverage import Coverage, Gap, ways_of
from ostiary.policy.testing.document import Case, TestFile

STEPS: Final = (
    "(hidden)",
    "(default deny)",
    "(unknown tool)",
    "(drift)",
    "(argument twin)",
    "(name twin)",
    "(intercept default allow)",
)
"""What decides in place of a rule, and may be named as one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that was decided otherwise. `places` say where the rules that decided stand."""

    case: Case
    decision: Decision
    places: Mapping[str, Place]
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a tests file. `rules` counts those that can be exercised; `unchecked` as in a decision."""

    tests: int
    failures: tuple[Failure, ...]
    rules: int
    gaps: tuple[Gap, ...]
    unchecked: tuple[str, ...] = ()


def run_tests(tests: TestFile, document: Document, catalogue: Catalogue | None) -> Result:
    """Decide every call. Raises PolicyError when a test names no server of the policy."""
    problems = check_servers(tests.cases, document)
    if problems:
        raise PolicyError(problems)
    compiled = {name: compile_policy(policy) for name, policy in _policies(document).items()}
    coverage = Coverage()
    failures: list[Failure] = []
    unchecked: tuple[str, ...] = ()
    for case in tests.cases:
        server = _server_of(case, document) or ""
        policy = compiled[server]
        question = Question(
            tool=case.tool,
            arguments=case.arguments,
            grant=case.grant,
            server=case.server or server or "local",
            catalogue=catalogue,
        )
        decision = decide(policy, question)
        coverage.observe(policy, question, decision)
        unchecked = unchecked or decision.unchecked
        if decision.effect != case.expect or (case.rule is not None and case.rule not in decision.rules):
            failures.append(_failure(case, decision, policy))
    rules = sum(1 for each in compiled.values() for _ in ways_of(each.policy))
    gaps = [gap for each in compiled.values() for gap in coverage.gaps(each.policy)]
    return Result(len(tests.cases), tuple(failures), rules, tuple(gaps), unchecked)


def _policies(document: Document) -> dict[str, Policy]:
    return dict(document.servers) if document.single is None else {"": document.single}


def check_servers(cases: Iterable[Case], document: Document) -> list[Diagnostic]:
    """Tests that do not say, or not rightly, whose policy they are about; one problem for each place."""
    problems: dict[Place, Diagnostic] = {}
    for case in cases:
        if _server_of(case, document) is None:
            problems.setdefault(case.place, _no_server(case, document))
    return list(problems.values())


def _server_of(case: Case, document: Document) -> str | None:
    """The server whose policy decides, the empty name where there is one policy; None if unknown."""
    if document.single is not None:
        return ""
    only = next(iter(document.servers)) if len(document.servers) == 1 else None
    server = case.server or only
    return server if server in document.servers else None


def _no_server(case: Case, document: Document) -> Diagnostic:
    at = case.place
    known = ", ".join(shown(name) for name in document.servers)
    if case.server is None:
        message, hint = "the key `server` is missing: the policy has several", f"it knows {known}"
    else:
        message = f"the policy has no server {shown(case.server)}"
        hint = near(case.server, document.servers) or f"it knows {known}"
    return Diagnostic("error", "unknown-server", message, at.file, at.line, at.column, hint)


def _failure(case: Case, decision: Decision, compiled: Compiled) -> Failure:
    places = {rule: compiled.policy.places[rule] for rule in decision.rules if rule in compiled.policy.places}
    hint = None
    if case.rule is not None and case.rule not in decision.rules:
        known = [*(rule for rule, _ in ways_of(compiled.policy)), *STEPS]
        if case.rule not in known:
            guess = near(case.rule, known)
            hint = f"there is no rule {shown(case.rule)}" + (f": {guess}" if guess else "")
    return Failure(case, decision, places, hint)
