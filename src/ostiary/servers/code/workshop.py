"""What all owners share: servers, engines; and each owner's view of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault, OstiaryError
from ostiary.policy.definition import ToolDefinition
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.servers.code.conversation import Behind, Conversation
from ostiary.servers.code.functions import Function, functions_of, letters
from ostiary.servers.code.tools import Tools, bind

MAX_OWNERS: Final = 64

Choose = Callable[[RunRequest], Awaitable[Engine]]
"""The engine for some code, decided before any of it runs. Raises CallerFault where none will do."""


class View(msgspec.Struct, frozen=True):
    """What an owner can call: functions by name, and why some servers could not be asked."""

    functions: Mapping[str, Function]
    unreachable: Mapping[str, str]


class Workshop:
    """Everything that the tools of code mode work with."""

    def __init__(
        self, behind: Sequence[Behind], engines: Sequence[Engine], choose: Choose, version: str
    ) -> None:
        self.engines = tuple(engines)
        self.choose = choose
        self.names = tuple(one.name for one in behind)
        self._behind = {one.name: one for one in behind}
        self._version = version
        self._talks: dict[str, dict[str, Conversation]] = {}

    async def view(self, owner: str, parent: str, servers: Sequence[str] | None = None) -> View:
        """What `owner` can call of `servers`, all of them for None. Servers are asked at the same time."""
        wanted = [name for name in self.names if servers is None or name in servers]
        answers = await asyncio.gather(*(self._tools(name, owner, parent) for name in wanted))
        listed: dict[str, Sequence[ToolDefinition]] = {}
        unreachable: dict[str, str] = {}
        for name, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, str):
                unreachable[name] = answer
            else:
                listed[name] = answer
        return View(functions_of(listed), unreachable)

    async def tools(
        self, owner: str, parent: str, servers: Sequence[str], names: Sequence[str], code: str, until: float
    ) -> Tools:
        """What `code` may call, until that time of the loop. Raises CallerFault for what there is not.

        Code that calls nothing waits for no server.
        """
        needed = servers or names or "mcp_" in code
        view = await self.view(owner, parent) if needed else View({}, {})
        why = "; ".join(f"{name}: {said}" for name, said in view.unreachable.items())
        try:
            bound = bind(view.functions, servers, names, self.names)
        except CallerFault as fault:
            told = f"{fault.message}; could not be asked: {why}" if why else fault.message
            raise CallerFault(told, hint=fault.hint) from None
        if any(letters(name) in {letters(one) for one in servers} for name in view.unreachable):
            raise CallerFault(f"mcp_server_names: could not be asked: {why}")
        return Tools(bound, view.functions, self.names, partial(self._make, owner, parent, until))

    async def call(self, function: Function, arguments: Mapping[str, Any], owner: str, parent: str) -> Any:
        """Call one tool. Raises ToolFault."""
        until = asyncio.get_running_loop().time() + 300
        return await self._make(owner, parent, until, function, arguments)

    async def close(self) -> None:
        """Leave every server."""
        talks = [talk for each in self._talks.values() for talk in each.values()]
        self._talks.clear()
        await asyncio.gather(*(talk.leave() for talk in talks), return_exceptions=True)

    async def _make(
        self, owner: str, parent: str, until: float, function: Function, arguments: Mapping[str, Any]
    ) -> Any:
        seconds = max(0.1, until - asyncio.get_running_loop().time())
        talk = self._talk(owner, function.server)
        try:
            return await talk.call(function.tool, arguments, parent, seconds)
        except ToolHeld as held:  # the run does not wait: it can be made again
            raise ToolFault(held.message, held.code) from held

    async def _tools(self, name: str, owner: str, parent: str) -> tuple[ToolDefinition, ...] | str:
        try:
            return await self._talk(owner, name).tools(parent)
        except OstiaryError as fault:
            return fault.message
        except (ToolFault, ToolHeld) as fault:
            return fault.message

    def _talk(self, owner: str, name: str) -> Conversation:
        talks = self._talks.get(owner)
        if talks is None:
            if len(self._talks) >= MAX_OWNERS:
                raise CallerFault(f"busy: {MAX_OWNERS} clients have sessions here already")
            talks = self._talks[owner] = {}
        if name not in talks:
            talks[name] = Conversation(self._behind[name], owner, self._version)
        return talks[name]
