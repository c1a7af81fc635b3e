"""How a run comes by its packages: the port of whoever has some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ostiary.errors import CallerFault
from ostiary.sandbox.runner import Environment

Resolve = Callable[[str, tuple[str, ...], str], Awaitable[Environment]]
"""Packages for some code: (code, requirements, owner) to a folder of them.

An OstiaryError that this raises is the reason why the run is not started, in the resolver's words.
"""


class Unresolved(CallerFault):
    """The packages that a run asked for cannot be had; `message` says why."""


async def nothing_to_resolve(_code: str, requirements: tuple[str, ...], _owner: str) -> Environment:
    """For an engine that has none."""
    if requirements:
        raise Unresolved("this server installs no packages", hint="leave `requirements` out")
    return Environment()
