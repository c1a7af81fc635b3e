"""The server that the official conformance suite talks to: both eras, on the official SDK.

Argument: the port to serve HTTP on; without one it speaks over standard input and output. Names of
tools, prompts and resources are those that the suite's scenarios ask for.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conformance import fixture_content as content
from tests.conformance import fixture_tasks as tasks
from tests.conformance.fixture_rounds import ROUNDS, asks, done, field, prompt_with_context, wants

Context = ServerRequestContext[Any, Any]
Arguments = dict[str, Any]
Outcome = types.CallToolResult | types.InputRequiredResult
Tool = Callable[[Context, Arguments], Awaitable[Outcome]]

PAUSE = 0.02
BUS = InMemorySubscriptionBus()
LISTED: dict[str, types.Tool] = {}
TOOLS: dict[str, Tool] = {}

# The suite still asks for logging and sampling, which the newest revision calls deprecated.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)


def tool(description: str, schema: dict[str, Any] = content.NO_ARGUMENTS) -> Callable[[Tool], Tool]:
    """Offer the function under its own name."""

    def offer(function: Tool) -> Tool:
        name = function.__name__
        LISTED[name] = types.Tool(name=name, description=description, input_schema=schema)
        TOOLS[name] = function
        return function

    return offer


def result(*blocks: types.ContentBlock) -> types.CallToolResult:
    return types.CallToolResult(content=list(blocks))


# --- tools that only answer -----------------------------------------------------------------------


@tool("says one sentence")
async def test_simple_text(context: Context, arguments: Arguments) -> types.CallToolResult:
    return done("This is a simple text response for testing.")


@tool("shows a pixel")
async def test_image_content(context: Context, arguments: Arguments) -> types.CallToolResult:
    return result(content.image())


@tool("plays silence")
async def test_audio_content(context: Context, arguments: Arguments) -> types.CallToolResult:
    return result(types.AudioContent(data=content.WAV, mime_type="audio/wav"))


@tool("holds a resource")
async def test_embedded_resource(context: Context, arguments: Arguments) -> types.CallToolResult:
    words = "This is an embedded resource content."
    return result(content.embedded("test://embedded-resource", "text/plain", words))


@tool("holds one of each")
async def test_multiple_content_types(context: Context, arguments: Arguments) -> types.CallToolResult:
    return result(
        content.text("Multiple content types test:"),
        content.image(),
        content.embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    )


@tool("fails")
async def test_error_handling(context: Context, arguments: Arguments) -> types.CallToolResult:
    words = "This tool intentionally returns an error for testing"
    return types.CallToolResult(content=[content.text(words)], is_error=True)


@tool("has a schema with many keywords", content.WIDE_SCHEMA)
async def json_schema_2020_12_tool(context: Context, arguments: Arguments) -> types.CallToolResult:
    return done("taken")


@tool("mirrors an argument in a header", content.MIRRORED_SCHEMA)
async def test_mirrored_argument(context: Context, arguments: Arguments) -> types.CallToolResult:
    return done(f"region {arguments.get('region')}")


# --- tools that report on the way -----------------------------------------------------------------


async def log(context: Context, words: str) -> None:
    await context.session.send_log_message("info", words, related_request_id=context.request_id)


@tool("writes three lines of log")
async def test_tool_with_logging(context: Context, arguments: Arguments) -> types.CallToolResult:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await log(context, words)
        await anyio.sleep(PAUSE)
    return done("three lines were written")


@tool("writes one line of log")
async def test_logging_tool(context: Context, arguments: Arguments) -> types.CallToolResult:
    await log(context, "one line")
    return done("one line was written")


@tool("reports progress")
async def test_tool_with_progress(context: Context, arguments: Arguments) -> types.CallToolResult:
    for progress in (0, 50, 100):
        await context.session.report_progress(progress, 100, f"{progress} of 100")
        await anyio.sleep(PAUSE)
    return done("arrived")


@tool("drops its stream before it answers")
async def test_reconnection(context: Context, arguments: Arguments) -> types.CallToolResult:
    if context.close_sse_stream is not None:
        await context.close_sse_stream()
        await anyio.sleep(PAUSE)
    return done("the stream was dropped and taken up again")


@tool("changes the list of tools")
async def test_trigger_tool_change(context: Context, arguments: Arguments) -> types.CallToolResult:
    await BUS.publish(ToolsListChanged())
    return done("tools changed")


@tool("changes the list of prompts")
async def test_trigger_prompt_change(context: Context, arguments: Arguments) -> types.CallToolResult:
    await BUS.publish(PromptsListChanged())
    return done("prompts changed")


# --- tools that ask the client --------------------------------------------------------------------


async def elicited(context: Context, message: str, schema: dict[str, Any]) -> types.ElicitResult:
    """Ask for a form by a request of our own; only where the client said that it can."""
    declared = context.session.client_capabilities
    if declared is None or declared.elicitation is None:
        raise MCPError(types.INVALID_REQUEST, "the client declared no elicitation")
    return await context.session.elicit_form(message, schema, context.request_id)


def said(answer: types.ElicitResult) -> str:
    return f"action={answer.action}, content={answer.content}"


@tool("asks the client's model", content.one_string("prompt"))
async def test_sampling(context: Context, arguments: Arguments) -> types.CallToolResult:
    message = types.SamplingMessage(role="user", content=content.text(str(arguments["prompt"])))
    answer = await context.session.create_message(
        [message], max_tokens=100, related_request_id=context.request_id
    )
    return done(f"LLM response: {answer.content}")


@tool("asks the person", content.one_string("message"))
async def test_elicitation(context: Context, arguments: Arguments) -> types.CallToolResult:
    answer = await elicited(context, str(arguments["message"]), content.CONTACT)
    return done(f"User response: {said(answer)}")


@tool("asks with defaults")
async def test_elicitation_sep1034_defaults(context: Context, arguments: Arguments) -> types.CallToolResult:
    answer = await elicited(context, "Is this right?", content.DEFAULTS)
    return done(f"Elicitation completed: {said(answer)}")


@tool("asks with choices")
async def test_elicitation_sep1330_enums(context: Context, arguments: Arguments) -> types.CallToolResult:
    answer = await elicited(context, "Which of these?", content.ENUMS)
    return done(f"Elicitation completed: {said(answer)}")


@tool("needs a client that can sample")
async def test_missing_capability(context: Context, arguments: Arguments) -> types.CallToolResult:
    declared = context.session.client_capabilities
    if declared is None or declared.sampling is None:
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "the client did not declare sampling",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return done("sampling was declared")


@tool("asks within its own answer")
async def test_streaming_elicitation(
    context: Context, arguments: Arguments
) -> types.CallToolResult | types.InputRequiredResult:
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return wants(user_name=asks("What is your name?", name="string"))
    return done("only on the newest revision")


@tool("greets", content.one_string("name"))
async def greet(context: Context, arguments: Arguments) -> types.CallToolResult:
    return done(f"Hello, {arguments['name']}!")


for _name in (*ROUNDS, "test_tool_with_task"):
    LISTED[_name] = types.Tool(name=_name, description="asks in rounds", input_schema=content.NO_ARGUMENTS)

for _listed in tasks.LISTED:
    LISTED[_listed.name] = _listed


# --- handlers -------------------------------------------------------------------------------------


async def list_tools(context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=list(LISTED.values()))


async def call_tool(context: Context, params: types.CallToolRequestParams) -> Outcome | dict[str, Any]:
    if params.name in ROUNDS:
        return ROUNDS[params.name](context, params)
    if params.name == "test_tool_with_task":
        return then_a_task(context, params)
    if params.name in tasks.BODIES:
        return await tasks.call(context, params.name, params.arguments or {})
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"unknown tool {params.name}")
    return await TOOLS[params.name](context, params.arguments or {})


def then_a_task(context: Context, params: types.CallToolRequestParams) -> Outcome | dict[str, Any]:
    """One round of questions, and then a task that knows the answer."""
    tasks.require(context)
    name = field(params, "user_name", "name")
    if name is None:
        return wants("asked", user_name=asks("What is your name?", name="string"))
    return tasks.begin(tasks.after_the_rounds, {"user_name": name})


async def list_resources(
    context: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=content.RESOURCES)


async def list_templates(
    context: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(resource_templates=content.TEMPLATES)


async def read_resource(
    context: Context, params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    found = content.read(str(params.uri))
    if found is None:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": str(params.uri)})
    return types.ReadResourceResult(contents=[found])


async def subscription(
    context: Context, params: types.SubscribeRequestParams | types.UnsubscribeRequestParams
) -> types.EmptyResult:
    return types.EmptyResult()


async def list_prompts(
    context: Context, params: types.PaginatedRequestParams | None
) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=content.PROMPTS)


async def get_prompt(
    context: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    if params.name == "test_input_required_result_prompt":
        return prompt_with_context(params)
    found = content.prompt(params.name, params.arguments or {})
    if found is None:
        raise MCPError(types.INVALID_PARAMS, f"unknown prompt {params.name}")
    return found


async def complete(context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    given = params.argument.value
    known = [word for word in ("paris", "park", "party") if word.startswith(given)]
    return types.CompleteResult(completion=types.Completion(values=known, total=len(known), has_more=False))


async def set_level(context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
    return types.EmptyResult()


class Events(EventStore):
    """Everything that was sent on streams, in memory, so that a stream can be taken up again."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        self.sent.append((stream_id, message))
        return str(len(self.sent))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self.sent):
            return None
        after = int(last_event_id)
        stream = self.sent[after - 1][0]
        for number, (of, message) in enumerate(self.sent[after:], start=after + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def make_server() -> Server[Any]:
    server = Server(
        "conformance-fixture",
        version="1",
        cache_hints={
            method: CacheHint(ttl_ms=60_000, scope="public")
            for method in (
                "tools/list",
                "prompts/list",
                "resources/list",
                "resources/templates/list",
                "resources/read",
            )
        },
        on_list_tools=list_tools,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscription,
        on_unsubscribe_resource=subscription,
        on_subscriptions_listen=ListenHandler(BUS),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
        on_set_logging_level=set_level,
    )
    # Added afterwards: a task is a result that the SDK's own types do not know.
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    tasks.offer(server)
    server.middleware.append(
        RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name)
    )
    return server


async def over_stdio(server: Server[Any]) -> None:
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, options)


def main(arguments: list[str]) -> None:
    server = make_server()
    if not arguments:
        anyio.run(over_stdio, server)
        return
    app = server.streamable_http_app(event_store=Events(), retry_interval=100)
    uvicorn.run(app, host="127.0.0.1", port=int(arguments[0]), log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1:])
