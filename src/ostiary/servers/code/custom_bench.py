"""What the tools about custom tools work with, and whose a tool is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches

import msgspec

from ostiary.errors import CallerFault, OstiaryError
from ostiary.servers.code.background import Background
from ostiary.servers.code.custom_check import PREFIX, variables
from ostiary.servers.code.custom_tools import CustomTools, missed
from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments
from ostiary.store.custom_tools import Version

Execute = Callable[[Arguments, CallContext], Awaitable[ToolResult]]
"""Runs code as `executeCode` does, from its arguments to its answer."""
Note = Callable[[str, str, str], object]
"""Writes an event row: what happened, words for it, and the owner whom it concerns."""
MayBeCalled = Callable[[str], bool]
"""Whether an older version may be called by its own name: see `Workbench`."""
Missing = Callable[[Version, CallContext], Awaitable[Sequence[str]]]
"""What a tool needs and `owner` cannot call: servers and functions by name."""


class Workbench(msgspec.Struct, frozen=True, kw_only=True):
    """What these tools work with. `names` are those of the tools that are always there.

    `may_be_called` takes `custom_x.v2`, and says whether the policy in force names it: what any gate has to
    say about `custom_x` must not be dodged by the name of a version.
    """

    tools: CustomTools
    execute: Execute
    missing: Missing
    background: Background
    note: Note
    may_be_called: MayBeCalled
    names: frozenset[str]


def code_of(version: Version, arguments: Arguments) -> Arguments:
    """The arguments of `executeCode` for a version. Raises CallerFault for wrong arguments."""
    definition = version.definition
    return {
        "script": version.script,
        "input_vars": variables(definition, arguments),
        "output_vars": list(definition.outputs),
        "required_tools": list(definition.tools),
        "mcp_server_names": list(definition.servers),
        "additional_imports": list(definition.packages),
        "required_secrets": list(definition.secrets),
    }


def known(bench: Workbench, name: str, owner: str) -> Version:
    """The newest version of a tool that `owner` may call. Raises CallerFault for none."""
    found = bench.tools.known(owner, name)
    if found is None:
        raise unknown(bench, name, owner)
    return found


def own(bench: Workbench, name: str, owner: str) -> Version:
    """The newest version, whole, of a tool of `owner`. Raises CallerFault."""
    found = known(bench, name, owner)
    if found.owner != owner:
        raise CallerFault(f"`{PREFIX}{name}` is not yours", hint="make one of your own by another name")
    return bench.tools.version(owner, name, found.number)


def unknown(bench: Workbench, name: str, owner: str) -> OstiaryError:
    """What to say of a tool that there is not for `owner`."""
    names = [one.name for one in bench.tools.visible(owner)]
    near = get_close_matches(name, names, n=1)
    return CallerFault(f"there is no custom tool `{name[:80]}`", hint=missed(names[:10], near))
