"""One piece of code: its globals, the value of its last expression, its traceback."""

from __future__ import annotations
import __future__

import ast
import asyncio
import inspect
import linecache
import sys
import traceback
from collections.abc import Collection
from types import CodeType, ModuleType, TracebackType
from typing import Any, NamedTuple

from ostiary.sandbox.cpython.inside import show
from ostiary.sandbox.cpython.inside.attempt import attempt

_FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
"""The flags that `from __future__` in the statements hands on to the last expression."""

_MAX_MESSAGE = 16_384
_MAX_TRACEBACK = 131_072


class Outcome(NamedTuple):
    """What became of it: a value, or a fault as fields of the record, or a wish to leave."""

    value: object = None
    fault: dict[str, str] | None = None
    leaving: int | None = None


class Interpreter:
    """One `__main__`, for one run or for those of a session."""

    def __init__(self) -> None:
        self.main = ModuleType("__main__")
        self.names: dict[str, Any] = self.main.__dict__
        self._loop: asyncio.Runner | None = None
        sys.modules["__main__"] = self.main

    def run(self, code: str, name: str, plain: Collection[str] = ()) -> Outcome:
        """Run `code` in the globals of this interpreter. Whatever it raises is told, not raised.

        `plain` are functions that may be awaited on the spot although they are plain ones.
        """
        linecache.cache[name] = (len(code), None, f"{code}\n".splitlines(keepends=True), name)
        sys.argv = [name]
        value, error = attempt(lambda: self._evaluate(parts_of(code, name, plain)))
        if isinstance(error, SystemExit):
            return Outcome(leaving=_status(error.code))
        if error is not None:
            return Outcome(fault=fault_of(error, name))
        if value is not None:
            self.names["_"] = value
        return Outcome(value)

    def _evaluate(self, parts: list[CodeType]) -> object:
        value: object = None
        if any(part.co_flags & inspect.CO_COROUTINE for part in parts):
            self._loop = self._loop or asyncio.Runner()
            return self._loop.run(self._awaited(parts))
        for part in parts:
            value = eval(part, self.names)  # noqa: S307 - to run it is what it was sent for
        return value

    async def _awaited(self, parts: list[CodeType]) -> object:
        value: Any = None
        for part in parts:
            value = eval(part, self.names)  # noqa: S307 - as above
            if part.co_flags & inspect.CO_COROUTINE:
                value = await value
        return value


class _Plain(ast.NodeTransformer):
    """Takes the `await` from calls of functions that are plain ones."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def visit_Await(self, node: ast.Await) -> ast.expr:
        self.generic_visit(node)
        call = node.value
        plain = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in self._names
        return call if plain else node


def parts_of(code: str, name: str, plain: Collection[str] = ()) -> list[CodeType]:
    """The statements, and the last expression apart from them, so that its value is had."""
    tree = ast.parse(code, name)
    if plain:
        tree = _Plain(plain).visit(tree)
    allow = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    body = compile(tree, name, "exec", flags=allow, dont_inherit=True)
    if not isinstance(last, ast.Expr):
        return [body]
    flags = allow | (body.co_flags & _FUTURES)
    return [body, compile(ast.Expression(last.value), name, "eval", flags=flags, dont_inherit=True)]


def _status(code: object) -> int:
    """The exit status that Python gives for `sys.exit(code)`."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(show.as_text(code), file=sys.stderr)  # noqa: T201 - as Python does
    return 1


def fault_of(error: BaseException, name: str) -> dict[str, str]:
    """What was raised by the code called `name`, as fields of the record."""
    kind = type(error)
    own = "" if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}."
    message, _ = attempt(lambda: show.clean(str(error), _MAX_MESSAGE))
    trace, _ = attempt(lambda: _traceback(error, name))
    return {
        "category": "exception",
        "type": show.clean(own + kind.__qualname__, 200),
        "message": "<exception whose str() failed>" if message is None else message,
        "traceback": trace or "<the traceback cannot be shown>",
    }


def _traceback(error: BaseException, name: str) -> str:
    """As Python prints it, from the first frame of the code itself."""
    lines = traceback.format_exception(type(error), error, _from_first(error.__traceback__, name))
    return show.clean("".join(lines), _MAX_TRACEBACK)


def _from_first(trace: TracebackType | None, name: str) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename != name:
        trace = trace.tb_next
    return trace
