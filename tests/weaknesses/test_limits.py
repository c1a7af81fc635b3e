"""Quotas that other gateways let be refunded, rounded, overflowed or forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ostiary.policy.load import load_text
from tests.weaknesses.world import (
    ManualClock,
    World,
    call,
    events,
    http,
    modern,
    modern_headers,
    result,
    until,
    within,
    world,
)


def limited(*limits: dict[str, Any], name: str = "pay") -> dict[str, Any]:
    return {"version": "1", "default": "deny", "tools": {name: {"limits": list(limits)}}}


CAP = limited({"counter": "spent", "window": "day", "max": 100, "cost": "args.amount"})
ONE = limited({"counter": "calls", "window": "day", "max": 1})
CUT = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
TOGETHER = limited({"counter": "together", "max_concurrent": 1})


async def paid(gate: World, amount: str) -> bool:
    """Whether a call with this amount, as text, was forwarded."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"amount":%b}}}'
    return not (await gate.post(body % amount.encode())).denied


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        (["-1000", "100", "1"], [False, True, False]),
        (["0.99", "99.01", "0.01"], [True, True, False]),
        (["100.99"], [False]),
        (["1e19", "100", "1"], [False, True, False]),
        (["99999999999999999999999999", "100"], [False, True]),
        (['"50"', "true", "null", "[1]"], [False, False, False, False]),
    ],
    ids=["negative (W17)", "fraction (W18)", "above (W18)", "overflow (W19)", "wide (W19)", "types"],
)
def test_amounts_are_charged_exactly_or_not_at_all(
    tmp_path, amounts: list[str], expected: list[bool]
) -> None:
    """W17, W18, W19 (P4.3): no amount gives anything back, is cut off or wraps."""

    async def main() -> None:
        async with world(CAP, tmp_path / "s", tools=["pay"]) as gate:
            assert [await paid(gate, amount) for amount in amounts] == expected
            assert len(gate.upstream.calls) == sum(expected)

    within(main)


@pytest.mark.parametrize("most", ["2.5", "-1", '"3"'])
def test_a_maximum_that_cannot_be_counted_to_is_a_load_error(most: str) -> None:
    """W20, W21: a limit that would never act, or act at another number, is not activated."""
    limit = '{"counter":"c","window":"minute","max":' + most + "}"
    text = '{"version":"1","default":"deny","tools":{"a":{"limits":[' + limit + "]}}}"
    document, found = load_text(text.encode(), file="policy.json", unsafe_monitor=False)
    assert document is None or any(one.severity == "error" for one in found)


def test_every_allowed_call_is_counted(tmp_path) -> None:
    """W20: there is no way to name a counter that is read and never charged."""

    async def main() -> None:
        async with world(ONE, tmp_path / "s", tools=["pay"]) as gate:
            assert [(await gate.call("pay")).denied for _ in range(3)] == [False, True, True]

    within(main)


def test_a_window_slides_and_admits_no_burst_at_its_boundary(tmp_path) -> None:
    """W22 (P4.1): never more than the maximum in any window of that length."""
    policy = limited({"counter": "calls", "window": "minute", "max": 2})
    clock = ManualClock()

    async def main() -> None:
        async with world(policy, tmp_path / "s", tools=["pay"], clock=clock) as gate:
            clock.pass_by(59)
            assert [(await gate.call("pay")).denied for _ in range(2)] == [False, False]
            clock.pass_by(2)
            assert (await gate.call("pay")).denied
            clock.pass_by(59)
            assert not (await gate.call("pay")).denied

    within(main)


def test_an_upstream_that_cannot_be_reached_costs_nothing(tmp_path) -> None:
    """W23 (P4.4): what provably never left is given back."""

    async def main() -> None:
        async with world(ONE, tmp_path / "s", tools=["pay", "free"]) as gate:
            await gate.call("free")  # the tool list is known from here on
            gate.desk.catalogues.doubt = lambda: None  # as if the loss came between list and call
            await gate.upstream.stop()
            reply = await gate.call("pay")
            assert reply.json["error"]["code"] == 4502
            await gate.upstream.start()
            assert not (await gate.call("pay")).denied

    within(main)


@pytest.mark.parametrize(("refund", "denied"), [("never", True), ("on_error", False)])
def test_a_failed_tool_gives_back_only_where_the_policy_says_so(tmp_path, refund: str, denied: bool) -> None:
    """W24 (P4.4): code that fails on purpose must not run for free."""
    limit: dict[str, Any] = {"counter": "calls", "window": "day", "max": 1}
    policy = limited(limit | ({} if refund == "never" else {"refund": refund}))

    async def main() -> None:
        async with world(policy, tmp_path / "s", tools=["pay"]) as gate:
            gate.upstream.script["tools/call"] = lambda seen: http(
                result(seen.message, {"content": [], "isError": True})
            )
            await gate.call("pay")
            assert (await gate.call("pay")).denied is denied

    within(main)


def test_a_slow_failure_gives_back_to_the_window_it_was_taken_from(tmp_path) -> None:
    """W25 (P4.4): the next window is not credited with it."""
    policy = limited({"counter": "calls", "window": "minute", "max": 1, "refund": "on_error"})
    clock = ManualClock()
    answer = asyncio.Event()

    async def main() -> None:
        async def fail_late(seen):
            await answer.wait()
            return http(result(seen.message, {"content": [], "isError": True}))

        async with world(policy, tmp_path / "s", tools=["pay"], clock=clock) as gate:
            gate.upstream.script["tools/call"] = fail_late
            slow = asyncio.ensure_future(gate.call("pay"))
            await until(lambda: gate.upstream.calls)
            clock.pass_by(61)
            del gate.upstream.script["tools/call"]
            assert not (await gate.call("pay", 2)).denied
            answer.set()
            await slow
            assert (await gate.call("pay", 3)).denied

    within(main)


def test_counters_belong_to_a_server_and_a_grant(tmp_path) -> None:
    """W26 (P4.5): a tool of the same name elsewhere, or another grant, has its own."""

    async def main() -> None:
        async with world(ONE, tmp_path / "s", tools=["pay"]) as gate:
            assert not (await gate.post(call("pay"), grant="alice")).denied
            assert (await gate.post(call("pay"), grant="alice")).denied
            assert not (await gate.post(call("pay"), grant="bob")).denied
            gate.desk.server = "another"
            assert not (await gate.post(call("pay"), grant="alice")).denied

    within(main)


def test_no_more_calls_run_at_once_than_allowed(tmp_path) -> None:
    """W27: a concurrency limit holds while a call runs and ends with it."""
    answer = asyncio.Event()

    async def main() -> None:
        async def late(seen):
            await answer.wait()
            return http(result(seen.message, {"content": []}))

        async with world(TOGETHER, tmp_path / "s", tools=["pay"]) as gate:
            gate.upstream.script["tools/call"] = late
            first = asyncio.ensure_future(gate.call("pay"))
            await until(lambda: gate.upstream.calls)
            assert (await gate.call("pay", 2)).denied
            answer.set()
            assert not (await first).denied
            assert not (await gate.call("pay", 3)).denied

    within(main)


def test_hanging_up_does_not_free_a_slot_that_the_upstream_may_still_use(tmp_path) -> None:
    """W27 (P4.4): else a client starts any number of calls by leaving each at once."""

    async def main() -> None:
        async with world(TOGETHER, tmp_path / "s", tools=["pay"]) as gate:
            gate.upstream.script["tools/call"] = lambda seen: None
            message = modern(call("pay"))
            async with gate.held(message, *modern_headers(message)):
                await until(lambda: gate.upstream.calls)
            while "outcome" not in {kind for kind, _ in await gate.kinds()}:
                await asyncio.sleep(0.01)
            statuses = [one.status for one in await gate.records() if one.kind == "outcome"]
            assert statuses == ["cancelled"]
            assert (await gate.post(message, *modern_headers(message))).denied

    within(main)


@pytest.mark.parametrize(
    "trick",
    [
        lambda seen: http(result(seen.message, {"content": []}), status=500),
        lambda seen: http(b"", b"", 302, b"location: /elsewhere"),
        lambda seen: http(b"{"),
        lambda seen: seen.writer.write(CUT) or seen.writer.close(),
        lambda seen: events(),
        lambda seen: seen.writer.transport.abort(),
        lambda seen: b"garbage\r\n\r\n",
    ],
    ids=["500", "redirect", "half json", "cut", "empty stream", "reset", "not http"],
)
def test_no_answer_of_the_upstream_gives_a_charge_back(tmp_path, trick: Any) -> None:
    """P4.4: a byte was written, so it counts, whatever came of it."""

    async def main() -> None:
        async with world(ONE, tmp_path / "s", tools=["pay"]) as gate:
            gate.upstream.script["tools/call"] = trick
            await gate.call("pay")
            del gate.upstream.script["tools/call"]
            assert (await gate.call("pay", 2)).denied
            assert len(gate.upstream.calls) == 1

    within(main)


def test_a_denied_call_costs_nothing(tmp_path) -> None:
    """P4.2: several limits are reserved all or none."""
    policy = limited(
        {"counter": "calls", "window": "day", "max": 5},
        {"counter": "spent", "window": "day", "max": 10, "cost": "args.amount"},
    )

    async def main() -> None:
        async with world(policy, tmp_path / "s", tools=["pay"]) as gate:
            assert [await paid(gate, "11") for _ in range(5)] == [False] * 5
            assert [await paid(gate, "2") for _ in range(6)] == [True] * 5 + [False]

    within(main)


def test_two_stdio_processes_of_one_grant_are_two_tracks(tmp_path) -> None:
    """P8.4: on stdio the process is the track, so its counters are its own."""
    policy = limited({"counter": "c", "window": "hour", "max": 1, "scope": "track"})

    async def main() -> None:
        for process in ("ev_one", "ev_two"):
            async with world(policy, tmp_path / "s", tools=["pay"]) as gate:
                gate.desk.track = process

                assert [await paid(gate, "1"), await paid(gate, "1")] == [True, False]

    within(main)
