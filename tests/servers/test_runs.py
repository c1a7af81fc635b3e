"""What every server over an engine has: waiting for a run, and telling of it meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ostiary.sandbox.engine import Busy
from ostiary.sandbox.record import Stream
from ostiary.sandbox.request import RunRequest
from ostiary.sandbox.run import Underway
from ostiary.servers.core.context import CallContext, Caller
from ostiary.servers.runs import awaited, beside
from tests.servers.python.records import record

REQUEST = RunRequest(code="", owner="g")


class Line:
    """What a client is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def notify(self, method: str, params: Any) -> None:
        self.told.append((method.removeprefix("notifications/"), params))

    async def ask(self, questions: Any) -> Any:
        raise NotImplementedError

    def let_go(self) -> None: ...


class Engine:
    """An engine whose run says what it is told to, or raises."""

    def __init__(self, *printed: str, fault: Exception | None = None) -> None:
        self.printed = printed
        self.fault = fault

    async def run(self, request: RunRequest, *, progress: Any) -> Any:
        if self.fault is not None:
            raise self.fault
        so_far = ""
        for number, more in enumerate(self.printed, start=1):
            so_far += more
            seen = Stream(so_far, so_far, len(so_far))
            progress(Underway(run_id="r", state="running", elapsed_s=number, stdout=seen))
            for _ in range(3):
                await asyncio.sleep(0)
        return record()


def context(line: Line) -> CallContext:
    return CallContext(Caller(owner="g", revision="2025-11-25", modern=False), line, {"progressToken": 1})


async def run(engine: Any, line: Line, *, echo: bool = True) -> Any:
    return await awaited(engine, REQUEST, context(line), echo=echo)


def test_a_client_is_told_how_much_was_printed_and_what_is_new_of_it() -> None:
    line = Line()

    assert asyncio.run(run(Engine("one\n", "two\nthree\n", ""), line)) == record()

    told = [params["message"] for method, params in line.told if method == "progress"]
    assert told == [
        "running, 4 bytes of output",
        "running, 14 bytes of output",
        "running, 14 bytes of output",
    ]
    logged = [(params["logger"], params["data"]) for method, params in line.told if method == "message"]
    assert logged == [("stdout", "one"), ("stdout", "two\nthree")]


def test_what_is_printed_is_told_only_where_a_tool_wants_it() -> None:
    line = Line()

    asyncio.run(run(Engine("one\n"), line, echo=False))

    assert {method for method, _ in line.told} == {"progress"}


def test_that_the_engine_is_busy_comes_out_as_what_it_is() -> None:
    with pytest.raises(Busy, match="4 runs at once"):
        asyncio.run(run(Engine(fault=Busy("busy: 4 runs at once")), Line()))


def test_what_goes_on_beside_is_ended_with_the_body() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async def body() -> None:
        async with beside(work()):
            await asyncio.sleep(0)
            raise ValueError("of the body")

    with pytest.raises(ValueError, match="of the body"):
        asyncio.run(body())
    assert ended
