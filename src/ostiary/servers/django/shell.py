"""Runs and questions on behalf of clients, and which session is whose."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.django.settings import DjangoSettings
from ostiary.sandbox.engine import Engine
from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.servers.core.context import CallContext
from ostiary.servers.django.history import Histories, History
from ostiary.servers.django.interface import SESSION_NAME
from ostiary.servers.django.replies import answered, worked
from ostiary.servers.runs import awaited

SESSION_META: Final = "io.ostiary/session"
"""The key of a request's `_meta` under which a client may name a session, as by the argument `session`."""

OF_CONNECTION: Final = "mcp-"
"""What the names of sessions begin with that belong to a connection."""

ALONE: Final = "main"
"""The session of a client that names none, where the protocol has no sessions either."""

Sealed = Callable[[], tuple[Path, ...]]
"""The folders of the project that code sees read-only, once it is loaded."""

Permits = Callable[[str], bool]
"""Whether the gate would let a management command of this name be called."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the server answers. `timeout_ms` is how long code may take where nothing else is asked for."""

    extended: bool = False
    timeout_ms: int = DEFAULT_LIMITS.wall_ms


class Shell:
    """One project for all its clients. Each has a session, and a history that nobody else sees."""

    def __init__(
        self, engine: Engine, settings: DjangoSettings, options: Options, permits: Permits, sealed: Sealed
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.options = options
        self.permits = permits
        self.sealed = sealed
        self.histories = Histories()

    # --- sessions -------------------------------------------------------------------------------

    def session(self, context: CallContext, arguments: Mapping[str, Any]) -> str:
        """The session of a call: the one that it names, that of its connection, or the owner's only one.

        Raises CallerFault for a name that is none.
        """
        named = arguments.get("session") or context.meta.get(SESSION_META)
        if named is None:
            return session_of(context.session)
        if not isinstance(named, str) or not re.fullmatch(SESSION_NAME, named):
            raise CallerFault(
                f"`{SESSION_META}` is not the name of a session",
                hint="1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
            )
        if not self.sees(context, named):
            raise CallerFault(f"`{OF_CONNECTION}…` names sessions of connections", hint="choose another name")
        return named

    def sees(self, context: CallContext, session: str) -> bool:
        """Whether a session may be this client's: that of another connection may not, whatever the grant."""
        return not session.startswith(OF_CONNECTION) or session == session_of(context.session)

    def history(self, context: CallContext, arguments: Mapping[str, Any]) -> History:
        """What was run in the session of a call."""
        return self.histories.find(context.owner, self.session(context, arguments)) or History()

    def forget(self, owner: str, session: str) -> None:
        """A session is over: its names, what runs in it, and its history."""
        self.histories.drop(owner, session)
        self.engine.close_session(owner, session)

    def connection_ended(self, owner: str, name: str) -> None:
        """A connection has ended, by its name in the protocol; and with it the session that was its own."""
        self.forget(owner, session_of(name))

    # --- work -----------------------------------------------------------------------------------

    async def run(self, arguments: Mapping[str, Any], context: CallContext) -> RunRecord:
        """Run code in the client's session, and remember that. Raises CallerFault, Busy."""
        session = self.session(context, arguments)
        code: str = arguments["code"]
        record = worked(await self._do(arguments, context, session, code=code))
        self.histories.add(context.owner, session, code, record)
        return record

    async def command(
        self, question: Mapping[str, Any], arguments: Mapping[str, Any], context: CallContext
    ) -> RunRecord:
        """Run a management command where the client's code runs, so that both see the same."""
        session = self.session(context, arguments)
        return worked(await self._do(arguments, context, session, ask=question))

    async def ask(self, question: Mapping[str, Any], context: CallContext) -> Any:
        """What the project consists of, in a child that nothing else runs in. Raises CallerFault, Busy."""
        return answered(await self._do({}, context, "", ask=question))

    async def _do(
        self,
        arguments: Mapping[str, Any],
        context: CallContext,
        session: str,
        *,
        code: str = "",
        ask: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        request = RunRequest(
            code=code,
            ask=ask,
            owner=context.owner,
            session=session if self.settings.state == "session" else "",
            limits=DEFAULT_LIMITS.lasting(int(arguments.get("timeout_ms", self.options.timeout_ms))),
        )
        return await awaited(self.engine, request, context)


def session_of(connection: str) -> str:
    """The session of a connection. A digest: names of connections are what lets one take part in them."""
    if not connection:
        return ALONE
    return OF_CONNECTION + hashlib.sha256(connection.encode()).hexdigest()[:16]
