"""A changed policy file alters what clients are shown: those who may hear of it are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ostiary.proxy.catalogue import Pins
from tests.weaknesses.world import (
    ALLOW_ALL,
    Answer,
    Seen,
    World,
    call,
    deny_but,
    encoded,
    http,
    modern,
    modern_headers,
    request,
    result,
    until,
    within,
    world,
)

Json = dict[str, Any]
STREAM = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\r\n"
MARK = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "mark"}}
TOOLS_CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
EVERYTHING = {kind: {"listChanged": True} for kind in ("tools", "resources", "prompts")}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def handshake(capabilities: Mapping[str, Any], name: bytes = b"s1") -> Answer:
    def answer(seen: Seen) -> bytes:
        about = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "s"}}
        return http(result(seen.message, about), b"application/json", 200, b"mcp-session-id: " + name)

    return answer


async def edit(gate: World, folder: Path, policy: Mapping[str, Any]) -> None:
    """Change the policy file, and wait until it is in force."""
    before = gate.desk.policy
    gate.reloader(folder / "policy.json")(json.dumps(policy).encode())
    await until(lambda: gate.desk.policy is not before)


class Listening:
    """One open stream of a client, and the upstream's side of it."""

    def __init__(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.upstream = upstream

    def say(self, message: object) -> None:
        """Let the server send a message on this stream."""
        self.upstream.write(b"data: " + encoded(message) + b"\n\n")

    async def heard(self) -> list[Json]:
        """What has come until now: a mark is sent by the server and read up to."""
        self.say(MARK)
        raw = await self._reader.readuntil(b'"mark"}}\n\n')
        assert b"id:" not in raw
        lines = [line for line in raw.split(b"\n") if line.startswith(b"data: ")]
        return [one for line in lines if (one := json.loads(line[6:])) != MARK]


@contextlib.asynccontextmanager
async def listening(
    gate: World, message: object, *headers: tuple[bytes, bytes], method: str = "POST"
) -> AsyncIterator[Listening]:
    """Open a stream, and wait until the upstream has it too."""
    before = len(gate.upstream.seen)
    async with gate.held(message, *headers, method=method) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        yield Listening(reader, gate.upstream.seen[before].writer)


@contextlib.asynccontextmanager
async def session(
    policy: Mapping[str, Any],
    state: Path,
    *,
    capabilities: Mapping[str, Any] = EVERYTHING,
    tools: Sequence[str | Mapping[str, Any]] = ("echo", "other"),
    pins: Pins | None = None,
) -> AsyncIterator[tuple[World, tuple[bytes, bytes]]]:
    """A gate, and the header of one legacy session."""
    async with world(policy, state, tools=tools, pins=pins) as gate:
        gate.upstream.script |= {"initialize": handshake(capabilities), "GET": STREAM}
        yield gate, (b"mcp-session-id", await gate.session())


# Legacy.


def test_the_open_stream_of_a_session_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            session(deny_but("echo"), tmp_path / "s") as (gate, header),
            listening(gate, None, header, method="GET") as stream,
        ):
            await edit(gate, tmp_path, deny_but("echo", "other"))

            assert await stream.heard() == [TOOLS_CHANGED]
            assert await stream.heard() == []

    within(main)


def test_only_one_stream_of_a_session_is_told_but_each_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, header):
            gate.upstream.script["initialize"] = handshake(EVERYTHING, b"s2")
            other = (b"mcp-session-id", await gate.session())
            async with (
                listening(gate, None, header, method="GET") as first,
                listening(gate, None, header, method="GET") as second,
                listening(gate, None, other, method="GET") as third,
            ):
                await edit(gate, tmp_path, deny_but("other"))

                assert await first.heard() == []
                assert await second.heard() == [TOOLS_CHANGED]
                assert await third.heard() == [TOOLS_CHANGED]

    within(main)


def test_a_stream_that_ended_is_told_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            session(deny_but("echo"), tmp_path / "s") as (gate, header),
            listening(gate, None, header, method="GET") as first,
        ):
            async with listening(gate, None, header, method="GET"):
                assert len(gate.desk.changes) == 2
            await until(lambda: len(gate.desk.changes) == 1)
            await edit(gate, tmp_path, deny_but("other"))

            assert await first.heard() == [TOOLS_CHANGED]

    within(main)


@pytest.mark.parametrize(
    "capabilities",
    [{}, {"tools": {}}, {"tools": {"listChanged": False}}, {"prompts": {"listChanged": True}}],
    ids=["none", "tools only", "said no", "another list"],
)
def test_a_client_whose_server_never_sends_such_news_gets_none(tmp_path: Path, capabilities: Json) -> None:
    async def main() -> None:
        async with (
            session(deny_but("echo"), tmp_path / "s", capabilities=capabilities) as (gate, header),
            listening(gate, None, header, method="GET") as stream,
        ):
            await edit(gate, tmp_path, deny_but("echo", "other"))

            assert await stream.heard() == []

    within(main)


UNSEEN: dict[str, Json] = {
    "a limit": {
        **deny_but("other"),
        "tools": {"echo": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]}},
    },
    "a tool that the server does not have": deny_but("echo", "missing"),
    "another way to hide the same": {**ALLOW_ALL, "hide": ["other"]},
    "a rule about the server's questions": {**deny_but("echo"), "methods": {"allow": ["roots/list"]}},
}


@pytest.mark.parametrize("policy", UNSEEN.values(), ids=list(UNSEEN))
def test_a_change_that_nobody_can_see_is_not_told(tmp_path: Path, policy: Json) -> None:
    async def main() -> None:
        async with session(
            deny_but("echo"), tmp_path / "s", capabilities={"tools": {"listChanged": True}}
        ) as (
            gate,
            header,
        ):
            await gate.post(call("echo"), header)  # from now on the gate knows the tools
            async with listening(gate, None, header, method="GET") as stream:
                await edit(gate, tmp_path, policy)

                assert await stream.heard() == []

    within(main)


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        ({**deny_but("echo"), "prompts": {"allow": ["p"]}}, ["prompts"]),
        ({**deny_but("echo"), "resources": {"allow": ["file:///a"]}}, ["resources"]),
        ({"version": "1", "default": "allow", "tools": {"echo": {}}}, ["tools", "resources", "prompts"]),
        ({**deny_but("other"), "methods": {"deny": ["notifications/tools/*"]}}, []),
    ],
    ids=["prompts", "resources", "all", "denied"],
)
def test_each_list_has_news_of_its_own(tmp_path: Path, policy: Json, kinds: list[str]) -> None:
    async def main() -> None:
        async with (
            session(deny_but("echo"), tmp_path / "s") as (gate, header),
            listening(gate, None, header, method="GET") as stream,
        ):
            await edit(gate, tmp_path, policy)

            told = [one["method"] for one in await stream.heard()]
            assert told == [f"notifications/{kind}/list_changed" for kind in kinds]

    within(main)


def test_news_stands_between_whole_events(tmp_path: Path) -> None:
    """The server is in the middle of an event when the policy changes."""
    said = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "long"}}

    async def main() -> None:
        async with (
            session(deny_but("echo"), tmp_path / "s") as (gate, header),
            listening(gate, None, header, method="GET") as stream,
        ):
            whole = b"data: " + encoded(said) + b"\n\n"
            stream.upstream.write(whole[:40])
            await stream.upstream.drain()
            await edit(gate, tmp_path, deny_but("other"))
            stream.upstream.write(whole[40:])

            assert await stream.heard() == [TOOLS_CHANGED, said]

    within(main)


def test_thousands_of_streams_are_told_in_slices(tmp_path: Path) -> None:
    """Not one turn of the loop for all of them; here a hundred."""

    class Open:
        def __init__(self) -> None:
            self.got: list[bytes] = []

        def insert(self, message: bytes) -> bool:
            self.got.append(message)
            return True

    async def main() -> None:
        from ostiary.proxy.changes import AT_ONCE, Listener

        async with session(deny_but("echo"), tmp_path / "s") as (gate, _):
            streams = [Open() for _ in range(100)]
            for number, stream in enumerate(streams):
                one = gate.desk.sessions.get("local", f"n{number}", exclusive=True)
                one.declared = frozenset({"tools.listChanged"})
                gate.desk.changes.add(Listener("local", stream, one))
            before = gate.desk.policy
            gate.reload(deny_but("other"))
            gate.desk.changes.announce(before, gate.desk.policy)

            assert sum(bool(one.got) for one in streams) == AT_ONCE
            await until(lambda: all(one.got for one in streams))
            assert {len(one.got) for one in streams} == {1}

    within(main)


# Modern.


def subscribe(number: object, **asked: bool) -> Json:
    return modern(request("subscriptions/listen", {"notifications": asked}, number))


def acknowledged(number: object, **granted: bool) -> Json:
    params = {"notifications": granted, "_meta": {SUBSCRIPTION: number}}
    return {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}


@contextlib.asynccontextmanager
async def subscribed(
    gate: World, number: object = 7, *, asked: Mapping[str, bool], granted: Mapping[str, bool] | None
) -> AsyncIterator[Listening]:
    """A subscription, up to its acknowledgement if there is one."""
    message = subscribe(number, **asked)
    gate.upstream.script["subscriptions/listen"] = STREAM
    async with listening(gate, message, *modern_headers(message)) as stream:
        if granted is not None:
            stream.say(acknowledged(number, **granted))
            assert await stream.heard() == [acknowledged(number, **granted)]
        yield stream


@pytest.mark.parametrize("number", [7, "7"])
def test_a_subscription_is_told_under_its_own_id(tmp_path: Path, number: object) -> None:
    news = {**TOOLS_CHANGED, "params": {"_meta": {SUBSCRIPTION: number}}}
    wish = {"toolsListChanged": True}

    async def main() -> None:
        async with (
            world(deny_but("echo"), tmp_path / "s", tools=["echo", "other"]) as gate,
            subscribed(gate, number, asked=wish, granted=wish) as stream,
        ):
            await edit(gate, tmp_path, deny_but("echo", "other"))

            told = await stream.heard()
            assert told == [news]
            assert type(told[0]["params"]["_meta"][SUBSCRIPTION]) is type(number)

    within(main)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ({"toolsListChanged": True}, None),
        ({"toolsListChanged": True}, {}),
        ({"promptsListChanged": True}, {"promptsListChanged": True}),
        ({}, {"toolsListChanged": True}),
        ({"toolsListChanged": False}, {"toolsListChanged": True}),
    ],
    ids=["not acknowledged yet", "not granted", "asked for another", "granted unasked", "asked for none"],
)
def test_a_subscription_that_was_not_asked_for_and_granted_hears_nothing(
    tmp_path: Path, asked: Json, granted: Json | None
) -> None:
    async def main() -> None:
        async with (
            world(deny_but("echo"), tmp_path / "s", tools=["echo", "other"]) as gate,
            subscribed(gate, asked=asked, granted=granted) as stream,
        ):
            await edit(gate, tmp_path, deny_but("echo", "other"))

            assert await stream.heard() == []

    within(main)


def test_a_subscription_that_ended_is_forgotten(tmp_path: Path) -> None:
    wish = {"toolsListChanged": True}

    async def main() -> None:
        async with world(deny_but("echo"), tmp_path / "s") as gate:
            async with subscribed(gate, asked=wish, granted=wish):
                assert len(gate.desk.changes) == 1
            await until(lambda: len(gate.desk.changes) == 0)

    within(main)


def test_an_answer_that_is_no_subscription_carries_no_news(tmp_path: Path) -> None:
    async def main() -> None:
        async with session(deny_but("echo"), tmp_path / "s") as (gate, header):
            gate.upstream.script["tools/call"] = STREAM
            async with listening_to_call(gate, header) as stream:
                await edit(gate, tmp_path, deny_but("echo", "other"))

                assert await stream.heard() == []

    within(main)


@contextlib.asynccontextmanager
async def listening_to_call(gate: World, header: tuple[bytes, bytes]) -> AsyncIterator[Listening]:
    async with gate.held(call("echo", {}, 5), header) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        upstream = next(one for one in gate.upstream.seen if one.message.get("method") == "tools/call")
        yield Listening(reader, upstream.writer)
