"""What comes out of the interpreter, bounded: a small value there may be an endless one here. Pure.

One list that holds the next one a hundred times, ten deep, takes a kilobyte in there, and its text
would fill this process. So everything is counted, part by part and as often as it occurs, before it
is turned into text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from ostiary.sandbox.record import Value

MAX_JSON: Final = 16 << 20
"""Characters of what goes to a tool, comes from one, or is read back by name."""
MAX_TEXT: Final = 1 << 20
"""Characters of the value of a run."""
_MAX_DEPTH: Final = 200
_MAX_PARTS: Final = 2_000_000


def size(value: Any, most: int = MAX_JSON) -> int | None:
    """About how many characters a value's text has; None for more than `most`, or more than 200 deep."""
    total = parts = 0
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for one in level:
            parts += 1
            total += _own(one)
            if total > most or parts > _MAX_PARTS:
                return None
            below.extend(_inside(one))
            if len(below) > _MAX_PARTS:
                return None
        if not below:
            return total
        level = below
    return None


def _own(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value) + 2
    return value.bit_length() // 3 + 2 if isinstance(value, int) else 4


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        both = cast("dict[Any, Any]", value)
        return [*both.keys(), *both.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return cast("Iterable[Any]", value)
    attributes = getattr(value, "attributes", None)  # what an object in there is shown as
    return [attributes] if isinstance(attributes, dict) else ()


def as_json(value: Any, most: int = MAX_JSON) -> str | None:
    """JSON text that says exactly this value, or None: NaN, keys that are no text, and objects are none."""
    if size(value, most) is None or not _is_json(value):
        return None
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError):
        return None
    return text if len(text) <= most else None


def _is_json(value: Any) -> bool:
    """Of a value that `size` has found bounded."""
    kind = _kind(value)
    if value is None or kind in (bool, int, str):
        return True
    if kind is float:
        return math.isfinite(value)
    if kind in (list, tuple):
        return all(_is_json(one) for one in value)
    if kind is dict:
        return all(isinstance(key, str) and _is_json(one) for key, one in value.items())
    return False


def _kind(value: object) -> type[object]:
    return type(value)


def shown(value: Any) -> Value | None:
    """The value of a run, as its record has it; None for None."""
    if value is None:
        return None
    return Value(_text(value), as_json(value, MAX_TEXT))


def _text(value: Any) -> str:
    if size(value, MAX_TEXT) is None:
        if isinstance(value, str):
            return f"{value[:MAX_TEXT]}… ({len(value) - MAX_TEXT} more characters)"
        return f"<{type(value).__name__} that is too large to show>"
    if isinstance(value, str):
        return value
    attributes: Any = getattr(value, "attributes", None)
    if isinstance(attributes, Mapping) and hasattr(value, "name"):
        fields = cast("Mapping[str, Any]", attributes)
        return f"{value.name}({', '.join(f'{name}={one!r}' for name, one in fields.items())})"
    if hasattr(value, "kind") and hasattr(value, "name"):  # a function or a type of Monty's own
        return f"<{value.kind} {value.name}>"
    try:
        return repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"<{type(value).__name__} that is too large to show>"
