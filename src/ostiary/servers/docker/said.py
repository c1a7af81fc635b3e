"""Reading the JSON of an engine, of which any part may be null or missing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

Said = Mapping[str, Any]
"""An object of the engine."""


def part(found: Said, name: str) -> Said:
    """A member that is an object; an empty one where it is none."""
    value = found.get(name)
    return cast("Said", value) if isinstance(value, dict) else {}


def members(found: Said, name: str) -> list[Said]:
    """A member that is a list of objects."""
    return [cast("Said", one) for one in _items(found, name) if isinstance(one, dict)]


def texts(found: Said, name: str) -> list[str]:
    """A member that is a list of strings."""
    return [one for one in _items(found, name) if isinstance(one, str)]


def label_texts(found: Said) -> dict[str, str]:
    """The labels of a container, an image, a volume or a network."""
    return {str(name): str(value) for name, value in part(found, "Labels").items()}


def said(found: Said, name: str) -> str:
    """A member that is a string; an empty one where it is none."""
    value = found.get(name)
    return value if isinstance(value, str) else ""


def number(found: Said, name: str) -> int:
    """A member that is a number, as an integer; 0 where it is none."""
    value = found.get(name)
    return int(value) if isinstance(value, (int, float)) else 0


def _items(found: Said, name: str) -> list[Any]:
    value = found.get(name)
    return cast("list[Any]", value) if isinstance(value, list) else []
