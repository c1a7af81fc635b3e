"""Format 2: Intercept's YAML (P1.2), by its documented meaning and without its gaps.

Rules of a tool are ANDed, then those of `*`. What a rule demands becomes a requirement; the counter
that it keeps becomes a limit. A document that Intercept would accept and not enforce is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ostiary.policy.formats.condition import Dialect, read_condition, read_path
from ostiary.policy.formats.counter import Counter, is_state, own_limit
from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.intercept_approval import (
    AskingPart,
    read_approvals,
    read_timeout,
    selecting,
    terms_for,
    warn_about_idle_default,
)
from ostiary.policy.formats.limit import check_counters, short_rate
from ostiary.policy.formats.sections import check_name, effect, read_hide, tool_entries, warn_about_hidden
from ostiary.policy.formats.table import INTERCEPT, WINDOWS
from ostiary.policy.model import Condition, Document, Limit, Policy, Rule, ToolRules, Window
from ostiary.policy.source import MapNode

EVERY_TOOL = "*"
_NAMES = MappingProxyType({seconds: name for name, seconds in WINDOWS.items()})
_DIALECT = Dialect(INTERCEPT["condition"], numeric_text=True)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What one rule turns into."""

    require: tuple[Rule, ...] = ()
    deny_if: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    asking: tuple[AskingPart, ...] = ()


def read_document(draft: Draft, node: MapNode) -> Document:
    """The document in normal form. `draft` tells whether it may be used."""
    fields = Fields(draft, node, INTERCEPT["document"])
    hide, hide_all = read_hide(draft, fields, "")
    tools = _tools(draft, fields)
    every = tools.pop(EVERY_TOOL, ToolRules())  # never a tool of that name
    warn_about_hidden(draft, hide, tools, "")
    implied = "default" not in fields
    if implied:
        message = "`default` is missing, so tools that are not listed are allowed, as in Intercept"
        draft.warn("implied-default", message, node, "say `default: deny`")
    policy = Policy(
        format=2,
        default=effect(fields.text("default")) or "allow",
        implied_default=implied,
        hide=hide,
        hide_all=hide_all,
        all_tools=every,
        tools=tools,
    )
    return Document(draft.file, policy)


def _tools(draft: Draft, fields: Fields) -> dict[str, ToolRules]:
    timeout = read_approvals(draft, fields)
    found: dict[str, ToolRules] = {}
    for pointer, entry, node in tool_entries(draft, fields, ""):
        if entry.key != EVERY_TOOL:
            check_name(draft, entry.key, entry)
        found[entry.key] = _tool(draft, entry.key, node, pointer, timeout)
    if not any(rules.approve_if for rules in found.values()):
        warn_about_idle_default(draft, fields)
    return found


def _tool(draft: Draft, name: str, node: MapNode, at: str, timeout: int) -> ToolRules:
    fields = Fields(draft, node, INTERCEPT["tool"])
    base = child(at, "rules")
    parts = [_rule(draft, name, each, child(base, index)) for index, each in fields.tables("rules")]
    limits = tuple(limit for part in parts for limit in part.limits)
    check_counters(draft, limits)
    asking = [each for part in parts for each in part.asking]
    return ToolRules(
        require=tuple(rule for part in parts for rule in part.require),
        deny_if=tuple(rule for part in parts for rule in part.deny_if),
        limits=limits,
        approve_if=tuple(each.rule for each in asking),
        approval=terms_for(draft, asking, timeout),
    )


def _rule(draft: Draft, tool: str, node: MapNode, at: str) -> _Parts:
    fields = Fields(draft, node, INTERCEPT["rule"])
    draft.rule(at, node)
    message = fields.message()
    action = fields.text("action") or "evaluate"
    if action == "require_approval":
        return _Parts(asking=(_asking(draft, fields, at, message),))
    if "approval_timeout" in fields:
        text = "`approval_timeout` has no effect without `action: require_approval`"
        draft.error("idle-key", text, fields.spot("approval_timeout"))
    if action == "deny":
        _refuse_beside(draft, fields, "`action: deny`", ("conditions", "rate_limit", "state"))
        return _Parts(deny_if=(Rule(at, (), message),))
    if "rate_limit" in fields:
        _refuse_beside(draft, fields, "`rate_limit`", ("conditions", "state"))
        return _Parts(limits=_rate(draft, fields, at, message))
    return _evaluated(draft, tool, fields, at, message)


def _asking(draft: Draft, fields: Fields, at: str, message: str | None) -> AskingPart:
    """The message is for the approver: Intercept's rule denies nothing."""
    _refuse_beside(draft, fields, "`action: require_approval`", ("rate_limit", "state"))
    nodes = [node for _, node in fields.tables("conditions")]
    for node in (each for each in nodes if is_state(each)):
        draft.error(
            "foreign-counter", "no counter can say which calls need approval", node.get("path") or node
        )
    conditions = _conditions(draft, [node for node in nodes if not is_state(node)], at)
    rule = Rule(at, tuple(selecting(each) for each in conditions), message)
    return AskingPart(rule, read_timeout(draft, fields, "approval_timeout"))


def _refuse_beside(draft: Draft, fields: Fields, what: str, names: tuple[str, ...]) -> None:
    for name in names:
        if name in fields:
            draft.error("exclusive-keys", f"`{name}` cannot stand beside {what}", fields.spot(name))


def _rate(draft: Draft, fields: Fields, at: str, message: str | None) -> tuple[Limit, ...]:
    """`N/minute` counts on the UTC clock under the counter `_rate_minute`, as Intercept does."""
    node = fields.node("rate_limit")
    found = None if node is None else short_rate(draft, node)
    if found is None:
        return ()
    most, seconds = found
    counter = f"_rate_{_NAMES[seconds]}"
    return (Limit(id=at, counter=counter, window=Window(seconds, calendar=True), max=most, message=message),)


def _evaluated(draft: Draft, tool: str, fields: Fields, at: str, message: str | None) -> _Parts:
    nodes = [node for _, node in fields.tables("conditions")]
    if "conditions" not in fields and fields.sound:
        about = "a rule needs `conditions`, `rate_limit` or `action: deny`"
        draft.error("missing-key", about, fields.at)
    on_state = [node for node in nodes if is_state(node)]
    conditions = _conditions(draft, [node for node in nodes if not is_state(node)], at)
    counter = _counter(draft, tool, fields, at, message)
    refused = counter is None and "state" in fields.written
    limit = None if refused else own_limit(draft, counter, on_state, fields)
    require = (Rule(at, conditions, message),) if conditions else ()
    return _Parts(require=require, limits=() if limit is None else (limit,))


def _conditions(draft: Draft, nodes: list[MapNode], at: str) -> tuple[Condition, ...]:
    base = child(at, "conditions")
    found = (read_condition(draft, node, child(base, index), _DIALECT) for index, node in enumerate(nodes))
    return tuple(each for each in found if each is not None)


def _counter(draft: Draft, tool: str, fields: Fields, at: str, message: str | None) -> Counter | None:
    """The counter that the rule's `state` block declares."""
    node = fields.table("state")
    if node is None:
        return None
    inner = Fields(draft, node, INTERCEPT["state"])
    if "increment" in inner and "increment_from" in inner:
        text = "`increment` and `increment_from` exclude each other"
        draft.error("exclusive-keys", text, inner.spot("increment_from"))
    name, window = inner.text("counter"), inner.text("window")
    if name is None or window is None:
        return None
    owner = "_global" if tool == EVERY_TOOL else tool
    return Counter(
        path=f"state.{owner}.{name}",
        limit=Limit(
            id=at,
            counter=name,
            window=Window(WINDOWS[window], calendar=True),
            cost=read_path(draft, inner.node("increment_from")),
            cost_constant=inner.whole("increment", 1) or 1,
            message=message,
        ),
    )
