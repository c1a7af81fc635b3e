"""A second opinion on decisions, written from the clauses alone: slow, obvious, independent.

It works on policy documents as plain JSON (format 1 with the extensions) and on the text of the
arguments, and imports nothing from the package it checks. Numbers stay text until compared as
fractions; globs are matched character by character; addresses are read by the C library.
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
import re
import socket
import unicodedata
from fractions import Fraction
from functools import cmp_to_key
from typing import Any

TRUE, FALSE, ABSENT, ERROR = "true", "false", "absent", "error"


class Num(str):
    """A JSON number as it was written."""


class Wrong(Exception):
    """A text that cannot be read."""


def parse(text: str) -> Any:
    """JSON with numbers kept as text."""
    return json.loads(text, parse_int=Num, parse_float=Num)


# --- P3.4 numbers ------------------------------------------------------------------------


def fraction(number: Num, wide: bool = False) -> Fraction:
    """The exact value of a number within bounds; `Wrong` otherwise."""
    match = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?", number)
    assert match
    sign, whole, part, power = match[1], match[2], match[3] or "", int(match[4] or 0)
    digits = (whole + part).lstrip("0")
    if "." not in number and "e" not in number.lower():
        value = Fraction(int(whole))
        if not wide and value > 2**53 - 1:
            raise Wrong
        return -value if sign else value
    lowest = power - len(part)
    if not wide:
        if not digits and abs(lowest) > 308:
            raise Wrong
        if digits and (len(digits) > 40 or abs(lowest + len(digits) - 1) > 308):
            raise Wrong
    value = Fraction(int(digits or "0")) * Fraction(10) ** lowest
    value = -value if sign else value
    if not wide and Fraction(repr(float(number))) != value:
        raise Wrong
    return value


def kind(value: Any) -> str:
    if isinstance(value, Num):
        return "number"
    if isinstance(value, bool):
        return "boolean"
    return {str: "string", list: "array", dict: "object", type(None): "null"}[type(value)]


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
        if kind(found) != "number":
            raise Wrong
        left, right = fraction(found, wide), fraction(value, True)
        return {"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[op]
    if op == "contains":
        if kind(found) == "array":
            return disjunction([compare("eq", value, item, wide) for item in found])
        if kind(found) != "string" or kind(value) != "string":
            raise Wrong
        return value in found
    if op.startswith("len_"):
        if kind(found) not in ("string", "array", "object"):
            raise Wrong
        size, bound = len(found), int(value)
        return {"len_eq": size == bound, "len_lte": size <= bound, "len_gte": size >= bound}[op]
    if op == "json_schema":
        if not wide:
            check_numbers(found)
        return valid(value, found)
    if kind(found) != "string":
        raise Wrong
    return TEXT[op](value, found)


def check_numbers(value: Any) -> None:
    if isinstance(value, Num):
        fraction(value)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_numbers(item)


# --- P3.7 readers ------------------------------------------------------------------------


def plain(text: str) -> None:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Wrong
    for mark in "/\\.%:@?#":
        if unicodedata.normalize("NFKC", text).count(mark) != text.count(mark):
            raise Wrong


def within(value: Any, text: str) -> bool:
    plain(text)
    if not text.startswith("/") or "\\" in text or re.search("%[0-9a-fA-F]{2}", text) or len(text) > 4096:
        raise Wrong
    if any(part.strip(". ") == "" and part not in ("", ".", "..") for part in text.split("/")):
        raise Wrong
    place = posixpath.normpath("/" + text.lstrip("/"))
    for folder in value if isinstance(value, list) else [value]:
        base = posixpath.normpath("/" + folder.lstrip("/"))
        if posixpath.commonpath([place, base]) == base:
            return True
    return False


def glob(pattern: str, text: str) -> bool:
    plain(text)
    if "\\" in text or re.search("%[0-9a-fA-F]{2}", text):
        raise Wrong
    if any(part and part.strip(". ") == "" for part in text.split("/")) and ("/" in text or text in (".", "..")):
        raise Wrong
    return matches(pattern, text)


def matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(matches(pattern[2:], text[at:]) for at in range(len(text) + 1))
    if pattern[0] == "*":
        run = len(text.split("/", 1)[0])
        return any(matches(pattern[1:], text[at:]) for at in range(run + 1))
    if not text:
        return False
    if pattern[0] == "?":
        return text[0] != "/" and matches(pattern[1:], text[1:])
    if pattern[0] == "[":
        body, rest = pattern[1:].split("]", 1)
        outside = body[0] in "!^"
        inside = any(
            low <= text[0] <= (high or low) for low, high in re.findall(r"(.)(?:-(.))?", body[outside:])
        )
        return text[0] != "/" and inside != outside and matches(rest, text[1:])
    return text[0] == pattern[0] and matches(pattern[1:], text[1:])


def host(text: str) -> str:
    """The host of a URL or of `host[:port]`."""
    if not text or any(char.isspace() for char in text) or "\\" in text or len(text) > 8192:
        raise Wrong
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Wrong
    if "://" in text:
        scheme, text = text.split("://", 1)
        if not re.fullmatch("[A-Za-z][A-Za-z0-9+.-]{0,31}", scheme):
            raise Wrong
        text = re.split("[/?#]", text)[0]
    elif text.count(":") > 1 and text[0] != "[":
        text = f"[{text}]"
    match = re.fullmatch(r"(\[[^\]]*\]|[^:/?#@\[\]]*)(?::([0-9]{1,5}))?", text)
    if not match or (match[2] and int(match[2]) > 65535):
        raise Wrong
    return name(match[1])


def name(text: str) -> str:
    if text.startswith("["):
        try:
            address = ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            raise Wrong from None
        if "%" in text:
            raise Wrong
        return str(address.ipv4_mapped or address)
    if not text.isascii():
        if set(text) & set("ßςẞ"):
            raise Wrong
        plain(text)
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            raise Wrong from None
    text = text.lower().removesuffix(".")
    labels = text.split(".")
    if re.fullmatch("[0-9]+|0x[0-9a-f]*", labels[-1]):
        if any(part == "0x" for part in labels):
            labels = ["0" if part == "0x" else part for part in labels]
        if not all(re.fullmatch("[0-9]+|0x[0-9a-f]+", part) and len(part) <= 16 for part in labels):
            raise Wrong
        try:
            return socket.inet_ntoa(socket.inet_aton(".".join(labels)))
        except OSError:
            raise Wrong from None
    if not all(re.fullmatch("[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels) or len(text) > 253:
        raise Wrong
    return text


def host_in(value: Any, text: str) -> bool:
    found = host(text)
    for wanted in value if isinstance(value, list) else [value]:
        if wanted.startswith("*."):
            if found.endswith("." + name(wanted[2:])):
                return True
        elif found == host(wanted):
            return True
    return False


def scheme_in(value: Any, text: str) -> bool:
    if not text or any(char.isspace() for char in text) or "\\" in text or len(text) > 8192:
        raise Wrong
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise Wrong
    match = re.match("([A-Za-z][A-Za-z0-9+.-]{0,31}):", text)
    if not match:
        raise Wrong
    return match[1].lower() in [item.lower() for item in (value if isinstance(value, list) else [value])]


def cidr_in(value: Any, text: str) -> bool:
    try:
        address = ipaddress.ip_address(host(text))
    except ValueError:
        raise Wrong from None
    return any(address in ipaddress.ip_network(item) for item in (value if isinstance(value, list) else [value]))


VERSION = re.compile(
    r"(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


def precedence(left: str, right: str) -> int:
    """Section 11 of SemVer 2.0.0, step by step."""
    one, two = VERSION.fullmatch(left), VERSION.fullmatch(right)
    if not one or not two or max(len(left), len(right)) > 256:
        raise Wrong
    for at in (1, 2, 3):
        if int(one[at]) != int(two[at]):
            return -1 if int(one[at]) < int(two[at]) else 1
    if one[4] == two[4]:
        return 0
    if one[4] is None or two[4] is None:
        return 1 if one[4] is None else -1
    ours, theirs = one[4].split("."), two[4].split(".")
    for mine, yours in zip(ours, theirs, strict=False):
        if mine == yours:
            continue
        if mine.isdigit() and yours.isdigit():
            return -1 if int(mine) < int(yours) else 1
        if mine.isdigit() or yours.isdigit():
            return -1 if mine.isdigit() else 1
        return -1 if mine < yours else 1
    return (len(ours) > len(theirs)) - (len(ours) < len(theirs))


def semver(value: str, text: str) -> bool:
    """Only full versions in ranges: enough for a second opinion."""
    precedence(text, "0.0.0")
    return any(all(comparator(part, text) for part in clause.split()) for clause in value.split("||"))


def comparator(part: str, text: str) -> bool:
    match = re.fullmatch(r"(>=|<=|>|<|=|\^|~)?(.+)", part)
    assert match
    sign, bound = match[1] or "=", match[2]
    order = precedence(text, bound)
    if sign in "^~":
        full = VERSION.fullmatch(bound)
        assert full
        major, minor, patch = int(full[1]), int(full[2]), int(full[3])
        if sign == "^" and major:
            high = f"{major + 1}.0.0-0"
        elif sign == "~" or minor:
            high = f"{major}.{minor + 1}.0-0"
        else:
            high = f"{major}.{minor}.{patch + 1}-0"
        return order >= 0 and precedence(text, high) < 0
    return {">=": order >= 0, "<=": order <= 0, ">": order > 0, "<": order < 0, "=": order == 0}[sign]


TEXT: dict[str, Any] = {
    "regex": lambda value, text: re.search(value, text, re.ASCII) is not None
    and not (value.endswith("$") and text.endswith("\n") and not re.search(value[:-1] + r"\Z", text)),
    "glob": glob,
    "path_within": within,
    "host_in": host_in,
    "url_scheme_in": scheme_in,
    "cidr_in": cidr_in,
    "semver": semver,
}
BY_PRECEDENCE = cmp_to_key(precedence)


# --- schemas: only the keywords that cases use ----------------------------------------------


def valid(schema: Any, value: Any, root: Any = None) -> bool:
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        if not schema["$ref"].startswith("#/"):
            raise Wrong
        target = root
        for part in schema["$ref"][2:].split("/"):
            target = target[part]
        return valid(target, value, root)
    wanted = schema.get("type")
    if wanted == "integer":
        if kind(value) != "number" or fraction(value, True).denominator != 1:
            return False
    elif wanted and kind(value) != wanted:
        return False
    if "(?=" in schema.get("pattern", ""):
        raise Wrong
    if kind(value) == "number" and "maximum" in schema and fraction(value, True) > fraction(schema["maximum"], True):
        return False
    if isinstance(value, dict):
        if not all(key in value for key in schema.get("required", [])):
            return False
        for key, inner in schema.get("properties", {}).items():
            probe = valid(inner, value[key], root) if key in value else walk(inner, root)
            if not probe:
                return False
    else:
        walk(schema, root)
    return all(valid(schema["items"], item, root) for item in value) if isinstance(value, list) and "items" in schema else True


def walk(schema: Any, root: Any) -> bool:
    """Look for references and patterns that may not be used."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#/"):
            raise Wrong
        if "(?=" in str(schema.get("pattern", "")):
            raise Wrong
        for inner in schema.get("properties", {}).values():
            walk(inner, root)
    return True


# --- P2 ------------------------------------------------------------------------------------


def fold(text: str) -> str:
    """What a lenient reader makes of a name (P3.5, P3.6)."""
    for _ in range(8):
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Zs", "Zl", "Zp"))
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
    costs = [f"/tools/{tool}/limits/{at}" for at, limit in enumerate(rules.get("limits", [])) if not payable(limit, arguments, schema)]
    return ("deny", costs) if costs else ("allow", [])


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
    for predicate in [*rules.get("require", []), *rules.get("deny_if", [])]:
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
    """P4.2, P4.3: can this limit be charged?"""
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
