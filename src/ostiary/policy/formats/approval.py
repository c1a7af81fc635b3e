"""Approvals in formats 1 and 4 (P5): `approve_if`, `action: require_approval`, and `approval`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ostiary.policy.approvals import DEFAULT_TERMS
from ostiary.policy.formats.condition import Dialect, read_conditions
from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.length import HOLD, TIMEOUT, Span, read_length
from ostiary.policy.formats.table import TABLES
from ostiary.policy.model import Approval, Rule, ToolRules
from ostiary.policy.source import Node, Scalar, shown

MAX_APPROVERS: Final = 16
MAX_MESSAGE: Final = 500
_MAX_NAME: Final = 128
_PREFIX: Final = "user:"


def read_asking(draft: Draft, fields: Fields, at: str, dialect: Dialect) -> tuple[Rule, ...]:
    """Every entry of `approve_if`; its `reason` is for the approver."""
    base = child(at, "approve_if")
    found: list[Rule] = []
    for index, node in fields.tables("approve_if"):
        pointer = draft.rule(child(base, index), node)
        inner = Fields(draft, node, TABLES["asking"])
        conditions = read_conditions(draft, inner, "conditions", pointer, dialect)
        found.append(Rule(pointer, conditions, inner.message()))
    return tuple(found)


def read_terms(draft: Draft, fields: Fields, at: str) -> Approval | None:
    """`approval`, of a tool or of all tools."""
    node = fields.table("approval")
    if node is None:
        return None
    pointer = draft.place(child(at, "approval"), fields.spot("approval"))
    inner = Fields(draft, node, TABLES["approval"])
    timeout = _length(draft, inner, "timeout", TIMEOUT)
    found = Approval(
        id=pointer,
        timeout_seconds=DEFAULT_TERMS.timeout_seconds if timeout is None else timeout,
        hold_seconds=_length(draft, inner, "hold", HOLD),
        approvers=_approvers(draft, inner),
        message=_message(draft, inner),
        convenience=inner.flag("convenience") or False,
    )
    _warn_about_terms(draft, inner, found)
    return found


def refuse_idle_terms(draft: Draft, fields: Fields, rules: ToolRules) -> ToolRules:
    """Terms beside no rule that asks would look like an approval and be none; returns `rules`."""
    if rules.approval is not None and not rules.approve_if and fields.sound:
        message = "`approval` has no effect without `approve_if` or `action: require_approval`"
        draft.error("idle-key", message, fields.spot("approval"))
    return rules


def refuse_idle_terms_of_all(draft: Draft, all_tools: ToolRules, tools: Mapping[str, ToolRules]) -> None:
    """The same for `all_tools`, whose terms are also those of tools that have none of their own."""
    terms = all_tools.approval
    if terms is None or all_tools.approve_if or draft.failed:
        return
    if all(rules.approval is not None or not rules.approve_if for rules in tools.values()):
        message = "`approval` has no effect: no rule asks for approval on these terms"
        draft.error("idle-key", message, draft.places[terms.id])


def _length(draft: Draft, fields: Fields, name: str, span: Span) -> int | None:
    text = fields.text(name)
    return None if text is None else read_length(draft, text, fields.node(name) or fields.at, name, span)


def _approvers(draft: Draft, fields: Fields) -> tuple[str, ...]:
    """Names in the order of the text. Whether there are such approvers is not known here."""
    nodes = fields.items("approvers")
    if len(nodes) > MAX_APPROVERS:
        message = f"`approvers` names at most {MAX_APPROVERS}, found {len(nodes)}"
        draft.error("out-of-range", message, nodes[MAX_APPROVERS])
    found: list[str] = []
    for node in nodes:
        name = _approver(draft, node)
        if name in found:
            draft.error("duplicate-entry", f"{shown(name)} stands twice in `approvers`", node)
        elif name is not None:
            found.append(name)
    return tuple(found)


def _approver(draft: Draft, node: Node) -> str | None:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return None
    name = node.value.removeprefix(_PREFIX)
    if name == node.value or not 1 <= len(name) <= _MAX_NAME or " " in name or not name.isprintable():
        about = f"an approver is `{_PREFIX}` and a name of at most {_MAX_NAME} characters without spaces"
        hint = f"did you mean {shown(_PREFIX + name)}" if name == node.value and " " not in name else None
        draft.error("bad-approver", f"{about}, found {shown(node.value)}", node, hint)
        return None
    return node.value


def _message(draft: Draft, fields: Fields) -> str | None:
    text = fields.text("message")
    if text is not None and len(text) > MAX_MESSAGE:
        about = f"`message` takes at most {MAX_MESSAGE} characters, found {len(text)}"
        draft.error("out-of-range", about, fields.node("message") or fields.at)
    return text


def _warn_about_terms(draft: Draft, fields: Fields, terms: Approval) -> None:
    if terms.convenience and terms.approvers:
        message = "`convenience` lets the client's own user answer in place of the named approvers"
        draft.warn("approvers-bypassed", message, fields.spot("convenience"), "leave one of the two out")
    if terms.hold_seconds is not None and terms.timeout_seconds < terms.hold_seconds:
        message = "`timeout` is shorter than `hold`, so the request expires while the call is held open"
        at = fields.spot("timeout") if "timeout" in fields else fields.spot("hold")
        draft.warn("timeout-before-hold", message, at)
