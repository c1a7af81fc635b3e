"""The tools of code mode, as clients see them."""

from __future__ import annotations

import keyword
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any, Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from ostiary.sandbox.toolbox import ToolFault
from ostiary.servers.code import schemas
from ostiary.servers.code.find import brief, by_server, detailed, found, nearest
from ostiary.servers.code.functions import Function
from ostiary.servers.code.replies import executed, refused, standing, text_of
from ostiary.servers.code.secret_tools import secrecy_of, secrets_tool
from ostiary.servers.code.tools import Asked, Tools
from ostiary.servers.code.unknown import unknown_names
from ostiary.servers.code.workshop import BACKSTOP, LOOK_SECONDS, Choice, Workshop
from ostiary.servers.core.catalogue import Extra
from ostiary.servers.core.content import ToolResult, text, words
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Resource
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Arguments, Tool
from ostiary.servers.runs import RUN_META, awaited, ran, run_templates

GUIDE_URI: Final = "codemode://guide"
LOOKS: Final = {"readOnlyHint": True}
ACTS: Final = {"destructiveHint": True}
"""What is left out is as the protocol assumes it; the list is short since every client reads it."""

INSTRUCTIONS: Final = f"""\
Runs Python that calls tools of other MCP servers as functions: `mcp_Server_tool(name=value)`. Find \
them with `searchTools`, then name their servers in `mcp_server_names`. The value of the last \
expression is returned; what passes between tools stays out of the conversation. More: {GUIDE_URI}"""

EXECUTE: Final = """\
Execute Python code that calls MCP tools as functions (e.g. mcp_Supabase_list_projects()), those \
named by mcp_server_names or required_tools only. Results are parsed where they are JSON. Plain \
synchronous code, no os.getenv. Look up functions with searchTools; try a tool once before you rely \
on the form of its answer."""


def make_server(
    workshop: Workshop, *, version: str, more: Sequence[Tool] = (), extra: Extra | None = None
) -> Server:
    """The server over `workshop`, with `more` tools and `extra` ones. `version` is of Ostiary."""
    return Server(
        "ostiary-code",
        version,
        title="Code that calls tools",
        instructions=INSTRUCTIONS,
        tools=[*tools_of(workshop), secrets_tool(workshop.vault), *more],
        extra=extra,
        resources=[_guide()],
        templates=[*run_templates(*workshop.engines), workshop.artifacts.template()],
    )


def tools_of(workshop: Workshop) -> list[Tool]:
    """What may be called."""
    return [
        Tool(
            name="executeCode",
            description=EXECUTE,
            input_schema=schemas.EXECUTE_CODE,
            accepts=schemas.ACCEPTED,
            output_schema=schemas.EXECUTED,
            annotations=ACTS,
            handler=partial(_execute, workshop),
        ),
        Tool(
            name="asyncExecuteCode",
            description="As executeCode, but answers at once; ask checkCodeExecStatus what became of it.",
            input_schema=schemas.START_CODE,
            accepts=schemas.ACCEPTED,
            annotations=ACTS,
            handler=partial(_start, workshop),
        ),
        Tool(
            name="checkCodeExecStatus",
            description="Where an execution stands, and its result; a paused one goes on once approved.",
            input_schema=schemas.BY_EXECUTION,
            accepts=schemas.closed(schemas.BY_EXECUTION),
            annotations=ACTS,
            handler=partial(_check, workshop),
        ),
        Tool(
            name="searchTools",
            description="Find functions by words of their names and descriptions.",
            input_schema=schemas.SEARCH,
            accepts=schemas.SEARCH_ACCEPTED,
            annotations=LOOKS,
            handler=partial(_search, workshop),
        ),
        Tool(
            name="getToolDetails",
            description="Signature, description and input schema of one function.",
            input_schema=schemas.DETAILS,
            accepts=schemas.closed(schemas.DETAILS),
            annotations=LOOKS,
            handler=partial(_details, workshop),
        ),
        Tool(
            name="executeTool",
            description="Call one function without writing code, to see what its answer looks like.",
            input_schema=schemas.EXECUTE_TOOL,
            accepts=schemas.closed(schemas.EXECUTE_TOOL),
            annotations=ACTS,
            handler=partial(_one, workshop),
        ),
    ]


def executing(workshop: Workshop) -> Callable[[Arguments, CallContext], Awaitable[ToolResult]]:
    """What `executeCode` does, for others that run code."""
    return partial(_execute, workshop)


# --- running ----------------------------------------------------------------------------------------


async def _execute(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    request, choice = await _chosen(workshop, arguments, context)
    if choice.mistakes:
        data = refused(choice.mistakes, arguments.get("session_id"))
        return ToolResult((text(text_of(data)),), data, is_error=True)
    record = await awaited(choice.engine, request, context)
    data = executed(record, arguments.get("session_id"))
    if choice.doubts:
        data["notes"] = [*data.get("notes", ()), *choice.doubts]
    bad = record.status not in {"success", "paused"}
    return ToolResult((text(text_of(data)),), data, bad, {RUN_META: ran(record)})


async def _start(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    request, choice = await _chosen(workshop, arguments, context)
    if choice.mistakes:
        raise CallerFault("nothing was run: " + "\n".join(choice.mistakes))
    data = {"execution_id": choice.engine.start(request), "status": "pending"}
    return ToolResult((text(text_of(data)),), data)


async def _chosen(
    workshop: Workshop, arguments: Arguments, context: CallContext
) -> tuple[RunRequest, Choice]:
    """What is to be run, where, and what is wrong with it."""
    request = await _request(workshop, arguments, context)
    choice = await workshop.choose(request)
    unknown = unknown_names(request)
    if isinstance(request.tools, Tools):
        request.tools.pauses = choice.engine.runner.name == "monty" and workshop.paused is not None
    return request, Choice(choice.engine, (*unknown, *choice.mistakes), choice.doubts)


async def _check(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    run_id: str = arguments["execution_id"]
    known = _standing(workshop, context.owner, run_id)
    if known is None or (isinstance(known, RunRecord) and known.status == "paused"):
        waits = await workshop.go_on(context.owner, run_id)
        if waits is not None:
            data = {"execution_id": run_id, "status": "paused", "waits_for": msgspec.to_builtins(waits)}
            return ToolResult((text(text_of(data)),), data)
        known = _standing(workshop, context.owner, run_id)
    if known is None:
        raise CallerFault(
            f"no execution `{run_id[:80]}` is known",
            hint="they are kept for an hour, for who began them; what a restart of the gate cut off is lost, "
            "and is not begun again by itself",
        )
    data = standing(known, None)
    return ToolResult((text(text_of(data)),), data)


def _standing(workshop: Workshop, owner: str, run_id: str) -> RunRecord | Underway | None:
    for engine in workshop.engines:
        known = engine.status(owner, run_id)
        if known is not None:
            return known
    return None


async def _request(workshop: Workshop, arguments: Arguments, context: CallContext) -> RunRequest:
    """What is to be run. Raises CallerFault for what cannot be had."""
    secrecy = secrecy_of(workshop.vault, arguments, context.owner)
    seconds = float(arguments.get("timeout", schemas.USUAL_SECONDS))
    limits = DEFAULT_LIMITS.lasting(max(1, round(min(seconds, 600) * 1000)))
    tools = await workshop.tools(
        context.owner,
        Asked(
            context.caller.call,
            _names(arguments, "mcp_server_names"),
            _names(arguments, "required_tools"),
            arguments.get("session_id"),
        ),
        arguments["script"],
        limits.wall_ms / 1000 + BACKSTOP,  # the run ends first, and its call with it
        keeps=secrecy is None or not secrecy.holds_any,  # nothing masks what is kept beside the run
    )
    outputs: Any = arguments.get("output_vars") or ()
    return RunRequest(
        code=arguments["script"],
        owner=context.owner,
        context={**_variables(arguments.get("input_vars") or {}), **(secrecy.variables if secrecy else {})},
        requirements=tuple(_names(arguments, "additional_imports")),
        tools=secrecy.guarded(tools, tools.servers) if secrecy else tools,
        outputs=tuple(_identifier(str(name), "output_vars") for name in outputs),
        limits=limits,
        secrecy=secrecy,
    )


def _names(arguments: Arguments, key: str) -> tuple[str, ...]:
    return tuple(arguments.get(key) or ())


def _variables(given: Mapping[str, Any]) -> dict[str, Any]:
    return {_identifier(name, "input_vars"): value for name, value in given.items()}


def _identifier(name: str, where: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("mcp_"):
        raise CallerFault(
            f"{where}: `{name[:80]}` cannot be a variable here",
            hint="letters, digits and `_`; names of tools begin with `mcp_`",
        )
    return name


# --- looking ----------------------------------------------------------------------------------------


async def _search(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    server = arguments.get("server")
    named = None if server is None else (server,)
    view = await workshop.view(context.owner, context.caller.call, named, LOOK_SECONDS)
    functions = {name: one for name, one in view.functions.items() if server in (None, one.server)}
    best = found(functions.values(), arguments.get("query", ""), int(arguments.get("limit", 10)))
    data: dict[str, Any] = {
        "tools": [brief(one) for one in best],
        "servers": by_server(functions),
    }
    if view.unreachable:
        data["unreachable"] = dict(view.unreachable)
    return ToolResult((text(text_of(data)),), data)


async def _details(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    one = await _known(workshop, arguments["name"], context)
    data = detailed(one)
    return ToolResult((text(text_of(data)),), data)


async def _one(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    one = await _known(workshop, arguments["name"], context)
    given: Mapping[str, Any] = arguments.get("arguments") or {}
    try:
        value = await workshop.call(one, given, context.owner, context.caller.call)
    except ToolFault as fault:
        return ToolResult((text(fault.message),), is_error=True)
    data = {"value": value}
    return ToolResult((text(text_of(data)),), data)


async def _known(workshop: Workshop, name: str, context: CallContext) -> Function:
    view = await workshop.view(context.owner, context.caller.call, workshop.concerned((name,)))
    if name in view.functions:
        return view.functions[name]
    near = nearest(name, view.functions)
    raise CallerFault(
        f"there is no tool `{name[:160]}`",
        hint=f"did you mean `{near[0]}`" if near else "searchTools finds tools",
    )


def _guide() -> Resource:
    async def read(uri: str, _: Mapping[str, str], __: CallContext) -> Sequence[Mapping[str, object]]:
        return [words(uri, (files("ostiary.servers.code") / "guide.md").read_text("utf-8"), "text/markdown")]

    return Resource(
        uri=GUIDE_URI,
        name="how to use executeCode",
        description="how code calls tools, what it gets back, and what it may use",
        mime="text/markdown",
        read=read,
    )
