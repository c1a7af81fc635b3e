"""What clients are told of a command: texts and fields, from records."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ostiary.sandbox.record import Fault, RunRecord, Status, Stream
from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker.arguments import ExecAsked
from ostiary.servers.docker.exec_replies import COMPACT, MAX_JSON, WHOLE, executed, plain, refused
from ostiary.servers.docker.exec_schemas import EXECUTED
from tests.servers.python.records import record

ASKED = ExecAsked("web", ("ls",))
STATUSES: list[Status] = ["success", "error", "timeout", "oom", "killed", "cancelled"]


def stream(whole: str, size: int | None = None) -> Stream:
    return Stream(whole, whole, len(whole.encode()) if size is None else size)


def told(one: RunRecord, **asked: Any) -> ToolResult:
    """The answer, which fits its schema whatever it says."""
    answer = executed(one, ASKED._replace(**asked))
    jsonschema.validate(answer.structured, EXECUTED)
    json.dumps(answer.structured)
    return answer


def words(answer: ToolResult) -> object:
    return answer.content[0]["text"]


def data(answer: ToolResult) -> Any:
    return answer.structured


def test_success_is_its_word_and_what_was_printed() -> None:
    answer = told(record(exit_code=0, stdout=stream("a\nb\n"), stderr=stream("careful\n")))

    assert words(answer) == "Exec succeeded\na\nb\n\nstderr: careful\n"
    assert answer.structured == {"exitCode": 0, "stdout": "a\nb\n", "stderr": "careful\n"}
    assert not answer.is_error


def test_nothing_printed_is_the_word_alone() -> None:
    answer = told(record(exit_code=0))

    assert words(answer) == "Exec succeeded"
    assert answer.structured == {"exitCode": 0, "stdout": "", "stderr": ""}


def test_an_exit_code_is_no_error_of_the_tool() -> None:
    fault = Fault("exit", "SystemExit", "the code left with status 3")
    answer = told(record(status="error", exit_code=3, error=fault, stdout=stream("half\n")))

    assert words(answer) == "Exec failed (exit code 3)\nhalf\n"
    assert answer.structured == {"exitCode": 3, "stdout": "half\n", "stderr": ""}
    assert not answer.is_error


def test_a_time_out_is_124_and_keeps_what_was_printed() -> None:
    fault = Fault("limit", "TimeLimit", "the run took longer than 1000 ms and was ended")
    answer = told(record(status="timeout", error=fault, stdout=stream("half\n"), stderr=stream("so far\n")))

    assert words(answer) == "Exec timed out\nhalf\n\nstderr: so far\n"
    assert answer.structured == {
        "exitCode": 124, "stdout": "half\n", "stderr": "so far\n", "timedOut": True,
    }  # fmt: skip
    assert not answer.is_error


def test_compact_shortens_stdout_and_says_so_and_names_where_all_of_it_is() -> None:
    whole = "".join(f"line {number}\n" for number in range(2_000))
    answer = told(record(exit_code=0, stdout=stream(whole)))

    assert set(data(answer)) == {"exitCode", "stdout", "stderr", "isTruncated"}, "no stdoutPreview"
    assert data(answer)["isTruncated"] is True
    assert len(data(answer)["stdout"]) < COMPACT + 100
    assert data(answer)["stdout"].startswith("line 0\n")
    assert data(answer)["stdout"].endswith("line 1999\n")
    assert f"({len(whole) - COMPACT} characters omitted)" in data(answer)["stdout"]
    assert str(words(answer)).startswith("Exec succeeded [truncated]\nline 0\n")
    assert [one["uri"] for one in answer.content[1:]] == ["run://run_1/stdout"]


def test_without_compact_more_is_shown_and_still_not_everything() -> None:
    some, much = "x" * WHOLE, "x" * (WHOLE + 1)

    assert data(told(record(exit_code=0, stdout=stream(some)), compact=False))["stdout"] == some
    answer = told(record(exit_code=0, stdout=stream(much)), compact=False)
    assert data(answer)["isTruncated"] is True
    assert len(data(answer)["stdout"]) < WHOLE + 100


def test_a_limit_keeps_the_first_characters_of_both_streams() -> None:
    answer = told(record(exit_code=0, stdout=stream("äöüß"), stderr=stream("abcdef")), limit=3)

    assert answer.structured == {"exitCode": 0, "stdout": "äöü", "stderr": "abc", "isTruncated": True}
    assert "isTruncated" not in data(told(record(exit_code=0, stdout=stream("abc")), limit=3))
    assert data(told(record(exit_code=0, stdout=stream("abc")), limit=0))["stdout"] == ""


def test_json_is_read_before_anything_is_cut_off() -> None:
    printed = json.dumps({"k": ["x" * 9_000, 10**30, None]}) + "\n"
    answer = told(record(exit_code=0, stdout=stream(printed)), parse_json=True, limit=5)

    assert data(answer)["json"] == {"k": ["x" * 9_000, 10**30, None]}
    assert data(answer)["stdout"] == printed[:5]
    assert data(answer)["isTruncated"] is True
    assert "parseJsonError" not in data(answer)
    assert "\njson: " in str(words(answer))


def test_json_of_any_kind_is_told_as_it_is() -> None:
    for printed, value in (("null", None), ("0", 0), ("false", False), (' "a" ', "a"), ("[1.5]", [1.5])):
        answer = told(record(exit_code=0, stdout=stream(printed)), parse_json=True)
        assert data(answer)["json"] == value
        assert type(data(answer)["json"]) is type(value)
    assert words(told(record(exit_code=0, stdout=stream("null")), parse_json=True)) == (
        "Exec succeeded\nnull\njson: null"
    )


@pytest.mark.parametrize(
    "printed", ["", "{", "not json", "NaN", "[1e999]", '"\\ud800"', "[" * 5_000, "1" * (MAX_JSON + 1)]
)
def test_what_is_no_json_is_an_error_of_the_parsing_alone(printed: str) -> None:
    answer = told(record(exit_code=0, stdout=stream(printed)), parse_json=True)

    assert "json" not in data(answer)
    assert data(answer)["parseJsonError"]
    assert data(answer)["exitCode"] == 0
    assert f"json-parse-error: {data(answer)['parseJsonError']}" in str(words(answer))
    assert not answer.is_error


def test_colours_are_taken_out_and_text_stays() -> None:
    coloured = "\x1b[1;31mred\x1b[0m \x1b]8;;http://h\x1b\\link\x1b]8;;\x07 [31m a\tb é \x1b(Bend\x1b7"

    assert plain(coloured) == "red link [31m a\tb é end"
    assert plain("\x1b") == "\x1b"
    assert data(told(record(exit_code=0, stdout=stream(coloured))))["stdout"] == plain(coloured)


def test_json_in_colours_is_json() -> None:
    assert data(told(record(exit_code=0, stdout=stream("\x1b[32m{}\x1b[0m")), parse_json=True))["json"] == {}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("category", ["exit", "limit", "worker"])
def test_whatever_becomes_of_a_run_its_answer_fits(status: Status, category: Any) -> None:
    one = record(status=status, error=Fault(category, "X", "why"), stdout=stream("half"))

    answer = told(one, parse_json=True)

    assert data(answer)["stdout"] == "half"
    assert (data(answer)["exitCode"] == 0) is (status == "success")
    assert answer.meta


def test_why_a_run_was_ended_stands_in_stderr() -> None:
    flood = Fault("limit", "OutputLimit", "the run wrote more than 16777216 bytes and was ended")
    answer = told(record(status="killed", error=flood, stderr=stream("so far")))

    assert data(answer)["exitCode"] == 137
    assert data(answer)["isTruncated"] is True
    assert data(answer)["stderr"] == f"so far\n{flood.message}\n"
    assert not answer.is_error


def test_an_engine_that_fails_is_an_error_of_the_tool() -> None:
    answer = told(record(status="killed", error=Fault("worker", "EngineFault", "the engine is away")))

    assert answer.is_error
    assert answer.structured == {"exitCode": 1, "stdout": "", "stderr": "the engine is away\n"}


def test_notes_of_a_run_stand_below_its_text() -> None:
    answer = told(record(exit_code=0, notes=("a process may go on",)))

    assert [one["text"] for one in answer.content] == ["Exec succeeded", "a process may go on"]


def test_a_container_that_is_not_there_is_exit_code_1() -> None:
    answer = refused("Error response from daemon: No such container: web")

    jsonschema.validate(answer.structured, EXECUTED)
    assert answer.structured == {
        "exitCode": 1, "stdout": "", "stderr": "Error response from daemon: No such container: web",
    }  # fmt: skip
    assert words(answer) == (
        "Exec failed (exit code 1)\nstderr: Error response from daemon: No such container: web"
    )
    assert not answer.is_error
