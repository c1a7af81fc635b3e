"""Answers about the project's addresses."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from ostiary.sandbox.django.inside.about import source_of
from ostiary.sandbox.django.inside.reach import module

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT", "OPTIONS", "TRACE")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def routes(method: str | None, name: str | None, pattern: str | None) -> list[dict[str, Any]]:
    """Every route that has all of these in it. A view that does not say its methods may take any."""
    return [
        one
        for one in _walk(module("django.urls").get_resolver().url_patterns, "", None)
        if (not method or not one["view"]["methods"] or method in one["view"]["methods"])
        and (name is None or name in (one["name"] or ""))
        and (pattern is None or pattern in one["pattern"])
    ]


def _walk(patterns: Any, before: str, space: str | None) -> Iterator[dict[str, Any]]:
    for one in patterns:
        whole = before + str(one.pattern)
        nested = getattr(one, "url_patterns", None)
        if nested is not None:
            inner = ":".join(part for part in (space, one.namespace) if part) or None
            yield from _walk(nested, whole, inner)
            continue
        yield {
            "pattern": whole,
            "name": one.name,
            "namespace": space,
            "parameters": _PARAMETER.findall(whole),
            "view": _view(one.callback),
        }


def _view(callback: Any) -> dict[str, Any]:
    target = getattr(callback, "view_class", None) or inspect.unwrap(callback)
    home = getattr(target, "__module__", None) or type(target).__module__
    label = getattr(target, "__qualname__", None) or type(target).__qualname__
    told: dict[str, Any] = {"name": f"{home}.{label}", "source_path": source_of(target)}
    if inspect.isclass(target):
        methods = [one for one in _METHODS if hasattr(target, one.lower())]
        bases = [base.__name__ for base in target.__bases__ if base is not object]
        return told | {"type": "class", "methods": methods, "class_bases": bases}
    return told | {"type": "function", "methods": _of_decorator(callback)}


def _of_decorator(callback: Any) -> list[str]:
    """What `require_http_methods` was told: it keeps that to itself, in the cells of its closure."""
    while callback is not None:
        for cell in getattr(callback, "__closure__", None) or ():
            content = _words(cell)
            if content and all(one in _METHODS for one in content):
                return [one for one in _METHODS if one in content]
        callback = getattr(callback, "__wrapped__", None)
    return []


def _words(cell: Any) -> list[Any]:
    try:
        content = cell.cell_contents
    except ValueError:  # not filled yet
        return []
    return list(content) if type(content) in {list, tuple} else []
