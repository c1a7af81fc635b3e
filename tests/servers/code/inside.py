"""Code mode in this process, over real engines and a server that misbehaves. Clients without connections."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from ostiary.approvals.request import Resolution
from ostiary.approvals.step import Resolve, Stepped
from ostiary.audit.record import Record
from ostiary.builtin import CodeOptions
from ostiary.calls.journal import Entry
from ostiary.identity.grant import Grant
from ostiary.proxy.catalogue import Pins
from ostiary.proxy.gate import Gate
from ostiary.proxy.handled import HandledUpstream
from ostiary.scan.talk import Answer, Talk
from ostiary.settings import ProxyOptions
from ostiary.store.opening import open_store
from ostiary.store.query import Reader
from ostiary.store.state import open_state
from ostiary.wiring.code import start_code
from ostiary.wiring.premises import Post, Premises
from tests.servers.code.odd_server import ODD
from tests.servers.python.world import walled

SECRET = "s3cret-of-the-odd-server"
VERSION = "2025-11-25"
ABOUT = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
CODE = "code: {default: allow, tools: {}, resources: {default: allow}}"
SECONDS = 60.0
"""For a whole test: it starts two engines and several processes."""


class Client:
    """One client of the gate in front of code mode, by the name of its grant."""

    def __init__(self, post: Post, grant: str) -> None:
        self._talk = Talk(HandledUpstream(Gate(post.desk, Grant.named(grant))), (), grant, grant)
        self._session: Talk | None = None

    async def ask(self, tool: str, **arguments: Any) -> Answer:
        """One call, in the session of this client."""
        if self._session is None:
            assert (await self._talk.ask("initialize", ABOUT, seconds=SECONDS)).result is not None
            self._talk.version = VERSION
            await self._talk.tell("notifications/initialized", 5)
            self._session = self._talk
        return await self._talk.ask("tools/call", {"name": tool, "arguments": arguments}, seconds=SECONDS)

    async def run(self, script: str, **more: Any) -> dict[str, Any]:
        """The data of `executeCode`, for code that may call every tool of the server."""
        answer = await self.ask("executeCode", script=script, mcp_server_names=["Odd"], **more)
        assert answer.result is not None, answer
        found = answer.result.get("structuredContent")
        assert isinstance(found, dict), answer.result
        return found

    async def check(self, execution_id: str) -> dict[str, Any]:
        """The data of `checkCodeExecStatus`."""
        answer = await self.ask("checkCodeExecStatus", execution_id=execution_id)
        assert answer.result is not None, answer
        found = answer.result.get("structuredContent")
        return found if isinstance(found, dict) else {"status": "refused", "said": str(answer.result)}

    async def ended(self, execution_id: str) -> dict[str, Any]:
        """The same once it neither waits for its turn nor runs."""
        async with asyncio.timeout(SECONDS):
            while (found := await self.check(execution_id))["status"] in {"pending", "running"}:
                await asyncio.sleep(0.02)
        return found

    async def told(self, tool: str, **arguments: Any) -> str:
        """The text of an answer that says no."""
        answer = await self.ask(tool, **arguments)
        assert answer.result is not None, answer
        assert answer.result.get("isError") is True, answer.result
        return str(cast("Any", answer.result["content"])[0]["text"])

    async def data(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of an answer that says yes."""
        answer = await self.ask(tool, **arguments)
        assert answer.result is not None, answer
        assert answer.result.get("isError") is not True, answer.result
        return cast("dict[str, Any]", answer.result["structuredContent"])

    async def listed(self) -> dict[str, dict[str, Any]]:
        """The tools that this client is shown, by name."""
        await self.data("searchCustomTools")
        answer = await cast("Talk", self._session).ask("tools/list", {}, seconds=SECONDS)
        assert answer.result is not None, answer
        return {one["name"]: one for one in cast("Any", answer.result["tools"])}

    async def read(self, uri: str) -> Any:
        """The contents of a resource, once something was asked."""
        answer = await self._talk.ask("resources/read", {"uri": uri}, seconds=SECONDS)
        assert answer.result is not None, answer
        return answer.result["contents"]

    async def withdraw(self) -> None:
        """Cancel what was asked last, as clients do."""
        await self._talk.tell("notifications/cancelled", 5, {"requestId": self._talk.latest})


class World:
    """The gate in front, and what the server behind has noted."""

    def __init__(self, post: Post, told: Path) -> None:
        self.post = post
        self._told = told

    def client(self, grant: str = "local") -> Client:
        return Client(self.post, grant)

    def told(self, line: str) -> int:
        """How often the server behind has noted this."""
        return self.lines().count(line)

    def lines(self) -> list[str]:
        return self._told.read_text("utf-8").splitlines() if self._told.exists() else []

    def pids(self) -> list[int]:
        return [int(line.removeprefix("pid ")) for line in self.lines() if line.startswith("pid ")]

    async def answer(self, approval: str, verdict: Literal["approve", "deny"]) -> None:
        """What a person says to a request. Whose word counts is tested elsewhere: here it is everybody's."""
        premises = self.post.premises
        premises.store.approvals.trust = lambda _: True
        said = Resolution(approver="ann", verdict=verdict, at=premises.store.clock.now())
        record = Record(id=premises.mint(), ts=said.at, kind="event", method="approval-resolved")
        done = asyncio.get_running_loop().create_future()
        self.post.desk.journal.submit(Entry(record, step=Resolve(approval, said)), done.set_result)
        assert isinstance(await done, Stepped)

    async def rows(self) -> list[Record]:
        """The rows of tool calls that there are by now, decisions and outcomes, the oldest first."""
        return [one for one in await self.events() if one.method == "tools/call"]

    async def events(self) -> list[Record]:
        """All rows that there are by now, the oldest first."""
        done = asyncio.Event()
        self.post.desk.journal.submit(None, lambda _: done.set())
        await done.wait()
        reader = Reader(self.post.premises.state)
        try:
            return [one.record for one in reader.tail(1_000) if one.record is not None]
        finally:
            reader.close()


@asynccontextmanager
async def code_mode(
    folder: Path,
    *,
    rules: str = "",
    silent: bool = False,
    named: str = "",
    code: str = CODE,
    pins: Pins | None = None,
    private: bool = False,
    monitor: bool = False,
    more: CodeOptions | None = None,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[World]:
    """`rules` are the policy's of the server; without, it may do what it says only reads.

    `code` are those of code mode itself, to whose tools the `pins` belong. `private` lets clients ask for
    servers nearby, and `monitor` the policy enforce nothing. `more` are further options of `run code`, and
    `variables` the environment that it is started with. A server that answers nothing stands beside it if
    one is to be `silent`, and another by a name.
    """
    policy, servers, told = folder / "policy.yaml", folder / "servers.json", folder / "told"
    policy.write_text(f'version: "1"\nservers:\n  {code}\n  {rules}\n', encoding="utf-8")
    command = {"command": sys.executable, "args": [str(ODD)]}
    known = {"Odd": {**command, "env": {"TOLD": str(told), "ODD_KEY": "${ODD_KEY}"}}}
    if silent:
        known["Mute"] = {"command": sys.executable, "args": [str(ODD), "silent"], "env": {"TOLD": str(told)}}
    if named:
        known[named] = known["Odd"]
    servers.write_text(json.dumps({"mcpServers": known}), encoding="utf-8")
    builtin = replace(more or CodeOptions(servers=servers), servers=servers, unsafe_private_servers=private)
    options = ProxyOptions(
        policy=policy,
        upstream=None,
        command=(),
        listen=None,
        state_dir=None,
        builtin=builtin,
        unsafe_monitor=monitor,
        max_requests=100_000,
    )
    state = open_state(folder / "state")
    store = open_store(state)
    premises = Premises(options, state, store, None)
    environ = {**os.environ, **walled(), "ODD_KEY": SECRET, **(variables or {})}
    upstream = start_code(builtin, environ, premises)
    post = premises.post(upstream, "code", premises.policy("code"), pins, headers_end_here=True)
    post.begin("code mode")
    try:
        yield World(post, told)
    finally:
        await post.close()
        await premises.close()
        store.close()
