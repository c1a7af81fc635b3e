"""Intercept's `action: require_approval` (P5.5, P5.6).

Conditions are a requirement in its other rules and a match here: they select the calls that need
approval. There a call without the argument would not be selected and pass; here it is.
"""

from __future__ import annotations

from typing import NamedTuple

from ostiary.policy.approvals import DEFAULT_TERMS
from ostiary.policy.formats.draft import Draft
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.length import TIMEOUT, Span, read_length
from ostiary.policy.formats.table import INTERCEPT
from ostiary.policy.model import AnyOf, Approval, Condition, Rule, Test

_DEDUPE = Span(0, 366 * 86_400, "`0s` to `366d`")


class AskingPart(NamedTuple):
    """A rule that asks for approval, and its own time-out in seconds."""

    rule: Rule
    timeout: int | None


def selecting(condition: Condition) -> Condition:
    """`condition` as a match: true also where its argument is not there (P5.5)."""
    if not isinstance(condition, Test) or condition.op == "exists":
        return condition
    return AnyOf((condition, Test(condition.path, "exists", value=False)))


def read_timeout(draft: Draft, fields: Fields, name: str, span: Span = TIMEOUT) -> int | None:
    """Seconds of the length at `name`."""
    text = fields.text(name)
    return None if text is None else read_length(draft, text, fields.node(name) or fields.at, name, span)


def read_approvals(draft: Draft, document: Fields) -> int:
    """The time-out of rules that do not say one: `approvals.default_timeout`, else 30 minutes."""
    node = document.table("approvals")
    if node is None:
        return DEFAULT_TERMS.timeout_seconds
    hints = {"notify": "give the address on the command line, with `--approval-webhook`"}
    fields = Fields(draft, node, INTERCEPT["approvals"], hints)
    if read_timeout(draft, fields, "dedupe_window", _DEDUPE) is not None:
        message = "`dedupe_window` has no effect: identical calls always join the request that waits"
        draft.warn("idle-key", message, fields.spot("dedupe_window"))
    timeout = read_timeout(draft, fields, "default_timeout")
    return DEFAULT_TERMS.timeout_seconds if timeout is None else timeout


def warn_about_idle_default(draft: Draft, document: Fields) -> None:
    """Harmless, and a sign that a rule is missing: nothing asks for the approvals that are configured."""
    if "approvals" in document and not draft.failed:
        message = "`approvals` has no effect: no rule says `action: require_approval`"
        draft.warn("idle-key", message, document.spot("approvals"))


def terms_for(draft: Draft, parts: list[AskingPart], default: int) -> Approval | None:
    """The terms of one tool: the shortest time-out of its rules (P5.6)."""
    if not parts:
        return None
    timeouts = [default if part.timeout is None else part.timeout for part in parts]
    shortest = min(timeouts)
    rule = parts[timeouts.index(shortest)].rule
    if max(timeouts) > shortest:
        message = f"all requests of this tool expire after its shortest time-out, {shortest} seconds"
        draft.warn("shared-timeout", message, draft.places[rule.id], "give its rules one `approval_timeout`")
    return Approval(id=rule.id, timeout_seconds=shortest)
