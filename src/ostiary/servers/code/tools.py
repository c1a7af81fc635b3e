"""What one run may call: the functions it asked for, and a good word about the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ostiary.errors import CallerFault
from ostiary.sandbox.toolbox import ToolFault
from ostiary.servers.code.functions import Function, letters, matched

Make = Callable[[Function, Mapping[str, Any]], Awaitable[Any]]
"""Makes one call; raises ToolFault and ToolHeld."""


class Tools:
    """Implements `Toolbox`."""

    def __init__(
        self, bound: Mapping[str, Function], known: Mapping[str, Function], offered: Sequence[str], make: Make
    ) -> None:
        """`bound` may be called, `known` is all that there is, of servers called `offered`."""
        self._bound = bound
        self._known = known
        self._offered = offered
        self._make = make

    @property
    def stubs(self) -> str:
        """Their declarations."""
        return "".join(f"{one.stub}\n" for one in self._bound.values())

    @property
    def names(self) -> frozenset[str]:
        """What may be called."""
        return frozenset(self._bound)

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Make one call; see `Toolbox.call`."""
        function = self._bound.get(name)
        if function is None:
            raise ToolFault(self.missing(name) or f"there is no tool `{name}`")
        arguments = matched(function, positional, named)
        if isinstance(arguments, str):
            raise ToolFault(arguments)
        return await self._make(function, arguments)

    def missing(self, name: str) -> str | None:
        """What is missing for `name`; see `Toolbox.missing`."""
        if name in self._bound:
            return None
        known = self._known.get(name)
        if known is not None:
            return (
                f"{name} was not asked for: add `{name}` to required_tools, "
                f"or `{known.server}` to mcp_server_names"
            )
        if not name.startswith("mcp_"):
            return None
        near = get_close_matches(name, self._known, n=1)
        if near:
            return f"there is no tool {name}; did you mean `{near[0]}`"
        servers = ", ".join(self._offered) or "none"
        return f"there is no tool {name}; the servers are {servers}, and searchTools finds tools"


def bind(
    known: Mapping[str, Function], servers: Sequence[str], names: Sequence[str], offered: Sequence[str]
) -> dict[str, Function]:
    """The functions of `servers` and those called `names`, nothing else. Raises CallerFault."""
    spelled = {letters(one): one for one in offered} | {one: one for one in offered}
    chosen: set[str] = set()
    for server in servers:
        if server not in spelled:
            near = get_close_matches(server, spelled, n=1)
            known_ones = ", ".join(offered) or "none"
            raise CallerFault(
                f"mcp_server_names: there is no server `{server[:80]}`",
                hint=f"did you mean `{near[0]}`" if near else f"the servers are {known_ones}",
            )
        chosen.add(spelled[server])
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise CallerFault(
                f"required_tools: there is no tool `{name[:160]}`",
                hint=f"did you mean `{near[0]}`" if near else "searchTools finds tools",
            )
    return {name: one for name, one in known.items() if one.server in chosen or name in names}
