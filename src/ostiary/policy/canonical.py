"""The canonical text of a policy, and the revision that names it.

Two documents that mean the same have the same revision, whatever their format, their order of keys
or their spelling of numbers. Rule ids and places are left out; the order of rules is kept, since the
first one that denies gives the message. What only some policies have is left out of the others, so
that a later version of this program does not change their revision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal

from ostiary.policy.approvals import terms_of
from ostiary.policy.model import (
    AllOf,
    AnyOf,
    Approval,
    Condition,
    Each,
    Limit,
    MethodRules,
    Not,
    Policy,
    Rule,
    ToolRules,
    Validation,
    Value,
    Window,
)

Plain = None | bool | int | str | list["Plain"] | dict[str, "Plain"]


def canonical(policy: Policy) -> bytes:
    """Canonical JSON of the normal form: sorted keys, no white space, decimals as exact text."""
    plain: Plain = {
        "v": 1,
        "default": policy.default,
        "hide": _strings(sorted(policy.hide)),
        "hide_all": policy.hide_all,
        "all_tools": _tool(policy.all_tools, policy.all_tools),
        "tools": {name: _tool(rules, policy.all_tools) for name, rules in policy.tools.items()},
        "resources": _methods(policy.resources),
        "prompts": _methods(policy.prompts),
        "methods": _methods(policy.methods),
        "monitor": policy.monitor,
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def revision(policy: Policy) -> str:
    """`sha256:<hex>` of the canonical text."""
    return "sha256:" + hashlib.sha256(canonical(policy)).hexdigest()


def _strings(values: list[str] | tuple[str, ...]) -> list[Plain]:
    return [*values]


def _methods(rules: MethodRules) -> Plain:
    return {
        "default": rules.default,
        "allow": _strings(sorted(set(rules.allow))),
        "deny": _strings(sorted(set(rules.deny))),
    }


def _tool(rules: ToolRules, all_tools: ToolRules) -> Plain:
    plain: dict[str, Plain] = {
        "require": [_rule(rule) for rule in rules.require],
        "deny_if": [_rule(rule) for rule in rules.deny_if],
        "limits": [_limit(limit) for limit in rules.limits],
        "validation": _validation(rules.validation),
        "wide_numbers": rules.wide_numbers,
    }
    if rules.approve_if:
        plain["approve_if"] = [_rule(rule) for rule in rules.approve_if]
        plain["approval"] = _approval(terms_of(rules, all_tools))
    return plain


def _approval(terms: Approval) -> Plain:
    return {
        "timeout": terms.timeout_seconds,
        "hold": terms.hold_seconds,
        "approvers": _strings(sorted(set(terms.approvers))),
        "message": terms.message,
        "convenience": terms.convenience,
    }


def _validation(found: Validation | None) -> Plain:
    if found is None:
        return None
    return {"schema": found.schema, "required": found.required, "refuse_extra": found.refuse_extra}


def _rule(rule: Rule) -> Plain:
    return {"conditions": [_condition(each) for each in rule.conditions], "message": rule.message}


def _condition(found: Condition) -> Plain:
    if isinstance(found, AnyOf | AllOf):
        name = "any" if isinstance(found, AnyOf) else "all"
        return {name: [_condition(each) for each in found.conditions]}
    if isinstance(found, Not):
        return {"not": _condition(found.condition)}
    each = found.quantifier if isinstance(found, Each) else None
    return {
        "path": _strings(found.path),
        "each": each,
        "op": found.op,
        "value": _value(found.value),
        "numeric_text": found.numeric_text,
    }


def _limit(limit: Limit) -> Plain:
    return {
        "counter": limit.counter,
        "window": _window(limit.window),
        "max": limit.max,
        "scope": _strings(limit.scope),
        "scope_paths": [_strings(path) for path in limit.scope_paths],
        "cost": None if limit.cost is None else _strings(limit.cost),
        "cost_constant": limit.cost_constant,
        "cost_default": _value(limit.cost_default),
        "per": _value(limit.per),
        "refund": limit.refund,
        "max_concurrent": limit.max_concurrent,
        "lease": limit.lease_seconds,
        "message": limit.message,
    }


def _window(window: Window | None) -> Plain:
    return None if window is None else {"seconds": window.seconds, "calendar": window.calendar}


def _value(value: Value) -> Plain:
    """A value with its type: the text `1` and the number 1 never look alike."""
    if isinstance(value, Decimal):
        return {"number": _exact(value)}
    if isinstance(value, tuple):
        return {"list": [_value(each) for each in value]}
    if isinstance(value, Mapping):
        return {"object": {key: _value(each) for key, each in value.items()}}
    return value


def _exact(number: Decimal) -> str:
    """The shortest exact text: `1`, `1.0` and `1e0` are the same number."""
    if number.is_zero():
        return "0"
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits))
    short = text.rstrip("0")
    scale = (exponent if isinstance(exponent, int) else 0) + len(text) - len(short)
    return f"{'-' if sign else ''}{short.lstrip('0')}e{scale}"
