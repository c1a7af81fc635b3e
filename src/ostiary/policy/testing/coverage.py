"""Which rules the tests exercised, and in which of the ways that they can turn out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ostiary.policy.compile import Compiled
from ostiary.policy.decision import Decision, Question
from ostiary.policy.model import Limit, Place, Policy, Rule, ToolRules
from ostiary.policy.outcome import ERROR, TRUE

HOLDS: Final = "holds"
FAILS: Final = "does not hold"
FITS: Final = "fits"
MISFITS: Final = "does not fit"
COUNTS: Final = "counts"
UNCOUNTED: Final = "cannot count"


@dataclass(frozen=True, slots=True)
class Gap:
    """A rule that no test exercised in the ways `missing`."""

    rule: str
    place: Place | None
    missing: tuple[str, ...]


@dataclass(slots=True)
class Coverage:
    """What was seen of each rule, by its id. One that cannot be judged was not exercised."""

    seen: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def observe(self, compiled: Compiled, question: Question, decision: Decision) -> None:
        """Take note of how every rule that `decision` looked at turned out."""
        if decision.effect == "deny" and decision.rules[0].startswith("("):
            return  # a step before the rules denied
        plan = compiled.plans.get(question.tool) or compiled.unlisted
        denied = set(decision.rules) if decision.effect == "deny" else set[str]()
        for rule in plan.rules:
            self._judged(rule.rule.id, rule.evaluate(question.arguments))
        if question.catalogue is not None:
            for validation in plan.validations:
                self._note(validation.id, MISFITS if validation.id in denied else FITS)
        of_limits = {planned.limit.id for planned in plan.limits}
        if denied - of_limits - {asking.compiled.rule.id for asking in plan.asking}:
            return
        for limit in of_limits:
            self._note(limit, UNCOUNTED if limit in denied else COUNTS)
        if not denied & of_limits:
            for asking in plan.asking:
                self._judged(asking.compiled.rule.id, asking.compiled.evaluate(question.arguments))

    def _judged(self, rule: str, outcome: object) -> None:
        if outcome is not ERROR:
            self._note(rule, HOLDS if outcome is TRUE else FAILS)

    def _note(self, rule: str, way: str) -> None:
        self.seen.setdefault(rule, set()).add(way)

    def gaps(self, policy: Policy) -> list[Gap]:
        """Rules of `policy` that no test exercised in every way, in the order of the text."""
        found: list[Gap] = []
        for rule, ways in ways_of(policy):
            missing = tuple(way for way in ways if way not in self.seen.get(rule, ()))
            if missing:
                found.append(Gap(rule, policy.places.get(rule), missing))
        return sorted(
            found, key=lambda gap: (0, 0) if gap.place is None else (gap.place.line, gap.place.column)
        )


def ways_of(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every rule of a policy, with the ways in which it can turn out in a test."""
    for rules in (policy.all_tools, *policy.tools.values()):
        yield from _ways(rules)


def _ways(rules: ToolRules) -> Iterator[tuple[str, tuple[str, ...]]]:
    for rule in (*rules.require, *rules.deny_if, *rules.approve_if):
        yield rule.id, _ways_of_rule(rule)
    for limit in rules.limits:
        yield limit.id, _ways_of_limit(limit)
    if rules.validation is not None:
        yield rules.validation.id, (FITS, MISFITS)


def _ways_of_rule(rule: Rule) -> tuple[str, ...]:
    return (HOLDS, FAILS) if rule.conditions else (HOLDS,)  # without conditions it always holds


def _ways_of_limit(limit: Limit) -> tuple[str, ...]:
    """Counters are not filled by tests; only what is read from arguments can turn out otherwise."""
    return (COUNTS, UNCOUNTED) if limit.cost is not None or limit.scope_paths else (COUNTS,)
