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
from ostiary.servers.code.artifacts import Artifacts
from ostiary.servers.code.conversation import Behind, Conversation
from ostiary.servers.code.find import brief, by_server, detailed, found, nearest
from ostiary.servers.code.functions import Function, functions_of, letters, prefix_of
from ostiary.servers.code.paused import NOT_YET, PausedRuns, Waits, waits_for
from ostiary.servers.code.tools import Asked, Tools, bind
from ostiary.servers.code.vault import Vault

MAX_OWNERS: Final = 64
"""How many have sessions at once: beyond that, who was idle for longest is asked for tools anew."""
CALL_SECONDS: Final = 300.0
BACKSTOP: Final = 30.0
"""Seconds beyond its run that a call may take: the run ends first, and its call with it."""
LOOK_SECONDS: Final = 8.0
"""How long who looks for tools waits for a server: what is known of the others comes then."""
ONCE: Final = "once a person has approved it, call again: the same call is let through then"
LIFTED: Final = "once an operator has lifted the stop, ask checkCodeExecStatus, and the run goes on from here"
_USED: Final = re.compile(r"\bmcp_\w*")


class Choice(msgspec.Struct, frozen=True):
    """The engine for some code, and what was found before any of it runs.

    With `mistakes` it is not run: a call that they are about cannot succeed. With `doubts` it is.
    """

    engine: Engine
    mistakes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


Choose = Callable[[RunRequest], Awaitable[Choice]]
"""Decides about some code before any of it runs. Raises CallerFault where no engine will do."""


class View(msgspec.Struct, frozen=True):
    """What an owner can call: functions by name, and why some servers could not be asked."""

    functions: Mapping[str, Function]
    unreachable: Mapping[str, str]


class Workshop:
    """Everything that the tools of code mode work with."""

    def __init__(
        self,
        behind: Sequence[Behind],
        engines: Sequence[Engine],
        choose: Choose,
        version: str,
        vault: Vault | None = None,
    ) -> None:
        self.engines = tuple(engines)
        self.choose = choose
        self.vault = vault
        self.artifacts = Artifacts()
        self.paused: PausedRuns | None = None
        """Where runs wait for a person; None where none can, and then a call that has to has failed."""

        self.names = tuple(one.name for one in behind)
        self._behind = {one.name: one for one in behind}
        self._version = version
        self._leaving = Chores(lambda _: None)
        self._asking = Chores(lambda _: None)
        self._talks: dict[str, dict[str, Conversation]] = {}

    def add(self, server: Behind) -> None:
        """One more server."""
        self._behind[server.name] = server
        self.names = tuple(self._behind)

    def drop(self, name: str) -> None:
        """A server less. Who has a session with it leaves it."""
        if self._behind.pop(name, None) is not None:
            self.names = tuple(self._behind)
            for talks in self._talks.values():
                if name in talks:
                    self._leaving.start(talks.pop(name).leave())

    def concerned(self, names: Sequence[str]) -> frozenset[str]:
        """The servers that functions of these names can be of: all of them for a name like none of theirs."""
        found: set[str] = set()
        for name in names:
            found.update([one for one in self.names if name.startswith(prefix_of(one))] or self.names)
        return frozenset(found)

    async def view(
        self,
        owner: str,
        parent: str,
        servers: Collection[str] | None = None,
        patience: float | None = None,
    ) -> View:
        """What `owner` can call of `servers`, all of them for None. Servers are asked at the same time.

        Of others it has what is known of them anyway, and of those that have not answered within `patience`
        seconds: they are asked on.
        """
        wanted = [name for name in self.names if servers is None or name in servers]
        asked = {name: self._asking.start(self._tools(name, owner, parent)) for name in wanted}
        if asked:
            await asyncio.wait(asked.values(), timeout=patience)
        listed: dict[str, Sequence[ToolDefinition]] = {}
        unreachable: dict[str, str] = {}
        for name, task in asked.items():
            answer = task.result() if task.done() else f"{name}: it has not answered yet; ask again later"
            if isinstance(answer, str):
                unreachable[name] = answer
            else:
                listed[name] = answer
        known = self._talks.get(owner, {})
        listed |= {name: talk.latest for name, talk in known.items() if name not in listed and talk.latest}
        return View(functions_of(listed, self.names), unreachable)

    async def tools(
        self, owner: str, asked: Asked, code: str, seconds: float, *, keeps: bool = True
    ) -> Tools:
        """What `code` may call, for so many seconds each. Raises CallerFault for what there is not.

        Code waits for the servers that it names, and for no other. With `keeps`, what they answer beside text
        can be read as artifacts.
        """
        parent, servers, names = asked.parent, asked.servers, asked.names
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
        return Tools(
            bound,
            view.functions,
            self.names,
            partial(self._make, owner, parent, seconds, keeps=keeps),
            look=partial(self._look, owner, parent),
            asked=asked,
        )

    async def _look(self, owner: str, parent: str, what: str, given: Sequence[Any]) -> Any:
        """What code finds out about tools: the same as a client does."""
        if what == "tool_details":
            view = await self.view(owner, parent, self.concerned((given[0],)), LOOK_SECONDS)
            one = view.functions.get(given[0])
            if one is None:
                near = nearest(given[0], view.functions)
                hint = f"; did you mean `{near[0]}`" if near else ""
                raise ToolFault(f"there is no tool `{given[0][:160]}`{hint}")
            return detailed(one)
        view = await self.view(owner, parent, None, LOOK_SECONDS)
        if what == "list_servers":
            counted = by_server(view.functions)
            return [
                {"name": name, "tools": counted.get(name, 0)}
                | ({"unreachable": view.unreachable[name]} if name in view.unreachable else {})
                for name in self.names
            ]
        return [brief(one) for one in found(view.functions.values(), given[0], max(1, min(given[1], 50)))]

    async def go_on(self, owner: str, run_id: str) -> Waits | None:
        """Go on with a paused run in the background, where its approval was answered.

        For what it waits where that was not answered; None where it goes on or there is no such run. The call
        is made, and decided, once more by its gate. Raises OstiaryError where the run cannot be gone on with.
        """
        paused = self.paused
        run = await paused.look(owner, run_id) if paused is not None else None
        if paused is None or run is None:
            return None
        decided = paused.decided(run)
        if decided == NOT_YET:  # the gate that asked has to be there to notice a change of its policy
            needed = self.concerned((run.waits,))
            self._asking.start(self.view(owner, run.asked.parent, needed, LOOK_SECONDS))
            return waits_for(run.waits, run.approval, run.message)
        # First the servers: a run is not taken out for one that cannot be asked.
        seconds = run.limits.wall_ms / 1000 + BACKSTOP
        tools = await self.tools(owner, run.asked, run.code, seconds)
        server = self._behind.get(tools.servers.get(run.waits, ""))
        if server is not None and server.stopped(owner):  # it would only be refused, and the run be spent
            return Waits(run.waits, run.approval, f"the server `{server.name}` is stopped", LIFTED)
        resumption = await paused.take(run, decided)
        if resumption is not None:
            request = RunRequest(
                code=run.code,
                owner=owner,
                tools=tools,
                outputs=run.outputs,
                limits=run.limits,
                resumes=resumption,
            )
            try:
                self.engines[0].start(request)
            except OstiaryError:  # busy
                await paused.put_back(run)
                raise
        return None

    async def call(self, function: Function, arguments: Mapping[str, Any], owner: str, parent: str) -> Any:
        """Call one tool. Raises ToolFault."""
        try:
            return await self._make(owner, parent, CALL_SECONDS, function, arguments)
        except ToolHeld as held:
            raise ToolFault(f"{held.message}; {ONCE}", held.code) from held

    async def close(self) -> None:
        """Leave every server."""
        await self._asking.close()
        talks = [talk for each in self._talks.values() for talk in each.values()]
        self._talks.clear()
        await asyncio.gather(*(talk.leave() for talk in talks), return_exceptions=True)
        await self._leaving.finish()

    async def _make(
        self,
        owner: str,
        parent: str,
        seconds: float,
        function: Function,
        arguments: Mapping[str, Any],
        *,
        keeps: bool = True,
    ) -> Any:
        keep = partial(self.artifacts.keep, owner) if keeps else None
        return await self._talk(owner, function.server).call(function.tool, arguments, parent, seconds, keep)

    async def _tools(self, name: str, owner: str, parent: str) -> tuple[ToolDefinition, ...] | str:
        try:
            return await self._talk(owner, name).tools(parent)
        except OstiaryError as fault:
            return f"{fault.message} ({fault.hint})" if fault.hint else fault.message
        except (ToolFault, ToolHeld) as fault:
            return fault.message

    def _talk(self, owner: str, name: str) -> Conversation:
        talks = self._talks.pop(owner, None)
        if talks is None:
            self._make_room()
            talks = {}
        self._talks[owner] = talks  # the last is who was here last
        if name not in self._behind:
            raise ToolFault(f"the server `{name}` is not there any more")
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
