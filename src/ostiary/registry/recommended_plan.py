"""What a recommended policy has to say of each tool, before it is written down. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.policy.schema import SchemaError, advertised
from ostiary.policy.twins import fold
from ostiary.registry.classification import Classification
from ostiary.registry.recommended_arguments import Bound, Reading, label, reading_of
from ostiary.registry.recommended_effect import ORDER, Effect, Reason, limits_of, reasons_of, said
from ostiary.registry.recommended_text import NOTE

MAX_NAME: Final = 1_024


class Plan(msgspec.Struct, frozen=True):
    """One tool: what is done with it, every reason, and what is asked of its arguments.

    `nameable`: a policy can hold its name.
    """

    tool: ToolDefinition
    judged: Classification
    reading: Reading
    reasons: tuple[Reason, ...]
    nameable: bool

    @property
    def effect(self) -> Effect:
        """The strictest that any reason asks for."""
        return self.reasons[0].effect


def plans_of(tools: Sequence[ToolDefinition], judged: Sequence[Classification]) -> tuple[Plan, ...]:
    """One plan for each tool, in order."""
    folded = Counter(fold(tool.name) for tool in tools)
    return tuple(
        _plan(tool, one, shared=folded[fold(tool.name)] > 1) for tool, one in zip(tools, judged, strict=True)
    )


def _plan(tool: ToolDefinition, judged: Classification, *, shared: bool) -> Plan:
    reading = reading_of(tool)
    nameable = is_nameable(tool.name)
    reasons = [*reasons_of(judged, reading, has_schema=tool.input_schema is not None)]
    if not nameable:
        reasons.append(Reason("hide", "has a name that no policy can hold"))
    if shared:
        reasons.append(
            Reason("hide", "has a name that another tool of this server answers to, or nearly does")
        )
    problem = _schema_problem(tool)
    if problem:
        reasons.append(Reason("deny", f"cannot be checked: its {problem}"))
    reasons.sort(key=lambda one: -ORDER.index(one.effect))
    return Plan(tool, judged, reading, tuple(reasons), nameable)


def is_nameable(name: str) -> bool:
    """Whether a policy may name it (P3.6)."""
    return (
        bool(name)
        and name == name.strip()
        and name.isprintable()
        and "*" not in name
        and len(name) <= MAX_NAME
    )


def _schema_problem(tool: ToolDefinition) -> str:
    """Why calls cannot be checked against the tool's schema (P3.8); empty if they can, or there is none."""
    if tool.input_schema is None:
        return ""
    try:
        advertised(tool)
    except SchemaError as error:
        return str(error)
    return ""


def rules_of(plan: Plan, much: int) -> dict[str, object]:
    """The rules of a tool that is listed. `much`: 2 with every comment, 1 with few, 0 short."""
    notes: dict[str, object] = {NOTE: [*_about(plan, much)]} if much else {}
    reason = f"it {plan.reasons[0].text}"
    if plan.effect == "deny":
        return notes | {"action": "deny", "reason": reason}
    rules: dict[str, object] = dict(notes)
    require = [_requirement(bound, much) for bound in plan.reading.bounds]
    if require:
        rules["require"] = require if much else [_together(require)]
    rules["limits"] = [_without_notes(each, much) for each in limits_of(plan.judged, plan.reading)]
    if plan.tool.input_schema is not None:
        rules["validate"] = {"schema": "advertised", "extra": "deny"}
    if plan.effect == "approve":
        rules |= {"action": "require_approval", "reason": reason}
    return rules


def _about(plan: Plan, much: int) -> Iterator[str]:
    judged = plan.judged
    words = {"allow": "Allowed", "approve": "A person is asked", "deny": "Denied", "hide": "Hidden"}
    yield f"{words[plan.effect]}: it {plan.reasons[0].text}."
    if much < 2:  # noqa: PLR2004 - the short form
        return
    for other in plan.reasons[1:6]:
        yield f"Also: it {other.text}."
    yield f"{judged.category}, {judged.sensitivity} data, {judged.severity}."
    yield from said(judged)


def _requirement(bound: Bound, much: int) -> dict[str, object]:
    conditions = bound.conditions()
    if not much:
        return {"conditions": conditions}
    words = f"{label(bound)}: {bound.asked.on_deny}"
    return {NOTE: [bound.asked.why], "conditions": conditions, "on_deny": words}


def _together(rules: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """All bounds in one rule, for lists of tools that would be too long otherwise."""
    return {"conditions": [each for rule in rules for each in cast("list[object]", rule["conditions"])]}


def _without_notes(limit: Mapping[str, object], much: int) -> dict[str, object]:
    return {key: each for key, each in limit.items() if much or key != NOTE}
