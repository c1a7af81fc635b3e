"""Making, changing and removing custom tools."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.servers.code.custom_bench import Workbench, code_of, own, unknown
from ostiary.servers.code.custom_check import (
    PREFIX,
    checked_name,
    checked_script,
    plain_name,
    read_definition,
)
from ostiary.servers.code.custom_tools import CustomTools
from ostiary.servers.code.replies import text_of
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments
from ostiary.store.custom_tools import Definition, Version

MAX_SAID: Final = 2_000
_STEP_S: Final = 0.0005
_STEPS: Final = 20


async def create(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """Store a new tool."""
    name = checked_name(arguments["deployment_name"], bench.names)
    definition = read_definition(arguments)
    return await _saved(bench, name, definition, arguments["script"], context, after=0)


async def update(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """Add a version to a tool of the caller."""
    name = plain_name(arguments["deployment_name"])
    bench.tools.refresh()
    before = own(bench, name, context.owner)
    definition = read_definition(arguments, before.definition)
    script = arguments.get("script") or before.script
    return await _saved(bench, name, definition, script, context, after=before.number)


async def _saved(
    bench: Workbench,
    name: str,
    definition: Definition,
    script: str,
    context: CallContext,
    *,
    after: int,
) -> ToolResult:
    """(1) May it be written, (2) does it run, (3) keep it, (4) tell everybody. `after`: see `save`."""
    tools, owner, new = bench.tools, context.owner, not after
    # (1)
    tools.shelf.claim(owner, name, new=new)
    draft = Version(
        owner=owner,
        name=name,
        number=0,
        at=0,
        digest="",
        definition=definition,
        script=checked_script(script),
    )
    # (2)
    tested = await _tested(bench, draft, context)
    # (3)
    save = partial(tools.shelf.save, owner, name, definition, script, at=tools.clock(), new=new, after=after)
    version = await asyncio.to_thread(save)
    # (4)
    said = f"{PREFIX}{name} version {version.number}, sha256 {version.digest}"
    bench.note("custom-tool", f"{said}, {'public' if definition.public else 'private'}", owner)
    await _taken_over(tools)
    context.changed("tools")
    data = {
        "tool": PREFIX + name,
        "deployment_name": name,
        "version": version.number,
        "digest": version.digest,
        "test": tested,
    }
    return ToolResult((text(text_of(data)),), data)


async def _taken_over(tools: CustomTools) -> None:
    """Only what is asked after this is of the new version: a call's id is exact to the millisecond."""
    tools.refresh()
    now = tools.clock() // 1_000
    for _ in range(_STEPS):
        if tools.clock() // 1_000 > now:
            return
        await asyncio.sleep(_STEP_S)


async def _tested(bench: Workbench, draft: Version, context: CallContext) -> dict[str, Any]:
    """Run it once, for real. Raises CallerFault where it fails or leaves an output out."""
    try:
        code = code_of(draft, draft.definition.sample)
    except CallerFault as fault:
        raise CallerFault(
            f"not saved: the test needs fitting input: {fault.message}", hint="give test_input"
        ) from None
    result = await bench.execute(code, context)
    data = result.structured or {}
    if result.is_error or not data.get("success"):
        error: Any = data.get("error") or {}
        said = "; ".join(str(error[key]) for key in ("type", "message") if error.get(key))
        words = said or "\n".join(str(block.get("text", "")) for block in result.content)
        printed = str(data.get("stdout") or "")[-500:]
        raise CallerFault(
            f"not saved: its test run failed: {words[:MAX_SAID]}"
            + (f"\nit printed: {printed}" if printed else "")
        )
    outputs: Any = data.get("outputs") or {}
    left = [one for one in draft.definition.outputs if one not in outputs]
    if left:
        raise CallerFault(
            f"not saved: its test run did not set {', '.join(left)}, or to nothing that JSON can say",
            hint="output_variables name variables of the script",
        )
    kept = ("success", "outputs", "result", "stdout", "tool_calls", "execution_id", "notes")
    return {key: data[key] for key in kept if key in data}


async def delete(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """Remove a tool of the caller."""
    name = plain_name(arguments["deployment_name"])
    removed = await asyncio.to_thread(bench.tools.shelf.remove, context.owner, name)
    if not removed:
        raise unknown(bench, name, context.owner)
    bench.note("custom-tool-removed", PREFIX + name, context.owner)
    await _taken_over(bench.tools)
    context.changed("tools")
    data = {"deployment_name": name, "removed": True}
    return ToolResult((text(text_of(data)),), data)
