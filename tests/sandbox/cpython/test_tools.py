"""Tools in CPython: calls over the child's own socket, which its code can write to as well."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ostiary.sandbox.inner import MAX_RESULT
from ostiary.sandbox.limits import Limits
from ostiary.sandbox.record import RunRecord
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.toolbox import ToolFault, ToolHeld
from tests.sandbox.cpython.world import BEGUN_MS, Sandbox
from tests.sandbox.toolboxes import Shelf

FRAMES = """
import json, os, socket, struct
def channel():
    for number in os.listdir('/proc/self/fd'):
        try:
            found = socket.socket(fileno=os.dup(int(number)))
        except OSError:
            continue
        if found.family == socket.AF_UNIX:
            return found
def send(fields, body=b''):
    text = json.dumps(fields, separators=(',', ':')).encode()
    line.sendall(struct.pack('!II', len(text), len(body)) + text + body)
line = channel()
"""

TWO_AT_ONCE = """
send({'call': 1, 'name': 'mcp_Sums_wait'}, b'[[],{}]')
send({'call': 2, 'name': 'mcp_Sums_add'}, b'[[1],{}]')
print('both', flush=True)
line.recv(1)
"""


def add(a: Any, b: Any = 2) -> dict[str, Any]:
    return {"sum": a + b}


def fail() -> None:
    raise ToolFault("the server said no", -32000)


def sums(**more: Any) -> Shelf:
    unbound = {"mcp_Sums_delete": 'not bound: add "mcp_Sums_delete" to required_tools'}
    return Shelf({"mcp_Sums_add": add, "mcp_Sums_fail": fail} | more, unbound=unbound)


def message_of(record: RunRecord) -> str:
    assert record.error is not None
    return record.error.message


@pytest.fixture
def tools() -> Shelf:
    return sums()


def test_tools_are_plain_functions_and_outputs_are_read_back(any_level: Sandbox, tools: Shelf) -> None:
    code = """
class Total: ...
one = mcp_Sums_add(1, b=4)
two = call_tool("mcp_Sums_add", {"a": 1})
three = list(map(mcp_Sums_add, [1, 2]))
total = [one, two, three]
four = await mcp_Sums_add(1)
odd = Total
one["sum"]
"""
    record = any_level.run(code, tools=tools, outputs=("total", "odd", "absent"))

    assert record.error is None
    assert record.result is not None
    assert record.result.text == "5"
    assert record.outputs == {"total": '[{"sum": 5}, {"sum": 3}, [{"sum": 3}, {"sum": 4}]]'}
    assert [note.partition("`")[2].partition("`")[0] for note in record.notes] == ["odd", "absent"]
    assert [(one.name, one.ok) for one in record.tool_calls] == [("mcp_Sums_add", True)] * 5


def test_a_failed_call_is_an_exception_with_its_code(any_level: Sandbox, tools: Shelf) -> None:
    code = (
        "try:\n    mcp_Sums_fail()\nexcept ToolError as error:\n    print(error.code, error)\nmcp_Sums_fail()"
    )
    record = any_level.run(code, tools=tools)

    assert record.stdout.whole == "-32000 the server said no (code -32000)\n"
    assert record.error is not None
    assert record.error.type == "ToolError"
    assert [one.why for one in record.tool_calls] == ["the server said no"] * 2


def test_a_tool_that_was_not_asked_for_is_named_with_the_missing_entry(
    any_level: Sandbox, tools: Shelf
) -> None:
    for code in ("mcp_Sums_delete(1)", "f = mcp_Sums_delete\nf()", "call_tool('mcp_Sums_delete', {})"):
        record = any_level.run(code, tools=tools)
        assert message_of(record) == 'not bound: add "mcp_Sums_delete" to required_tools'
    assert any_level.run("mcp_Other_thing()", tools=tools).error is not None
    assert tools.calls == []


def test_the_call_after_the_last_ends_the_run_and_cannot_be_caught(any_level: Sandbox, tools: Shelf) -> None:
    code = "while True:\n    try:\n        mcp_Sums_add(1)\n    except BaseException:\n        pass"
    record = any_level.run(code, tools=tools)

    assert record.status == "killed"
    assert message_of(record) == "the run called tools more than 50 times and was ended"
    assert len(tools.calls) == len(record.tool_calls) == 50


def test_results_are_bounded_and_stay_data(walled: Sandbox) -> None:
    hostile = "'); import os; mcp_Sums_fail() #"
    tools = sums(
        mcp_Sums_big=lambda: "x" * 50_000_000,
        mcp_Sums_some=lambda: "y" * 10_000_000,
        mcp_Sums_text=lambda: {"call": 9, "text": hostile},
    )
    big = walled.run("mcp_Sums_big()", tools=tools)
    some = walled.run("len(mcp_Sums_some())", tools=tools)
    text = walled.run("mcp_Sums_text()", tools=tools)
    argument = walled.run("mcp_Sums_add('x' * 20_000_000)", tools=tools)
    odd = walled.run("mcp_Sums_add({1, 2})", tools=tools)
    half = walled.run("mcp_Sums_add('\\ud800')", tools=tools)

    assert f"the result of mcp_Sums_big has 50000002 bytes, and {MAX_RESULT} is" in message_of(big)
    assert some.result is not None
    assert some.result.text == "10000000"
    assert text.result is not None
    assert text.result.text == repr({"call": 9, "text": hostile})
    assert "the arguments of mcp_Sums_add have more than" in message_of(argument)
    assert "are not JSON" in message_of(odd)
    assert "are not JSON" in message_of(half)


@pytest.mark.parametrize(
    "forged",
    [
        "send({'call': 7, 'name': 'mcp_Sums_add'}, b'[[1],{}]')",
        "send({'call': 1, 'name': 'mcp_Sums_add'}, b'[[1]')",
        "send({'call': 1, 'name': 'mcp_Sums_add', 'more': 1}, b'[[1],{}]')",
        "send({'call': 1, 'name': 'mcp_Sums_add'}, b'[' * 100000)",
        'line.sendall(struct.pack(\'!II\', 20, 1 << 31) + b\'{"call":1,"name":"x"}\')',
        TWO_AT_ONCE,
    ],
)
def test_forged_calls_end_the_run_and_reach_no_tool(walled: Sandbox, forged: str) -> None:
    async def wait() -> None:
        """Answer only once the second call has been sent."""
        while not any("both" in one.stdout.shown for one in walled.engine.underway("ana")):
            await asyncio.sleep(0)

    tools = sums(mcp_Sums_wait=wait)
    record = walled.run(f"{FRAMES}\n{forged}\nwhile True: pass", tools=tools)

    assert record.status == "killed"
    assert record.error is not None
    assert record.error.type == "BrokenAnswer"
    assert [name for name, _, _ in tools.calls if name == "mcp_Sums_add"] == []


def test_a_call_that_the_code_writes_by_itself_is_decided_like_any_other(walled: Sandbox) -> None:
    tools = sums()
    code = f"{FRAMES}\nsend({{'call': 1, 'name': 'mcp_Sums_delete'}}, b'[[],{{}}]')\nlen(line.recv(9999)) > 0"
    record = walled.run(code, tools=tools)

    assert record.status == "success"
    assert tools.calls == []


def test_without_tools_there_are_no_functions_and_a_forged_call_gets_nothing(walled: Sandbox) -> None:
    record = walled.run("mcp_Sums_add(1)")
    assert record.error is not None
    assert record.error.type == "NameError"
    forged = f"{FRAMES}\nsend({{'call': 1, 'name': 'x'}}, b'[[],{{}}]')\nb'not defined' in line.recv(9999)"
    answered = walled.run(forged)
    assert answered.result is not None
    assert (answered.result.text, answered.tool_calls) == ("True", ())


def test_time_counts_on_while_a_tool_is_waited_for_and_the_call_is_cancelled(walled: Sandbox) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    tools = sums(mcp_Sums_wait=wait)
    record = walled.run("mcp_Sums_wait()", tools=tools, limits=Limits(wall_ms=BEGUN_MS))

    assert record.status == "timeout"
    assert cancelled.is_set()
    assert [one.why for one in record.tool_calls] == ["the run ended before the call did"]


def test_waiting_for_a_tool_is_no_cpu_time(walled: Sandbox) -> None:
    async def wait() -> str:
        await asyncio.sleep(1.2)
        return "waited"

    tools = sums(mcp_Sums_wait=wait)
    record = walled.run("mcp_Sums_wait()", tools=tools, limits=Limits(wall_ms=9_000, cpu_ms=1_000))

    assert record.status == "success"
    assert record.usage.cpu_ms is not None
    assert record.usage.cpu_ms < 1_000


def test_threads_call_one_after_another_and_processes_do_not(walled: Sandbox, tools: Shelf) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
import os
with ThreadPoolExecutor(4) as pool:
    sums = list(pool.map(lambda n: mcp_Sums_add(n)["sum"], range(20)))
told, telling = os.pipe()
if os.fork() == 0:
    try:
        mcp_Sums_add(1)
    except ToolError as error:
        os.write(telling, str(error).encode())
    os._exit(0)
sums, os.read(told, 1000).decode()
"""
    record = walled.run(code, tools=tools)

    assert record.result is not None
    expected = (list(range(2, 22)), "a process that the code started cannot call tools (code -32602)")
    assert record.result.text == repr(expected)


def test_a_held_call_has_failed_for_code_that_cannot_be_paused(walled: Sandbox) -> None:
    def hold() -> None:
        raise ToolHeld("waits for ann: call again once she has agreed", -32007)

    record = walled.run("mcp_Sums_hold()", tools=sums(mcp_Sums_hold=hold))

    assert (record.status, record.paused) == ("error", None)
    assert message_of(record) == "waits for ann: call again once she has agreed (code -32007)"


def test_a_session_calls_on_and_the_calls_of_each_run_are_its_own(walled: Sandbox, tools: Shelf) -> None:
    for _ in range(2):
        record = walled.run("mcp_Sums_add(1)", tools=tools, session="s")
        assert record.error is None
        assert len(record.tool_calls) == 1


def test_runs_at_once_have_their_own_tools_and_a_child_that_dies_ends_its_call(walled: Sandbox) -> None:
    async def scene() -> list[RunRecord]:
        async def wait() -> None:
            await asyncio.Event().wait()

        def request(number: int) -> RunRequest:
            tools = Shelf({"mcp_A_number": lambda: number})
            return RunRequest(code="[mcp_A_number() for _ in range(5)]", owner=f"o{number}", tools=tools)

        dying = "import os, threading\nthreading.Timer(0.1, os._exit, [3]).start()\nmcp_A_wait()"
        dies = RunRequest(code=dying, owner="ana", tools=Shelf({"mcp_A_wait": wait}))
        asked = [*(request(number) for number in range(4)), dies]
        return await asyncio.gather(*(walled.engine.run(one) for one in asked))

    *numbered, died = walled.do(scene())

    assert [one.result.text if one.result else "" for one in numbered] == [
        repr([number] * 5) for number in range(4)
    ]
    assert (died.status, died.exit_code) == ("error", 3)
