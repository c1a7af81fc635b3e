"""What a handler knows of the call that it serves, and its ways back to the client meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from ostiary.servers.core.content import Json
from ostiary.servers.core.fault import NotDeclared
from ostiary.servers.core.question import Answers, Question, form

Level = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
LEVELS: tuple[str, ...] = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and how.

    `owner` is the name of the grant, `local` where there is none. `session` is empty on the modern
    era, which has no sessions. `call` is the id that the gate in front gave the call; empty where there
    is none. `log_level` is the least level that the client wants to hear; None
    for nothing at all.
    """

    owner: str
    session: str = ""
    call: str = ""
    revision: str
    modern: bool
    info: Json = {}
    capabilities: Json = {}
    log_level: str | None = "info"


class Line(Protocol):
    """The exchange that a call came on."""

    def notify(self, method: str, params: Json) -> None:
        """Send the client a notification, unless it cannot be told now."""
        ...

    async def ask(self, questions: Mapping[str, Question]) -> Answers:
        """Have the client answer. Raises InputNeeded on the modern era, where that takes a round."""
        ...

    def let_go(self) -> None:
        """End the connection; the client may ask for the rest of the answer later."""
        ...


class CallContext:
    """One call. Its methods may be used until the handler returns."""

    __slots__ = ("_done", "_line", "_token", "caller", "meta")

    def __init__(self, caller: Caller, line: Line, meta: Json) -> None:
        """`meta` is the `_meta` of the request."""
        self.caller = caller
        self.meta = meta
        self._line = line
        self._token = meta.get("progressToken")
        self._done: float | None = None

    @property
    def owner(self) -> str:
        """On whose behalf this is: what the caller may see is what this owner may."""
        return self.caller.owner

    @property
    def session(self) -> str:
        """The MCP session, or empty where there are none."""
        return self.caller.session

    async def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the call is, if the client wants to know. `done` has to grow."""
        if self._token is None or (self._done is not None and done <= self._done):
            return
        self._done = done
        params: dict[str, object] = {"progressToken": self._token, "progress": done}
        if total is not None:
            params["total"] = total
        if message:
            params["message"] = message
        self._line.notify("notifications/progress", params)

    async def log(self, level: Level, data: object, logger: str = "") -> None:
        """Tell the client something, if it wants to hear of this level."""
        least = self.caller.log_level
        if least is None or LEVELS.index(level) < LEVELS.index(least):
            return
        params: dict[str, object] = {"level": level, "data": data}
        if logger:
            params["logger"] = logger
        self._line.notify("notifications/message", params)

    def changed(self, kind: str) -> None:
        """Tell the client on the way of this call that its list of `kind` is another now."""
        self._line.notify(f"notifications/{kind}/list_changed", {})

    def can(self, capability: str) -> bool:
        """Whether the client declared `elicitation`, `sampling` or `roots`."""
        return capability in self.caller.capabilities

    async def ask(self, questions: Mapping[str, Question]) -> Answers:
        """Have the client answer several questions, told apart by keys of ours.

        On the modern era the handler runs again from its start in each round, with the answers that
        have come: nothing before a question may have an effect. Raises NotDeclared where the client
        did not say that it can be asked so.
        """
        for question in questions.values():
            if not self.can(question.capability):
                raise NotDeclared(question.capability, modern=self.caller.modern)
        return await self._line.ask(questions)

    async def elicit(self, message: str, schema: Json, *, key: str = "form") -> Json:
        """Have the person fill in a form: `{"action": "accept"|"decline"|"cancel", "content"?}`."""
        return (await self.ask({key: form(message, schema)}))[key]

    async def sample(self, question: Question, *, key: str = "sampling") -> Json:
        """Have the client's model work. See `question.sampling`."""
        return (await self.ask({key: question}))[key]

    def let_go(self) -> None:
        """End the connection of a long call; a legacy client fetches the rest of its answer."""
        self._line.let_go()
