"""What came of the tests, for people and as data."""

from __future__ import annotations

from ostiary.policy.explain import UNCHECKED, VERSION
from ostiary.policy.model import Place
from ostiary.policy.source import shown
from ostiary.policy.testing.coverage import Gap
from ostiary.policy.testing.run import Failure, Result

MAX_FAILURES = 20
"""Failing tests that a message of the gate lists."""


def failure_lines(failure: Failure) -> list[str]:
    """One failing test: where, what was expected, what came, by which rule and why."""
    case, decision = failure.case, failure.decision
    wanted = case.expect + ("" if case.rule is None else f" by {shown(case.rule)}")
    lines = [f"{_at(case.place)}: failed: {shown(case.name, 200)}", f"  expected {wanted}"]
    rules = [_rule(rule, failure.places.get(rule)) for rule in decision.rules]
    lines.append(f"  came {decision.effect}" + (f" by {', '.join(rules)}" if rules else ""))
    lines += [f"  why: {reason}" for reason in decision.reasons]
    lines += [] if case.because is None else [f"  because: {shown(case.because, 200)}"]
    lines += [] if failure.hint is None else [f"  hint: {failure.hint}"]
    return lines


def _rule(rule: str, place: Place | None) -> str:
    return shown(rule, 200) if place is None else f"{shown(rule, 200)} ({_at(place)})"


def _at(place: Place) -> str:
    return f"{place.file}:{place.line}:{place.column}"


def summary(result: Result) -> str:
    """How many tests failed, or that all passed."""
    count = f"{result.tests:,} test{'' if result.tests == 1 else 's'}"
    return f"{len(result.failures):,} of {count} failed" if result.failures else f"{count} passed"


def report_lines(result: Result, *, coverage: bool) -> list[str]:
    """Every failing test, the summary, and which rules were exercised; `coverage` lists the others."""
    lines = [line for failure in result.failures for line in failure_lines(failure)]
    lines.append(summary(result))
    without = "not checked without the server's tool list"
    lines += [f"{without}: {UNCHECKED.get(clause, '')} ({clause})" for clause in result.unchecked]
    exercised = result.rules - len(result.gaps)
    lines.append(f"{exercised:,} of {result.rules:,} rules were exercised both ways")
    if coverage:
        lines += [_gap_line(gap) for gap in result.gaps]
    elif result.gaps:
        lines.append("--coverage lists the others")
    return lines


def _gap_line(gap: Gap) -> str:
    where = "" if gap.place is None else f"{_at(gap.place)}: "
    return f"{where}{shown(gap.rule, 200)}: no test in which it {' or '.join(gap.missing)}"


def report_json(result: Result) -> dict[str, object]:
    """The documented shape of `ostiary policy test --format json`."""
    return {
        "v": VERSION,
        "ok": not result.failures,
        "tests": result.tests,
        "failures": [_failure_json(failure) for failure in result.failures],
        "coverage": {"rules": result.rules, "missing": [_gap_json(gap) for gap in result.gaps]},
        "unchecked": list(result.unchecked),
    }


def _failure_json(failure: Failure) -> dict[str, object]:
    case, decision = failure.case, failure.decision
    return {
        "name": case.name,
        **_place_json(case.place),
        "expected": {"decision": case.expect, "rule": case.rule},
        "came": {
            "decision": decision.effect,
            "rules": [{"id": rule, **_place_json(failure.places.get(rule))} for rule in decision.rules],
            "reasons": list(decision.reasons),
        },
        "because": case.because,
        "hint": failure.hint,
    }


def _gap_json(gap: Gap) -> dict[str, object]:
    return {"rule": gap.rule, **_place_json(gap.place), "missing": list(gap.missing)}


def _place_json(place: Place | None) -> dict[str, object]:
    return {
        "file": None if place is None else place.file,
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
    }
