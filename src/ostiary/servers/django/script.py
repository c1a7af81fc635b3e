"""A history as a script: its imports once at the top, then its steps. Pure."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from ostiary.servers.django.history import Step

NOTHING: Final = "# No history to export\n"
MAX_STEP: Final = 64 << 10
"""Characters of a step that is taken apart; a longer one stands in the script as it was run."""

MAX_TAKEN_APART: Final = 256 << 10
"""Characters of all steps that are taken apart, which takes some microseconds each."""

_AWAITS: Final = "# Some steps await where only an asynchronous shell can, such as `python -m asyncio`."


def script(steps: Sequence[Step]) -> str:
    """The script of steps that succeeded. Every import stands in it once, and in no step but a long one."""
    if not steps:
        return NOTHING
    imports: set[str] = set()
    bodies: list[str] = []
    awaits = False
    left = MAX_TAKEN_APART
    for step in steps:
        size = len(step.code)
        short = size <= min(MAX_STEP, left)
        left -= size if short else 0
        body, found, awaiting = _taken_apart(step.code) if short else _whole(step.code)
        imports |= found
        awaits = awaits or awaiting
        bodies.append(body)
    lines = ["# Django Shell Session Export", f"# Generated: {_time(steps[-1].started)}"]
    lines += [_AWAITS] if awaits else []
    lines += ["", *sorted(imports, key=lambda line: (not line.startswith("from __future__ "), line))]
    parts = ["\n".join(lines).rstrip()]
    kept = [body for body in bodies if body]
    parts += [f"# Step {number}\n{body}" for number, body in enumerate(kept, 1)]
    return "\n\n".join(parts) + "\n"


def _time(started: int) -> str:
    return datetime.fromtimestamp(started / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _taken_apart(code: str) -> tuple[str, set[str], bool]:
    """A step without its top-level imports, those imports, and whether it awaits outside a function."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _whole(code)
    imports = {ast.unparse(one) for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom)}
    return _without_imports(code, tree.body), imports, any(_awaits(one) for one in tree.body)


def _whole(code: str) -> tuple[str, set[str], bool]:
    """A step that is not taken apart."""
    return code.strip("\n"), set(), False


def _awaits(node: ast.AST) -> bool:
    """Whether there is an `await` in it that is in no function."""
    left = [node]  # and no recursion: a sum of a thousand terms is that deep
    while left:
        one = left.pop()
        if isinstance(one, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            left += ast.iter_child_nodes(one)
    return False


def _without_imports(code: str, body: Sequence[ast.stmt]) -> str:
    """`code` without the imports among its statements, and without the lines that held nothing else."""
    lines = code.encode().splitlines(keepends=True)  # bytes: their lines are those of the parser
    for index, one in reversed(list(enumerate(body))):
        if isinstance(one, ast.Import | ast.ImportFrom):
            following = body[index + 1] if index + 1 < len(body) else None
            _cut(lines, one, following, alone=not index or _end(body[index - 1]) < one.lineno)
    return b"".join(lines).decode().strip("\n")


def _cut(lines: list[bytes], one: ast.stmt, following: ast.stmt | None, *, alone: bool) -> None:
    """Take one import out. What stands after it on its last line stays, and so does what is before it."""
    first, last = one.lineno - 1, _end(one) - 1
    before = b"" if alone else lines[first][: one.col_offset]
    after = b""
    if following is not None and following.lineno - 1 == last:
        after = lines[last][following.col_offset :]
    if after.strip():
        lines[first : last + 1] = [before + after]
    elif before:
        lines[first : last + 1] = [before.rstrip().removesuffix(b";").rstrip() + b"\n"]
    else:
        del lines[first : last + 1]


def _end(one: ast.stmt) -> int:
    return one.end_lineno or one.lineno
