"""Before any tool is called: whether Monty can run some code, and what is wrong with its calls of tools.

The code is handed to Monty behind a first line that calls out and is never answered: so it is read and
compiled whole, and not a word of it runs.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from ostiary.sandbox.inner import CALL_TOOL, TOOL_ERROR
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.monty.process import MontyProcess
from ostiary.sandbox.toolbox import Toolbox

_FIRST: Final = "__ostiary_first__"
_OWN_STUBS: Final = f"""
import typing
def {CALL_TOOL}(name: str, arguments: dict[str, typing.Any] = ...) -> typing.Any: ...
{TOOL_ERROR} = RuntimeError
def {_FIRST}() -> None: ...
"""
_OF_CALLS: Final = frozenset(
    {
        "invalid-argument-type",
        "missing-argument",
        "no-matching-overload",
        "parameter-already-assigned",
        "positional-only-parameter-as-kwarg",
        "too-many-positional-arguments",
        "unknown-argument",
    }
)
"""The checker's complaints about a call. Others are often wrong about code that is loose with types."""
_CERTAIN: Final = _OF_CALLS - {"invalid-argument-type", "no-matching-overload"}
"""Of these a call cannot succeed; a server may take another type than it says."""
_CALLS_BACK: Final = frozenset({"filter", "map", "max", "min", "sorted", "sort"})
"""Functions in which Monty cannot wait for a tool that they call."""
_LONG: Final = 20_000
"""Characters of code that are read on the spot; more would keep others waiting."""
_MAX_NAMES: Final = 200
_MAX_MISTAKES: Final = 20
_NOT_YET: Final = "NotImplementedError"


class Checked(msgspec.Struct, frozen=True):
    """`needs_cpython` says why Monty cannot run the code, if so; `mistakes` are of calls of tools.

    The `certain` among them are of calls that do not fit their function at all; the others have an argument
    of another type than the function says.
    """

    needs_cpython: str | None = None
    mistakes: tuple[str, ...] = ()
    certain: tuple[str, ...] = ()


class Checker:
    """Remembers which modules Monty has: of a program they are always the same."""

    def __init__(self) -> None:
        self._imports: dict[str, str | None] = {}

    async def check(self, process: MontyProcess, code: str, tools: Toolbox | None, limits: Limits) -> Checked:
        """See `MontyRunner.check`. A process that this breaks is marked so."""
        if len(code) > _LONG:
            tree, reason = await asyncio.to_thread(_read, code, tools)
        else:
            tree, reason = _read(code, tools)
        reason = reason or await self._unsupported(process, code, limits)
        if reason is None and tree is not None:
            reason = await self._missing_module(process, tree, limits)
        found = await self._mistakes(process, code, tree, tools, limits) if tools is not None else ()
        return Checked(reason, tuple(said for said, _ in found), tuple(said for said, sure in found if sure))

    @staticmethod
    async def _unsupported(process: MontyProcess, code: str, limits: Limits) -> str | None:
        import pydantic_monty as pm  # noqa: PLC0415 - a tenth of a second

        try:
            async with _only(process, limits) as session:
                await session.feed_start(f"{_FIRST}()\n{_text(code)}")
        except pm.MontyRuntimeError as error:
            kind, _, message = error.display("type-msg").partition(": ")
            return message if kind == _NOT_YET else None
        except pm.MontySyntaxError:
            return None  # wrong in any Python; the run says where
        except pm.MontyError as error:
            process.broken = True
            return f"Monty cannot read it: {error}"[:300]
        return None

    async def _missing_module(self, process: MontyProcess, tree: ast.Module, limits: Limits) -> str | None:
        import pydantic_monty as pm  # noqa: PLC0415 - as above

        statements = sorted(set(_imports(tree)))[:_MAX_NAMES]
        wanted = [one for one in statements if one not in self._imports]
        if wanted:
            async with _only(process, limits) as session:
                for one in wanted:
                    try:
                        await session.feed_run(one)
                        self._imports[one] = None
                    except pm.MontyCrashedError:
                        process.broken = True
                        return "Monty cannot import what it needs"
                    except pm.MontyError as error:
                        self._remember(one, f"Monty has no `{one}`: {error}"[:300])
        return next((why for one in statements if (why := self._imports.get(one)) is not None), None)

    def _remember(self, statement: str, why: str) -> None:
        if len(self._imports) > _MAX_NAMES * 10:  # what somebody makes up is not kept for ever
            self._imports.clear()
        self._imports[statement] = why

    @staticmethod
    async def _mistakes(
        process: MontyProcess, code: str, tree: ast.Module | None, tools: Toolbox, limits: Limits
    ) -> tuple[tuple[str, bool], ...]:
        import pydantic_monty as pm  # noqa: PLC0415 - as above

        used = (
            {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} if tree is not None else None
        )
        if not tools.stubs or (used is not None and not used & tools.names):
            return ()
        more = {"type_check": True, "type_check_stubs": tools.stubs + _OWN_STUBS, "type_check_format": "json"}
        try:
            async with _only(process, limits, **more) as session:
                await session.feed_start(f"{_FIRST}()\n{_text(code)}")
        except pm.MontyTypingError as error:
            return _about_tools(error.display(), tools)
        except pm.MontyCrashedError:
            process.broken = True
        except pm.MontyError:
            pass
        return ()


def _only(process: MontyProcess, limits: Limits, **more: Any) -> Any:
    short = msgspec.structs.replace(limits, cpu_ms=min(limits.cpu_ms, 2_000))
    return process.checkout(short, **more)


def _text(code: str) -> str:
    return code.encode("utf-8", "replace").decode()


def _read(code: str, tools: Toolbox | None) -> tuple[ast.Module | None, str | None]:
    """The code as a tree, and why Monty cannot make its calls, if so."""
    tree = _parsed(code)
    return tree, _calls_back(tree, tools) if tree is not None else None


def _parsed(code: str) -> ast.Module | None:
    """As this Python reads it; None for syntax that is newer, or that is none."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse(code)
    return None


def _imports(tree: ast.Module) -> Iterator[str]:
    """Each import as a statement of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {one.name}" for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"from {node.module} import {one.name}" for one in node.names)


def _calls_back(tree: ast.Module, tools: Toolbox | None) -> str | None:
    """Whether tools are called from within functions in which Monty cannot wait for them."""
    if tools is None:
        return None
    calling = _calling(tree, tools.names | {CALL_TOOL})
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in _CALLS_BACK:
            continue
        for given in [*node.args[:1], *(one.value for one in node.keywords if one.arg == "key")]:
            inside = ast.walk(given) if isinstance(given, ast.Lambda) else [given]
            if any(isinstance(one, ast.Name) and one.id in calling for one in inside):
                return f"Monty cannot call a tool from within `{name}`"
    return None


def _calling(tree: ast.Module, names: frozenset[str]) -> set[str]:
    """The names of tools, and of functions of the code that use them."""
    users: dict[str, set[str]] = {}  # the functions that use a name
    open_ones: list[tuple[ast.AST, tuple[str, ...]]] = [(tree, ())]
    while open_ones:
        node, within = open_ones.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            within = (*within, node.name)  # not many: no parser takes a hundred of them
        elif isinstance(node, ast.Name):
            users.setdefault(node.id, set()).update(within)
        open_ones += [(child, within) for child in ast.iter_child_nodes(node)]
    found, next_ones = set(names), list(names)
    while next_ones:
        more = users.get(next_ones.pop(), set()) - found
        found |= more
        next_ones += more
    return found


def _near(code: object, named: list[str], tools: Toolbox) -> str:
    """The parameter that somebody may have meant."""
    if code != "unknown-argument":
        return ""
    for name in named:
        stub = re.search(rf"^def {re.escape(name)}\((.*)\)", tools.stubs, re.MULTILINE)
        if stub is not None:
            near = get_close_matches(named[0], re.findall(r"(\w+):", stub[1]), n=1)
            return f"; did you mean `{near[0]}`" if near else ""
    return ""


def _about_tools(report: str, tools: Toolbox) -> tuple[tuple[str, bool], ...]:
    """The complaints that are about calls of tools, each with its line, and whether it is certain."""
    try:
        listed: list[dict[str, Any]] = json.loads(report)
    except ValueError:
        return ()
    told: list[tuple[str, bool]] = []
    for one in listed:
        message, place = str(one.get("message", "")), one.get("location", {})
        named = re.findall(r"`([^`]+)`", message)
        if one.get("code") not in _OF_CALLS or not tools.names.intersection(named):
            continue
        where = f"line {place.get('row', 0) - 1}, column {place.get('column', 0)}"
        near = _near(one.get("code"), named, tools)
        told.append((f"{where}: {message}{near}", one.get("code") in _CERTAIN))
    return tuple(told[:_MAX_MISTAKES])
