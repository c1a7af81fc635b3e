"""Values as the second opinion reads them: numbers kept as text, kinds, and the schemas that cases use."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any

from tests.policy.naive_readers import Wrong


class Num(str):
    """A JSON number as it was written."""

    __slots__ = ()


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


def check_numbers(value: Any) -> None:
    if isinstance(value, Num):
        fraction(value)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_numbers(item)


# --- schemas: only the keywords that cases use ----------------------------------------------


def valid(schema: Any, value: Any, root: Any = None) -> bool:
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    walk(schema, root)
    if "$ref" in schema:
        target = root
        for part in schema["$ref"][2:].split("/"):
            target = target[part]
        return valid(target, value, root)
    if not typed(schema, value):
        return False
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return all(key in value for key in schema.get("required", [])) and all(
            valid(inner[key], value[key], root) for key in inner if key in value
        )
    if isinstance(value, list) and "items" in schema:
        return all(valid(schema["items"], item, root) for item in value)
    return True


def typed(schema: Any, value: Any) -> bool:
    """`type` and `maximum`."""
    wanted = schema.get("type")
    if wanted == "integer":
        if kind(value) != "number" or fraction(value, True).denominator != 1:
            return False
    elif wanted and kind(value) != wanted:
        return False
    if kind(value) == "number" and "maximum" in schema:
        return fraction(value, True) <= fraction(schema["maximum"], True)
    return True


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
