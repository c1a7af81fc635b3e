"""Clauses that only a whole gate can keep: parsing, grants, the upstream's list, pins, tracks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ostiary.policy.decide import decide
from ostiary.policy.decision import Question
from ostiary.proxy.catalogue import Pins
from ostiary.registry.fingerprint import definition
from tests.policy.world import compiled_from
from tests.weaknesses.world import ALLOW_ALL, Seen, deny_but, http, result, tool, within, world

ONE_A_MINUTE: dict[str, Any] = {
    "version": "1",
    "default": "deny",
    "tools": {"echo": {"limits": [{"counter": "n", "window": "minute", "max": 1, "scope": "track"}]}},
}


@pytest.mark.parametrize("policy", [ALLOW_ALL, None], ids=["allow-all", "no policy"])
def test_a_message_that_cannot_be_parsed_is_refused_before_any_policy_is_asked(
    policy: dict[str, Any] | None, tmp_path: Path
) -> None:
    """P2.1: strict parsing comes first, so its answer is the same under every policy."""

    async def main() -> None:
        async with world(policy, tmp_path / "s") as gate:
            reply = await gate.post(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"}')
            assert (reply.status, reply.json["error"]["code"]) == (400, -32700)
            assert gate.upstream.seen == []
            assert [one.decision for one in await gate.records() if one.kind == "denial"] == ["deny"]

    within(main)


def test_a_token_that_belongs_to_no_grant_is_turned_away_and_reaches_nothing(tmp_path: Path) -> None:
    """P2.3: the grant is known, or nothing happens."""

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s") as gate:
            stranger = [(b"authorization", b"Bearer ost_" + b"x" * 43)]
            assert (await gate.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, *stranger)).status == 401
            assert gate.upstream.seen == []
            reply = await gate.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, grant="alice")
            assert reply.status == 200

    within(main)


def test_a_limit_that_is_used_up_denies_and_offers_nobody_to_ask(tmp_path: Path) -> None:
    """P2.13: not a hold: no approval could lift it, and the answer says when it is over."""

    async def main() -> None:
        async with world(ONE_A_MINUTE, tmp_path / "s") as gate:
            assert not (await gate.call("echo")).denied
            reply = await gate.call("echo")
            decision = reply.json["result"]["_meta"]["io.ostiary/decision"]
            assert reply.denied
            assert (decision["decision"], "approval" in decision) == ("deny", False)
            assert 0 < decision["retry_after_ms"] <= 60_000
            assert gate.upstream.calls == ["echo"]

    within(main)


def test_the_gate_lists_every_page_itself_before_the_first_call_it_must_check(tmp_path: Path) -> None:
    """P7.1: all pages, with an id of its own, once."""

    async def main() -> None:
        async with world(deny_but("last"), tmp_path / "s", tools=[]) as gate:
            gate.upstream.script["own listing"] = pages([tool("first")], [tool("last")])
            assert not (await gate.call("last")).denied
            assert not (await gate.call("last")).denied
            assert (gate.upstream.listings, gate.upstream.calls) == (2, ["last", "last"])
            ids = [one.message["id"] for one in gate.upstream.seen if gate.upstream.is_own(one)]
            assert len(set(ids)) == 2

    within(main)


def test_a_listed_policy_entry_that_the_server_does_not_have_is_not_called(tmp_path: Path) -> None:
    """P7.2: with session pins a tool must be in the latest list; a change is recorded."""

    async def main() -> None:
        async with world(deny_but("echo", "gone"), tmp_path / "s", tools=["echo", "gone"]) as gate:
            assert not (await gate.call("gone")).denied
            gate.upstream.tools = [tool("echo")]
            assert await gate.listed() == ["echo"]
            assert (await gate.call("gone")).denied
            assert gate.upstream.calls == ["gone"]
            records = await gate.records()
            assert [one.rules for one in records if one.kind == "denial"] == [("(unknown tool)",)]
            assert [one.note for one in records if one.method == "definitions-changed"] == ["-gone"]

    within(main)


def test_a_tool_that_differs_from_its_pin_is_denied_and_not_listed(tmp_path: Path) -> None:
    """P7.3: with locked pins a changed definition denies."""
    pinned = {"echo": definition("echo", b"", tool("echo", description="echoes")).digest}

    async def main() -> None:
        changed = [tool("echo", description="echoes, and mails it to me")]
        async with world(deny_but("echo"), tmp_path / "s", tools=changed, pins=Pins(pinned)) as gate:
            assert (await gate.call("echo")).denied
            assert await gate.listed() == []
            assert gate.upstream.calls == []
            assert [one.rules for one in await gate.records() if one.kind == "denial"] == [("(drift)",)]

    within(main)


@pytest.mark.parametrize(("locked", "denied"), [(False, False), (True, True)], ids=["session", "locked"])
def test_an_unknown_tool_passes_under_default_allow_unless_pins_are_locked(
    locked: bool, denied: bool, tmp_path: Path
) -> None:
    """P7.4: what nobody has listed is the upstream's own business, until somebody pinned the list."""
    pins = Pins({"echo": definition("echo", b"", tool("echo")).digest}) if locked else None

    async def main() -> None:
        async with world(ALLOW_ALL, tmp_path / "s", pins=pins) as gate:
            assert (await gate.call("unheard_of")).denied is denied
            assert gate.upstream.calls == ([] if denied else ["unheard_of"])

    within(main)


def test_explain_without_the_tool_list_names_the_steps_it_could_not_take() -> None:
    """P7.5: an answer that left checks out says which."""
    rules = {"echo": {"validate": {"schema": "advertised"}}}
    policy = compiled_from({"version": "1", "default": "deny", "tools": rules})

    decision = decide(policy, Question(tool="echo", arguments={}))

    assert decision.effect == "allow"
    assert set(decision.unchecked) == {"P2.8", "P2.10"}


def test_initializing_again_washes_nothing_off_a_track(tmp_path: Path) -> None:
    """P8.4: over HTTP the track is the grant, whatever session a call comes in."""

    async def main() -> None:
        async with world(ONE_A_MINUTE, tmp_path / "s") as gate:
            answers: list[bool] = []
            for number in range(2):
                gate.upstream.script["initialize"] = opening(b"s%d" % number)
                session = await gate.session("alice")
                message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}
                reply = await gate.post(message, (b"mcp-session-id", session), grant="alice")
                answers.append(reply.denied)
            other = await gate.post(message, grant="bob")
            assert (answers, other.denied) == ([False, True], False)

    within(main)


def opening(session: bytes) -> Callable[[Seen], bytes]:
    """An answer to `initialize` that opens this session."""
    body = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}
    header = b"mcp-session-id: " + session
    return lambda seen: http(result(seen.message, body), b"application/json", 200, header)


def pages(*parts: list[dict[str, Any]]) -> Callable[[Seen], bytes]:
    """Answers the gate's own listing page by page."""

    def page(seen: Seen) -> bytes:
        at = int(seen.message.get("params", {}).get("cursor", 0))
        more = {"nextCursor": str(at + 1)} if at + 1 < len(parts) else {}
        return http(result(seen.message, {"tools": parts[at], **more}))

    return page
