"""Format 3 (P1.3): the short YAML of published tool pages; tools that are not listed are denied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.limit import check_counters, read_rate
from ostiary.policy.formats.sections import (
    check_name,
    effect,
    read_hide,
    read_validation,
    tool_entries,
    warn_about_hidden,
)
from ostiary.policy.formats.table import SHORT
from ostiary.policy.model import Document, Limit, Policy, Rule, ToolRules, Validation
from ostiary.policy.source import MapNode

_INTERCEPT_HINTS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("name", "conditions", "state"), 'a document for Intercept says `version: "1"`')
)
_SPEAKING = frozenset({"deny", "require_approval"})


@dataclass(frozen=True, slots=True)
class _Parts:
    """What one rule turns into."""

    deny_if: Rule | None = None
    asking: Rule | None = None
    limit: Limit | None = None
    validation: Validation | None = None


def read_document(draft: Draft, node: MapNode) -> Document:
    """The document in normal form. `draft` tells whether it may be used."""
    fields = Fields(draft, node, SHORT["document"])
    hide, hide_all = read_hide(draft, fields, "")
    tools: dict[str, ToolRules] = {}
    for pointer, entry, tool in tool_entries(draft, fields, ""):
        check_name(draft, entry.key, entry)
        tools[entry.key] = _tool(draft, tool, pointer)
    warn_about_hidden(draft, hide, tools, "")
    default = effect(fields.text("default")) or "deny"
    return Document(draft.file, Policy(format=3, default=default, hide=hide, hide_all=hide_all, tools=tools))


def _tool(draft: Draft, node: MapNode, at: str) -> ToolRules:
    fields = Fields(draft, node, SHORT["tool"])
    base = child(at, "rules")
    parts = [_rule(draft, each, child(base, index)) for index, each in fields.tables("rules")]
    limits = tuple(part.limit for part in parts if part.limit is not None)
    check_counters(draft, limits)
    return ToolRules(
        deny_if=tuple(part.deny_if for part in parts if part.deny_if is not None),
        approve_if=tuple(part.asking for part in parts if part.asking is not None),
        limits=limits,
        validation=_merged([part.validation for part in parts if part.validation is not None]),
    )


def _merged(found: list[Validation]) -> Validation | None:
    """Every rule's demands together, under the first one's id."""
    if not found:
        return None
    return Validation(
        id=found[0].id,
        schema=any(each.schema for each in found),
        required=any(each.required for each in found),
        refuse_extra=any(each.refuse_extra for each in found),
    )


def _rule(draft: Draft, node: MapNode, at: str) -> _Parts:
    fields = Fields(draft, node, SHORT["rule"], _INTERCEPT_HINTS)
    draft.rule(at, node)
    message = fields.message()
    action = fields.text("action")
    _refuse_idle(draft, fields, action, message)
    return _Parts(
        deny_if=Rule(at, (), message) if action == "deny" else None,
        asking=Rule(at, (), message) if action == "require_approval" else None,
        limit=read_rate(draft, fields, child(at, "rate_limit"), message),
        validation=read_validation(draft, fields, child(at, "validate")),
    )


def _refuse_idle(draft: Draft, fields: Fields, action: str | None, message: str | None) -> None:
    if not fields.written & {"action", "rate_limit", "validate"}:
        draft.error("missing-key", "a rule needs `action`, `rate_limit` or `validate`", fields.at)
    if message is not None and action not in _SPEAKING and "rate_limit" not in fields.written:
        name = "reason" if "reason" in fields else "on_deny"
        text = f"`{name}` has no effect without `action: deny`, `require_approval` or `rate_limit`"
        draft.error("idle-key", text, fields.spot(name))
