"""Every message of the core is valid by the official JSON schema of the revision it is said on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.test_wire_schema import LEGACY, faults, validator
from tests.servers.core.fixture_server import make_server
from tests.servers.core.world import MODERN, Client, call, modern, request, within

CAN = {"elicitation": {}, "sampling": {}, "roots": {}}
REFERENCE = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
ASKED = [
    request("tools/list", {}),
    request("resources/list", {}),
    request("resources/templates/list", {}),
    request("prompts/list", {}),
    request("resources/read", {"uri": "test://static-text"}),
    request("resources/read", {"uri": "test://static-binary"}),
    request("resources/read", {"uri": "test://template/7/data"}),
    request("resources/read", {"uri": "no://such"}),
    request("prompts/get", {"name": "test_simple_prompt"}),
    request("prompts/get", {"name": "test_prompt_with_image"}),
    request("prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}}),
    request("prompts/get", {"name": "no such"}),
    request("completion/complete", {"ref": REFERENCE, "argument": {"name": "arg1", "value": "pa"}}),
    call("test_simple_text"),
    call("test_image_content"),
    call("test_audio_content"),
    call("test_multiple_content_types"),
    call("test_error_handling"),
    call("test_tool_with_logging"),
    {**call("greet", {"name": 7}), "id": "seven"},
    call("greet", {"name": "Ada"}),
    call("no such"),
    request("no/such", {}),
]
ASKING = ("test_sampling", "test_elicitation", "test_elicitation_sep1330_enums")
"""Not the one with defaults: the official schema wants whole numbers there, the suite a fraction."""

RESULTS = {
    "elicitation/create": {"action": "accept", "content": {}},
    "sampling/createMessage": {
        "role": "assistant",
        "model": "m",
        "content": {"type": "text", "text": "x"},
    },
}


def check(revision: str, method: str, message: Any) -> None:
    """`message` is the answer to a request of `method`, or what the server says by itself."""
    if "method" in message:
        kind = "ServerRequest" if "id" in message else "ServerNotification"
        validator(revision, kind).validate(message)
        return
    found = list(faults(revision, method, message))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("revision", [*LEGACY, MODERN])
def test_answers_are_valid(revision: str) -> None:
    async def main() -> None:
        client = Client(make_server())
        is_modern = revision == MODERN
        if not is_modern:
            check(
                revision,
                "initialize",
                {"jsonrpc": "2.0", "id": 1, "result": await client.initialize(revision)},
            )
            for asked in (request("ping"), request("logging/setLevel", {"level": "debug"})):
                validator(revision, "EmptyResult").validate((await client.post(asked)).result)
        token: dict[str, Any] = {"progressToken": 1}
        for asked in ASKED:
            message = (
                modern(asked, CAN, **{"io.modelcontextprotocol/logLevel": "debug"}) if is_modern else asked
            )
            reply = await client.post(message)
            for said in reply.messages if reply.streams else [reply.json]:
                check(revision, asked["method"], said)
        slow = call("test_tool_with_progress")
        slow = (
            modern(slow, None, **token)
            if is_modern
            else {**slow, "params": {**slow["params"], "_meta": token}}
        )
        reply = await client.post(slow)
        assert len(reply.messages) == 4
        for said in reply.messages:
            check(revision, "tools/call", said)
        await client.endpoint.close()

    within(main)


@pytest.mark.parametrize("revision", ["2025-11-25"])
@pytest.mark.parametrize("name", ASKING)
def test_questions_to_a_legacy_client_are_valid(revision: str, name: str) -> None:
    async def main() -> None:
        client = Client(make_server())
        await client.initialize(revision, CAN)
        reply = client.begin(call(name, {"prompt": "p"} if name == "test_sampling" else {"message": "m"}))
        if name.startswith("test_elicitation_"):
            await reply.done.wait()
            assert reply.result["isError"], "these take no arguments"
            reply = client.begin(call(name))
        await reply.until(lambda: reply.messages)
        question = reply.messages[0]
        check(revision, "tools/call", question)
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": RESULTS[question["method"]]}
        assert (await client.post(answer)).status == 202
        await reply.done.wait()
        check(revision, "tools/call", reply.json)

    within(main)


def test_rounds_and_subscriptions_of_a_modern_client_are_valid() -> None:
    async def main() -> None:
        server = make_server()
        client = Client(server)
        check(MODERN, "server/discover", (await client.post(modern(request("server/discover")))).json)
        for name in ("test_input_required_result_multiple_inputs", "test_elicitation_sep1330_enums"):
            reply = await client.post(modern(call(name), CAN))
            assert reply.result["resultType"] == "input_required"
            validator(MODERN, "InputRequiredResult").validate(reply.result)
        lacking = await client.post(modern(call("test_input_required_result_elicitation")))
        validator(MODERN, "MissingRequiredClientCapabilityError").validate(lacking.json)
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["test://watched-resource"]}
        stream = client.begin(modern(request("subscriptions/listen", {"notifications": wanted})))
        server.changed("tools")
        server.updated("test://watched-resource")
        await client.endpoint.close()
        assert len(stream.messages) == 4
        for said in stream.messages[:-1]:
            check(MODERN, "subscriptions/listen", said)
        check(MODERN, "subscriptions/listen", stream.messages[-1])

    within(main)


def test_a_message_that_is_not_valid_is_found() -> None:
    """The schemas are in force."""
    reply = json.loads('{"jsonrpc": "2.0", "id": 1, "result": {"content": 7}}')
    with pytest.raises(AssertionError):
        check(MODERN, "tools/call", reply)
