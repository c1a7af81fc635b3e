"""Tools: their names, their arguments and their results."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.servers.core.content import ToolResult, link, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.fault import RpcFault
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Alias, Tool
from tests.servers.core.world import (
    LEGACY,
    Client,
    call,
    modern,
    request,
    within,
)

CODE = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "timeout": {"type": "number"}},
    "required": ["code"],
    "additionalProperties": False,
}
OTHER = {"type": "object", "properties": {"python_code": {"type": "string"}}, "required": ["python_code"]}


async def echo(arguments: dict[str, Any], context: CallContext) -> ToolResult:
    return ToolResult([text(repr(arguments))], structured={"arguments": arguments})


def execute(**more: Any) -> Tool:
    other = Alias(
        name="run_python_code",
        convert=lambda given: {"code": given["python_code"]},
        input_schema=OTHER,
        answer=lambda result: ToolResult([text("<status>success</status>")]),
    )
    plain = Alias(name="run_code")
    return Tool(
        name="execute", prefix="shell", handler=echo, input_schema=CODE, aliases=(other, plain), **more
    )


def names(naming: Any) -> list[str]:
    return [str(tool["name"]) for tool in Server("s", "1", tools=[execute()], naming=naming).catalogue.listed]


def test_the_naming_decides_which_spellings_are_listed() -> None:
    assert names("bare") == ["execute"]
    assert names("prefixed") == ["shell_execute"]
    assert names("both") == ["execute", "shell_execute", "run_python_code", "run_code"]


@pytest.mark.parametrize("naming", ["bare", "prefixed", "both"])
@pytest.mark.parametrize("name", ["execute", "shell_execute", "run_code"])
def test_every_spelling_is_accepted_whatever_is_listed(naming: Any, name: str) -> None:
    async def main() -> None:
        client = Client(Server("s", "1", tools=[execute()], naming=naming))
        reply = await client.post(modern(call(name, {"code": "1"})))
        assert reply.result["structuredContent"] == {"arguments": {"code": "1"}}

    within(main)


def test_an_alias_converts_arguments_and_answers() -> None:
    async def main() -> None:
        client = Client(Server("s", "1", tools=[execute()]))
        reply = await client.post(modern(call("run_python_code", {"python_code": "1"})))
        assert reply.said == "<status>success</status>"
        wrong = await client.post(modern(call("run_python_code", {"code": "1"})))
        assert wrong.result["isError"]
        assert "python_code" in wrong.said

    within(main)


def test_two_tools_with_one_name_are_refused() -> None:
    with pytest.raises(CallerFault, match="`execute`"):
        Server("s", "1", tools=[execute(), Tool(name="x", handler=echo, aliases=(Alias(name="execute"),))])


def test_a_schema_that_refers_elsewhere_is_refused(tmp_path: Path) -> None:
    """Even to a file that could be read."""
    other = tmp_path / "other.json"
    other.write_text('{"type": "object"}')
    for place in (other.as_uri(), "http://127.0.0.1:9/schema"):
        with pytest.raises(CallerFault, match="unusable schema"):
            Server("s", "1", tools=[Tool(name="x", handler=echo, input_schema={"$ref": place})])


@pytest.mark.parametrize("version", [*LEGACY, "modern"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, '"code" is a required property'),
        ({"code": 3}, '`/code`: 3 is not of type "string"'),
        ({"code": "", "more": 1}, "Additional properties are not allowed ('more' was unexpected)"),
    ],
)
def test_arguments_that_do_not_fit_are_a_result_that_a_model_is_shown(
    version: str, arguments: Any, words: str
) -> None:
    async def main() -> None:
        client = Client(Server("s", "1", tools=[execute()]))
        message = call("execute", arguments)
        if version == "modern":
            reply = await client.post(modern(message))
        else:
            await client.initialize(version)
            reply = await client.post(message)
        assert (reply.status, reply.result["isError"]) == (200, True)
        assert reply.said == f"invalid arguments: {words}"

    within(main)


def test_a_complaint_never_repeats_a_long_value() -> None:
    async def main() -> None:
        client = Client(Server("s", "1", tools=[execute()]))
        reply = await client.post(modern(call("execute", {"code": ["x" * 10_000]})))
        assert reply.result["isError"]
        assert len(reply.said) < 400

    within(main)


def test_extras_are_accepted_without_being_listed() -> None:
    wider = {**CODE, "properties": {**CODE["properties"], "run_options": {"type": "object"}}}

    async def main() -> None:
        client = Client(Server("s", "1", tools=[execute(accepts=wider)]))
        listed = await client.post(modern(request("tools/list")))
        assert listed.result["tools"][0]["inputSchema"] == CODE
        reply = await client.post(modern(call("execute", {"code": "1", "run_options": {}})))
        assert not reply.result["isError"]

    within(main)


@pytest.mark.parametrize("version", ["2025-11-25", "modern"])
def test_an_unknown_tool_is_an_error_of_the_protocol(version: str) -> None:
    async def main() -> None:
        client = Client(Server("s", "1", tools=[execute()]))
        if version == "modern":
            reply = await client.post(modern(call("nothing such")))
        else:
            await client.initialize(version)
            reply = await client.post(call("nothing such"))
        assert reply.error["code"] == -32602

    within(main)


def test_a_handler_that_fails_tells_the_client_only_what_was_written_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuses(arguments: dict[str, Any], context: CallContext) -> ToolResult:
        raise CallerFault("there is no such file", hint="list them first")

    async def breaks(arguments: dict[str, Any], context: CallContext) -> ToolResult:
        raise ValueError("/home/ada/secret is missing")

    async def protests(arguments: dict[str, Any], context: CallContext) -> ToolResult:
        raise RpcFault(-32602, "not so", {"why": "because"})

    tools = [Tool(name=one.__name__, handler=one) for one in (refuses, breaks, protests)]

    async def main() -> None:
        client = Client(Server("s", "1", tools=tools))
        refused = await client.post(modern(call("refuses")))
        assert (refused.result["isError"], refused.said) == (True, "there is no such file (list them first)")
        broken = await client.post(modern(call("breaks")))
        assert broken.result["isError"]
        assert b"secret" not in broken.body
        assert b"Traceback" not in broken.body
        protested = await client.post(modern(call("protests")))
        assert protested.error == {"code": -32602, "message": "not so", "data": {"why": "because"}}

    with caplog.at_level(logging.ERROR):
        within(main)
    assert "/home/ada/secret is missing" in caplog.text


def test_a_result_that_breaks_its_output_schema_is_found_while_debugging() -> None:
    schema = {"type": "object", "required": ["code"]}

    async def main() -> None:
        for debug in (True, False):
            tool = Tool(name="t", handler=echo, input_schema={"type": "object"}, output_schema=schema)
            client = Client(Server("s", "1", tools=[tool], debug=debug))
            reply = await client.post(modern(call("t")))
            if debug:
                assert reply.error["code"] == -32603
                assert "output schema" in reply.error["message"]
            else:
                assert not reply.result["isError"]

    within(main)


@pytest.mark.parametrize("written", ["1.50", "2e0", "10E-1"])
def test_numbers_arrive_as_numbers_however_they_are_spelled(written: str) -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def keep(arguments: dict[str, Any], context: CallContext) -> ToolResult:
            seen.append(arguments["timeout"])
            return ToolResult()

        tool = Tool(name="t", handler=keep, input_schema={"type": "object"})
        client = Client(Server("s", "1", tools=[tool]))
        await client.initialize()
        body = (
            b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"timeout":%s}}}'
        )
        reply = client.send("POST", body % written.encode(), client._headers({}, ()))
        await reply.done.wait()
        assert [type(one) for one in seen] == [float]
        assert seen == [float(written)]

    within(main)


def test_a_number_that_is_out_of_range_is_refused() -> None:
    async def main() -> None:
        client = Client(Server("s", "1", tools=[Tool(name="t", handler=echo, input_schema={})]))
        await client.initialize()
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":1e999}}}'
        reply = client.send("POST", body, client._headers({}, ()))
        await reply.done.wait()
        assert reply.error["code"] == -32602

    within(main)


def test_older_revisions_get_words_for_what_they_do_not_know() -> None:
    async def links(arguments: dict[str, Any], context: CallContext) -> ToolResult:
        return ToolResult([link("run://1", "a run")], structured={"a": 1})

    async def main() -> None:
        client = Client(Server("s", "1", tools=[Tool(name="links", handler=links, title="Links")]))
        await client.initialize("2025-03-26")
        old = await client.post(call("links"))
        assert old.result["content"] == [{"type": "text", "text": "a run: run://1"}]
        assert "structuredContent" not in old.result
        listed = await client.post(request("tools/list"))
        assert "title" not in listed.result["tools"][0]
        await client.initialize("2025-06-18")
        new = await client.post(call("links"))
        assert new.result["content"][0]["type"] == "resource_link"
        assert new.result["structuredContent"] == {"a": 1}

    within(main)


def test_pages_lead_from_one_to_the_next() -> None:
    tools = [Tool(name=f"t{number}", handler=echo) for number in range(5)]

    async def main() -> None:
        client = Client(Server("s", "1", tools=tools, page_size=2))
        found: list[str] = []
        params: dict[str, Any] = {}
        for _ in range(3):
            reply = await client.post(modern(request("tools/list", params)))
            found += [tool["name"] for tool in reply.result["tools"]]
            params = {"cursor": reply.result.get("nextCursor")}
        assert found == ["t0", "t1", "t2", "t3", "t4"]
        assert params == {"cursor": None}
        for wrong in ("", "bm9uc2Vuc2U=", "OTk5", "not base64 at all"):
            reply = await client.post(modern(request("tools/list", {"cursor": wrong})))
            assert (reply.status, reply.error["code"]) == (400, -32602)

    within(main)
