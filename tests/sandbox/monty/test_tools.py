"""Tools in Monty: calls, refusals, bounds, pauses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.inner import MAX_RESULT
from ostiary.sandbox.limits import MIB, Limits
from ostiary.sandbox.request import Resumption, RunRequest
from ostiary.sandbox.runner import Environment, Job
from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from tests.sandbox.cpython.world import BEGUN_MS
from tests.sandbox.monty.world import Monty, play
from tests.sandbox.toolboxes import Shelf

STUBS = """
from typing import Any
def mcp_Sums_add(a: int, b: int = ...) -> dict[str, int]: ...
def mcp_Sums_fail() -> Any: ...
"""


def add(a: Any, b: Any = 2) -> dict[str, Any]:
    return {"sum": a + b}


def fail() -> None:
    raise ToolFault("the server said no", -32000)


def sums(**more: Any) -> Shelf:
    unbound = {"mcp_Sums_delete": 'not bound: add "mcp_Sums_delete" to required_tools'}
    return Shelf({"mcp_Sums_add": add, "mcp_Sums_fail": fail} | more, stubs=STUBS, unbound=unbound)


@pytest.mark.parametrize(
    "code",
    [
        "mcp_Sums_add(1, 2)['sum']",
        "mcp_Sums_add(a=1)['sum']",
        "call_tool('mcp_Sums_add', {'a': 1, 'b': 2})['sum']",
        "call_tool(name='mcp_Sums_add', arguments={'a': 1})['sum']",
        "plus = mcp_Sums_add\nplus(1)['sum']",
        "(await mcp_Sums_add(1))['sum']",
        "sum([mcp_Sums_add(n)['sum'] for n in [-1, 0]])",
    ],
)
def test_tools_are_plain_functions(code: str) -> None:
    async def scene(monty: Monty) -> None:
        record = await monty.run(code, tools=sums())

        assert record.error is None
        assert record.result is not None
        assert record.result.text == "3"
        assert {(one.name, one.ok) for one in record.tool_calls} == {("mcp_Sums_add", True)}

    play(scene)


def test_a_failed_call_can_be_caught_and_has_its_code() -> None:
    async def scene(monty: Monty) -> None:
        code = "try:\n    mcp_Sums_fail()\nexcept ToolError as error:\n    print(error)\nmcp_Sums_fail()"
        record = await monty.run(code, tools=sums())

        assert record.stdout.whole == "the server said no (code -32000)\n"
        assert record.error is not None
        assert record.error.message == "the server said no (code -32000)"
        assert "line 5, in <module>" in record.error.traceback
        assert [(one.ok, one.why) for one in record.tool_calls] == [(False, "the server said no")] * 2

    play(scene)


@pytest.mark.parametrize(
    "code", ["mcp_Sums_delete(1)", "f = mcp_Sums_delete\nf(1)", "call_tool('mcp_Sums_delete', {})"]
)
def test_a_tool_that_was_not_asked_for_is_named_with_the_missing_entry(code: str) -> None:
    async def scene(monty: Monty) -> None:
        tools = sums()
        record = await monty.run(code, tools=tools)

        assert record.error is not None
        assert record.error.type == "NameError"
        assert record.error.message == 'not bound: add "mcp_Sums_delete" to required_tools'
        assert tools.calls == []

    play(scene)


def test_the_call_after_the_last_ends_the_run_and_cannot_be_caught() -> None:
    async def scene(monty: Monty) -> None:
        tools = sums()
        code = "while True:\n    try:\n        mcp_Sums_add(1)\n    except BaseException:\n        pass"
        record = await monty.run(code, tools=tools)

        assert record.status == "killed"
        assert record.error is not None
        assert record.error.message == "the run called tools more than 50 times and was ended"
        assert len(tools.calls) == len(record.tool_calls) == 50

    play(scene)


@pytest.mark.parametrize("code", ["mcp_Sums_add({1, 2})", "mcp_Sums_add(float('nan'))", "call_tool(3)"])
def test_what_is_no_json_is_refused_before_the_call(code: str) -> None:
    async def scene(monty: Monty) -> None:
        tools = sums()
        record = await monty.run(code, tools=tools)

        assert record.error is not None
        assert "(code -32602)" in record.error.message
        assert tools.calls == []

    play(scene)


def test_arguments_and_results_are_bounded_with_words_that_say_so() -> None:
    async def scene(monty: Monty) -> None:
        tools = sums(mcp_Sums_big=lambda: "x" * 50_000_000, mcp_Sums_some=lambda: ["x" * 100] * 100_000)
        big = await monty.run("mcp_Sums_big()", tools=tools)
        argument = await monty.run("mcp_Sums_add('x' * 20_000_000)", tools=tools)
        shared = "x = [0] * 100\nfor i in range(12): x = [x] * 100\nmcp_Sums_add(x)"
        endless = await monty.run(shared, tools=tools)
        some = await monty.run("len(mcp_Sums_some())", tools=tools)

        assert big.error is not None
        assert f"the result of mcp_Sums_big has 50000002 bytes, and {MAX_RESULT} is" in big.error.message
        for record in (argument, endless):
            assert record.error is not None
            assert "the arguments of mcp_Sums_add have more than" in record.error.message
        assert some.result is not None
        assert some.result.text == "100000"
        assert [name for name, _, _ in tools.calls] == ["mcp_Sums_big", "mcp_Sums_some"]

    play(scene)


def test_results_that_look_like_code_stay_text() -> None:
    async def scene(monty: Monty) -> None:
        hostile = "'); import os; mcp_Sums_fail() #\n__import__('os')"
        tools = sums(mcp_Sums_text=lambda: hostile, mcp_Sums_keys=lambda: {"__class__": "x", "}": hostile})
        record = await monty.run("mcp_Sums_text(), mcp_Sums_keys()", tools=tools, outputs=("x",))

        assert record.result is not None
        assert record.result.text == repr((hostile, {"__class__": "x", "}": hostile}))
        assert [name for name, _, _ in tools.calls] == ["mcp_Sums_text", "mcp_Sums_keys"]

    play(scene)


def test_time_counts_on_while_a_tool_is_waited_for_and_the_call_is_cancelled() -> None:
    async def scene(monty: Monty) -> None:
        cancelled = asyncio.Event()

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        tools = sums(mcp_Sums_wait=wait)
        record = await monty.run("mcp_Sums_wait()", tools=tools, limits=Limits(wall_ms=BEGUN_MS))

        assert record.status == "timeout"
        assert cancelled.is_set()
        assert [(one.ok, one.why) for one in record.tool_calls] == [
            (False, "the run ended before the call did")
        ]

    play(scene)


def test_waiting_for_a_tool_is_no_cpu_time_and_a_fault_of_the_gate_is_one_of_the_call() -> None:
    async def scene(monty: Monty) -> None:
        def broken() -> None:
            raise GatewayFault("the store is full")

        async def wait() -> str:
            await asyncio.sleep(0.4)
            return "waited"

        tools = sums(mcp_Sums_broken=broken, mcp_Sums_wait=wait)
        waited = await monty.run("mcp_Sums_wait()", tools=tools, limits=Limits(wall_ms=9_000, cpu_ms=200))
        failed = await monty.run("mcp_Sums_broken()", tools=tools)

        assert waited.status == "success"
        assert failed.error is not None
        assert failed.error.message == "the store is full (code -32603)"
        assert [one.why for one in failed.tool_calls] == ["the store is full"]

    play(scene)


def test_a_held_call_pauses_the_run_and_another_engine_goes_on_with_it() -> None:
    code = """before = [1]
print('one')
again = mcp_Sums_hold(7)
print('two')
before + [again, mcp_Sums_add(1)['sum']]"""

    def hold(_: int) -> None:
        raise ToolHeld("waits for ann", -32007, ticket="t-1")

    states: list[bytes] = []

    async def first(monty: Monty) -> None:
        record = await monty.run(code, tools=sums(mcp_Sums_hold=hold))
        assert (record.status, record.stdout.whole, record.error) == ("paused", "one\n", None)
        assert record.paused is not None
        assert (record.paused.name, record.paused.ticket, record.paused.calls) == ("mcp_Sums_hold", "t-1", 1)
        states.append(record.paused.state)

    async def second(monty: Monty) -> None:
        resumes = Resumption(state=states[0], result="agreed")
        record = await monty.run(code, tools=sums(), resumes=resumes, outputs=("before",))
        assert (record.status, record.stdout.whole) == ("success", "two\n")
        assert record.result is not None
        assert record.result.text == "[1, 'agreed', 3]"
        assert record.outputs == {"before": "[1]"}
        assert [one.name for one in record.tool_calls] == ["mcp_Sums_hold", "mcp_Sums_add"]

        denied = Resumption(state=states[0], error="ann said no", code=-32006)
        refused = await monty.run(code, tools=sums(), resumes=denied)
        assert refused.error is not None
        assert refused.error.message == "ann said no (code -32006)"
        assert 'File "<cell 1>", line 3' in refused.error.traceback

        few = Limits(wall_ms=9_000, inner_calls=1)
        bounded = await monty.run(code, tools=sums(), resumes=resumes, limits=few)
        assert bounded.error is not None
        assert bounded.error.type == "CallLimit"

    play(first)
    play(second)


@pytest.mark.parametrize("call", ["call_tool('mcp_Sums_hold', {})", "await mcp_Sums_hold()"])
def test_every_way_to_call_can_be_held_and_gone_on_with(call: str) -> None:
    def hold() -> None:
        raise ToolHeld("waits")

    async def scene(monty: Monty) -> None:
        tools = sums(mcp_Sums_hold=hold)
        record = await monty.run(f"held = {call}\nheld + mcp_Sums_add(1)['sum']", tools=tools)
        assert record.paused is not None
        assert record.paused.name == "mcp_Sums_hold"

        resumes = Resumption(state=record.paused.state, result=4)
        after = await monty.run("", tools=tools, resumes=resumes)
        assert after.result is not None
        assert after.result.text == "7"
        assert [one.name for one in after.tool_calls] == ["mcp_Sums_hold", "mcp_Sums_add"]

    play(scene)


def test_a_run_is_dumped_while_it_waits_and_its_copy_goes_on_by_itself() -> None:
    class Nowhere:
        def stdout(self, data: bytes) -> None: ...
        def stderr(self, data: bytes) -> None: ...

    async def scene(monty: Monty) -> None:
        limits, nothing = Limits(), Environment()
        first, second = [await monty.runner.worker(limits, nothing) for _ in range(2)]
        dumps: list[bytes] = []

        def ask() -> int:
            dumps.append(first.dump())
            return 1

        job = Job(code="mcp_Sums_ask() * 10", owner="ana", tools=sums(mcp_Sums_ask=ask))
        ended = await first.run(job, Nowhere())
        copied = await second.resume(dumps[0], 2, job, Nowhere())
        with pytest.raises(CallerFault, match="waits for no call"):
            first.dump()
        await first.close()
        await second.close()

        assert [one.value.text if one.value else "" for one in (ended, copied)] == ["10", "20"]

    play(scene)


def test_bytes_that_are_no_paused_run_are_refused() -> None:
    async def scene(monty: Monty) -> None:
        for state in (b"", b"nonsense", b"\x96\xa31.0\x01\xa1a\xa1b\xc2\xc4\x00"):
            record = await monty.run("x", tools=sums(), resumes=Resumption(state=state))
            assert record.status == "killed"
            assert record.error is not None
            assert record.error.type == CallerFault.__name__

    play(scene)


def test_a_state_that_is_too_large_is_not_kept() -> None:
    def hold() -> None:
        raise ToolHeld("waits", 0)

    async def scene(monty: Monty) -> None:
        code = "kept = ['a' * 1000 + str(n) for n in range(80_000)]\nmcp_Sums_hold()"
        record = await monty.run(code, tools=sums(mcp_Sums_hold=hold), limits=Limits(memory=400 * MIB))
        assert record.status == "killed"
        assert record.error is not None
        assert record.error.type == "StateLimit"
        assert "67108864 is the most" in record.error.message

    play(scene)


def test_mistakes_are_told_before_the_run_and_no_tool_is_called() -> None:
    async def scene(monty: Monty) -> None:
        tools = sums()
        wrong = "mcp_Sums_add('one')\n\nmcp_Sums_add()\nmcp_Sums_add(1, c=2)\nnumber = 1\nnumber.what"
        checked = await monty.runner.check(wrong, "ana", tools)

        assert checked.needs_cpython is None
        assert [mistake.partition(",")[0] for mistake in checked.mistakes] == ["line 1", "line 3", "line 4"]
        assert checked.certain == checked.mistakes[1:]
        assert "Expected `int`" in checked.mistakes[0]
        right = await monty.runner.check("print(mcp_Sums_add(1, b=2)['sum'] + 1)", "ana", tools)
        assert right.mistakes == ()
        assert tools.calls == []

    play(scene)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import json, re\nfrom datetime import datetime\n[mcp_Sums_add(1)]", None),
        ("from __future__ import annotations\n1", None),
        ("while True: pass", None),
        ("mcp_Sums_fail()\nimport numpy", "Monty has no `import numpy`"),
        ("from json import nonsense", "Monty has no `from json import nonsense`"),
        ("class Mine(Exception): pass", "class inheritance"),
        ("def f():\n    yield 1", "yield"),
        ("list(map(mcp_Sums_add, [1]))", "from within `map`"),
        ("def f(x): return mcp_Sums_add(x)\nsorted([1], key=lambda x: f(x))", "from within `sorted`"),
        ("1 +", None),
    ],
)
def test_code_that_needs_cpython_is_known_before_anything_runs(code: str, why: str | None) -> None:
    async def scene(monty: Monty) -> None:
        tools = sums()
        said = await monty.runner.parses(code, "ana", tools)

        assert (said is None) == (why is None)
        assert why is None or why in (said or "")
        assert tools.calls == []

    play(scene)


def test_a_run_that_waits_for_a_tool_is_cancelled_at_once() -> None:
    async def scene(monty: Monty) -> None:
        began = asyncio.Event()

        async def wait() -> None:
            began.set()
            await asyncio.Event().wait()

        engine = monty.engine
        request = RunRequest(code="mcp_Sums_wait()", owner="ana", tools=sums(mcp_Sums_wait=wait))
        run_id = engine.start(request)
        await began.wait()
        assert engine.cancel("ana", run_id)
        record = await engine.ended("ana", run_id)
        assert record is not None
        assert record.status == "cancelled"

    play(scene)
