"""Parts of a modern request that its headers repeat: how they are written and compared.

Source: MCP 2026-07-28, streamable HTTP, standard and custom headers; SEP-2243.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import cast

import msgspec

from ostiary.wire.message import Message, as_object

PARAM_PREFIX = b"mcp-param-"
ANNOTATION = "x-mcp-header"

_SUBJECTS: Mapping[str, str] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
_TYPES = frozenset({"string", "integer", "boolean"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_DECIMAL = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_PREFIX, _SUFFIX = "=?base64?", "?="

# Where JSON Schema 2020-12 holds further schemas, `properties` apart.
_ONE = frozenset(
    {
        "items",
        "contains",
        "unevaluatedItems",
        "additionalProperties",
        "propertyNames",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
        "contentSchema",
    }
)
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})


class Parameter(msgspec.Struct, frozen=True):
    """One argument that a header repeats: where it stands, the header and the declared type."""

    path: tuple[str, ...]
    header: bytes
    type: str


Parameters = Sequence[Parameter]


def subject(message: Message) -> str | None:
    """What `Mcp-Name` repeats: a tool's or prompt's name, a URI or a task id; None for none."""
    key = _SUBJECTS.get(message.method)
    value = None if key is None else message.params.get(key)
    return value if isinstance(value, str) else None


def encode_value(value: str) -> str:
    """`value` as a header value: plain where that survives the way, else base64 of its UTF-8."""
    if _PLAIN.fullmatch(value) and not value.startswith(_PREFIX):
        return value
    return _PREFIX + base64.b64encode(value.encode()).decode("ascii") + _SUFFIX


def decode_value(value: str) -> str | None:
    """What a header value stands for, or None where it is malformed.

    A value without both ends of the wrapper stands for itself. Inside, only the one spelling that
    an encoder writes is read: standard alphabet, full padding, no spare bits.
    """
    wrapped = value.startswith(_PREFIX) and value.endswith(_SUFFIX)
    if not wrapped or len(value) < len(_PREFIX) + len(_SUFFIX):
        return value
    payload = value[len(_PREFIX) : -len(_SUFFIX)]
    try:
        decoded = base64.b64decode(payload, validate=True)
        text = decoded.decode("utf-8")
    except ValueError:  # not base64, not even ASCII, or not UTF-8 inside
        return None
    return text if base64.b64encode(decoded).decode("ascii") == payload else None


def parameters_of(input_schema: object) -> tuple[Parameter, ...]:
    """The parameters whose headers a tool's schema names.

    Empty where one annotation breaks the rules (a place or type that is not allowed, two of one
    name): clients leave such a tool out, so nobody sends its headers.
    """
    found: list[Parameter] = []
    for path, schema in _positions(input_schema):
        if ANNOTATION not in schema:
            continue
        token, kind = schema[ANNOTATION], schema.get("type")
        if not path or not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            return ()
        if not isinstance(kind, str) or kind not in _TYPES:
            return ()
        found.append(Parameter(path, PARAM_PREFIX + token.lower().encode("ascii"), kind))
    if len({parameter.header for parameter in found}) != len(found):
        return ()
    return tuple(found)


def mismatch(
    parameters: Parameters, arguments: Mapping[str, object], headers: Sequence[tuple[bytes, bytes]]
) -> str | None:
    """The first header that does not repeat its argument, as a sentence; None if all do."""
    for parameter in parameters:
        sent = [value for name, value in headers if name == parameter.header]
        shown = f"header `{parameter.header.decode('ascii')}`"
        if len(sent) > 1:
            return f"{shown} is given twice"
        value = _at(arguments, parameter.path)
        written = _written(value)
        if not sent:
            if written is not None:
                return f"{shown} is missing"
            continue
        if written is None:
            return f"{shown} repeats an argument that the body does not have"
        text = decode_value(spelled) if (spelled := _visible(sent[0])) is not None else None
        if text is None or not (text == written or _same_integer(parameter, value, text)):
            return f"{shown} differs from the argument that it repeats"
    return None


def mirrored_headers(message: Message, parameters: Parameters = ()) -> list[tuple[bytes, bytes]]:
    """`Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` of a modern message, built from its body."""
    headers = [(b"mcp-method", encode_value(message.method).encode("ascii"))]
    name = subject(message)
    if name is not None:
        headers.append((b"mcp-name", encode_value(name).encode("ascii")))
    arguments = as_object(message.params.get("arguments")) or {}
    for parameter in parameters if message.method == "tools/call" else ():
        written = _written(_at(arguments, parameter.path))
        if written is not None:
            headers.append((parameter.header, encode_value(written).encode("ascii")))
    return headers


def _visible(value: bytes) -> str | None:
    """A header value without the white space around it; None for other than visible ASCII.

    Such bytes are Latin-1 to one reader and UTF-8 to the next; an encoder writes base64 instead.
    """
    text = value.strip(b" \t").decode("latin-1")
    return text if text.isascii() and text.isprintable() else None


def _at(arguments: Mapping[str, object], path: Sequence[str]) -> object:
    value: object = arguments
    for key in path:
        members = as_object(value)
        if members is None:
            return None
        value = members.get(key)
    return value


def _written(value: object) -> str | None:
    """An argument as header text; None where it is absent, null or not a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal):
        return str(value)
    return None


def _same_integer(parameter: Parameter, value: object, text: str) -> bool:
    """`42` repeats 42.0 where an integer is declared. Decimals are compared, never expanded."""
    if parameter.type != "integer" or isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    if _DECIMAL.fullmatch(text) is None:
        return False
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number == Decimal(text)


def _positions(root: object) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, object]]]:
    """Every schema within `root`, with its path where only `properties` lead to it."""
    stack: list[tuple[tuple[str, ...] | None, object]] = [((), root)]
    while stack:
        path, node = stack.pop()
        schema = as_object(node)
        if schema is None:
            continue
        yield path, schema
        for key, value in schema.items():
            named = as_object(value)
            if key == "properties" and named is not None:
                stack += [(None if path is None else (*path, name), below) for name, below in named.items()]
            elif key in _ONE:
                stack.append((None, value))
            elif key in _LISTED and isinstance(value, list):
                stack += [(None, below) for below in cast("list[object]", value)]
            elif key in _NAMED and named is not None:
                stack += [(None, below) for below in named.values()]
