"""What the gate says itself is valid by the official JSON schema of the revision it says it on.

The schemas are those that the conformance suite carries; none of their text is kept here.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema.validators
import pytest

from ostiary.proxy import changes
from ostiary.wire.message import Message
from tests.needs import needs_node, needs_npm_modules
from tests.weaknesses.world import (
    MODERN,
    ManualClock,
    call,
    http,
    modern,
    modern_headers,
    request,
    result,
    within,
    world,
)

LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
BUNDLE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"

Json = dict[str, Any]

POLICY: Json = {
    "version": "1",
    "default": "deny",
    "tools": {
        "guarded": {
            "require": [
                {
                    "conditions": [{"path": "args.name", "op": "neq", "value": "Eve"}],
                    "on_deny": "Eve is not greeted",
                }
            ]
        },
        "counted": {"limits": [{"counter": "once", "window": "minute", "max": 1}]},
    },
}
TOOLS = ("guarded", "counted", "hidden")

REFUSED = {
    "a call of a hidden tool": call("hidden"),
    "a call of a tool that does not exist": call("nothing such"),
    "a call with a denied argument": call("guarded", {"name": "Eve"}),
    "a list of resources that is emptied": request("resources/list", {}),
    "a list of templates that is emptied": request("resources/templates/list", {}),
    "a list of prompts that is emptied": request("prompts/list", {}),
    "a denied resource": request("resources/read", {"uri": "a://b"}),
    "a denied prompt": request("prompts/get", {"name": "a"}),
    "a denied completion": request(
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "a"}, "argument": {"name": "b", "value": "c"}},
    ),
    "an unknown method": request("no/such", {}),
    "params that do not fit": request("tools/call", {"name": 7}),
    "an id as a string": {**call("hidden"), "id": "seven"},
}


@functools.cache
def schemas() -> Mapping[str, Json]:
    """The official schema of each revision."""
    folder = needs_npm_modules()
    script = Path(__file__).parent / "schemas.mjs"
    done = subprocess.run(
        [str(needs_node()), str(script), str(folder / BUNDLE), *LEGACY, MODERN],
        capture_output=True,
        timeout=30,
        check=True,
    )
    return json.loads(done.stdout)


@functools.cache
def validator(revision: str, name: str) -> Any:
    """What checks a value against one definition of a revision."""
    schema = schemas()[revision]
    group = "$defs" if "$defs" in schema else "definitions"
    kind = jsonschema.validators.validator_for(schema)
    return kind({"$schema": schema["$schema"], group: schema[group], "$ref": f"#/{group}/{name}"})


def definitions(revision: str) -> Json:
    schema = schemas()[revision]
    return schema.get("$defs") or schema["definitions"]


def result_of(revision: str, method: str) -> str | None:
    """The definition of the results of `method`, where the revision has one."""
    for name, definition in definitions(revision).items():
        if (
            name.endswith("Request")
            and definition.get("properties", {}).get("method", {}).get("const") == method
        ):
            body = f"{name.removesuffix('Request')}Result"
            return body if body in definitions(revision) else None
    return None


def error_of(revision: str, code: int) -> str | None:
    """The definition of the errors with `code`, where the revision has one."""
    for name, definition in definitions(revision).items():
        for part in definition.get("properties", {}).get("error", {}).get("allOf", ()):
            if part.get("properties", {}).get("code", {}).get("const") == code:
                return name
    return None


def faults(revision: str, method: str, message: Json) -> Iterator[str]:
    """Why `message`, an answer to a request of `method`, is not valid on `revision`."""
    known = definitions(revision)
    if "error" in message:
        kinds = ["JSONRPCErrorResponse" if "JSONRPCErrorResponse" in known else "JSONRPCError"]
        kinds += [kind for kind in [error_of(revision, message["error"]["code"])] if kind]
        checked = [(kind, message) for kind in kinds]
    else:
        kinds = ["JSONRPCResultResponse" if "JSONRPCResultResponse" in known else "JSONRPCResponse"]
        checked = [(kinds[0], message)]
        body = result_of(revision, method)
        assert body is not None, method
        checked.append((body, message["result"]))
    for kind, value in checked:
        for error in validator(revision, kind).iter_errors(value):
            yield f"{revision} {kind}: {error.json_path}: {error.message}: {json.dumps(value)[:300]}"


def valid(revisions: tuple[str, ...], method: str, message: Json) -> None:
    found = [fault for revision in revisions for fault in faults(revision, method, message)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_gate_answers_itself_is_valid(case: str, tmp_path: Path) -> None:
    asked = REFUSED[case]

    async def main() -> None:
        async with world(POLICY, tmp_path / "state", tools=TOOLS) as gate:
            reply = await gate.post(asked)
            valid(LEGACY, asked["method"], reply.json)
            asked_now = modern(asked)
            headers = modern_headers(asked_now) if case != "params that do not fit" else []
            reply = await gate.post(asked_now, *headers)
            valid((MODERN,), asked["method"], reply.json)
            assert not gate.upstream.calls

    within(main)


def test_a_filtered_list_stays_valid(tmp_path: Path) -> None:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
    listed = {"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "public"}

    async def main() -> None:
        async with world(POLICY, tmp_path / "state", tools=TOOLS) as gate:
            gate.upstream.script["tools/list"] = lambda seen: http(result(seen.message, listed))
            asked = request("tools/list", {})
            reply = await gate.post(modern(asked), *modern_headers(modern(asked)))
            assert [tool["name"] for tool in reply.json["result"]["tools"]] == ["guarded", "counted"]
            valid((MODERN,), "tools/list", reply.json)
            reply = await gate.post(asked)
            assert [tool["name"] for tool in reply.json["result"]["tools"]] == ["guarded", "counted"]
            valid(LEGACY, "tools/list", reply.json)

    within(main)


def test_a_limited_call_is_answered_validly(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(POLICY, tmp_path / "state", tools=TOOLS, clock=ManualClock()) as gate:
            await gate.post(call("counted"))
            limited = call("counted", number=2)
            reply = await gate.post(limited)
            assert reply.denied
            valid(LEGACY, "tools/call", reply.json)
            reply = await gate.post(modern(limited), *modern_headers(modern(limited)))
            assert reply.denied
            valid((MODERN,), "tools/call", reply.json)
            assert gate.upstream.calls == ["counted"]

    within(main)


HEADERS = {
    "of another method": ((b"mcp-method", b"tools/list"), -32020),
    "of another tool": ((b"mcp-name", b"hidden"), -32020),
    "of another revision": ((b"mcp-protocol-version", b"2025-11-25"), -32020),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_disagrees_is_refused_validly(case: str, tmp_path: Path) -> None:
    (name, value), code = HEADERS[case]

    async def main() -> None:
        async with world(POLICY, tmp_path / "state", tools=TOOLS) as gate:
            asked = modern(call("guarded", {"name": "Ada"}))
            headers = {**dict(modern_headers(asked)), name: value}
            reply = await gate.post(asked, *headers.items())
            assert (reply.status, reply.json["error"]["code"]) == (400, code)
            valid((MODERN,), "tools/call", reply.json)

    within(main)


def test_an_unknown_revision_and_a_removed_method_are_refused_validly(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(POLICY, tmp_path / "state", tools=TOOLS) as gate:
            removed = modern(request("resources/subscribe", {"uri": "a://b"}))
            reply = await gate.post(removed, *modern_headers(removed))
            assert (reply.status, reply.json["error"]["code"]) == (404, -32601)
            valid((MODERN,), "resources/subscribe", reply.json)
            later = json.loads(json.dumps(modern(call("guarded"))).replace(MODERN, "2099-01-01"))
            headers = {**dict(modern_headers(later)), b"mcp-protocol-version": b"2099-01-01"}
            reply = await gate.post(later, *headers.items())
            assert (reply.status, reply.json["error"]["code"]) == (400, -32022)
            valid((MODERN,), "tools/call", reply.json)

    within(main)


@pytest.mark.parametrize("kind", changes.KINDS)
def test_a_list_change_that_the_gate_tells_is_valid(kind: Any) -> None:
    name = {"tools": "Tool", "resources": "Resource", "prompts": "Prompt"}[kind]
    definition = f"{name}ListChangedNotification"

    told = json.loads(changes.notification(kind, None))
    subscribed = json.loads(changes.notification(kind, Message(b"", "request", {}, id="a")))

    for revision in LEGACY:
        validator(revision, definition).validate(told)
    validator(MODERN, definition).validate(subscribed)


def test_a_message_that_is_not_valid_is_found() -> None:
    """The schemas are in force: the same answers with one member too few."""
    empty = {"jsonrpc": "2.0", "id": 1, "result": {"isError": True}}
    error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32022, "message": "unsupported"}}

    for revision in (*LEGACY, MODERN):
        assert list(faults(revision, "tools/call", empty))
    assert list(faults(MODERN, "tools/call", error))
