"""What all owners share: servers, engines; and each owner's view of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault, OstiaryError
from ostiary.policy.definition import ToolDefinition
from ostiary.sandbox.chores import Chores
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from ostiary.servers.code.conversation import Behind, Conversation
from ostiary.servers.code.functions import Function, functions_of, letters, prefix_of
from ostiary.servers.code.tools import Tools, bind

MAX_OWNERS: Final = 64
"""How many have sessions at once: beyond that, who was idle for longest is asked for tools anew."""
CALL_SECONDS: Final = 300.0
_USED: Final = re.compile(r"\bmcp_\w*")

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
        self._leaving = Chores(lambda _: None)
        self._talks: dict[str, dict[str, Conversation]] = {}

    def concerned(self, names: Sequence[str]) -> frozenset[str]:
        """The servers that functions of these names can be of: all of them for a name like none of theirs."""
        found: set[str] = set()
        for name in names:
            found.update([one for one in self.names if name.startswith(prefix_of(one))] or self.names)
        return frozenset(found)

    async def view(self, owner: str, parent: str, servers: Collection[str] | None = None) -> View:
        """What `owner` can call of `servers`, all of them for None. Servers are asked at the same time.

        Of others it has what is known of them anyway.
        """
        wanted = [name for name in self.names if servers is None or name in servers]
        answers = await asyncio.gather(*(self._tools(name, owner, parent) for name in wanted))
        listed: dict[str, Sequence[ToolDefinition]] = {}
        unreachable: dict[str, str] = {}
        for name, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, str):
                unreachable[name] = answer
            else:
                listed[name] = answer
        known = self._talks.get(owner, {})
        listed |= {name: talk.latest for name, talk in known.items() if name not in wanted}
        return View(functions_of(listed, self.names), unreachable)

    async def tools(
        self, owner: str, parent: str, servers: Sequence[str], names: Sequence[str], code: str, seconds: float
    ) -> Tools:
        """What `code` may call, for so many seconds each. Raises CallerFault for what there is not.

        Code waits for the servers that it names, and for no other.
        """
        spelled = {letters(one) for one in servers}
        needed = self.concerned((*names, *_USED.findall(code)))
        needed |= {one for one in self.names if letters(one) in spelled}
        view = await self.view(owner, parent, needed)
        why = "; ".join(f"{name}: {said}" for name, said in view.unreachable.items())
        try:
            bound = bind(view.functions, servers, names, self.names)
        except CallerFault as fault:
            told = f"{fault.message}; could not be asked: {why}" if why else fault.message
            raise CallerFault(told, hint=fault.hint) from None
        if any(letters(name) in spelled for name in view.unreachable):
            raise CallerFault(f"mcp_server_names: could not be asked: {why}")
        return Tools(bound, view.functions, self.names, partial(self._make, owner, parent, seconds))

    async def call(self, function: Function, arguments: Mapping[str, Any], owner: str, parent: str) -> Any:
        """Call one tool. Raises ToolFault."""
        return await self._make(owner, parent, CALL_SECONDS, function, arguments)

    async def close(self) -> None:
        """Leave every server."""
        talks = [talk for each in self._talks.values() for talk in each.values()]
        self._talks.clear()
        await asyncio.gather(*(talk.leave() for talk in talks), return_exceptions=True)
        await self._leaving.finish()

    async def _make(
        self, owner: str, parent: str, seconds: float, function: Function, arguments: Mapping[str, Any]
    ) -> Any:
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
        talks = self._talks.pop(owner, None)
        if talks is None:
            self._make_room()
            talks = {}
        self._talks[owner] = talks  # the last is who was here last
        if name not in talks:
            talks[name] = Conversation(self._behind[name], owner, self._version)
        return talks[name]

    def _make_room(self) -> None:
        """Let go of the owner who has been away for longest and waits for nothing. Raises CallerFault."""
        if len(self._talks) < MAX_OWNERS:
            return
        for owner, talks in self._talks.items():
            if all(talk.idle for talk in talks.values()):
                del self._talks[owner]
                for talk in talks.values():
                    self._leaving.start(talk.leave())  # bounded by itself
                return
        raise CallerFault(f"busy: {MAX_OWNERS} clients have calls under way", hint="try again later")
