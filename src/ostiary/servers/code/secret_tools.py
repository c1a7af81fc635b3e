"""`getUserSecrets`, and the secrets of a call."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, cast

import msgspec

from ostiary.errors import CallerFault
from ostiary.servers.code.vault import RunSecrets, Vault
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments, Tool

_LOOKS: Final = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "idempotentHint": True,
    "openWorldHint": False,
}
_NOTHING: Final[dict[str, Any]] = {"type": "object", "additionalProperties": False, "properties": {}}
_LISTED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["secrets"],
    "properties": {"secrets": {"type": "array", "items": {"type": "object"}}},
}


def secrets_tool(vault: Vault | None) -> Tool:
    """The tool that names the secrets of whoever calls it."""
    return Tool(
        name="getUserSecrets",
        title="Names of secrets",
        description="Names of the secrets for required_secrets; never values.",
        input_schema=_NOTHING,
        output_schema=_LISTED,
        annotations=_LOOKS,
        handler=partial(_list, vault),
    )


async def _list(vault: Vault | None, _: Arguments, context: CallContext) -> ToolResult:
    data: dict[str, Any] = {"secrets": [] if vault is None else vault.told(context.owner)}
    return ToolResult((text(msgspec.json.encode(data).decode()),), data)


def secrecy_of(vault: Vault | None, arguments: Arguments, owner: str) -> RunSecrets | None:
    """The secrets that a run asks for, and the way out that it has. Raises CallerFault."""
    names = [str(one) for one in cast("list[object]", arguments.get("required_secrets") or [])]
    if vault is None:
        if names:
            raise CallerFault(
                f"required_secrets: there is no secret `{names[0][:80]}`: this server keeps none",
                hint="its operator names them with --secrets",
            )
        return None
    taken = {*(arguments.get("input_vars") or ()), *(arguments.get("output_vars") or ())}
    found = vault.of_run(owner, names, sorted(str(one) for one in taken))
    return found if names or found.outward is not None else None
