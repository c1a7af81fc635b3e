"""Names of tools in code that mean nothing, found before any of it runs. Pure."""

from __future__ import annotations

import ast
from typing import Final

from ostiary.sandbox.request import RunRequest

MAX_TEXT: Final = 64 << 10
"""Characters of code that are read here; of longer code the run itself tells."""
_MOST: Final = 20


def unknown_names(request: RunRequest) -> tuple[str, ...]:
    """What is missing for each name that code uses as a function of a tool and that is none."""
    tools, code = request.tools, request.code
    if tools is None or "mcp_" not in code or len(code) > MAX_TEXT:
        return ()
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()  # the run says where
    called = [one.func for one in ast.walk(tree) if isinstance(one, ast.Call)]
    used = [one for one in called if isinstance(one, ast.Name) and one.id.startswith("mcp_")]
    known = _defined(tree) | request.context.keys()
    told: dict[str, str] = {}
    for one in used:
        if one.id not in known and one.id not in told and len(told) < _MOST:
            why = tools.missing(one.id)
            if why is not None:
                told[one.id] = f"line {one.lineno}, column {one.col_offset + 1}: {why}"
    return tuple(told.values())


def _defined(tree: ast.Module) -> set[str]:
    """What the code itself gives a meaning, anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found
