"""What a worker may say besides answers."""

from __future__ import annotations

import pytest

from ostiary.sandbox.cpython.protocol import BrokenError
from ostiary.sandbox.pyodide.frames import Word, why_broken, word


def test_each_word_reads() -> None:
    assert word(b'{"ready": "a1"}') == Word(ready="a1")
    assert word(b'{"snapshot": true}') == Word(snapshot=True)
    assert word(b'{"broken": "why"}') == Word(broken="why")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"ready": 1}', b'{"other": 1}', b"\xff", b'{"broken": null'])
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(BrokenError):
        word(text)


def test_a_reason_is_cut_to_what_a_person_reads() -> None:
    assert len(word(b'{"broken": "' + b"x" * 9999 + b'"}').broken or "") == 4096


def test_an_answer_to_a_job_is_no_reason() -> None:
    assert why_broken(b'{"value": null, "fault": null, "leaving": false}') == ""
    assert why_broken(b'{"broken": "why"}') == "why"
