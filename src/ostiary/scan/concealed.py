"""What a configuration gives a server as a secret, taken out of all that the server says back. Pure.

Servers say it back in good faith: in a description, in the address of a resource, in a fault. Tools are
judged before, by what they really say, so no configuration can hide a word from that.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Final, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.classification import Classification, Described
from ostiary.sandbox.masks import LEAST, Masks
from ostiary.scan.clients.secrecy import clear_secrets, is_secret
from ostiary.scan.scanned import Target

_T = TypeVar("_T")
_NAMES: Final = frozenset({"name", "server"})
"""By which a tool is found: a rule about another name would be about nothing."""
_KEPT: Final = frozenset({"ambiguous", "digest", "raw"})


def masks_of(target: Target) -> Masks:
    """What of a configuration must not be shown, wherever it comes back."""
    given = [value for name, value in target.environment.items() if is_secret(name, value)]
    given += [value for _, value in target.headers]
    given += [value.rpartition(" ")[2] for _, value in target.headers]
    for place in clear_secrets(target):
        if place.startswith("args["):
            word = target.command[1 + int(place[5:-1])]
            given += [word, word.partition("=")[2]]
    for text in (*given, target.url):
        given = [*given, *_in_address(text)]
    return Masks(dict.fromkeys(each for each in given if len(each) >= LEAST), known=True)


def _in_address(text: str) -> list[str]:
    """The password and the values of an address: a server that connects there may name them alone."""
    if "://" not in text:
        return []
    try:
        parts = urlsplit(text)
        values = [value for key, value in parse_qsl(parts.query) if is_secret(key, value)]
        return [*values, *([parts.password, unquote(parts.password)] if parts.password else [])]
    except ValueError:
        return []


def concealed(value: _T, masks: Masks) -> _T:
    """`value` with every text in it masked, but for the names of tools."""
    return cast("_T", _concealed(value, masks)) if masks.forms else value


def _concealed(value: object, masks: Masks) -> object:
    if isinstance(value, str) and not isinstance(value, Enum):
        return masks.masked(value.encode(errors="surrogatepass")).decode(errors="surrogatepass")
    if isinstance(value, ToolDefinition):
        return replace(value, input_schema=_concealed(value.input_schema, masks))
    if isinstance(value, msgspec.Struct):
        kept = _KEPT | _NAMES if isinstance(value, Described | Classification) else _KEPT
        members = {
            name: _concealed(getattr(value, name), masks)
            for name in value.__struct_fields__
            if name not in kept
        }
        return msgspec.structs.replace(value, **members)
    if isinstance(value, tuple):
        return tuple(_concealed(each, masks) for each in cast("tuple[object, ...]", value))
    if isinstance(value, list):
        return [_concealed(each, masks) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _concealed(each, masks) for key, each in cast("dict[object, object]", value).items()}
    return value
