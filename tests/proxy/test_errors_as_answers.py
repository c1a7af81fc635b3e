"""HTTP errors whose bodies look like messages: no client gets one that was not judged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ostiary.identity.grant import Grant
from ostiary.proxy.bridge.client import ClientBridge
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.glance import glance
from ostiary.proxy.bridge.port import ClientPort
from ostiary.proxy.gate import Gate
from tests.weaknesses.world import (
    Seen,
    World,
    call,
    deny_but,
    encoded,
    events,
    http,
    request,
    result,
    within,
    world,
)

Json = dict[str, Any]
JSON = b"application/json"
WORDS = b"text/plain"


def url_elicitation(number: object) -> Json:
    """The error by which a server asks the client to open a URL."""
    error = {"code": -32042, "message": "open", "data": {"elicitations": [{"url": "https://danger"}]}}
    return {"jsonrpc": "2.0", "id": number, "error": error}


QUESTION = request("sampling/createMessage", {"messages": ["danger"]}, "q")
TOOLS = {"tools": [{"name": "danger"}]}

BODIES: dict[str, Any] = {
    "a question in an array": lambda seen: http(encoded([QUESTION]), JSON, 400),
    "a question in an array of words": lambda seen: http(encoded([QUESTION]), WORDS, 400),
    "its result in words": lambda seen: http(result(seen.message, TOOLS), WORDS, 400),
    "its result without a type": lambda seen: http(result(seen.message, TOOLS), b"", 404),
    "its result in an array": lambda seen: http(b"[" + result(seen.message, TOOLS) + b"]", JSON, 400),
    "its result with a key twice": lambda seen: http(
        result(seen.message, TOOLS)[:-1] + b',"x":1,"x":2}', JSON, 400
    ),
    "a denied error in words": lambda seen: http(encoded(url_elicitation(1)), WORDS, 400),
    "a denied error in an array": lambda seen: http(encoded([url_elicitation(1)]), JSON, 400),
    "a denied error without an id": lambda seen: http(encoded(url_elicitation(None)), JSON, 400),
    "a denied error that is no message": lambda seen: http(
        encoded({"error": url_elicitation(1)["error"]}), JSON, 400
    ),
}


async def said_to_a_client_of_pipes(gate: World, message: Json) -> list[bytes]:
    """What a client that speaks no HTTP is sent until its request is over."""
    said: list[bytes] = []
    over = asyncio.Event()

    def changed() -> None:
        if not bridge.active:
            over.set()

    port = ClientPort(said.append, changed, Complaints(lambda _: None), "stdio")
    bridge = ClientBridge(Gate(gate.desk, Grant.named("local")), port)
    line = encoded(message)
    bridge.take(line, glance(line))
    await over.wait()
    return said


@pytest.mark.parametrize("message", [request("tools/list", {}), call("echo")], ids=["list", "call"])
@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_an_error_brings_no_message_that_was_not_judged(tmp_path: Path, body: Any, message: Json) -> None:
    """A server can put what policy hides or denies into the body of an HTTP error."""

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script[message["method"]] = body

            said = await said_to_a_client_of_pipes(gate, message)

            assert len(said) == 1
            assert b'"error"' in said[0]
            assert b"danger" not in said[0]

    within(main)


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "why"}},
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "why"}},
    ],
    ids=["its own", "of nobody"],
)
def test_an_error_in_json_still_reaches_the_client(tmp_path: Path, body: Json) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = http(encoded(body), JSON, 400)

            said = await said_to_a_client_of_pipes(gate, call("echo"))

            assert b"why" in said[0]

    within(main)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"invalid_token"}',
        b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"expired"}}',
        b"no json at all",
        b"",
    ],
)
def test_an_http_client_gets_the_error_as_it_came(tmp_path: Path, body: bytes) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = http(body, JSON, 401, b"www-authenticate: Bearer")

            reply = await gate.call("echo")

            assert (reply.status, reply.body) == (401, body)
            assert reply.headers["www-authenticate"] == "Bearer"

    within(main)


def test_the_status_of_an_error_passes_where_its_body_may_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = http(encoded([QUESTION]), JSON, 401)

            reply = await gate.call("echo")

            assert (reply.status, reply.body) == (401, b"")

    within(main)


def test_a_denied_error_without_an_id_does_not_pass_in_an_event(tmp_path: Path) -> None:
    def answer(seen: Seen) -> bytes:
        return events(url_elicitation(None), {"jsonrpc": "2.0", "id": seen.message["id"], "result": {}})

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            gate.upstream.script["tools/call"] = answer

            reply = await gate.call("echo")

            assert b"danger" not in reply.body
            assert reply.events[-1]["result"] == {}

    within(main)
