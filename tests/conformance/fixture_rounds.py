"""Tools of the fixture that need an answer from the client before they can give theirs.

On 2026-07-28 such a tool ends its round with what it still wants to know; the client repeats the
call with the answers. What a tool remembers between rounds travels in the request state, which the
official SDK seals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext

from tests.conformance.fixture_content import form, text

Context = ServerRequestContext[Any, Any]
Params = types.CallToolRequestParams | types.GetPromptRequestParams
Outcome = types.CallToolResult | types.InputRequiredResult
Round = Callable[[Context, Params], Outcome]


def asks(message: str, **fields: str) -> types.ElicitRequest:
    """A form with one field for each of `fields`, whose values are JSON types."""
    schema = form(**{name: {"type": kind} for name, kind in fields.items()})
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def samples(question: str, tokens: int = 100) -> types.CreateMessageRequest:
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(
            messages=[types.SamplingMessage(role="user", content=text(question))], max_tokens=tokens
        )
    )


def done(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[text(words)])


def wants(state: str | None = None, /, **requests: types.InputRequest) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def answers(params: Params) -> types.InputResponses:
    return params.input_responses or {}


def field(params: Params, key: str, name: str) -> Any:
    """What the person entered under `name` in the form `key`; None if there is no such answer."""
    answer = answers(params).get(key)
    if isinstance(answer, types.ElicitResult) and answer.action == "accept" and answer.content:
        return answer.content.get(name)
    return None


def name_of_user(context: Context, params: Params) -> Outcome:
    name = field(params, "user_name", "name")
    if name is None:
        return wants(user_name=asks("What is your name?", name="string"))
    return done(f"Hello, {name}!")


def capital(context: Context, params: Params) -> Outcome:
    answer = answers(params).get("capital_question")
    if not isinstance(answer, types.CreateMessageResult):
        return wants(capital_question=samples("What is the capital of France?"))
    said = answer.content.text if isinstance(answer.content, types.TextContent) else answer.content.type
    return done(f"The model said: {said}")


def roots(context: Context, params: Params) -> Outcome:
    answer = answers(params).get("client_roots")
    if not isinstance(answer, types.ListRootsResult):
        return wants(client_roots=types.ListRootsRequest())
    return done("Roots: " + ", ".join(str(root.uri) for root in answer.roots))


def confirmed(context: Context, params: Params) -> Outcome:
    """One round; the state has to come back."""
    if field(params, "confirm", "ok") is None or params.request_state != "asked":
        return wants("asked", confirm=asks("Please confirm", ok="boolean"))
    return done("state-ok")


def several(context: Context, params: Params) -> Outcome:
    if {"user_name", "greeting", "client_roots"} <= set(answers(params)) and params.request_state:
        return done(f"Hello, {field(params, 'user_name', 'name')}!")
    return wants(
        "three questions",
        user_name=asks("What is your name?", name="string"),
        greeting=samples("Generate a greeting", 50),
        client_roots=types.ListRootsRequest(),
    )


def two_rounds(context: Context, params: Params) -> Outcome:
    """Asks twice; the state of the second round holds the answer of the first."""
    state = params.request_state or ""
    colour = field(params, "step2", "color")
    if state.startswith("second:") and colour is not None:
        return done(f"{state.removeprefix('second:')} likes {colour}")
    name = field(params, "step1", "name")
    if state == "first" and name is not None:
        return wants(f"second:{name}", step2=asks("Step 2: What is your favorite color?", color="string"))
    return wants("first", step1=asks("Step 1: What is your name?", name="string"))


def what_the_client_can(context: Context, params: Params) -> Outcome:
    """Asks only by ways that the client declared."""
    declared = context.session.client_capabilities or types.ClientCapabilities()
    requests: dict[str, types.InputRequest] = {}
    if declared.sampling is not None:
        requests["question"] = samples("What is the weather like?")
    if declared.elicitation is not None:
        requests["name"] = asks("What is your name?", name="string")
    if not requests or answers(params):
        return done("nothing left to ask")
    return types.InputRequiredResult(input_requests=requests)


ROUNDS: dict[str, Round] = {
    "test_input_required_result_elicitation": name_of_user,
    "test_input_required_result_sampling": capital,
    "test_input_required_result_list_roots": roots,
    "test_input_required_result_request_state": confirmed,
    "test_input_required_result_multiple_inputs": several,
    "test_input_required_result_multi_round": two_rounds,
    "test_input_required_result_tampered_state": confirmed,
    "test_input_required_result_capabilities": what_the_client_can,
}


def prompt_with_context(
    params: types.GetPromptRequestParams,
) -> types.GetPromptResult | types.InputRequiredResult:
    """A prompt that asks for its context first."""
    given = field(params, "user_context", "context")
    if given is None:
        return wants(user_context=asks("What context should the prompt use?", context="string"))
    message = types.PromptMessage(role="user", content=text(f"In the context of {given}: go on."))
    return types.GetPromptResult(messages=[message])
