"""How texts and numbers are spelt. A value has one spelling in each syntax."""

from __future__ import annotations

import json
import re
from decimal import Decimal

from ostiary.policy.source import Scalar

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN_START = re.compile(r"[A-Za-z_/$]")
_LENGTH = re.compile(r"[0-9]+[smhd]|[0-9]+/[a-z]+")
_NOT_PLAIN = re.compile(r": |:$| #|\s$|  |[\x00-\x1f]")
_BRACKETS = frozenset(",[]{}")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDEST_PLAIN = 21
_BEYOND_PAIRS = 0xFFFF


def number_text(value: Decimal) -> str:
    """JSON text of an exact number within the bounds of P3.4, never wider than 40 digits."""
    if value.is_zero():
        return "0"
    plain = format(value, "f")
    if len(plain) <= _WIDEST_PLAIN:
        return plain
    sign, digits, _ = value.as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    fraction = f".{text[1:]}" if text[1:] else ""
    return f"{'-' if sign else ''}{text[0]}{fraction}e{value.adjusted()}"


def in_json(scalar: Scalar) -> str:
    """A scalar as JSON. A number keeps its text where that is JSON."""
    if isinstance(scalar.value, Decimal):
        return scalar.text if _JSON_NUMBER.fullmatch(scalar.text) else number_text(scalar.value)
    return _word(scalar) if not isinstance(scalar.value, str) else json_text(scalar.value)


def json_text(text: str) -> str:
    """Text in double quotes; what cannot be seen is escaped, so that a reader sees it."""
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(each if each.isprintable() else _json_escape(each) for each in quoted)


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def in_yaml(scalar: Scalar, *, flow: bool) -> str:
    """A scalar as YAML on one line. `flow`: it stands in brackets. A number keeps its text."""
    if isinstance(scalar.value, Decimal):
        return scalar.text
    return _word(scalar) if not isinstance(scalar.value, str) else yaml_text(scalar.value, flow=flow)


def yaml_text(text: str, *, flow: bool) -> str:
    """Text without quotes where every reader takes it for text; else in the quotes that need least.

    Words and numbers of YAML 1.1 stand in quotes too: another reader of the file may speak it.
    """
    if _is_plain(text) and not (flow and _BRACKETS & set(text)):
        return text
    if text.isprintable() and ("\\" in text or '"' in text):
        doubled = text.replace("'", "''")
        return f"'{doubled}'"
    return "".join(each if each.isprintable() else _yaml_escape(each) for each in _quoted(text))


def _is_plain(text: str) -> bool:
    if _LENGTH.fullmatch(text):
        return True
    starts = _PLAIN_START.match(text) is not None
    return starts and text.isprintable() and not _NOT_PLAIN.search(text) and text.lower() not in _WORDS


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_YAML_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _yaml_escape(character: str) -> str:
    code = ord(character)
    if character in _YAML_ESCAPES:
        return _YAML_ESCAPES[character]
    return f"\\U{code:08x}" if code > _BEYOND_PAIRS else f"\\u{code:04x}"


def _word(scalar: Scalar) -> str:
    return "null" if scalar.value is None else str(scalar.value).lower()
