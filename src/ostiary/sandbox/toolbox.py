"""Tools that code may call while it runs: the port between a worker and whoever decides about calls.

Pure. A worker holds no credentials and knows no server: it knows names, and asks for one by name.
Whoever implements `Toolbox` decides, limits, records and makes the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ToolFault(Exception):
    """A call that came to nothing; code sees it as an exception of its own, which it can catch.

    `message` is for whoever wrote the code. `code` is the number of the JSON-RPC error, as the server or
    the gate gave it, or 0 where a tool answered by itself that it failed (`isError`).
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ToolHeld(Exception):
    """A call that waits for somebody, and longer than a worker should be kept for it.

    A runner that can pause (`monty`) ends the run as `paused`, and its record has what it takes to go
    on: see `Paused`. For code in any other the call has failed, with `message` and `code`. `ticket` is
    whatever the toolbox wants to find the call by again; no runner reads it.
    """

    def __init__(self, message: str, code: int = 0, ticket: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.ticket = ticket


class Toolbox(Protocol):
    """The functions that one run may call, and how a call is made.

    `stubs` declares them as a typed Python stub (`def mcp_Time_now(*, zone: str = ...) -> Any: ...`), for
    a check before the run; whatever it declares has to be in `names`. A name is a Python identifier.
    Workers add `call_tool(name, arguments)` and `ToolError`, which need not be in either.
    """

    @property
    def stubs(self) -> str: ...

    @property
    def names(self) -> frozenset[str]: ...

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Make one call of a name in `names` and return its result, which is a JSON value.

        `positional` and `named` are JSON values as the code gave them: to match them to parameters, and to
        refuse what does not match, is done here. Raises ToolFault, and ToolHeld. Cancelled when the
        run ends.
        """
        ...

    def spelled(self, name: str) -> str:
        """The name of a function that `call_tool` was given as `name`: the same for one it does not know."""
        ...

    def missing(self, name: str) -> str | None:
        """What to tell code that uses `name`, which is not in `names`; None for a name that means nothing.

        For a tool that exists and was not asked for this names the missing entry. It may be told
        before the run and must not have any effect.
        """
        ...
