"""What a child says is read strictly: code can write to its socket, too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.sandbox.cpython.protocol import BrokenError
from ostiary.sandbox.django import protocol
from ostiary.sandbox.record import Fault, Value
from ostiary.sandbox.request import Command, FileIn
from ostiary.sandbox.runner import Job

GOOD: dict[str, Any] = {"value": None, "fault": None, "expired": False, "cpu_ms": 1.5, "max_rss_kb": 7}
FAULT = {"category": "exception", "type": "E", "message": "m", "traceback": "t"}


def read(**more: Any) -> protocol.Answer:
    """An answer with some of its fields."""
    return protocol.answer(json.dumps(GOOD | more).encode())


def test_an_answer_has_a_value_or_a_fault() -> None:
    assert read(value={"text": "5", "json": "5"}).value == Value("5", "5")
    assert read(value={"text": "<x>", "json": None}).value == Value("<x>", None)
    assert read(fault=FAULT).fault == Fault("exception", "E", "m", "t")
    assert read(expired=True).expired
    assert not read().leaving


@pytest.mark.parametrize(
    "more",
    [
        {"extra": 1},
        {"value": {"text": "5", "json": "{"}},
        {"value": {"text": "5"}},
        {"value": "5"},
        {"fault": FAULT | {"category": "worker"}},
        {"fault": FAULT | {"category": "limit"}},
        {"fault": FAULT | {"type": "E" * 400}},
        {"fault": FAULT | {"message": "m" * 20_000}},
        {"fault": FAULT | {"traceback": "t" * 200_000}},
        {"expired": 1},
        {"cpu_ms": "1"},
    ],
)
def test_an_answer_of_another_form_is_broken(more: dict[str, Any]) -> None:
    with pytest.raises(BrokenError):
        read(**more)


@given(st.binary(max_size=200))
def test_no_bytes_are_anything_but_an_answer_or_broken(data: bytes) -> None:
    for reader in (protocol.answer, protocol.changed):
        try:
            reader(data)
        except BrokenError:
            continue


def test_of_files_that_changed_there_are_only_so_many_with_names_only_so_long() -> None:
    assert protocol.changed(b'{"changed": ["a.py"]}') == ["a.py"]
    for names in (["a" * 5_000], ["a"] * 100_001):
        with pytest.raises(BrokenError):
            protocol.changed(json.dumps({"changed": names}).encode())


def test_numbers_below_nothing_are_nothing() -> None:
    told = read(cpu_ms=-1.0, max_rss_kb=-1)
    assert (told.cpu_ms, told.max_rss_kb) == (0.0, 0)


@pytest.mark.parametrize(
    "job",
    [
        Job(code="1", files=(FileIn("a", b""),)),
        Job(code="1", stdin=b"x"),
        Job(code="1", command=Command(container="c")),
    ],
)
def test_a_job_of_another_kind_is_the_callers_fault(job: Job) -> None:
    with pytest.raises(CallerFault, match="a Django shell takes no files"):
        protocol.job_message(job, {})
