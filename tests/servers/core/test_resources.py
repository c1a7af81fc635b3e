"""Resources, prompts and completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.servers.core import content
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.prompt import Prompt, PromptArgument, PromptMessage
from ostiary.servers.core.resource import Resource, ResourceTemplate, pattern, variables
from ostiary.servers.core.server import Server
from tests.servers.core.world import Client, modern, request, within

RUNS = {("alice", "1"): "of alice", ("bob", "2"): "of bob"}


async def read_run(uri: str, found: Mapping[str, str], context: CallContext) -> list[Any] | None:
    text = RUNS.get((context.owner, found["run"]))
    return None if text is None else [content.words(uri, text)]


async def runs(context: CallContext) -> list[Resource]:
    return [
        Resource(uri=f"run://{run}/log", name=run, read=read_run)
        for owner, run in RUNS
        if owner == context.owner
    ]


async def broken(uri: str, found: Mapping[str, str], context: CallContext) -> list[Any] | None:
    raise ValueError("secret")


async def refused(uri: str, found: Mapping[str, str], context: CallContext) -> list[Any] | None:
    raise CallerFault("the run is gone")


async def complete(name: str, typed: str, others: Mapping[str, str], context: CallContext) -> list[str]:
    return [f"{typed}{number}{others.get('x', '')}" for number in range(150)]


async def greet(arguments: Mapping[str, str], context: CallContext) -> list[PromptMessage]:
    return [PromptMessage(content.text(f"Greet {arguments['name']}"), role="assistant")]


def client(owner: str = "alice") -> Client:
    template = ResourceTemplate(
        uri_template="run://{run}/log", name="log", read=read_run, list=runs, complete=complete
    )
    prompt = Prompt(
        name="greet",
        handler=greet,
        description="greets",
        arguments=(PromptArgument(name="name", required=True),),
    )
    fixed = [
        Resource(uri="fixed://broken", name="broken", read=broken),
        Resource(uri="fixed://refused", name="refused", read=refused, size=3, mime="text/plain"),
    ]
    made = Client(Server("s", "1", resources=fixed, templates=[template], prompts=[prompt]))
    made.owner = owner
    return made


def test_what_is_bound_to_an_owner_exists_for_nobody_else() -> None:
    async def main() -> None:
        for owner, own, other in (("alice", "1", "2"), ("bob", "2", "1")):
            one = client(owner)
            listed = await one.post(modern(request("resources/list")))
            uris = [entry["uri"] for entry in listed.result["resources"]]
            assert uris == ["fixed://broken", "fixed://refused", f"run://{own}/log"]
            assert listed.result["cacheScope"] == "private"
            read = await one.post(modern(request("resources/read", {"uri": f"run://{own}/log"})))
            assert read.result["contents"][0]["text"] == f"of {owner}"
            foreign = await one.post(modern(request("resources/read", {"uri": f"run://{other}/log"})))
            nothing = await one.post(modern(request("resources/read", {"uri": "run://9/log"})))
            assert foreign.error["message"] == nothing.error["message"]
            assert (foreign.status, foreign.error["code"]) == (400, -32602)

    within(main)


def test_a_resource_that_is_not_there_has_the_code_of_its_revision() -> None:
    async def main() -> None:
        one = client()
        await one.initialize()
        reply = await one.post(request("resources/read", {"uri": "no://such"}))
        assert reply.error == {"code": -32002, "message": "resource not found", "data": {"uri": "no://such"}}

    within(main)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("fixed://broken", "the server failed unexpectedly; its log says why"),
        ("fixed://refused", "the run is gone"),
    ],
)
def test_a_resource_that_cannot_be_read_is_an_error_without_secrets(uri: str, words: str) -> None:
    async def main() -> None:
        reply = await client().post(modern(request("resources/read", {"uri": uri})))
        assert reply.error == {"code": -32603, "message": words}

    within(main)


@pytest.mark.parametrize(
    ("template", "uri", "found"),
    [
        ("run://{id}", "run://7", {"id": "7"}),
        ("run://{id}", "run://a%2Fb", {"id": "a/b"}),
        ("run://{id}", "run://a/b", None),
        ("run://{id}", "run://", None),
        ("file://{+path}", "file://a/b", {"path": "a/b"}),
        ("file://{path*}", "file://a/b", {"path": "a/b"}),
        ("x.y://{id}", "xzy://7", None),
        ("run://{id}/{name}", "run://7/out", {"id": "7", "name": "out"}),
    ],
)
def test_templates_match_whole_uris(template: str, uri: str, found: Any) -> None:
    assert variables(pattern(template), uri) == found


def test_a_prompt_checks_its_arguments() -> None:
    async def main() -> None:
        one = client()
        listed = await one.post(modern(request("prompts/list")))
        assert listed.result["prompts"] == [
            {"name": "greet", "description": "greets", "arguments": [{"name": "name", "required": True}]}
        ]
        given = {"name": "greet", "arguments": {"name": "Ada"}}
        got = await one.post(modern(request("prompts/get", given)))
        assert got.result["messages"] == [
            {"role": "assistant", "content": {"type": "text", "text": "Greet Ada"}}
        ]
        for wrong in (
            {"name": "greet"},
            {"name": "greet", "arguments": {"name": 7}},
            {"name": "other", "arguments": {}},
        ):
            assert (await one.post(modern(request("prompts/get", wrong)))).error["code"] == -32602

    within(main)


def test_completion_gives_at_most_a_hundred_values_and_says_so() -> None:
    async def main() -> None:
        one = client()
        reference = {"type": "ref/resource", "uri": "run://{run}/log"}
        params = {
            "ref": reference,
            "argument": {"name": "run", "value": "a"},
            "context": {"arguments": {"x": "!"}},
        }
        done = (await one.post(modern(request("completion/complete", params)))).result["completion"]
        assert (len(done["values"]), done["values"][0], done["total"], done["hasMore"]) == (
            100,
            "a0!",
            150,
            True,
        )
        params["ref"] = {"type": "ref/prompt", "name": "greet"}
        assert (await one.post(modern(request("completion/complete", params)))).result["completion"] == {
            "values": [],
            "total": 0,
            "hasMore": False,
        }
        params["ref"] = {"type": "ref/prompt", "name": "other"}
        assert (await one.post(modern(request("completion/complete", params)))).error["code"] == -32602

    within(main)
