"""Records as a client of the Django server is told of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.record import Fault, IsolationReport, RunRecord, Stream, Value
from ostiary.servers.core.content import ToolResult
from ostiary.servers.core.schema import Schema
from ostiary.servers.django.interface import interfaces
from ostiary.servers.django.replies import answered, commanded, executed, frames, worked
from ostiary.servers.runs import RUN_META
from tests.servers.python.records import record

TRACEBACK = """\
Traceback (most recent call last):
  File "<cell 3>", line 2, in <module>
    1/0
    ~^~
ZeroDivisionError: division by zero
"""
BROKEN = Fault("exception", "ZeroDivisionError", "division by zero", TRACEBACK)
ASKED = {"command": "check", "args": ["books"], "options": {"tag": "security"}}


def texts(result: ToolResult) -> list[Any]:
    return [block["text"] for block in result.content]


def run_meta(result: ToolResult) -> Any:
    return result.meta[RUN_META]


def inner(result: ToolResult) -> Any:
    assert result.structured is not None
    return result.structured["result"]


def test_code_that_succeeded() -> None:
    told = executed(record(stdout=Stream("hi\n", "hi\n", 3), result=Value("4", "4")), extended=False)

    assert inner(told) == {"status": "success", "output": {}, "stdout": "hi\n", "stderr": ""}
    assert texts(told) == ['{"status":"success","output":{},"stdout":"hi\\n","stderr":""}', "value: 4"]
    assert told.is_error is False
    assert told.meta["fastmcp"] == {"wrap_result": True}


def test_the_value_is_in_the_record_and_with_extended_in_the_output() -> None:
    told = executed(record(result=Value("4", "4")), extended=True)

    assert inner(told)["output"] == {"value": {"text": "4", "json": "4"}}
    assert len(texts(told)) == 1
    assert run_meta(told)["result"] == {"text": "4", "json": "4"}


def test_code_that_raised_is_data_with_the_lines_of_its_source() -> None:
    told = executed(record(status="error", error=BROKEN), extended=False)

    assert told.is_error is False
    assert inner(told)["status"] == "error"
    assert inner(told)["output"]["exception"] == {
        "exc_type": "ZeroDivisionError",
        "message": "division by zero",
        "traceback": ['File "<cell 3>", line 2, in <module>\n  1/0\n  ~^~'],
    }


@pytest.mark.parametrize(
    ("status", "category", "kind"),
    [
        ("timeout", "limit", "TimeLimit"),
        ("oom", "limit", "MemoryLimit"),
        ("error", "exit", "SystemExit"),
        ("error", "signal", "SIGSEGV"),
        ("killed", "limit", "OutputLimit"),
    ],
)
def test_code_that_was_ended_is_data_too(status: Any, category: Any, kind: str) -> None:
    ended = record(status=status, error=Fault(category, kind, "words"), session="mcp-1", session_lost=True)
    told = executed(worked(ended), extended=False)

    assert told.is_error is False
    assert inner(told)["output"]["exception"]["exc_type"] == kind
    assert "note: the session `mcp-1` has ended and its variables are gone" in texts(told)


def test_a_worker_that_could_not_be_had_is_a_failure_of_the_tool() -> None:
    with pytest.raises(CallerFault, match="no project"):
        worked(record(status="killed", error=Fault("worker", "WorkerLost", "no project")))


def test_what_was_cut_is_said_and_is_not_sent_three_times() -> None:
    half = "y" * 65_536
    told = executed(record(stdout=Stream(half, half * 2, 131_072, truncated=True)), extended=False)

    assert any("all of it is run://run_1/stdout" in one for one in texts(told))
    assert len(json.dumps([told.content, told.structured, told.meta])) < 200_000
    assert run_meta(told)["stdout_truncated"] is True


def test_walls_that_are_missing_are_said() -> None:
    told = executed(record(isolation=IsolationReport("best-effort", ("no cgroups",))), extended=False)

    assert "isolation: best-effort: no cgroups" in texts(told)


def test_a_command_is_answered_with_what_was_asked_and_what_it_wrote() -> None:
    answer = json.dumps(
        {"status": "success", "command": "check", "args": [], "options": {}, "exception": None}
    )
    told = commanded(record(result=Value("", answer), stdout=Stream("ok\n", "ok\n", 3)), ASKED)

    assert told.structured == {
        "status": "success", "command": "check", "args": ["books"], "options": {"tag": "security"},
        "stdout": "ok\n", "stderr": "", "exception": None,
    }  # fmt: skip
    assert json.loads(texts(told)[0]) == told.structured


def test_a_command_that_was_ended_is_answered_with_why() -> None:
    told = commanded(record(status="timeout", error=Fault("limit", "TimeLimit", "too long")), ASKED)

    assert told.structured is not None
    assert told.structured["status"] == "error"
    assert told.structured["exception"] == {"type": "TimeLimit", "message": "too long"}


def test_a_question_without_an_answer_fails_in_the_words_of_python() -> None:
    missing = Fault("exception", "AttributeError", "'Settings' object has no attribute 'NOPE'")

    with pytest.raises(CallerFault, match="'Settings' object has no attribute 'NOPE'"):
        answered(record(status="error", error=missing))
    with pytest.raises(CallerFault, match="ended as cancelled"):
        answered(record(status="cancelled"))
    assert answered(record(result=Value("", "[1]"))) == [1]


def test_every_reply_fits_the_schema_of_its_tool() -> None:
    shell = Schema(interfaces()["shell_execute"].output_schema)
    command = Schema(interfaces()["management_execute_command"].output_schema)
    records: list[RunRecord] = [
        record(),
        record(result=Value("4", "4")),
        record(status="error", error=BROKEN),
        record(status="cancelled"),
    ]

    for one in records:
        for extended in (False, True):
            assert shell.problem(executed(one, extended=extended).structured) is None
    for one in (record(result=Value("", '{"status": "success", "exception": null}')), *records[2:3]):
        assert command.problem(commanded(one, ASKED).structured) is None


@pytest.mark.parametrize("forged", [None, "4", "{", '{"status": 1}', '{"status": "error", "exception": [1]}'])
def test_an_answer_that_code_has_forged_is_a_failure(forged: str | None) -> None:
    with pytest.raises(CallerFault, match="was not answered"):
        commanded(record(result=Value("", forged)), ASKED)


def test_frames_of_a_chain_are_in_order_and_words_between_them_are_left_out() -> None:
    chained = (
        TRACEBACK + "\nDuring handling of the above exception, another exception occurred:\n\n" + TRACEBACK
    )

    assert len(frames(chained)) == 2
    assert frames("") == []
    assert frames("SyntaxError: bad") == []
