"""A policy for a server that can be put in force as it is: bounds, approvals, limits, each with its reason.

It goes by the definitions alone, so the same definitions always have the same policy. Whatever is
not known is denied; `docs/explanation/recommended-policies.md` says what is chosen and why. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, cast

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.policy.formats.draft import MAX_RULES
from ostiary.policy.source import MAX_BYTES, MAX_NODES
from ostiary.registry.change import named, printable
from ostiary.registry.classification import Classification
from ostiary.registry.recommended_effect import Effect, said
from ostiary.registry.recommended_plan import Plan, plans_of, rules_of
from ostiary.registry.recommended_tests import tests_of
from ostiary.registry.recommended_text import NOTE, Document, as_json, as_yaml, size_of
from ostiary.registry.recommended_values import FOLDER, HOST

EVERY_CALL: Final = 300
"""Calls of all tools together in a minute."""

_MANY: Final = 2_000
_SAMPLE: Final = 200
_MARGIN: Final = 0.95


class Choice(msgspec.Struct, frozen=True):
    """What is done with one tool, and why, in a sentence. Text of the server in it is printable."""

    tool: str
    effect: Effect
    reason: str


class Recommended(msgspec.Struct, frozen=True):
    """The policy as JSON and as YAML, which mean the same, and a tests file that it passes."""

    json: str
    yaml: str
    tests: str
    choices: tuple[Choice, ...]


def recommend(server: str, tools: Sequence[ToolDefinition], judged: Sequence[Classification]) -> Recommended:
    """The policy for the tools of `server`, which are `judged` in the same order.

    Where it would be longer than a policy may be (P1.7), first comments are left out, then tools:
    those are denied, as whatever is not listed, and their choice says so.
    """
    plans = plans_of(tools, judged)
    much, document, json, yaml = _fitting(server, plans)
    listed = frozenset(cast("Mapping[str, object]", document["tools"]))
    hidden = frozenset(cast("list[str]", document.get("hide", [])))
    choices = tuple(_choice(plan, listed) for plan in plans)
    return Recommended(json, yaml, tests_of(plans, listed, hidden, short=not much), choices)


def _choice(plan: Plan, listed: frozenset[str]) -> Choice:
    name = plan.tool.name
    if plan.effect in {"allow", "approve"} and name not in listed:
        return Choice(name, "deny", "the policy is as long as a policy may be, so it is not listed")
    words = "; ".join(islice(said(plan.judged), 2))
    return Choice(name, plan.effect, f"it {plan.reasons[0].text}" + (f" ({words})" if words else ""))


def _fitting(server: str, plans: Sequence[Plan]) -> tuple[int, Document, str, str]:
    """With every comment; where that is too long with few, then short; then with fewer tools."""
    for much in (2, 1, 0) if len(plans) <= _MANY else ():
        document = _document(server, plans, plans, much)
        json, yaml = as_json(document), as_yaml(document)
        if _fill(document, json, yaml) <= 1:
            return much, document, json, yaml
    kept = [plan for plan in plans if plan.effect in {"allow", "approve"}]
    tried, sampled = kept[:_SAMPLE], False  # as long as the first ones are, the others will be
    while True:
        document = _document(server, plans, tried, 0)
        json, yaml = as_json(document), as_yaml(document)
        fill = _fill(document, json, yaml)
        if fill <= 1 and (sampled or len(tried) == len(kept)):
            return 0, document, json, yaml
        tried = kept[: int(len(tried) / fill * _MARGIN)]
        sampled = True


def _fill(document: Document, json: str, yaml: str) -> float:
    """How much of a policy's bounds is used; above 1 it would not load."""
    longest = max(len(json.encode()), len(yaml.encode()))
    return max(longest / MAX_BYTES, _rules(document) / MAX_RULES, size_of(document) / MAX_NODES)


def _rules(document: Document) -> int:
    """How many rules count towards the bound of a policy."""
    tools = cast("Mapping[str, Mapping[str, object]]", document["tools"])
    return 1 + sum(
        len(cast("list[object]", rules.get("require", [])))
        + len(cast("list[object]", rules.get("limits", [])))
        + ("action" in rules)
        for rules in tools.values()
    )


def _document(server: str, plans: Sequence[Plan], kept: Sequence[Plan], much: int) -> Document:
    """`kept` are the plans for which there is room; where tools are left out, nothing is hidden by name."""
    whole = len(kept) == len(plans)
    hidden = [plan.tool.name for plan in kept if plan.effect == "hide" and plan.nameable]
    document: dict[str, object] = {
        NOTE: [*_head(server, plans, kept)],
        "version": "1",
        "default": "deny",
    }
    if hidden and whole:
        document["hide"] = [*dict.fromkeys(hidden)]
    limit = {"counter": "every_call", "window": "minute", "max": EVERY_CALL}
    document["all_tools"] = {"limits": [limit]}
    document["tools"] = {plan.tool.name: rules_of(plan, much) for plan in kept if plan.effect != "hide"}
    return document


def _head(server: str, plans: Sequence[Plan], kept: Sequence[Plan]) -> Iterator[str]:
    counts = Counter(plan.effect for plan in plans)
    yield (
        f"A recommended policy for {printable(server[:100])}: of {len(plans):,} tools, {counts['allow']:,}"
        f" are allowed within bounds, {counts['approve']:,} ask a person, {counts['deny']:,} are denied and"
        f" {counts['hide']:,} hidden."
    )
    yield "It goes by the definitions alone. What is not listed is denied; so are resources and prompts."
    if any(bound.asked.placeholder for plan in kept for bound in plan.reading.bounds):
        yield (
            f"{FOLDER} and {HOST} are no real places: until you put your own folders and hosts there,"
            " calls with paths and addresses are refused."
        )
    if any(reason.effect == "hide" and plan.judged.findings for plan in plans for reason in plan.reasons):
        yield "Some definitions work on their reader. Think twice before you use this server at all."
    if len(kept) < len(plans):
        yield f"Only {len(kept):,} of the tools found room in a policy; the others are denied."
    unnamed = [plan.tool.name for plan in plans if not plan.nameable]
    for name in unnamed[:20]:
        yield f"Not to be named in a policy, and so denied and not shown: {named(name)}"
