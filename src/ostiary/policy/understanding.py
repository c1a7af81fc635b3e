"""What a loaded document was taken to mean, in plain words: printed by `ostiary policy check`."""

from __future__ import annotations

import re

from ostiary.policy.approvals import terms_of
from ostiary.policy.model import (
    AllOf,
    AnyOf,
    Approval,
    Condition,
    Document,
    Each,
    Limit,
    MethodRules,
    Not,
    Path,
    Policy,
    Rule,
    ToolRules,
    Validation,
    Value,
    Window,
)

_FORMATS = {
    1: "policy.json version 1",
    2: "Intercept YAML",
    3: "short YAML rules",
    4: "Ostiary policy",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_LONGEST_VALUE = 60
_PLAIN_KEY = re.compile(r"[\w-]+")


def understood(document: Document) -> str:
    """One line per statement; every rule and limit of every tool is listed. No line break at the end."""
    if document.single is not None:
        return "\n".join(_policy(document.single))
    lines: list[str] = []
    for name, policy in document.servers.items():
        lines += [f"server {name}", *(f"  {line}" for line in _policy(policy))]
    return "\n".join(lines)


def _policy(policy: Policy) -> list[str]:
    lines = [f"{_FORMATS[policy.format]}, {policy.revision}"]
    if policy.monitor:
        lines.append("monitor mode: nothing is enforced")
    lines += _hidden(policy)
    every = policy.all_tools
    lines += [f"every tool: {line}" for line in _tool(every, every)]
    for name, rules in policy.tools.items():
        lines += [f"{name}: {line}" for line in _tool(rules, every) or ["allowed, no checks"]]
    lines.append(_rest(policy))
    lines += _methods("resources", policy.resources)
    lines += _methods("prompts", policy.prompts)
    return lines + _methods("methods", policy.methods)


def _hidden(policy: Policy) -> list[str]:
    if policy.hide_all:
        return ["every tool is hidden and refused"]
    return [f"{name}: hidden and refused" for name in sorted(policy.hide)]


def _rest(policy: Policy) -> str:
    listed = policy.tools or policy.hide
    what = "any other tool" if listed else "every tool"
    verb = "allowed" if policy.default == "allow" else "denied"
    implied = " (intercept default allow)" if policy.implied_default else ""
    return f"{what}: {verb}{implied}"


def _methods(name: str, rules: MethodRules) -> list[str]:
    lines = [] if rules.default is None else [f"{name}: default {rules.default}"]
    lines += [f"{name}: deny {pattern}" for pattern in rules.deny]
    lines += [f"{name}: allow {pattern}" for pattern in rules.allow]
    return lines


def _tool(rules: ToolRules, all_tools: ToolRules) -> list[str]:
    lines = [_deny(rule) for rule in rules.deny_if]
    lines += [f"allowed only if {_conditions(rule)}{_says(rule.message)}" for rule in rules.require]
    lines += [_asks(rule) for rule in rules.approve_if]
    lines += [_terms(terms_of(rules, all_tools))] if rules.approve_if else []
    lines += [_limit(limit) for limit in rules.limits]
    lines += [] if rules.validation is None else [_validation(rules.validation)]
    lines += ["rules may look at numbers of any width"] if rules.wide_numbers else []
    return lines


def _deny(rule: Rule) -> str:
    when = f"denied if {_conditions(rule)}" if rule.conditions else "always denied"
    return f"{when}{_says(rule.message)}"


def _asks(rule: Rule) -> str:
    when = f"held for approval if {_conditions(rule)}" if rule.conditions else "always held for approval"
    return when if rule.message is None else f"{when}, because {_quoted(rule.message)}"


def _terms(terms: Approval) -> str:
    who = " or ".join(terms.approvers) or "anybody who may approve"
    also = ", or by the client's own user" if terms.convenience else ""
    parts = [f"approval by {who}{also}", f"within {_count(terms.timeout_seconds)}"]
    if terms.hold_seconds is not None:
        parts.append(f"the call is held open for {_count(terms.hold_seconds)}")
    return ", ".join(parts) + ("" if terms.message is None else f", told {_quoted(terms.message)}")


def _says(message: str | None) -> str:
    return "" if message is None else f", saying {_quoted(message)}"


def _conditions(rule: Rule) -> str:
    return " and ".join(_condition(each) for each in rule.conditions)


def _condition(found: Condition) -> str:
    if isinstance(found, AnyOf | AllOf):
        word = " or " if isinstance(found, AnyOf) else " and "
        return f"({word.join(_condition(each) for each in found.conditions)})"
    if isinstance(found, Not):
        return f"not ({_condition(found.condition)})"
    compared = f"{found.op} {_value(found.value)}"
    if isinstance(found, Each):
        which = "any element of" if found.quantifier == "any_of" else "every element of"
        return f"{which} {path_text(found.path)} {compared}"
    if found.op == "exists":
        return f"{path_text(found.path)} is {'present' if found.value is True else 'absent'}"
    return f"{path_text(found.path)} {compared}"


def path_text(path: Path) -> str:
    """`args.a.b`; keys with dots or other marks stand in quotes."""
    return ".".join(("args", *(key if _PLAIN_KEY.fullmatch(key) else f'"{key}"' for key in path)))


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    return "a schema" if isinstance(value, dict) else str(value)


def _quoted(text: str) -> str:
    short = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
    return '"' + "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in short) + '"'


def _limit(limit: Limit) -> str:
    parts: list[str] = []
    if limit.window is not None and limit.max is not None:
        parts.append(f"at most {limit.max} {_unit(limit)} {_per(limit.window)}")
    if limit.max_concurrent is not None:
        lease = _length(limit.lease_seconds)
        parts.append(f"at most {limit.max_concurrent} at the same time (a lost call counts for {lease})")
    refund = ", calls that fail are not counted" if limit.refund == "on_error" else ""
    return f"{' and '.join(parts)} for each {_scope(limit)}{refund}{_says(limit.message)}"


def _unit(limit: Limit) -> str:
    if limit.cost is None:
        return "calls" if limit.cost_constant == 1 else f"units, {limit.cost_constant} a call,"
    per = "" if limit.per == 1 else f" / {limit.per}"
    absent = "" if limit.cost_default is None else f" ({limit.cost_default} when absent)"
    return f"units of {path_text(limit.cost)}{per}{absent}"


def _per(window: Window) -> str:
    return f"per {'UTC ' if window.calendar else ''}{_length(window.seconds)}"


def _length(seconds: int) -> str:
    counted = _count(seconds)
    return counted.removeprefix("1 ")


def _count(seconds: int) -> str:
    size, name = next(
        ((size, name) for size, name in _UNITS if seconds >= size and seconds % size == 0), (1, "second")
    )
    count = seconds // size
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _scope(limit: Limit) -> str:
    return " and ".join((*limit.scope, *(path_text(path) for path in limit.scope_paths)))


def _validation(found: Validation) -> str:
    asked = {
        "arguments must fit the advertised schema": found.schema,
        "required arguments must be there": found.required,
        "undeclared arguments are refused": found.refuse_extra,
    }
    return ", ".join(text for text, wanted in asked.items() if wanted)
