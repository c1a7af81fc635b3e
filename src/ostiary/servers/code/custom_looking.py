"""Finding custom tools, reading what one is, calling one in the background."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ostiary.servers.code.custom_bench import Workbench, known
from ostiary.servers.code.custom_check import PREFIX, plain_name
from ostiary.servers.code.custom_tools import readable
from ostiary.servers.code.find import words_of
from ostiary.servers.code.functions import letters
from ostiary.servers.code.replies import text_of
from ostiary.servers.code.workshop import Workshop
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Arguments
from ostiary.store.custom_tools import Version


async def search(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """Find tools by words."""
    wanted = words_of(arguments.get("query", ""))
    scored: list[tuple[int, str, Version]] = []
    for one in bench.tools.visible(context.owner):
        score = 5 * len(wanted & words_of(one.name)) + len(wanted & words_of(one.definition.description))
        if score or not wanted:
            scored.append((-score, one.name, one))
    best = [one for _, _, one in sorted(scored, key=lambda each: each[:2])][: int(arguments.get("limit", 10))]
    data = {"tools": [_short(one) for one in best]}
    return ToolResult((text(text_of(data)),), data)


def _short(one: Version) -> dict[str, Any]:
    return {
        "tool": PREFIX + one.name,
        "deployment_name": one.name,
        "owner": one.owner,
        "version": one.number,
        "deployment_type": "public" if one.definition.public else "private",
        "description": one.definition.description.partition("\n")[0][:160],
    }


async def details(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """What a tool is; its code only for those who may read it."""
    name = plain_name(arguments["deployment_name"])
    newest = known(bench, name, context.owner)
    version = bench.tools.version(context.owner, name, int(arguments.get("version", newest.number)))
    definition = version.definition
    data = {
        **_short(version),
        "description": definition.description,
        "input_schema": definition.input_schema,
        "output_variables": definition.outputs,
        "digest": version.digest,
        "deployment_uuid": name,
    }
    if not arguments.get("brief"):
        data |= {
            "default_input_vars": definition.defaults,
            "required_tools": definition.tools,
            "mcp_server_names": definition.servers,
            "additional_imports": definition.packages,
            "required_secrets": definition.secrets,
            "is_code_public": definition.code_public,
            "versions": [
                {"version": one.version, "digest": one.digest, "at": _time(one.at), "author": newest.owner}
                for one in bench.tools.shelf.history(name)
            ],
        }
        if readable(version, newest, context.owner):
            data["script"] = version.script
    return ToolResult((text(text_of(data)),), data)


async def validate(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """Whether the caller can use what a tool needs."""
    name = plain_name(arguments["deployment_name"])
    newest = known(bench, name, context.owner)
    missing = await bench.missing(bench.tools.version(context.owner, name, newest.number), context)
    data = {"deployment_name": name, "connected": not missing, "missing": list(missing)}
    return ToolResult((text(text_of(data)),), data)


async def missing_of(workshop: Workshop, version: Version, context: CallContext) -> list[str]:
    """The servers, functions and secrets that a tool names and whoever calls it cannot use."""
    definition = version.definition
    spelled = {letters(one): one for one in workshop.names} | {one: one for one in workshop.names}
    missing = [one for one in definition.servers if one not in spelled]
    wanted = {spelled[one] for one in definition.servers if one in spelled}
    view = await workshop.view(
        context.owner, context.caller.call, workshop.concerned(definition.tools) | wanted
    )
    missing += [one for one in definition.tools if one not in view.functions]
    usable = {one["name"] for one in workshop.vault.told(context.owner)} if workshop.vault is not None else ()
    missing += [f"secret {one}" for one in definition.secrets if one not in usable]
    return missing + [f"{name}: {why}" for name, why in view.unreachable.items() if name in wanted]


async def submit(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """As a call of the tool itself through the gate in front, which decides about it under its own name."""
    name = plain_name(arguments["deployment_name"])
    newest = known(bench, name, context.owner)
    wanted = int(arguments.get("version", newest.number))
    bench.tools.version(context.owner, name, wanted)
    tool = PREFIX + name + ("" if wanted == newest.number else f".v{wanted}")
    given: Mapping[str, Any] = arguments.get("input_vars") or {}
    run = bench.background.start(context.owner, tool, given, context.caller.call)
    data = {"run_id": run, "status": "running", "tool": tool}
    return ToolResult((text(text_of(data)),), data)


async def status(bench: Workbench, arguments: Arguments, context: CallContext) -> ToolResult:
    """Where a background call stands."""
    data = bench.background.standing(context.owner, arguments["run_id"])
    return ToolResult((text(text_of(data)),), data)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
