"""Two gates in one process: calls that a tool makes of other servers belong to the call of the tool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ostiary.audit.record import Record
from ostiary.calls.stop import Scope
from ostiary.identity.grant import Grant
from ostiary.proxy.desk import Desk
from ostiary.proxy.gate import Gate
from ostiary.proxy.handled import HandledUpstream
from ostiary.proxy.mint import Mint
from ostiary.scan.talk import Answer, Talk
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Arguments, Tool
from ostiary.servers.core.upstream import BuiltinUpstream
from ostiary.settings import ProxyOptions
from ostiary.store.opening import open_store
from ostiary.store.query import Reader
from ostiary.store.state import open_state
from ostiary.store.switching import switch
from ostiary.wire import answers
from ostiary.wiring.premises import Post, Premises
from tests.weaknesses.world import until, within

POLICY = """\
version: "1"
servers:
  without: {default: deny, tools: {outside: {}}}
  within:
    default: deny
    tools:
      inside: {limits: [{counter: calls, window: minute, max: 2}]}
"""
ANY = {"type": "object"}
VERSION = "2025-11-25"
ABOUT = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}


async def asked(desk: Desk, method: str, params: dict[str, Any], parent: str = "") -> Answer:
    """One request through a gate, as a legacy client without a session would send it."""
    client = talk(desk, parent)
    assert (await client.ask("initialize", ABOUT, seconds=5)).result is not None
    await client.tell("notifications/initialized", 5)
    return await client.ask(method, params, seconds=5)


def talk(desk: Desk, parent: str = "") -> Talk:
    """A client of a gate."""
    client = Talk(HandledUpstream(Gate(desk, Grant.named("local"), parent=parent)), ())
    client.version = VERSION
    return client


@asynccontextmanager
async def two_gates(folder: Path) -> AsyncIterator[tuple[Post, Post]]:
    """A gate before the tool `outside`, which calls the tool `inside` behind the other."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    options = ProxyOptions(policy=policy, upstream=None, command=(), listen=None, state_dir=None)
    state = open_state(folder / "state")
    store = open_store(state)
    premises = Premises(options, state, store, None)

    async def inside(arguments: Arguments, context: CallContext) -> ToolResult:
        return ToolResult((text(context.caller.call),))

    async def outside(arguments: Arguments, context: CallContext) -> ToolResult:
        params = {"name": "inside", "arguments": {}}
        answer = await asked(inner.desk, "tools/call", params, context.caller.call)
        assert answer.result is not None
        return ToolResult((text(str(answer.result["content"])),))

    def post(tool: Tool, server: str) -> Post:
        upstream = BuiltinUpstream(Server(server, "1", tools=(tool,)))
        return premises.post(upstream, server, premises.policy(server), None, headers_end_here=True)

    inner = post(Tool(name="inside", handler=inside, input_schema=ANY), "within")
    outer = post(Tool(name="outside", handler=outside, input_schema=ANY), "without")
    inner.begin("the inner gate")
    outer.begin("the outer gate")
    try:
        yield outer, inner
    finally:
        await outer.close()
        await inner.close()
        await premises.close()
        store.close()


async def calls(post: Post) -> list[Record]:
    """The rows of tool calls, the oldest first."""
    done = asyncio.Event()
    post.desk.journal.submit(None, lambda _: done.set())
    await done.wait()
    reader = Reader(post.premises.state)
    try:
        found = [one.record for one in reader.tail(1_000) if one.record is not None]
    finally:
        reader.close()
    return [one for one in found if one.method == "tools/call" and one.kind != "outcome"]


def said(answer: Answer) -> str:
    """The text of a tool's answer."""
    assert answer.result is not None, answer
    content: Any = answer.result["content"]
    return content[0]["text"]


def stop(server: str, post: Post) -> None:
    """As `ostiary stop on --server` would."""
    switch(
        post.premises.state,
        "on",
        Scope("server", server),
        who="user:t",
        reason="",
        mint=lambda clock: Mint(clock)(),
    )


CALL = {"name": "outside", "arguments": {}}


def test_an_inner_call_is_decided_by_its_own_servers_policy_and_names_its_parent(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_gates(tmp_path) as (outer, _):
            texts = [said(await asked(outer.desk, "tools/call", CALL)) for _ in range(3)]
            rows = await calls(outer)

        parents = [row.id for row in rows if row.server == "without"]
        inner = [row for row in rows if row.server == "within"]
        assert [row.decision for row in inner] == ["allow", "allow", "deny"]
        assert [row.parent for row in inner] == parents
        assert [row.parent for row in rows if row.server == "without"] == ["", "", ""]
        assert "[POLICY DENIED]" in texts[2]
        assert inner[0].id in texts[0]  # the tool knows the id of the call that it serves

    within(main)


def test_a_connection_cannot_name_a_parent(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_gates(tmp_path) as (_, inner):
            params = {"name": "inside", "arguments": {}, "_meta": {"parent": "ev_x"}, "parent": "ev_x"}
            await asked(inner.desk, "tools/call", params)
            (row,) = await calls(inner)

        assert row.parent == ""

    within(main)


def test_a_stop_of_the_server_inside_concerns_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_gates(tmp_path) as (outer, inner):
            stop("within", inner)
            await until(lambda: inner.desk.stops.covering("local") is not None)
            refused = await talk(inner.desk).ask("initialize", ABOUT, seconds=5)
            opened = await talk(outer.desk).ask("initialize", ABOUT, seconds=5)

        assert refused.error is not None
        assert refused.error["code"] == answers.STOPPED
        assert opened.result is not None

    within(main)
