"""A policy held against the tools that a server really has: rules that would never be reached.

Definitions are hostile input: they are only looked into as deep as a policy's own paths lead, and
what they say ends up in a hint at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.diagnostic import Diagnostic
from ostiary.policy.formats.draft import child, near
from ostiary.policy.model import AllOf, AnyOf, Condition, Each, Not, Path, Place, Policy, Test, ToolRules
from ostiary.policy.schema import SchemaError, compile_schema
from ostiary.policy.source import shown
from ostiary.policy.understanding import path_text

_MAX_OPTIONS = 1_000
_UNDECIDED = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties"})
_NOWHERE = Place("", 1, 1)
_NO_RULES = ToolRules()


def check_against(policy: Policy, catalogue: Catalogue) -> list[Diagnostic]:
    """Warnings about tools that the server does not have, and arguments that a tool does not take."""
    names = sorted(catalogue.definitions)[:_MAX_OPTIONS]
    hidden = sorted(policy.hide - catalogue.definitions.keys())
    found = [_unknown_tool(name, _hide_place(policy), names) for name in hidden]
    for name, rules in policy.tools.items():
        definition = catalogue.definitions.get(name)
        if definition is None:
            found.append(_unknown_tool(name, _tool_place(policy, name), names))
        else:
            found += _unknown_arguments(policy, name, rules, definition.input_schema)
    for name, definition in catalogue.definitions.items():
        found += _unusable_schema(policy, name, definition)
    return sorted(found, key=lambda each: (each.line, each.column, each.message))


def _unknown_tool(name: str, at: Place, names: Iterable[str]) -> Diagnostic:
    message = f"the server has no tool {shown(name)}"
    return _warning("unknown-tool", message, at, near(name, names))


def _warning(code: str, message: str, at: Place, hint: str | None) -> Diagnostic:
    return Diagnostic("warning", code, message, at.file, at.line, at.column, hint)


def _hide_place(policy: Policy) -> Place:
    return policy.places.get(f"{_base(policy)}/hide", _NOWHERE)


def _tool_place(policy: Policy, name: str) -> Place:
    return policy.places.get(child(f"{_base(policy)}/tools", name), _NOWHERE)


def _base(policy: Policy) -> str:
    """The pointer of the policy itself: `/servers/NAME`, or empty for a document of one policy."""
    first = next(iter(policy.places), "")
    return "/".join(first.split("/", 3)[:3]) if first.startswith("/servers/") else ""


def _unknown_arguments(policy: Policy, tool: str, rules: ToolRules, schema: object) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for pointer, path in _paths(rules):
        missing = _missing(path, schema)
        if missing is not None:
            options = missing[1]
            message = f"the tool {shown(tool)} has no argument {shown(path_text(missing[0]))}"
            at = _place(policy, pointer)
            found.append(_warning("unknown-argument", message, at, near(missing[0][-1], options)))
    return found


def _unusable_schema(policy: Policy, tool: str, definition: ToolDefinition) -> list[Diagnostic]:
    """P3.8: a schema beyond the bounds denies every call that is checked against it."""
    asked = (policy.tools.get(tool, _NO_RULES).validation, policy.all_tools.validation)
    validation = next((one for one in asked if one is not None), None)
    if validation is None or tool in policy.hide or policy.hide_all:
        return []
    try:
        compile_schema(definition.input_schema)
    except SchemaError as fault:
        message = f"the tool {shown(tool)} cannot be checked: its {fault}"
        return [_warning("unusable-schema", message, _place(policy, validation.id), None)]
    return []


def _place(policy: Policy, pointer: str) -> Place:
    """The place of `pointer`, or of the nearest thing around it."""
    while pointer not in policy.places and "/" in pointer:
        pointer = pointer.rpartition("/")[0]
    return policy.places.get(pointer, _NOWHERE)


def _paths(rules: ToolRules) -> Iterator[tuple[str, Path]]:
    """Every argument path that a tool's rules look at, with the pointer of who looks."""
    for rule in (*rules.require, *rules.deny_if, *rules.approve_if):
        for index, condition in enumerate(rule.conditions):
            for path in _condition_paths(condition):
                yield child(child(rule.id, "conditions"), index), path
    for limit in rules.limits:
        for path in (*limit.scope_paths, *(() if limit.cost is None else (limit.cost,))):
            yield limit.id, path


def _condition_paths(condition: Condition) -> Iterator[Path]:
    if isinstance(condition, Test | Each):
        yield condition.path
    elif isinstance(condition, Not):
        yield from _condition_paths(condition.condition)
    else:
        for inner in _inner(condition):
            yield from _condition_paths(inner)


def _inner(condition: AnyOf | AllOf) -> tuple[Condition, ...]:
    return condition.conditions


def _missing(path: Path, schema: object) -> tuple[Path, list[str]] | None:
    """The shortest part of `path` that the schema rules out, and the names it has instead.

    None when the path exists, or when the schema leaves it open in a way that is not followed here.
    """
    for depth, key in enumerate(path, 1):
        properties = _properties(schema)
        if properties is None:
            return None
        if key not in properties:
            return path[:depth], list(properties)[:_MAX_OPTIONS]
        schema = properties[key]
    return None


def _properties(schema: object) -> Mapping[str, object] | None:
    if not isinstance(schema, dict):
        return None
    known = cast("dict[str, object]", schema)
    properties = known.get("properties")
    if _UNDECIDED & known.keys() or not isinstance(properties, dict):
        return None
    return cast("dict[str, object]", properties)
