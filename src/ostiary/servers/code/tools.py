"""What one run may call: the functions it asked for, and a good word about the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.servers.code.find import nearest
from ostiary.servers.code.functions import Function, letters, matched

Make = Callable[[Function, Mapping[str, Any]], Awaitable[Any]]
"""Makes one call; raises ToolFault and ToolHeld."""
Look = Callable[[str, Sequence[Any]], Awaitable[Any]]
"""Answers one of `LOOKING` by its name and arguments; raises ToolFault."""

LOOKING: Final[Mapping[str, tuple[tuple[str, str, Any], ...]]] = {
    "search_tools": (("query", "str", ""), ("limit", "int", 10)),
    "list_servers": (),
    "tool_details": (("name", "str", None),),
}
"""Functions with which code finds tools: their parameters with types and defaults, None for none."""
_STUBS: Final = "".join(
    f"def {name}("
    + ", ".join(f"{one}: {kind}" + ("" if usual is None else " = ...") for one, kind, usual in takes)
    + ") -> Any: ...\n"
    for name, takes in LOOKING.items()
)
NO_WAIT: Final = (
    "this run cannot wait for that: run the code again once a person has approved it, and this same call is "
    "let through; what it called before is in tool_calls and would be called again"
)
MAX_GUESSED: Final = 10
"""Names of one run for which one that comes near is looked for."""
_KINDS: Final[Mapping[str, type]] = {"str": str, "int": int}


class Asked(msgspec.Struct, frozen=True):
    """For what a run asked: in the call `parent`, functions of `servers` and those called `names`."""

    parent: str = ""
    servers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    session: str | None = None


async def _nowhere(name: str, _given: Sequence[Any]) -> Any:
    raise ToolFault(f"{name} is not to be had here")


class Tools:
    """Implements `Toolbox`."""

    def __init__(
        self,
        bound: Mapping[str, Function],
        known: Mapping[str, Function],
        offered: Sequence[str],
        make: Make,
        *,
        look: Look = _nowhere,
        asked: Asked | None = None,
    ) -> None:
        """`bound` may be called, `known` is all that there is, of servers called `offered`."""
        self.asked = asked or Asked()
        self.pauses = True
        """Whether the run can wait for a person; otherwise a call that has to wait has failed."""

        self._look = look
        self._guessed: dict[str, list[str]] = {}
        self._bound = bound
        self._known = known
        self._offered = offered
        self._make = make

    @property
    def stubs(self) -> str:
        """Their declarations."""
        return "".join(f"{one.stub}\n" for one in self._bound.values()) + _STUBS

    @property
    def names(self) -> frozenset[str]:
        """What may be called."""
        return frozenset(self._bound) | LOOKING.keys()

    def spelled(self, name: str) -> str:
        """A tool's own name as that of its function, where one function alone has it."""
        if name in self.names:
            return name
        found = [one.name for one in self._bound.values() if one.tool == name]
        return found[0] if len(found) == 1 else name

    @property
    def servers(self) -> Mapping[str, str]:
        """Whose each of them is."""
        return {name: one.server for name, one in self._bound.items()}

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Make one call; see `Toolbox.call`."""
        if name in LOOKING:
            return await self._look(name, _given(name, positional, named))
        function = self._bound.get(name)
        if function is None:
            raise ToolFault(self.missing(name) or f"there is no tool `{name}`")
        arguments = matched(function, positional, named)
        if isinstance(arguments, str):
            raise ToolFault(arguments)
        try:
            return await self._make(function, arguments)
        except ToolHeld as held:
            if self.pauses:
                raise
            raise ToolFault(f"{held.message}; {NO_WAIT}", held.code) from held

    def missing(self, name: str) -> str | None:
        """What is missing for `name`; see `Toolbox.missing`."""
        if name in self._bound or name in LOOKING:
            return None
        known = self._known.get(name)
        if known is not None:
            return (
                f"{name} was not asked for: add `{name}` to required_tools, "
                f"or `{known.server}` to mcp_server_names"
            )
        if not name.startswith("mcp_"):
            return None
        near: list[str] = []
        if name in self._guessed or len(self._guessed) < MAX_GUESSED:  # code may use thousands of names
            near = self._guessed.setdefault(name, [])
            near[:] = near or nearest(name, self._known)
        if near:
            return f"there is no tool {name}; did you mean `{near[0]}`"
        servers = ", ".join(self._offered) or "none"
        return f"there is no tool {name}; the servers are {servers}, and searchTools finds tools"


def _given(name: str, positional: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
    """The arguments of a function that looks, in order. Raises ToolFault for what does not fit."""
    takes = LOOKING[name]
    known = [one for one, _, _ in takes]
    if len(positional) > len(takes) or [one for one in named if one not in known[len(positional) :]]:
        raise ToolFault(f"{name}() takes {', '.join(known) or 'nothing'}")
    given = dict(zip(known, positional, strict=False)) | dict(named)
    for one, kind, usual in takes:
        value = given.setdefault(one, usual)
        if not isinstance(value, _KINDS[kind]) or isinstance(value, bool):
            raise ToolFault(f"{name}(): `{one}` has to be {kind}")
    return [given[one] for one in known]


def bind(
    known: Mapping[str, Function], servers: Sequence[str], names: Sequence[str], offered: Sequence[str]
) -> dict[str, Function]:
    """The functions of `servers` and those called `names`, nothing else. Raises CallerFault."""
    spelled = {letters(one): one for one in offered} | {one: one for one in offered}
    chosen: set[str] = set()
    for server in servers:
        if server not in spelled:
            near = nearest(server, spelled)
            known_ones = ", ".join(offered) or "none"
            raise CallerFault(
                f"mcp_server_names: there is no server `{server[:80]}`",
                hint=f"did you mean `{near[0]}`" if near else f"the servers are {known_ones}",
            )
        chosen.add(spelled[server])
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise CallerFault(
                f"required_tools: there is no tool `{name[:160]}`",
                hint=f"did you mean `{near[0]}`" if near else "searchTools finds tools",
            )
    return {name: one for name, one in known.items() if one.server in chosen or name in names}
