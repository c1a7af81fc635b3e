"""Formats 1 and 4 (P1.1, P1.4): one policy, or one for each named server."""

from __future__ import annotations

from types import MappingProxyType

from ostiary.policy.formats.approval import (
    read_asking,
    read_terms,
    refuse_idle_terms,
    refuse_idle_terms_of_all,
)
from ostiary.policy.formats.condition import Dialect, read_conditions
from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.limit import check_counters, read_limits, read_rate
from ostiary.policy.formats.sections import (
    check_name,
    effect,
    read_hide,
    read_methods,
    read_validation,
    tool_entries,
    warn_about_hidden,
)
from ostiary.policy.formats.table import TABLES
from ostiary.policy.model import Document, Limit, Policy, Rule, ToolRules
from ostiary.policy.source import Entry, MapNode, shown

_TOOL_HINTS = MappingProxyType({"rule": "did you mean `rules`"})
_SINGLE_ONLY = ("default", "hide", "all_tools", "tools", "resources", "prompts", "methods")


def read_document(draft: Draft, node: MapNode) -> Document:
    """The document in normal form. `draft` tells whether it may be used."""
    fields = Fields(draft, node, TABLES["document"])
    monitor = fields.text("mode") == "monitor"
    if "servers" in fields:
        return Document(draft.file, None, _servers(draft, fields, monitor=monitor))
    written = {entry.key for entry in node.entries}
    if not written & {"default", "hide", "tools"}:
        draft.error("empty-document", "the document has neither `default`, `hide` nor `tools`", node)
    elif "default" not in written:
        about = TABLES["document"]["default"].about
        draft.error("missing-key", f"the key `default` is missing: {about}", node, "say `default: deny`")
    return Document(draft.file, _policy(draft, fields, "", monitor=monitor))


def _servers(draft: Draft, fields: Fields, *, monitor: bool) -> dict[str, Policy]:
    """P8.3: rules for several servers stand below their names, and nowhere else."""
    for name in _SINGLE_ONLY:
        if name in fields:
            message = f"`{name}` belongs below a name in `servers` here"
            draft.error("exclusive-keys", message, fields.spot(name))
    node = fields.table("servers")
    if node is None or not node.entries:
        draft.error("empty-document", "`servers` names no server", fields.spot("servers"))
        return {}
    found: dict[str, Policy] = {}
    for entry in node.entries:
        check_name(draft, entry.key, entry)
        if isinstance(entry.value, MapNode):
            at = draft.place(child("/servers", entry.key), entry)
            inner = Fields(draft, entry.value, TABLES["server"])
            found[entry.key] = _policy(draft, inner, at, monitor=monitor)
        else:
            draft.error("wrong-type", f"the server {shown(entry.key)} takes a mapping", entry.value)
    return found


def _policy(draft: Draft, fields: Fields, at: str, *, monitor: bool) -> Policy:
    hide, hide_all = read_hide(draft, fields, at)
    found = tool_entries(draft, fields, at)
    tools = {entry.key: _tool(draft, entry, node, pointer) for pointer, entry, node in found}
    warn_about_hidden(draft, hide, tools, at)
    all_tools = _all_tools(draft, fields, at)
    refuse_idle_terms_of_all(draft, all_tools, tools)
    return Policy(
        format=4 if draft.extended else 1,
        default=effect(fields.text("default")) or "deny",
        hide=hide,
        hide_all=hide_all,
        all_tools=all_tools,
        tools=tools,
        resources=read_methods(draft, fields, "resources"),
        prompts=read_methods(draft, fields, "prompts"),
        methods=read_methods(draft, fields, "methods"),
        monitor=monitor,
    )


def _all_tools(draft: Draft, fields: Fields, at: str) -> ToolRules:
    node = fields.table("all_tools")
    if node is None:
        return ToolRules()
    pointer = child(at, "all_tools")
    inner = Fields(draft, node, TABLES["all_tools"])
    limits = read_limits(draft, inner, pointer)
    dialect = Dialect(TABLES["condition"])
    check_counters(draft, limits)
    return ToolRules(
        require=_rules(draft, inner, "require", pointer, dialect),
        deny_if=_rules(draft, inner, "deny_if", pointer, dialect),
        limits=limits,
        validation=read_validation(draft, inner, child(pointer, "validate")),
        approve_if=read_asking(draft, inner, pointer, dialect),
        approval=read_terms(draft, inner, pointer),
    )


def _tool(draft: Draft, entry: Entry, node: MapNode, at: str) -> ToolRules:
    """One tool, with the short keys `action`, `reason`, `rate_limit` and `validate` (P1.4)."""
    if entry.key == "*":
        draft.error("bad-name", "`*` is not a tool", entry, "rules for every tool stand in `all_tools`")
    else:
        check_name(draft, entry.key, entry)
    fields = Fields(draft, node, TABLES["tool"], _TOOL_HINTS)
    wide = fields.flag("wide_numbers") or False
    message = _tool_message(draft, fields)
    limits = _limits(draft, fields, at, message)
    dialect = Dialect(TABLES["condition"], wide=wide)
    check_counters(draft, limits)
    rules = ToolRules(
        require=_rules(draft, fields, "require", at, dialect),
        deny_if=_action(draft, fields, "deny", at, message) + _rules(draft, fields, "deny_if", at, dialect),
        limits=limits,
        validation=read_validation(draft, fields, child(at, "validate")),
        wide_numbers=wide,
        approve_if=_action(draft, fields, "require_approval", at, message)
        + read_asking(draft, fields, at, dialect),
        approval=read_terms(draft, fields, at),
    )
    return refuse_idle_terms(draft, fields, rules)


def _tool_message(draft: Draft, fields: Fields) -> str | None:
    message = fields.message()
    speaking = fields.text("action") in {"deny", "require_approval"}
    if message is not None and not speaking and "rate_limit" not in fields:
        name = "reason" if "reason" in fields else "on_deny"
        text = f"`{name}` has no effect without `action: deny`, `require_approval` or `rate_limit`"
        draft.error("idle-key", text, fields.spot(name), "rules and limits have an `on_deny` of their own")
    return message


def _limits(draft: Draft, fields: Fields, at: str, message: str | None) -> tuple[Limit, ...]:
    short = read_rate(draft, fields, child(at, "rate_limit"), message)
    listed = read_limits(draft, fields, at)
    return listed if short is None else (short, *listed)


def _action(draft: Draft, fields: Fields, wanted: str, at: str, message: str | None) -> tuple[Rule, ...]:
    """The rule that `action` makes when it is `wanted`."""
    if fields.text("action") != wanted:
        return ()
    pointer = draft.rule(child(at, "action"), fields.spot("action"))
    return (Rule(pointer, (), message),)


def _rules(draft: Draft, fields: Fields, name: str, at: str, dialect: Dialect) -> tuple[Rule, ...]:
    base = child(at, name)
    return tuple(
        _rule(draft, node, draft.rule(child(base, index), node), dialect, needed=name == "require")
        for index, node in fields.tables(name)
    )


def _rule(draft: Draft, node: MapNode, at: str, dialect: Dialect, *, needed: bool) -> Rule:
    fields = Fields(draft, node, TABLES["rule"])
    if needed and "conditions" in fields and not fields.items("conditions"):
        message = "a requirement without conditions asks for nothing"
        draft.error("empty-conditions", message, fields.spot("conditions"))
    return Rule(at, read_conditions(draft, fields, "conditions", at, dialect), fields.message())
