"""What comes from a child may be forged: it is read strictly, or it ends the run."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.sandbox.cpython import worker
from ostiary.sandbox.cpython.protocol import HEAD, MAX_TEXT, BrokenError, Reader, answer, is_clean
from ostiary.sandbox.limits import DEFAULT_LIMITS, Limits
from tests.sandbox.cpython.world import Sandbox

PLAIN = {
    "value": None,
    "fault": None,
    "leaving": False,
    "artifacts": [],
    "left_out": 0,
    "cpu_ms": 1.5,
    "max_rss_kb": 10,
}


def read(body: bytes = b"", **more):
    return answer(json.dumps(PLAIN | more).encode(), body, DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "more",
    [
        {"extra": 1},
        {"value": {"text": "x"}},
        {"value": {"text": "x", "json": "not json"}},
        {"value": {"text": "x", "json": "[NaN]"}},
        {"value": {"text": "x", "json": "1 2"}},
        {"fault": {"category": "limit", "type": "T", "message": "m", "traceback": ""}},
        {"fault": {"category": "worker", "type": "T", "message": "m", "traceback": ""}},
        {"artifacts": [{"name": "a", "size": 1}]},
        {"artifacts": [{"name": "a", "size": -1}, {"name": "b", "size": 1}]},
        {"artifacts": [{"name": "../a", "size": 0}]},
        {"artifacts": [{"name": "/a", "size": 0}]},
        {"artifacts": [{"name": "a\nb", "size": 0}]},
        {"artifacts": [{"name": str(n), "size": 0} for n in range(33)]},
        {"cpu_ms": "1"},
        {"max_rss_kb": 1.5},
        {"left_out": None},
    ],
)
def test_an_answer_that_is_not_exactly_one_is_refused(more) -> None:
    assert read().value is None

    with pytest.raises(BrokenError):
        read(**more)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(text: bytes) -> None:
    with pytest.raises(BrokenError):
        answer(text, b"", DEFAULT_LIMITS)


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_a_message_is_whole_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    whole = HEAD.pack(2, len(body)) + b"{}" + body
    reader, at, found = Reader(300), 0, None

    for cut in [*cuts, len(whole)]:
        if found is None and at < len(whole):
            found = reader.feed(whole[at : at + cut])
            at += cut

    assert found == (b"{}", body)


@pytest.mark.parametrize(
    "data",
    [
        HEAD.pack(MAX_TEXT + 1, 0),
        HEAD.pack(0, 11),
        HEAD.pack(2, 0) + b"{}more",
        struct.pack("!II", 2**32 - 1, 0),
    ],
)
def test_a_message_larger_than_may_be_is_refused_before_it_is_kept(data: bytes) -> None:
    with pytest.raises(BrokenError):
        Reader(10).feed(data)


@given(st.text())
def test_a_clean_name_stays_below_its_folder(name: str) -> None:
    import posixpath

    if is_clean(name):
        assert posixpath.normpath("/x/" + name).startswith("/x/")
        assert posixpath.normpath(name) == name


FORGE = """
import json, os, struct
def send(fields, body=b''):
    text = json.dumps(fields).encode()
    os.write(3, struct.pack('!II', len(text), len(body)) + text + body)
plain = {'value': None, 'fault': None, 'leaving': False, 'artifacts': []}
plain |= {'left_out': 0, 'cpu_ms': 0.0, 'max_rss_kb': 0}
"""


def test_forging_an_answer_forges_only_what_the_code_could_say_anyway(any_level: Sandbox) -> None:
    record = any_level.run(
        FORGE + "send(plain | {'value': {'text': 'forged', 'json': None}})\nimport time; time.sleep(9)"
    )

    assert record.status == "success"
    assert record.result is not None
    assert record.result.text == "forged"


@pytest.mark.parametrize(
    "forged", ["os.write(3, b'x' * 100)", "send({'how': 'oom'})", "send(plain | {'value': 1})"]
)
def test_an_answer_that_does_not_read_ends_the_run_as_killed(any_level: Sandbox, forged: str) -> None:
    record = any_level.run(FORGE + forged + "\nimport time; time.sleep(9)")

    assert record.status == "killed"
    assert record.error is not None
    assert (record.error.category, record.error.type) == ("worker", "BrokenAnswer")
    assert any_level.run("1").status == "success"


def test_saying_that_it_leaves_and_staying_is_no_way_to_stay(
    any_level: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LEAVE_S", 0.1)

    record = any_level.run(
        FORGE + "send(plain | {'leaving': True})\nimport time; time.sleep(60)", limits=Limits(wall_ms=14_000)
    )

    assert record.status == "killed"
    assert record.error is not None
    assert record.error.type == "BrokenAnswer"
