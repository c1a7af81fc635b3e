"""Files in, artifacts and images out."""

from __future__ import annotations

import pytest

from ostiary.sandbox.limits import Limits
from ostiary.sandbox.request import FileIn
from tests.sandbox.cpython.world import Sandbox


def test_files_are_found_in_the_working_folder(any_level: Sandbox) -> None:
    files = (FileIn("data.csv", b"1,2"), FileIn("pkg/mod.py", b"ANSWER = 42"))

    record = any_level.run("from pkg.mod import ANSWER\nopen('data.csv').read(), ANSWER", files=files)

    assert record.result is not None, record.error
    assert record.result.text == "('1,2', 42)"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "", "a//b", "x\0y", "a\\b", "x" * 300])
def test_a_file_name_that_leaves_the_folder_is_refused(any_level: Sandbox, name: str) -> None:
    record = any_level.run("1", files=(FileIn(name, b""),))

    assert record.status == "killed"
    assert record.error is not None
    assert "no relative path" in record.error.message


def test_what_is_left_in_out_comes_back(any_level: Sandbox) -> None:
    code = """
import os
os.makedirs('out/deep')
open('out/a.txt', 'w').write('hey')
open('out/deep/b.bin', 'wb').write(bytes(1))
"""

    record = any_level.run(code)

    assert [(one.name, one.mime, one.content) for one in record.artifacts] == [
        ("a.txt", "text/plain", b"hey"),
        ("deep/b.bin", "application/octet-stream", b"\0"),
    ]


def test_only_regular_files_come_back(any_level: Sandbox) -> None:
    code = """
import os
os.symlink('/proc/self/status', 'out/link')
os.symlink('/proc', 'out/folder')
os.mkfifo('out/pipe')
open('out/real', 'w').write('x')
None
"""
    record = any_level.run(code)

    assert record.status == "success", record.error
    assert [one.name for one in record.artifacts] == ["real"]


def test_artifacts_are_bounded_in_number_and_size_and_it_is_said(any_level: Sandbox) -> None:
    code = "for n in range(5): open(f'out/{n}', 'w').write('x' * 10 ** n)"

    few = any_level.run(code, limits=Limits(artifacts=2))
    small = any_level.run(code, limits=Limits(artifact_bytes=150))

    assert [one.name for one in few.artifacts] == ["0", "1"]
    assert [one.name for one in small.artifacts] == ["0", "1", "2"]
    assert few.notes[0].startswith("3 files are no artifacts")
    assert small.notes[0].startswith("2 files are no artifacts")


def test_code_that_leaves_still_leaves_its_files(any_level: Sandbox) -> None:
    record = any_level.run("open('out/a', 'w').write('x')\nimport sys; sys.exit(0)")

    assert [one.name for one in record.artifacts] == ["a"]


def test_a_session_gives_a_file_once_and_again_when_it_changed(any_level: Sandbox) -> None:
    codes = ["open('out/a', 'w').write('x')", "1", "open('out/a', 'w').write('longer')"]

    names = [[one.content for one in any_level.run(code, session="files").artifacts] for code in codes]

    assert names == [[b"x"], [], [b"longer"]]


def test_a_value_that_draws_itself_is_an_image(any_level: Sandbox) -> None:
    code = "class Plot:\n    def _repr_png_(self): return b'\\x89PNG'\nPlot()"

    record = any_level.run(code)

    assert [(one.name, one.mime, one.content) for one in record.artifacts] == [
        ("result.png", "image/png", b"\x89PNG")
    ]


def test_a_value_that_writes_html_gives_it(any_level: Sandbox) -> None:
    record = any_level.run("class Table:\n    def _repr_html_(self): return '<b>x</b>'\nTable()")

    assert [(one.name, one.mime) for one in record.artifacts] == [("result.html", "text/html")]


def test_a_value_that_answers_to_every_name_shows_nothing(any_level: Sandbox) -> None:
    record = any_level.run("class E:\n    def __getattr__(self, n): return lambda: b'x'\nE()")

    assert (record.status, record.artifacts) == ("success", ())
