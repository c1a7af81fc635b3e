"""What a client is told of a run."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ostiary.sandbox.limits import DEFAULT_LIMITS
from ostiary.sandbox.record import Artifact, Fault, IsolationReport, RunRecord, Status, Stream, Value
from ostiary.servers.python.replies import failed, python_executed, text_of
from ostiary.servers.python.schemas import PYTHON_EXECUTED, RAN
from ostiary.servers.runs import artifact_uri, ran
from tests.servers.python.records import record

STATUSES: list[Status] = [
    "success", "error", "timeout", "oom", "killed", "cancelled", "policy_denied", "install_error",
]  # fmt: skip
FAULT = Fault("exception", "ValueError", "no", "Traceback (most recent call last):\nValueError: no\n")
CASES: list[dict[str, Any]] = [
    {},
    {"stdout": Stream("a\nb\n", "a\nb\n", 4), "result": Value("3", "3")},
    {"result": Value("<object>"), "artifacts": (Artifact("a b.png", "image/png", b"x"),)},
    {"error": FAULT, "stderr": Stream("warned\n", "warned\n", 7, True)},
    {"session": "s", "session_lost": True, "exit_code": 3, "signal": 9, "notes": ("n",)},
]


def test_what_was_printed_stands_before_the_value() -> None:
    told = text_of(record(stdout=Stream("a\nb\n", "a\nb\n", 4), result=Value("3", "3")))

    assert told == "a\nb\n__RESULT__:\n3"


def test_nothing_printed_and_no_value_is_an_empty_text() -> None:
    assert text_of(record()) == ""
    assert text_of(record(result=Value("", '""'))) == "__RESULT__:"


def test_standard_error_is_a_section_of_its_own() -> None:
    assert text_of(record(stderr=Stream("careful\n", "careful\n", 8))) == "__STDERR__:\ncareful"


def test_a_failure_keeps_what_was_printed_before() -> None:
    told = text_of(record(status="error", error=FAULT, stdout=Stream("before\n", "before\n", 7)))

    assert told == ("Python execution failed: Traceback (most recent call last):\nValueError: no\n\nbefore")


def test_a_time_out_says_after_how_long_and_keeps_what_was_printed() -> None:
    told = text_of(
        record(status="timeout", limits=DEFAULT_LIMITS.lasting(1_500), stdout=Stream("half", "half", 4))
    )

    assert told == "Python execution interrupted: Execution timeout after 1500ms\n\nhalf"


def test_less_than_strict_isolation_is_in_every_reply() -> None:
    weaker = IsolationReport("best-effort", ("no cgroup: memory is bounded by address space",))

    for status in STATUSES:
        told = text_of(record(status=status, isolation=weaker))
        assert told.endswith("__ISOLATION__:\nbest-effort: no cgroup: memory is bounded by address space")
    assert text_of(record(isolation=IsolationReport("none"))) == "__ISOLATION__:\nnone: no walls at all"


def test_a_cut_stream_says_where_all_of_it_is() -> None:
    told = text_of(record(stdout=Stream("ab…yz", "", 90_000, True)))

    assert "stdout was 90000 bytes" in told
    assert "run://run_1/stdout" in told


def test_a_lost_session_is_told() -> None:
    assert "the session `s` has ended" in text_of(record(status="timeout", session="s", session_lost=True))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("case", CASES)
def test_every_reply_fits_its_schema(status: Status, case: dict[str, Any]) -> None:
    one: RunRecord = record(status=status, **case)

    jsonschema.validate(python_executed(one), PYTHON_EXECUTED)
    jsonschema.validate(ran(one), RAN)
    assert failed(one) is (status != "success")
    assert ran(one)["engine"] == python_executed(one)["engine"] == "cpython"


def test_artifacts_are_named_by_where_they_can_be_read() -> None:
    one = record(artifacts=(Artifact("plots/a b%.png", "image/png", b"12"),))

    assert ran(one)["artifacts"] == [
        {
            "name": "plots/a b%.png",
            "mime": "image/png",
            "size": 2,
            "uri": "artifact://run_1/plots/a%20b%25.png",
        }
    ]
    assert artifact_uri("r", "ü?#") == "artifact://r/%C3%BC%3F%23"
