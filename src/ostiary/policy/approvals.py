"""The terms of approvals, and how the rules that hold one call become one request (P2.14, P5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ostiary.policy.decision import Hold
from ostiary.policy.model import Approval, ToolRules

DEFAULT_TERMS: Final = Approval(id="")
"""The terms of a rule where no `approval` says otherwise (P5.2)."""


class Asked(NamedTuple):
    """One rule that holds the call: its id, why, and on what terms."""

    rule: str
    reason: str
    terms: Approval


def terms_of(rules: ToolRules, all_tools: ToolRules) -> Approval:
    """The terms of every `approve_if` in `rules`: its own, else those of all tools, else the defaults.

    For the rules of `all_tools` itself both parameters are the same.
    """
    return rules.approval or all_tools.approval or DEFAULT_TERMS


def merged(asked: Sequence[Asked]) -> Hold:
    """One request for everything that asks, which is at least one rule: the strictest of all terms."""
    every = tuple(dict.fromkeys(each.terms for each in asked))
    messages = dict.fromkeys(terms.message for terms in every if terms.message is not None)
    held = [terms.hold_seconds for terms in every if terms.hold_seconds is not None]
    return Hold(
        rules=tuple(each.rule for each in asked),
        reasons=tuple(each.reason for each in asked),
        approvers=tuple(dict.fromkeys(frozenset(terms.approvers) for terms in every if terms.approvers)),
        timeout_seconds=min(terms.timeout_seconds for terms in every),
        hold_seconds=min(held, default=None),
        message="; ".join(messages),
        convenience=all(terms.convenience for terms in every),
    )
