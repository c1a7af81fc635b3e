"""A value as people and programs can read it: text, JSON text where it is JSON, images."""

from __future__ import annotations

import io
import json
import math
import sys
from typing import Any, Final

from ostiary.sandbox.cpython.inside.attempt import attempt

MAX_TEXT: Final = 1 << 20
"""Characters of a value's text. Its JSON text is left out beyond this, since half of it is none."""

_MAX_DEPTH = 200


def as_text(value: object) -> str:
    """`repr`, or the string itself for a str; bounded, and never an exception of the value's own."""
    if type(value) is str:
        return clean(value)
    text, error = attempt(lambda: clean(repr(value)))
    return f"<{type(value).__name__} whose repr raised {type(error).__name__}>" if text is None else text


def clean(text: str, most: int = MAX_TEXT) -> str:
    """At most `most` characters, with what UTF-8 cannot say written as escapes.

    Where something was left out, a few words more say so.
    """
    told = text[:most].encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) > most:
        return f"{told[:most]}… ({len(text) - most} more characters)"
    return told if len(told) <= most else f"{told[:most]}…"


def as_json(value: object) -> str | None:
    """JSON text that says exactly this value, or None: NaN, keys that are no text, and objects are none."""
    try:
        if not _is_json(value, _MAX_DEPTH):
            return None
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
    except (ValueError, RecursionError, MemoryError):  # an integer too long to print, half a character
        return None
    return text if len(text) <= MAX_TEXT else None


def _is_json(value: Any, depth: int) -> bool:
    kind = _kind(value)
    if value is None or kind in (bool, int, str):
        return True
    if kind is float:
        return math.isfinite(value)
    if depth == 0:
        return False
    if kind in (list, tuple):
        return all(_is_json(one, depth - 1) for one in value)
    if kind is dict:
        return all(type(key) is str and _is_json(one, depth - 1) for key, one in value.items())
    return False


def _kind(value: object) -> type[object]:
    """Its very type: a subclass may say something else of itself."""
    return type(value)


def images(value: object) -> list[tuple[str, bytes]]:
    """What matplotlib's open figures and the value look like: file names and contents.

    An image is a courtesy: one that cannot be drawn is left out.
    """
    figures, _ = attempt(_figures)
    look, _ = attempt(lambda: _look(value))
    return [*(figures or []), *(look or [])]


def _look(value: object) -> list[tuple[str, bytes]]:
    png = _call(value, "_repr_png_")
    if isinstance(png, bytes):
        return [("result.png", png)]
    html = _call(value, "_repr_html_")
    return [("result.html", html.encode("utf-8", "replace"))] if isinstance(html, str) else []


def _call(value: object, method: str) -> object:
    # Looked up on the type: an object that answers to every name shows nothing by that.
    shows = getattr(type(value), method, None)
    return shows(value) if callable(shows) else None


def _figures() -> list[tuple[str, bytes]]:
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    drawn: list[tuple[str, bytes]] = []
    for number in pyplot.get_fignums():
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, format="png")
        drawn.append((f"figure-{number}.png", file.getvalue()))
    pyplot.close("all")
    return drawn
