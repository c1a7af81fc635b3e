"""The digest that stands for a tool definition: equal exactly when the definitions are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import cast

import msgspec

from ostiary.policy.definition import ToolDefinition

# A number stays a number: as text, `1.10` and `"1.10"` would have one digest.
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode

_SPELLED = re.compile(rb"[:\[,]-?[0-9]+[.eE]")
"""A number with a fraction or an exponent; also some texts, which costs only time."""


def canonical(value: object) -> bytes:
    """Canonical JSON of a strictly parsed value: keys sorted, no white space, each number in one spelling.

    The strict reader keeps some fractions as floats and others as decimals, depending on the text
    around them. The same definition must not have two digests for that: `1e-7` is `1E-7` in both.
    """
    text = _encode(value)
    return text if _SPELLED.search(text) is None else _encode(_spelled(value))


def _spelled(value: object) -> object:
    if type(value) is float:
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: _spelled(each) for key, each in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list):
        return [_spelled(each) for each in cast("list[object]", value)]
    return value


def digest_of(text: bytes) -> str:
    """`sha256:<hex>` of a canonical text."""
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def definition(name: str, raw: bytes, value: Mapping[str, object]) -> ToolDefinition:
    """A tool definition with the digest of its canonical JSON."""
    return ToolDefinition(name, digest_of(canonical(value)), value.get("inputSchema"), raw)
