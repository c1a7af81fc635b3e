"""Toolboxes for tests: functions of the test's own under names of tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ostiary.sandbox.toolbox import ToolFault

Function = Callable[..., Any]


class Shelf:
    """A `Toolbox` of plain or async functions; `calls` has what was asked of it, in order.

    `unbound` are names that exist and were not asked for, each with what to tell.
    """

    def __init__(
        self, functions: Mapping[str, Function], *, stubs: str = "", unbound: Mapping[str, str] | None = None
    ) -> None:
        self._functions = functions
        self._unbound = unbound or {}
        self.stubs = stubs
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._functions)

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        self.calls.append((name, positional, dict(named)))
        function = self._functions[name]
        try:
            made = function(*positional, **named)
        except TypeError as error:
            raise ToolFault(str(error), -32602) from error
        return await made if inspect.isawaitable(made) else made

    def spelled(self, name: str) -> str:
        return name

    def missing(self, name: str) -> str | None:
        return self._unbound.get(name)
