"""A built-in server in the place of an upstream."""

from __future__ import annotations

import asyncio
import json

from ostiary.errors import UpstreamFault
from ostiary.proxy.exchange import Head, UpstreamRequest
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Tool
from ostiary.servers.core.upstream import BuiltinUpstream
from tests.servers.core.minimal_server import make_server
from tests.servers.core.world import BOTH, JSON, call, mirrored, modern, request, within


class Taken:
    """A `Sink`."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.faults: list[UpstreamFault] = []
        self.done = asyncio.Event()

    def head(self, head: Head) -> None:
        self.status = head.status

    def data(self, data: bytes) -> None:
        self.body += data

    def end(self) -> None:
        self.done.set()

    def fault(self, fault: UpstreamFault) -> None:
        self.faults.append(fault)
        self.done.set()


def asked(message: dict[str, object]) -> UpstreamRequest:
    return UpstreamRequest(
        "POST", [JSON, BOTH, *mirrored(message)], json.dumps(message).encode(), grant="alice"
    )


def test_a_tool_is_listed_and_called_in_process() -> None:
    async def main() -> None:
        upstream = BuiltinUpstream(make_server())
        for message in (modern(request("tools/list")), modern(call("greet", {"name": "Ada"}))):
            sink = Taken()
            upstream.send(asked(message), sink)
            assert sink.status == 0, "nothing is answered from inside the call"
            await sink.done.wait()
            assert sink.status == 200
            result = json.loads(sink.body)["result"]
            if message["method"] == "tools/list":
                assert [tool["name"] for tool in result["tools"]] == ["greet"]
            else:
                assert result["content"] == [{"type": "text", "text": "Hello, Ada!"}]
        await upstream.close()

    within(main)


def test_a_handler_is_told_the_grant_and_cancelled_with_the_flow() -> None:
    async def main() -> None:
        started, ended = asyncio.Event(), asyncio.Event()
        owners: list[str] = []

        async def wait(arguments, context) -> ToolResult:
            owners.append(context.owner)
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return ToolResult()

        upstream = BuiltinUpstream(Server("s", "1", tools=[Tool(name="wait", handler=wait)]))
        sink = Taken()
        flow = upstream.send(asked(modern(call("wait"))), sink)
        await started.wait()
        flow.cancel()
        await ended.wait()
        assert owners == ["alice"]
        assert (sink.status, sink.body, sink.faults) == (0, b"", [])
        await upstream.close()

    within(main)


def test_what_is_said_while_the_gate_has_paused_comes_when_it_goes_on() -> None:
    async def main() -> None:
        async def say(arguments, context):
            return ToolResult([text("said")])

        upstream = BuiltinUpstream(Server("s", "1", tools=[Tool(name="say", handler=say)]))
        sink, other = Taken(), Taken()
        flow = upstream.send(asked(modern(call("say"))), sink)
        flow.pause()
        upstream.send(asked(modern(call("say"))), other)
        await other.done.wait()
        assert sink.status == 0
        flow.resume()
        await sink.done.wait()
        assert json.loads(sink.body)["result"]["content"][0]["text"] == "said"
        await upstream.close()

    within(main)


def test_what_is_cancelled_at_once_never_begins() -> None:
    async def main() -> None:
        ran: list[bool] = []

        async def note(arguments, context) -> ToolResult:
            ran.append(True)
            return ToolResult()

        upstream = BuiltinUpstream(Server("s", "1", tools=[Tool(name="note", handler=note)]))
        cancelled, kept = Taken(), Taken()
        upstream.send(asked(modern(call("note"))), cancelled).cancel()
        upstream.send(asked(modern(call("note"))), kept)
        await kept.done.wait()
        assert ran == [True]
        assert cancelled.status == 0
        await upstream.close()

    within(main)
