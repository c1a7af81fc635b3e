"""The tools of code mode, as clients see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib.resources import files
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from ostiary.sandbox.toolbox import ToolFault
from ostiary.servers.code import schemas
from ostiary.servers.code.find import by_server, description_of, found
from ostiary.servers.code.functions import Function
from ostiary.servers.code.replies import executed, standing, text_of
from ostiary.servers.code.workshop import Workshop
from ostiary.servers.core.content import ToolResult, text, words
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Resource
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Arguments, Tool
from ostiary.servers.runs import RUN_META, awaited, ran, run_templates

GUIDE_URI: Final = "codemode://guide"
BACKSTOP: Final = 30.0
LOOKS: Final = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True}
ACTS: Final = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}

INSTRUCTIONS: Final = f"""\
Runs Python that calls tools of other MCP servers as functions: `mcp_Server_tool(name=value)`. Find \
them with `searchTools`, then name their servers in `mcp_server_names`. The value of the last \
expression is returned; what passes between tools stays out of the conversation. More: {GUIDE_URI}"""

EXECUTE: Final = """\
Execute Python code that calls MCP tools as functions (e.g. mcp_Supabase_list_projects()). Name the \
servers in mcp_server_names or the functions in required_tools; others are not there. Results are \
parsed JSON where they parse, else text. input_vars are plain variables; output_vars are read back. \
Plain synchronous code, no os.getenv. Look up functions with searchTools first; try a tool once \
before you rely on the form of its answer."""


def make_server(workshop: Workshop, *, version: str) -> Server:
    """The server over `workshop`. `version` is of Ostiary."""
    return Server(
        "ostiary-code",
        version,
        title="Code that calls tools",
        instructions=INSTRUCTIONS,
        tools=tools_of(workshop),
        resources=[_guide()],
        templates=[one for engine in workshop.engines[:1] for one in run_templates(engine)],
    )


def tools_of(workshop: Workshop) -> list[Tool]:
    """What may be called."""
    return [
        Tool(
            name="executeCode",
            title="Execute code",
            description=EXECUTE,
            input_schema=schemas.EXECUTE_CODE,
            accepts=schemas.ACCEPTED,
            output_schema=schemas.EXECUTED,
            annotations=ACTS,
            handler=partial(_execute, workshop),
        ),
        Tool(
            name="asyncExecuteCode",
            title="Execute code in the background",
            description="As executeCode, but answers at once; ask checkCodeExecStatus what became of it.",
            input_schema=schemas.START_CODE,
            accepts=schemas.ACCEPTED,
            output_schema=schemas.STARTED,
            annotations=ACTS,
            handler=partial(_start, workshop),
        ),
        Tool(
            name="checkCodeExecStatus",
            title="What became of an execution",
            description="Whether an execution is pending, running or over, and its result.",
            input_schema=schemas.BY_EXECUTION,
            output_schema=schemas.STANDING,
            annotations=LOOKS,
            handler=partial(_check, workshop),
        ),
        Tool(
            name="searchTools",
            title="Search tools",
            description="Find functions by words of their names and descriptions.",
            input_schema=schemas.SEARCH,
            output_schema=schemas.FOUND,
            annotations=LOOKS,
            handler=partial(_search, workshop),
        ),
        Tool(
            name="getToolDetails",
            title="Details of a tool",
            description="Signature, description and input schema of one function.",
            input_schema=schemas.DETAILS,
            output_schema=schemas.DETAILED,
            annotations=LOOKS,
            handler=partial(_details, workshop),
        ),
        Tool(
            name="executeTool",
            title="Execute one tool",
            description="Call one function without writing code, to see what its answer looks like.",
            input_schema=schemas.EXECUTE_TOOL,
            output_schema=schemas.VALUE,
            annotations=ACTS,
            handler=partial(_one, workshop),
        ),
    ]


# --- running ----------------------------------------------------------------------------------------


async def _execute(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    request = await _request(workshop, arguments, context)
    engine = await workshop.choose(request)
    record = await awaited(engine, request, context)
    data = executed(record, arguments.get("session_id"))
    return ToolResult((text(text_of(data)),), data, not data["success"], {RUN_META: ran(record)})


async def _start(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    request = await _request(workshop, arguments, context)
    engine = await workshop.choose(request)
    data = {"execution_id": engine.start(request), "status": "pending"}
    return ToolResult((text(text_of(data)),), data)


async def _check(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    run_id: str = arguments["execution_id"]
    known = _standing(workshop, context.owner, run_id)
    if known is None:
        raise CallerFault(
            f"no execution `{run_id[:80]}` is known", hint="they are kept for an hour, for who began them"
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
    if arguments.get("required_secrets"):
        raise CallerFault("required_secrets: this server keeps no secrets", hint="leave it out")
    seconds = float(arguments.get("timeout", schemas.USUAL_SECONDS))
    limits = DEFAULT_LIMITS.lasting(max(1, round(min(seconds, 600) * 1000)))
    tools = await workshop.tools(
        context.owner,
        context.caller.call,
        _names(arguments, "mcp_server_names"),
        _names(arguments, "required_tools"),
        arguments["script"],
        limits.wall_ms / 1000 + BACKSTOP,  # the run ends first, and its call with it
    )
    outputs: Any = arguments.get("output_vars") or ()
    return RunRequest(
        code=arguments["script"],
        owner=context.owner,
        context=_variables(arguments.get("input_vars") or {}),
        requirements=tuple(_names(arguments, "additional_imports")),
        tools=tools,
        outputs=tuple(_identifier(str(name), "output_vars") for name in outputs),
        limits=limits,
    )


def _names(arguments: Arguments, key: str) -> Sequence[str]:
    return tuple(arguments.get(key) or ())


def _variables(given: Mapping[str, Any]) -> dict[str, Any]:
    return {_identifier(name, "input_vars"): value for name, value in given.items()}


def _identifier(name: str, where: str) -> str:
    if not name.isidentifier() or name.startswith("mcp_"):
        raise CallerFault(
            f"{where}: `{name[:80]}` cannot be a variable here",
            hint="letters, digits and `_`; names of tools begin with `mcp_`",
        )
    return name


# --- looking ----------------------------------------------------------------------------------------


async def _search(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    server = arguments.get("server")
    view = await workshop.view(context.owner, context.caller.call, None if server is None else (server,))
    functions = {name: one for name, one in view.functions.items() if server in (None, one.server)}
    best = found(functions.values(), arguments.get("query", ""), int(arguments.get("limit", 10)))
    data: dict[str, Any] = {
        "tools": [{"name": one.name, "description": _short(one), "signature": one.stub} for one in best],
        "servers": by_server(functions),
    }
    if view.unreachable:
        data["unreachable"] = dict(view.unreachable)
    return ToolResult((text(text_of(data)),), data)


def _short(function: Function) -> str:
    """The first line of what the server says of it."""
    return description_of(function).strip().partition("\n")[0][:160]


async def _details(workshop: Workshop, arguments: Arguments, context: CallContext) -> ToolResult:
    one = await _known(workshop, arguments["name"], context)
    data: dict[str, Any] = {
        "name": one.name,
        "server": one.server,
        "tool": one.tool,
        "signature": one.stub,
        "description": description_of(one),
        "inputSchema": one.definition.input_schema,
    }
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
    near = get_close_matches(name, view.functions, n=1)
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
