"""A second opinion on decisions, written from the clauses alone: slow, obvious, independent.

It works on policy documents as plain JSON (format 1 with the extensions) and on the text of the
arguments, and imports nothing from the package it checks. Numbers stay text until compared as
fractions; globs are matched character by character; addresses are read by the C library.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from tests.policy.naive_holds import merge, terms
from tests.policy.naive_readers import TEXT, Wrong, matches
from tests.policy.naive_values import Num, check_numbers, fraction, kind, parse, valid, walk

__all__ = ["Wrong", "decide", "evaluate", "fold", "hold", "matches", "parse"]

TRUE, FALSE, ABSENT, ERROR = "true", "false", "absent", "error"


# --- P3.1 combining ----------------------------------------------------------------------


def conjunction(outcomes: list[str]) -> str:
    for outcome in (FALSE, ERROR, ABSENT):
        if outcome in outcomes:
            return outcome
    return TRUE


def disjunction(outcomes: list[str]) -> str:
    for outcome in (TRUE, ERROR, ABSENT):
        if outcome in outcomes:
            return outcome
    return FALSE


def negation(outcome: str) -> str:
    return {TRUE: FALSE, FALSE: TRUE}.get(outcome, outcome)


def evaluate(condition: dict[str, Any], arguments: dict[str, Any], wide: bool = False) -> str:
    """One condition, by its form."""
    if "any" in condition:
        return disjunction([evaluate(part, arguments, wide) for part in condition["any"]])
    if "all" in condition:
        parts = [evaluate(part, arguments, wide) for part in condition["all"]]
        return conjunction(parts) if parts else ABSENT
    if "not" in condition:
        return negation(evaluate(condition["not"], arguments, wide))
    blocked, found = find(path_keys(condition["path"]), arguments)
    for word, join in (("any_of", disjunction), ("all_of", conjunction)):
        if word in condition:
            if blocked:
                return ERROR
            if found is None:
                return ABSENT
            if not isinstance(found, list):
                return ERROR
            if len(found) > 10_000:
                return ERROR
            inner = [compare(condition[word]["op"], condition[word]["value"], item, wide) for item in found]
            return ABSENT if word == "all_of" and not inner else join(inner)
    if condition["op"] == "exists":
        return compare("exists", condition["value"], None if blocked else found, wide)
    return ERROR if blocked else compare(condition["op"], condition["value"], found, wide)


def path_keys(path: Any) -> list[str]:
    return (path if isinstance(path, list) else path.split("."))[1:]


def find(keys: list[str], arguments: Any) -> tuple[bool, Any]:
    """(whether something that is no object is in the way, the value)."""
    for key in keys:
        if arguments is None:
            return False, None
        if not isinstance(arguments, dict):
            return True, None
        arguments = arguments.get(key)
    return False, arguments


def compare(op: str, value: Any, found: Any, wide: bool) -> str:
    """One test on one value (P3.2, P3.3)."""
    if op == "exists":
        return TRUE if (found is not None) == value else FALSE
    if found is None:
        return ABSENT
    if op == "neq":
        return negation(compare("eq", value, found, wide))
    if op == "not_in":
        return negation(compare("in", value, found, wide))
    if op == "in":
        return disjunction([compare("eq", item, found, wide) for item in value])
    try:
        answer = judge(op, value, found, wide)
    except Wrong:
        return ERROR
    if isinstance(answer, str):
        return answer
    return TRUE if answer else FALSE


def judge(op: str, value: Any, found: Any, wide: bool) -> bool | str:
    if op == "eq":
        if kind(value) != kind(found) or kind(value) in ("array", "object"):
            raise Wrong
        if kind(value) == "number":
            return fraction(found, wide) == fraction(value, True)
        return bool(value == found)
    if op in ("lt", "lte", "gt", "gte"):
        return ordered(op, value, found, wide)
    if op.startswith("len_"):
        return sized(op, value, found)
    if op == "contains":
        return contains(value, found, wide)
    if op == "json_schema":
        if not wide:
            check_numbers(found)
        return valid(value, found)
    if kind(found) != "string":
        raise Wrong
    return TEXT[op](value, found)


def ordered(op: str, value: Any, found: Any, wide: bool) -> bool:
    if kind(found) != "number":
        raise Wrong
    left, right = fraction(found, wide), fraction(value, True)
    return {"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[op]


def contains(value: Any, found: Any, wide: bool) -> bool | str:
    if kind(found) == "array":
        return disjunction([compare("eq", value, item, wide) for item in found])
    if kind(found) != "string" or kind(value) != "string":
        raise Wrong
    return value in found


def sized(op: str, value: Any, found: Any) -> bool:
    if kind(found) not in ("string", "array", "object"):
        raise Wrong
    size, bound = len(found), int(value)
    return {"len_eq": size == bound, "len_lte": size <= bound, "len_gte": size >= bound}[op]


# --- P2 ------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """What a lenient reader makes of a name (P3.5, P3.6)."""
    for _ in range(8):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = "".join(
            char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Zs", "Zl", "Zp")
        )
    return text


def decide(case: dict[str, Any]) -> tuple[str, list[str]]:
    """(effect, rule ids) of a case: policy, tool, arguments text, tools, drifted, locked, stopped."""
    policy, tool = case["policy"], case["tool"]
    if policy is None:
        return "deny", ["(no policy)"]
    if case.get("stopped"):
        return "deny", ["(stopped)"]
    policy = parse(json.dumps(policy))
    listed = policy.get("tools", {})
    rule = availability(policy, tool, listed, case)
    if rule:
        return "deny", [rule]
    arguments = parse(case["arguments"])
    rules = listed.get(tool, {})
    schema = schemas(case).get(tool)
    if twin(rules, policy, schema, arguments):
        return "deny", ["(argument twin)"]
    failed = failing(tool, rules, schema, arguments, case)
    if failed:
        return "deny", failed
    costs = [
        f"/tools/{tool}/limits/{at}"
        for at, limit in enumerate(rules.get("limits", []))
        if not payable(limit, arguments, schema)
    ]
    if costs:
        return "deny", costs
    outcomes = asking(policy, tool, arguments)
    errors = [rule for rule, outcome, _ in outcomes if outcome == ERROR]
    held = [rule for rule, outcome, _ in outcomes if outcome == TRUE]
    return ("deny", errors) if errors else ("hold", held) if held else ("allow", [])


def hold(case: dict[str, Any]) -> dict[str, Any]:
    """What the held call of a case needs: the terms of every rule that holds, together (P2.14)."""
    policy, tool = case["policy"], case["tool"]
    outcomes = asking(parse(json.dumps(policy)), tool, parse(case["arguments"]))
    held = [(rule, predicate) for rule, outcome, predicate in outcomes if outcome == TRUE]
    return merge([(rule, predicate, terms(policy, tool, rule)) for rule, predicate in held])


def asking(policy: Any, tool: str, arguments: Any) -> list[tuple[str, str, Any]]:
    """Every rule that may hold the call: id, outcome, rule; those of the tool before those of all."""
    rules, every = policy.get("tools", {}).get(tool, {}), policy.get("all_tools", {})
    wide = rules.get("wide_numbers", False)
    found: list[tuple[str, str, Any]] = []
    if rules.get("action") == "require_approval":
        found.append((f"/tools/{tool}/action", TRUE, rules))
    for at, owner in ((f"/tools/{tool}", rules), ("/all_tools", every)):
        for index, predicate in enumerate(owner.get("approve_if", [])):
            outcomes = [evaluate(condition, arguments, wide) for condition in predicate["conditions"]]
            found.append((f"{at}/approve_if/{index}", conjunction(outcomes), predicate))
    return found


def schemas(case: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": item} if isinstance(item, str) else item for item in case.get("tools") or []]
    return {item["name"]: parse(json.dumps(item.get("inputSchema"))) for item in named}


def availability(policy: Any, tool: str, listed: Any, case: dict[str, Any]) -> str | None:
    hide = policy.get("hide", [])
    if "*" in hide or tool in hide:
        return "(hidden)"
    if tool not in listed and policy["default"] == "deny":
        return "(default deny)"
    if tool not in listed and any(fold(tool) == fold(known) for known in [*hide, *listed]):
        return "(name twin)"
    if tool == "*":
        return "(unknown tool)"
    if case.get("tools") is None:
        return None
    advertised = schemas(case)
    if tool in case.get("drifted", []):
        return "(drift)"
    if tool in advertised:
        return None
    if any(fold(tool) == fold(known) for known in advertised):
        return "(name twin)"
    return "(unknown tool)" if policy["default"] == "deny" or case.get("locked") else None


def failing(tool: str, rules: Any, schema: Any, arguments: Any, case: dict[str, Any]) -> list[str]:
    failed = []
    if "validate" in rules and case.get("tools") is not None and not validated(rules, schema, arguments):
        failed.append(f"/tools/{tool}/validate")
    wide = rules.get("wide_numbers", False)
    for word, bad in (("require", (FALSE, ABSENT, ERROR)), ("deny_if", (TRUE, ERROR))):
        if word == "deny_if" and rules.get("action") == "deny":
            failed.append(f"/tools/{tool}/action")
        for at, predicate in enumerate(rules.get(word, [])):
            outcomes = [evaluate(condition, arguments, wide) for condition in predicate["conditions"]]
            if conjunction(outcomes) in bad:
                failed.append(f"/tools/{tool}/{word}/{at}")
    return failed


def validated(rules: Any, schema: Any, arguments: Any) -> bool:
    asked = rules["validate"]
    if not isinstance(schema, dict):
        return False
    try:
        walk(schema, schema)
    except Wrong:
        return False
    if asked.get("required_args") and any(arguments.get(name) is None for name in schema.get("required", [])):
        return False
    if asked.get("extra") == "deny" and not set(arguments) <= set(schema.get("properties", {})):
        return False
    if asked.get("schema") != "advertised":
        return True
    try:
        if not rules.get("wide_numbers"):
            check_numbers(arguments)
        return valid(schema, arguments)
    except Wrong:
        return False


def twin(rules: Any, policy: Any, schema: Any, arguments: Any) -> bool:
    known: dict[str, Any] = {}
    words = ("require", "deny_if", "approve_if")
    own = [predicate for word in words for predicate in rules.get(word, [])]
    for predicate in [*own, *policy.get("all_tools", {}).get("approve_if", [])]:
        for condition in predicate["conditions"]:
            for keys in all_paths(condition):
                plant(known, keys)
    for limit in [*rules.get("limits", []), *policy.get("all_tools", {}).get("limits", [])]:
        scopes = limit.get("scope", [])
        for path in [limit.get("cost"), *(scopes if isinstance(scopes, list) else [scopes])]:
            if isinstance(path, str) and path.startswith("args."):
                plant(known, path_keys(path))
    plant_schema(known, schema)
    return twinned(known, arguments)


def all_paths(condition: Any) -> list[list[str]]:
    if "path" in condition:
        return [path_keys(condition["path"])]
    inner = condition.get("any") or condition.get("all") or [condition.get("not")]
    return [keys for part in inner if part for keys in all_paths(part)]


def plant(known: dict[str, Any], keys: list[str]) -> None:
    for key in keys:
        known = known.setdefault(key, {})


def plant_schema(known: dict[str, Any], schema: Any) -> None:
    if isinstance(schema, dict):
        for key, inner in schema.get("properties", {}).items():
            plant_schema(known.setdefault(key, {}), inner)
        plant_schema(known, schema.get("items"))


def twinned(known: dict[str, Any], value: Any) -> bool:
    if isinstance(value, list):
        return any(twinned(known, item) for item in value)
    if not isinstance(value, dict):
        return False
    for key, inner in value.items():
        if key not in known:
            if any(fold(key) == fold(other) for other in known):
                return True
        elif known[key] and twinned(known[key], inner):
            return True
    return False


def payable(limit: Any, arguments: Any, schema: Any) -> bool:
    """P4.2, P4.3: whether this limit can be charged."""
    scopes = limit.get("scope", [])
    for scope in scopes if isinstance(scopes, list) else [scopes]:
        if scope.startswith("args."):
            blocked, found = find(path_keys(scope), arguments)
            if blocked or isinstance(found, (list, dict)) or not readable(found):
                return False
    if not isinstance(limit.get("cost"), str):
        return True
    keys = path_keys(limit["cost"])
    blocked, found = find(keys, arguments)
    if blocked:
        return False
    if found is None:
        node = schema
        for key in keys:
            node = (node or {}).get("properties", {}).get(key)
        found = (node or {}).get("default")
    if found is None:
        found = limit.get("cost_default")
    return isinstance(found, Num) and readable(found) and fraction(found) >= 0


def readable(value: Any) -> bool:
    try:
        check_numbers(value)
    except Wrong:
        return False
    return True
