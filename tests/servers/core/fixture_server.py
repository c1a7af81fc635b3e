"""What the official conformance suite asks of a server, offered by ours.

Argument: the port to serve HTTP on; without one it speaks over standard input and output. Names of
tools, prompts and resources are those that the suite's scenarios ask for.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from ostiary.identity.grant import Grant, Tokens
from ostiary.servers.core import content
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.endpoint import Endpoint, EndpointLimits
from ostiary.servers.core.fault import NotDeclared
from ostiary.servers.core.http import listen
from ostiary.servers.core.prompt import Prompt, PromptArgument, PromptMessage
from ostiary.servers.core.question import Question, form, roots, sampling
from ostiary.servers.core.resource import Resource, ResourceTemplate
from ostiary.servers.core.server import Server
from ostiary.servers.core.stdio import serve
from ostiary.servers.core.tool import Tool
from tests.conformance import fixture_content as held

Arguments = dict[str, Any]
Handler = Callable[[Arguments, CallContext], Awaitable[ToolResult]]

PAUSE = 0.02
PNG, WAV = base64.b64decode(held.PNG), base64.b64decode(held.WAV)
TOOLS: list[Tool] = []
SERVERS: list[Server] = []
"""The one server, for tools that change its lists."""


def tool(description: str, schema: Mapping[str, object] = held.NO_ARGUMENTS) -> Callable[[Handler], Handler]:
    """Offer the function under its own name."""

    def offer(function: Handler) -> Handler:
        TOOLS.append(
            Tool(name=function.__name__, handler=function, description=description, input_schema=schema)
        )
        return function

    return offer


def said(words: str) -> ToolResult:
    return ToolResult([text(words)])


def asks(message: str, **fields: str) -> Question:
    """A form with one field for each of `fields`, whose values are JSON types."""
    return form(message, held.form(**{name: {"type": kind} for name, kind in fields.items()}))


def samples(question: str, tokens: int = 100) -> Question:
    return sampling([{"role": "user", "content": text(question)}], max_tokens=tokens)


def field(answer: Mapping[str, Any], name: str) -> Any:
    return (answer.get("content") or {}).get(name) if answer.get("action") == "accept" else None


# --- tools that only answer -----------------------------------------------------------------------


@tool("says one sentence")
async def test_simple_text(arguments: Arguments, context: CallContext) -> ToolResult:
    return said("This is a simple text response for testing.")


@tool("shows a pixel")
async def test_image_content(arguments: Arguments, context: CallContext) -> ToolResult:
    return ToolResult([content.image(PNG, "image/png")])


@tool("plays silence")
async def test_audio_content(arguments: Arguments, context: CallContext) -> ToolResult:
    return ToolResult([content.audio(WAV, "audio/wav")])


@tool("holds a resource")
async def test_embedded_resource(arguments: Arguments, context: CallContext) -> ToolResult:
    words = content.words("test://embedded-resource", "This is an embedded resource content.")
    return ToolResult([content.embedded(words)])


@tool("holds one of each")
async def test_multiple_content_types(arguments: Arguments, context: CallContext) -> ToolResult:
    mixed = content.words("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return ToolResult(
        [
            text("Multiple content types test:"),
            content.image(PNG, "image/png"),
            content.embedded(mixed),
        ]
    )


@tool("fails")
async def test_error_handling(arguments: Arguments, context: CallContext) -> ToolResult:
    return content.failure("This tool intentionally returns an error for testing")


@tool("has a schema with many keywords", held.WIDE_SCHEMA)
async def json_schema_2020_12_tool(arguments: Arguments, context: CallContext) -> ToolResult:
    return said("taken")


@tool("mirrors an argument in a header", held.MIRRORED_SCHEMA)
async def test_mirrored_argument(arguments: Arguments, context: CallContext) -> ToolResult:
    return said(f"region {arguments.get('region')}")


@tool("greets", held.one_string("name"))
async def greet(arguments: Arguments, context: CallContext) -> ToolResult:
    return said(f"Hello, {arguments['name']}!")


# --- tools that report on the way -----------------------------------------------------------------


@tool("writes three lines of log")
async def test_tool_with_logging(arguments: Arguments, context: CallContext) -> ToolResult:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.log("info", words)
        await asyncio.sleep(PAUSE)
    return said("three lines were written")


@tool("writes one line of log")
async def test_logging_tool(arguments: Arguments, context: CallContext) -> ToolResult:
    await context.log("info", "one line")
    return said("one line was written")


@tool("reports progress")
async def test_tool_with_progress(arguments: Arguments, context: CallContext) -> ToolResult:
    for progress in (0, 50, 100):
        await context.progress(progress, 100, f"{progress} of 100")
        await asyncio.sleep(PAUSE)
    return said("arrived")


@tool("drops its stream before it answers")
async def test_reconnection(arguments: Arguments, context: CallContext) -> ToolResult:
    context.let_go()
    await asyncio.sleep(PAUSE)
    return said("the stream was dropped and taken up again")


@tool("changes the list of tools")
async def test_trigger_tool_change(arguments: Arguments, context: CallContext) -> ToolResult:
    SERVERS[0].changed("tools")
    return said("tools changed")


@tool("changes the list of prompts")
async def test_trigger_prompt_change(arguments: Arguments, context: CallContext) -> ToolResult:
    SERVERS[0].changed("prompts")
    return said("prompts changed")


# --- tools that ask the client --------------------------------------------------------------------


@tool("asks the client's model", held.one_string("prompt"))
async def test_sampling(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.sample(samples(str(arguments["prompt"])))
    return said(f"LLM response: {answer.get('content')}")


@tool("asks the person", held.one_string("message"))
async def test_elicitation(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.elicit(str(arguments["message"]), held.CONTACT)
    return said(f"User response: action={answer.get('action')}, content={answer.get('content')}")


@tool("asks with defaults")
async def test_elicitation_sep1034_defaults(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.elicit("Is this right?", held.DEFAULTS)
    return said(f"Elicitation completed: action={answer.get('action')}, content={answer.get('content')}")


@tool("asks with choices")
async def test_elicitation_sep1330_enums(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.elicit("Which of these?", held.ENUMS)
    return said(f"Elicitation completed: action={answer.get('action')}, content={answer.get('content')}")


@tool("needs a client that can sample")
async def test_missing_capability(arguments: Arguments, context: CallContext) -> ToolResult:
    if not context.can("sampling"):
        raise NotDeclared("sampling", modern=context.caller.modern)
    return said("sampling was declared")


@tool("asks within its own answer")
async def test_streaming_elicitation(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.ask({"user_name": asks("What is your name?", name="string")})
    return said(f"Hello, {field(answer['user_name'], 'name')}!")


# --- tools that ask in rounds ---------------------------------------------------------------------


@tool("asks in rounds")
async def test_input_required_result_elicitation(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.ask({"user_name": asks("What is your name?", name="string")})
    return said(f"Hello, {field(answer['user_name'], 'name')}!")


@tool("asks in rounds")
async def test_input_required_result_sampling(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.sample(samples("What is the capital of France?"), key="capital_question")
    return said(f"The model said: {answer.get('content')}")


@tool("asks in rounds")
async def test_input_required_result_list_roots(arguments: Arguments, context: CallContext) -> ToolResult:
    answer = await context.ask({"client_roots": roots()})
    return said(f"Roots: {answer['client_roots'].get('roots')}")


async def confirmed(arguments: Arguments, context: CallContext) -> ToolResult:
    await context.ask({"confirm": asks("Please confirm", ok="boolean")})
    return said("state-ok")


TOOLS.extend(
    Tool(name=name, handler=confirmed, description="asks in rounds")
    for name in ("test_input_required_result_request_state", "test_input_required_result_tampered_state")
)


@tool("asks in rounds")
async def test_input_required_result_multiple_inputs(
    arguments: Arguments, context: CallContext
) -> ToolResult:
    answers = await context.ask(
        {
            "user_name": asks("What is your name?", name="string"),
            "greeting": samples("Generate a greeting", 50),
            "client_roots": roots(),
        }
    )
    return said(f"Hello, {field(answers['user_name'], 'name')}!")


@tool("asks in rounds")
async def test_input_required_result_multi_round(arguments: Arguments, context: CallContext) -> ToolResult:
    first = await context.ask({"step1": asks("Step 1: What is your name?", name="string")})
    second = await context.ask({"step2": asks("Step 2: What is your favorite color?", color="string")})
    return said(f"{field(first['step1'], 'name')} likes {field(second['step2'], 'color')}")


@tool("asks in rounds")
async def test_input_required_result_capabilities(arguments: Arguments, context: CallContext) -> ToolResult:
    questions = {
        "question": samples("What is the weather like?"),
        "name": asks("What is your name?", name="string"),
    }
    possible = {key: one for key, one in questions.items() if context.can(one.capability)}
    if possible:
        await context.ask(possible)
    return said("nothing left to ask")


# --- resources and prompts ------------------------------------------------------------------------


async def read(uri: str, variables: Mapping[str, str], context: CallContext) -> list[Any] | None:
    found = held.read(uri)
    return None if found is None else [found.model_dump(mode="json", by_alias=True, exclude_none=True)]


async def get(name: str, given: Mapping[str, str]) -> list[PromptMessage]:
    found = held.prompt(name, dict(given))
    assert found is not None
    dumped = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    return [PromptMessage(message["content"]) for message in dumped["messages"]]


async def complete(name: str, typed: str, others: Mapping[str, str], context: CallContext) -> list[str]:
    return [word for word in ("paris", "park", "party") if word.startswith(typed)]


async def prompt_with_context(given: Mapping[str, str], context: CallContext) -> list[PromptMessage]:
    question = asks("What context should the prompt use?", context="string")
    answers = await context.ask({"user_context": question})
    return [PromptMessage(text(f"In the context of {field(answers['user_context'], 'context')}: go on."))]


def prompt(name: str, description: str, arguments: tuple[PromptArgument, ...]) -> Prompt:
    async def handler(given: Mapping[str, str], context: CallContext) -> list[PromptMessage]:
        return await get(name, given)

    asks_first = name == "test_input_required_result_prompt"
    return Prompt(
        name=name,
        handler=prompt_with_context if asks_first else handler,
        arguments=arguments,
        description=description,
        complete=complete if arguments else None,
    )


def prompts() -> list[Prompt]:
    return [
        prompt(
            one.name,
            one.description or "",
            tuple(
                PromptArgument(name=argument.name, description=argument.description or "", required=True)
                for argument in one.arguments or ()
            ),
        )
        for one in held.PROMPTS
    ]


def make_server() -> Server:
    resources = [
        Resource(
            uri=str(one.uri),
            name=one.name,
            read=read,
            description=one.description or "",
            mime=one.mime_type or "",
        )
        for one in held.RESOURCES
    ]
    templates = [
        ResourceTemplate(
            uri_template=one.uri_template,
            name=one.name,
            read=read,
            description=one.description or "",
            mime=one.mime_type or "",
            complete=complete,
        )
        for one in held.TEMPLATES
    ]
    server = Server(
        "conformance-fixture",
        "1",
        tools=TOOLS,
        resources=resources,
        templates=templates,
        prompts=prompts(),
        debug=True,
    )
    SERVERS[:] = [server]
    return server


async def over_http(server: Server, port: int) -> None:
    endpoint = Endpoint(server, limits=EndpointLimits(patience=0))
    tokens = Tokens(anonymous=Grant.named("tests"))
    await listen(endpoint, "127.0.0.1", port, tokens=tokens)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(over_http(make_server(), int(sys.argv[1])))
    else:
        asyncio.run(serve(make_server()))
