"""The decision on one `tools/call` (P2).

Steps of P2 that are taken here, in this order; each is marked in the code:

4. A grant without a policy is denied `(no policy)`.
5. An emergency stop in force denies `(stopped)`.
6. A hidden tool is denied `(hidden)`.
7. Under `default: deny`, a tool that is not listed is denied `(default deny)`.
8. A tool the upstream does not advertise is denied `(unknown tool)`, one that changed since it
   was pinned `(drift)`, one that only looks like a known one `(name twin)`.
10. Arguments are checked for twins, and against the advertised schema where `validate` asks.
11. Every `require` must hold; any `deny_if` that holds, or cannot be judged, denies.
13. Limits become charges, or deny because the arguments do not say what they cost.
14. Every `approve_if` that holds becomes part of one hold; one that cannot be judged denies.
15. The charges go with the decision: the caller reserves all of them, or none, before forwarding.

Steps 1-3 come before this module; 9 and 12 have nothing to do yet; reading and reserving counters
is the ledger's, and asking people is the gate's. In monitor mode (P8.1) the decision is the same
and the caller does not enforce it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ostiary.policy import phrases
from ostiary.policy.approvals import Asked, merged
from ostiary.policy.availability import Refusal, filters_lists, unavailable, visible
from ostiary.policy.charges import ChargeError, charges_of, owner_of
from ostiary.policy.compile import Compiled, CompiledRule, ToolPlan
from ostiary.policy.decision import Charge, Decision, Question
from ostiary.policy.definition import ToolDefinition
from ostiary.policy.outcome import ERROR, TRUE, Outcome
from ostiary.policy.twins import argument_twin
from ostiary.policy.validation import problem_with

__all__ = ["UNCHECKED", "decide", "filters_lists", "visible"]

UNCHECKED: Final = ("P2.8", "P2.10")
"""Steps that are skipped, and said to be, when the upstream's tools are not known."""
IMPLIED_ALLOW: Final = "(intercept default allow)"
_MAX_REMEMBERED: Final = 1024


class _Failure(NamedTuple):
    """A rule that denies: its id, the words for the agent, the reason for people."""

    rule: str
    message: str
    reason: str


def decide(compiled: Compiled | None, question: Question) -> Decision:
    """Decide one call; the module says how. Nothing that a call holds makes this raise."""
    # 4. No policy.
    if compiled is None:
        reason = "the grant has no policy"
        return Decision("deny", ("(no policy)",), phrases.NO_POLICY, (reason,))
    # 5. Emergency stop.
    if question.stopped:
        reason = "an emergency stop is in force"
        return Decision("deny", ("(stopped)",), phrases.STOPPED, (reason,), revision=compiled.revision)
    # 6-8. Is there such a tool for this grant?
    tool, catalogue = question.tool, question.catalogue
    refusal = unavailable(compiled, tool, catalogue, locked=question.locked)
    if refusal is not None:
        return _not_available(compiled, question, refusal)
    plan = compiled.plans.get(tool) or compiled.unlisted
    definition = None if catalogue is None else catalogue.definitions.get(tool)
    # 10, 11. Arguments: twins first, since rules about a known key do not see its twin.
    failures = _failures(plan, definition, question)
    if failures:
        return _denied(compiled, question, failures)
    # 13-15. Charges, and who has to agree.
    if plan.constant:
        return _remembered(compiled, plan, question)
    return _charged(compiled, plan, question, definition)


def _failures(plan: ToolPlan, definition: ToolDefinition | None, question: Question) -> list[_Failure] | None:
    """Every rule that denies these arguments, in the order of the document; None when none does."""
    arguments = question.arguments
    twin = argument_twin(plan.known_names(definition), arguments)
    if twin is not None:
        reason = f"argument `{phrases.shown(twin[0])}` only folds to `{phrases.shown(twin[1])}`"
        return [_Failure("(argument twin)", phrases.twin(question.tool), reason)]
    failures: list[_Failure] | None = None
    if plan.validations and question.catalogue is not None:
        failures = _validate(plan, definition, question)
    for rule in plan.rules:
        outcome = rule.evaluate(arguments)
        if (outcome is not TRUE) if rule.required else (outcome is TRUE or outcome is ERROR):
            failures = failures or []
            failures.append(_failure(rule, outcome, question))
    return failures


def _validate(plan: ToolPlan, definition: ToolDefinition | None, question: Question) -> list[_Failure] | None:
    """Step 10: what the advertised schema says, once for each `validate` that asks."""
    failures: list[_Failure] | None = None
    for validation in plan.validations:
        problem = problem_with(validation, definition, question.arguments, wide=plan.wide)
        if problem is None:
            continue
        if problem.by_caller:
            message = phrases.invalid(question.tool, problem.text)
        else:
            message = phrases.unusable_schema(question.tool)
        failures = failures or []
        failures.append(_Failure(validation.id, message, problem.text))
    return failures


def _failure(compiled: CompiledRule, outcome: Outcome, question: Question) -> _Failure:
    """Put a failing rule into words. An error names the conditions that could not be judged."""
    rule = compiled.rule
    if outcome is ERROR:
        reason = _error(compiled, question)
        message = phrases.unreadable(question.tool)
    elif compiled.required:
        reason = f"`{rule.id}` does not hold ({outcome.value})"
        message = phrases.required(question.tool)
    elif not rule.conditions:
        reason = f"`{rule.id}` always denies"
        message = phrases.always_forbidden(question.tool)
    else:
        reason = f"`{rule.id}` holds"
        message = phrases.forbidden(question.tool)
    return _Failure(rule.id, rule.message or message, reason)


def _error(compiled: CompiledRule, question: Question) -> str:
    bad = [text for text, part in compiled.parts if part(question.arguments) is ERROR]
    return f"`{compiled.rule.id}` could not be evaluated: {', '.join(bad)}"


def _denied(compiled: Compiled, question: Question, failures: list[_Failure]) -> Decision:
    """One denial with every failing rule; the first one speaks to the agent."""
    return Decision(
        "deny",
        tuple(failure.rule for failure in failures),
        failures[0].message,
        tuple(failure.reason for failure in failures),
        revision=compiled.revision,
        unchecked=UNCHECKED if question.catalogue is None else (),
    )


def _not_available(compiled: Compiled, question: Question, refusal: Refusal) -> Decision:
    message = phrases.not_available(question.tool)
    return Decision("deny", (refusal.rule,), message, (refusal.reason,), revision=compiled.revision)


def _remembered(compiled: Compiled, plan: ToolPlan, question: Question) -> Decision:
    """Allow; the charges depend only on who calls, so the decision is made once for each."""
    key = (
        question.grant,
        question.server,
        question.user,
        question.org,
        question.track,
        question.catalogue is None,
    )
    decision = plan.allowed.get(key)
    if decision is None:
        decision = _charged(compiled, plan, question, None)
        if len(plan.allowed) >= _MAX_REMEMBERED:
            plan.allowed.clear()
        plan.allowed[key] = decision
    return decision


def _charged(
    compiled: Compiled, plan: ToolPlan, question: Question, definition: ToolDefinition | None
) -> Decision:
    """Allow or hold with the charges of every limit, or deny by those that cannot be charged."""
    schema = None if definition is None else definition.input_schema
    charges: list[Charge] = []
    failures: list[_Failure] = []
    for planned in plan.limits:
        limit = planned.limit
        try:
            charges += charges_of(
                limit,
                tool=owner_of(planned.tool),
                question=question,
                conceal=compiled.conceal,
                schema=schema,
                wide=plan.wide,
            )
        except ChargeError as error:
            message = limit.message or phrases.uncounted(question.tool)
            failures.append(_Failure(limit.id, message, f"`{limit.id}` cannot be charged: {error}"))
    if failures:
        return _denied(compiled, question, failures)
    if plan.asking:
        held = _asked(compiled, plan, question, tuple(charges))
        if held is not None:
            return held
    implied = compiled.policy.implied_default and not plan.listed
    return Decision(
        "allow",
        (IMPLIED_ALLOW,) if implied else (),
        charges=tuple(charges),
        revision=compiled.revision,
        unchecked=UNCHECKED if question.catalogue is None else (),
    )


def _asked(
    compiled: Compiled, plan: ToolPlan, question: Question, charges: tuple[Charge, ...]
) -> Decision | None:
    """Step 14: hold if any rule asks for approval, deny if any cannot be judged; None when none does."""
    asked: list[Asked] = []
    failures: list[_Failure] = []
    for asking in plan.asking:
        rule = asking.compiled.rule
        outcome = asking.compiled.evaluate(question.arguments)
        if outcome is ERROR:  # the rule's own words are for the approver
            message = phrases.unreadable(question.tool)
            failures.append(_Failure(rule.id, message, _error(asking.compiled, question)))
        elif outcome is TRUE:
            asked.append(Asked(rule.id, rule.message or f"`{rule.id}` asks for approval", asking.terms))
    if failures:
        return _denied(compiled, question, failures)
    if not asked:
        return None
    hold = merged(asked)
    return Decision(
        "hold",
        hold.rules,
        phrases.held(question.tool),
        hold.reasons,
        charges,
        revision=compiled.revision,
        unchecked=UNCHECKED if question.catalogue is None else (),
        hold=hold,
    )
