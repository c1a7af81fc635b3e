"""Hidden tools that other gateways show after all: nothing denied may be seen, by any trick."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.weaknesses.world import (
    ALLOW_ALL,
    Reply,
    Seen,
    call,
    deny_but,
    encoded,
    events,
    gzipped,
    http,
    modern,
    modern_headers,
    request,
    result,
    tool,
    until,
    within,
    world,
)

SECRET = "launch_missiles"
TOOLS = ["echo", SECRET]
ONLY_ECHO = deny_but("echo")


def the_list(seen: Seen) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": seen.message["id"], "result": {"tools": [tool(one) for one in TOOLS]}}


def leaks(reply: Reply) -> bool:
    """Whether the hidden name can be read out of an answer, in the encoding that it claims to have."""
    _, _, charset = reply.headers.get("content-type", "").partition("charset=")
    return SECRET in reply.body.decode(charset or "utf-8", "replace")


TRICKS: dict[str, Callable[[Seen], bytes]] = {
    "compressed": lambda seen: gzipped(the_list(seen)),
    "in a batch": lambda seen: http(encoded([the_list(seen)])),
    "in a batch in an event": lambda seen: events([the_list(seen)]),
    "in an event": lambda seen: events(the_list(seen)),
    "in an event after a BOM": lambda seen: events(b"\xef\xbb\xbfdata: " + encoded(the_list(seen)) + b"\n\n"),
    "in an event with CR line ends": lambda seen: events(b": \rdata: " + encoded(the_list(seen)) + b"\r\r\n"),
    "in an event over many lines": lambda seen: events(
        b"data: " + json.dumps(the_list(seen), indent=1).replace("\n", "\ndata: ").encode() + b"\n\n"
    ),
    "in a field of another case": lambda seen: events(b"Data: " + encoded(the_list(seen)) + b"\n\n"),
    "in a field with a space before it": lambda seen: events(b" data: " + encoded(the_list(seen)) + b"\n\n"),
    "in a field of another case beside data": lambda seen: events(
        b"data: {}\nDATA: " + encoded(the_list(seen)) + b"\n\n"
    ),
    "in an event of another type": lambda seen: events(
        b"event: x\ndata: " + encoded(the_list(seen)) + b"\n\n"
    ),
    "as an event without an end": lambda seen: http(
        b"data: " + encoded(the_list(seen)) + b"\n", b"text/event-stream"
    ),
    "in UTF-16 events": lambda seen: http(
        ("data: " + json.dumps(the_list(seen)) + "\n\n").encode("utf-16-le"),
        b"text/event-stream; charset=utf-16le",
    ),
    "in UTF-7 events": lambda seen: http(
        b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"+AAoACg-data: '
        + json.dumps(the_list(seen)).replace('"', "+ACI-").replace("_", "+AF8-").encode()
        + b'+AAoACg-"}}\n\n',
        b"text/event-stream; charset=utf-7",
    ),
    "as JSON called an event stream": lambda seen: http(encoded(the_list(seen)), b"text/event-stream"),
    "as events called JSON": lambda seen: http(b"data: " + encoded(the_list(seen)) + b"\n\n"),
    "as text": lambda seen: http(encoded(the_list(seen)), b"text/plain"),
    "without a type": lambda seen: http(encoded(the_list(seen)), b""),
    "with a charset": lambda seen: http(encoded(the_list(seen)), b"application/json; charset=utf-8"),
    "with two types in one": lambda seen: http(encoded(the_list(seen)), b"application/json, text/plain"),
    "with a type that contains another": lambda seen: http(encoded(the_list(seen)), b"x/application/json"),
    "as events with two types": lambda seen: http(
        b"data: " + encoded(the_list(seen)) + b"\n\n", b"text/plain", 200, b"content-type: text/event-stream"
    ),
    "with two types": lambda seen: http(
        encoded(the_list(seen)), b"text/plain", 200, b"content-type: application/json"
    ),
    "as an error status": lambda seen: http(encoded(the_list(seen)), status=404),
    "as an error status without an id": lambda seen: http(
        encoded({key: value for key, value in the_list(seen).items() if key != "id"}), status=404
    ),
    "beside an error without an id": lambda seen: http(
        encoded({**the_list(seen), "id": None, "error": {"code": 1, "message": "x"}}), status=404
    ),
    "with a result and an error": lambda seen: http(
        encoded({**the_list(seen), "error": {"code": 1, "message": "x"}})
    ),
    "with another id": lambda seen: http(encoded({**the_list(seen), "id": 99})),
    "with an id as text": lambda seen: http(encoded({**the_list(seen), "id": str(seen.message["id"])})),
    "with an id as a fraction": lambda seen: http(encoded(the_list(seen)).replace(b'"id": 1', b'"id": 1.0')),
    "with two ids": lambda seen: http(encoded(the_list(seen)).replace(b'"id": 1', b'"id": 99, "id": 1')),
    "with two results": lambda seen: http(
        encoded(the_list(seen)).replace(b'"result"', b'"result": {"tools": []}, "result"')
    ),
    "with tools in two spellings": lambda seen: http(
        encoded(the_list(seen)).replace(b'"tools"', b'"tools": [], "Tools"')
    ),
    "with only another spelling of tools": lambda seen: http(
        encoded(the_list(seen)).replace(b'"tools"', b'"Tools"')
    ),
    "with a name in two spellings": lambda seen: http(
        encoded(the_list(seen)).replace(b'"name": "launch', b'"Name": "echo", "name": "launch')
    ),
    "with a name twice": lambda seen: http(
        encoded(the_list(seen)).replace(b'"name": "launch', b'"name": "echo", "name": "launch')
    ),
    "with NaN": lambda seen: http(encoded(the_list(seen)).replace(b'"tools"', b'"ttlMs": NaN, "tools"')),
    "as a notification's parameters and a list": lambda seen: events(
        {"jsonrpc": "2.0", "id": 7, "result": {"tools": [tool(SECRET)]}}, the_list(seen)
    ),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_hidden_tool_is_not_seen_whatever_form_the_list_takes(tmp_path, era: str, trick: str) -> None:
    """W28, W29, W30, W31: what cannot be filtered is not passed on, and the client is told."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            gate.upstream.script["tools/list"] = TRICKS[trick]
            message = request("tools/list", {})
            if era == "modern":
                message = modern(message)
            headers = modern_headers(message) if era == "modern" else []
            reply = await gate.post(message, *headers)
            assert not leaks(reply), reply
            assert reply.status > 0
            kind = reply.headers.get("content-type", "")
            told = reply.events if "event-stream" in kind else [reply.json] if "json" in kind else []
            assert [one for one in told if one.get("id") == 1 and ("result" in one or "error" in one)], reply
            assert all(type(one["id"]) is int for one in told if "id" in one)

    within(main)


def test_an_id_in_another_spelling_is_the_same_id(tmp_path) -> None:
    """W29: an id is compared as it decodes, however it is escaped."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            message = b'{"jsonrpc":"2.0","id":"\\u0061","method":"tools/list","params":{}}'
            for script in (lambda seen: http(encoded(the_list(seen))), lambda seen: events(the_list(seen))):
                gate.upstream.script["tools/list"] = script
                reply = await gate.post(message)
                assert not leaks(reply)
                assert b'"name": "echo"' in reply.body

    within(main)


def test_unlisted_and_hidden_tools_are_not_in_the_list(tmp_path) -> None:
    """W31 (P2.16): `default: deny` hides what it denies."""
    hiding = {"version": "1", "default": "allow", "hide": [SECRET], "tools": {}}

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            assert await gate.listed() == ["echo"]
            gate.reload(hiding)
            assert await gate.listed() == ["echo"]
            gate.reload(ALLOW_ALL)
            assert await gate.listed() == TOOLS

    within(main)


def test_filtering_leaves_every_other_byte_as_it_was(tmp_path) -> None:
    """W32: `_meta`, unknown members and spacing survive."""
    raw = (
        b'{"result" : {"tools":[{"name":"echo","x-vendor":{"a":1.50}} , {"name":"launch_missiles"}],'
        b' "_meta":{"v":"\\u00e9"},"more":[1, 2]}, "id":1,"jsonrpc":"2.0"}'
    )

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            gate.upstream.script["tools/list"] = lambda seen: http(raw)
            reply = await gate.ask("tools/list", {})
            left, right = (
                b'{"result" : {"tools":[{"name":"echo","x-vendor":{"a":1.50}}',
                raw[raw.index(b"]") :],
            )
            assert reply.body.startswith(left)
            assert reply.body.endswith(right)
            assert not leaks(reply)

    within(main)


def session_start(seen: Seen) -> bytes:
    return http(
        result(seen.message, {"protocolVersion": "2025-11-25"}),
        b"application/json",
        200,
        b"mcp-session-id: s1",
    )


@pytest.mark.parametrize("carrier", ["events", "json"])
@pytest.mark.parametrize("sessions", [True, False])
def test_a_list_that_comes_in_answer_to_another_request_is_filtered_or_withheld(
    tmp_path, carrier: str, sessions: bool
) -> None:
    """W30: the answer to a list, sent on the stream of a call."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            gate.upstream.script["initialize"] = session_start
            gate.upstream.script["tools/list"] = lambda seen: None
            held = {"jsonrpc": "2.0", "id": 41, "result": {"tools": [tool(one) for one in TOOLS]}}
            answers = {
                "events": lambda seen: events(held, json.loads(result(seen.message, {"content": []}))),
                "json": lambda seen: http(encoded(held)),
            }
            gate.upstream.script["tools/call"] = answers[carrier]
            headers = [(b"mcp-session-id", await gate.session())] if sessions else []
            async with gate.held(request("tools/list", {}, 41), *headers):
                await until(lambda: [one for one in gate.upstream.messages if one.get("id") == 41])
                reply = await gate.post(call("echo", number=42), *headers)
            assert not leaks(reply), reply

    within(main)


@pytest.mark.parametrize("kind", [b"text/event-stream", b"text/plain", b"application/json", b""])
def test_a_list_that_comes_on_the_stream_from_the_server_is_filtered_or_withheld(
    tmp_path, kind: bytes
) -> None:
    """W30: also when that stream is called something else, which some clients do not mind."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            gate.upstream.script["initialize"] = session_start
            gate.upstream.script["tools/list"] = lambda seen: None
            headers = [(b"mcp-session-id", await gate.session())]
            page = {"tools": [tool(SECRET)]}
            lists = [{"jsonrpc": "2.0", "id": number, "result": page} for number in (41, 77)]
            gate.upstream.script["GET"] = lambda seen: events(*lists, kind=kind)
            async with gate.held(request("tools/list", {}, 41), *headers):
                await until(lambda: [one for one in gate.upstream.messages if one.get("id") == 41])
                reply = await gate.post(None, *headers, method="GET")
            assert not leaks(reply), reply

    within(main)


def test_an_answer_that_comes_on_a_resumed_stream_is_still_known(tmp_path) -> None:
    """W30: withholding what is not known must not lose what was asked for."""

    async def main() -> None:
        async with world(ONLY_ECHO, tmp_path / "s", tools=TOOLS) as gate:
            gate.upstream.script["initialize"] = session_start
            gate.upstream.script["tools/call"] = lambda seen: events(b"id: e1\nretry: 10\ndata:\n\n")
            headers = [(b"mcp-session-id", await gate.session())]
            first = await gate.post(call("echo", number=5), *headers)
            assert first.events == [] or first.body.startswith(b"id: e1")
            answer = {"jsonrpc": "2.0", "id": 5, "result": {"content": [{"type": "text", "text": "late"}]}}
            gate.upstream.script["GET"] = lambda seen: events(answer)
            reply = await gate.post(None, *headers, (b"last-event-id", b"e1"), method="GET")
            assert reply.events == [answer]

    within(main)


def test_a_policy_that_changes_while_a_list_is_on_its_way_is_obeyed(tmp_path) -> None:
    """W46: the list was asked for under one policy and is shown under the next."""
    answer = asyncio.Event()

    async def main() -> None:
        async def late(seen):
            await answer.wait()
            return http(encoded(the_list(seen)))

        async with world(ALLOW_ALL, tmp_path / "s", tools=TOOLS) as gate:
            gate.upstream.script["tools/list"] = late
            asking = asyncio.ensure_future(gate.ask("tools/list", {}))
            await until(lambda: gate.upstream.messages)
            gate.reload(ONLY_ECHO)
            answer.set()
            assert not leaks(await asking)

    within(main)


@pytest.mark.parametrize(
    ("method", "member", "key"),
    [
        ("prompts/list", "prompts", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ],
)
def test_denied_prompts_and_resources_are_not_listed(tmp_path, method: str, member: str, key: str) -> None:
    """W9, W31 (P6): what may not be fetched is not shown either."""
    policy = {
        "version": "1",
        "default": "allow",
        "tools": {},
        "resources": {"deny": ["file://**"]},
        "prompts": {"deny": ["file://**"]},
    }
    shown, hidden = {key: "web://a", "name": "web://a"}, {key: "file:///launch_missiles", "name": "file:///x"}

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            gate.upstream.script[method] = lambda seen: http(result(seen.message, {member: [shown, hidden]}))
            reply = await gate.ask(method, {})
            assert reply.json["result"][member] == [shown]

    within(main)
