"""From arguments to a request: what a client means, and what cannot be meant."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.sandbox.limits import MAX_WALL_MS
from ostiary.servers.python.arguments import (
    for_python_execute,
    for_run,
    from_run_python,
    from_run_python_code,
)


def test_python_execute_runs_for_a_minute_unless_told() -> None:
    request = for_python_execute({"code": "1"}, "g")

    assert (request.owner, request.code, request.limits.wall_ms) == ("g", "1", 60_000)
    assert for_python_execute({"code": "1", "timeout": 50}, "g").limits.wall_ms == 50


def test_no_run_lasts_longer_than_the_ceiling() -> None:
    assert for_python_execute({"code": "1", "timeout": 10**12}, "g").limits.wall_ms == MAX_WALL_MS
    assert for_python_execute({"code": "1", "timeout": 10**12}, "g").limits.cpu_ms == MAX_WALL_MS + 1_000


def test_context_becomes_variables_and_keeps_its_values() -> None:
    request = for_python_execute({"code": "y", "context": {"y": {"k": [1, 2]}, "ü": None}}, "g")

    assert request.context == {"y": {"k": [1, 2]}, "ü": None}


@pytest.mark.parametrize("name", ["", "1a", "a b", "a.b", "class", "a\n", "x" * 3 + "-"])
def test_a_context_name_that_is_no_variable_is_refused_by_name(name: str) -> None:
    with pytest.raises(CallerFault, match="cannot be a variable"):
        for_python_execute({"code": "1", "context": {name: 1}}, "g")


def test_files_come_as_text_or_base64() -> None:
    request = for_run(
        {
            "code": "1",
            "files": [
                {"name": "a/b.txt", "text": "ä"},
                {"name": "c", "base64": base64.b64encode(b"\0\xff").decode()},
            ],
        },
        "g",
    )

    assert [(file.name, file.content) for file in request.files] == [
        ("a/b.txt", "ä".encode()),
        ("c", b"\0\xff"),
    ]


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\\b", "a\0b", "a\nb", "n" * 256]
)
def test_a_file_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(CallerFault, match=r"name"):
        for_run({"code": "1", "files": [{"name": name, "text": ""}]}, "g")


def test_a_file_needs_exactly_one_content() -> None:
    for file in ({"name": "a"}, {"name": "a", "text": "", "base64": ""}):
        with pytest.raises(CallerFault, match="either `text` or `base64`"):
            for_run({"code": "1", "files": [file]}, "g")
    with pytest.raises(CallerFault, match="is not base64"):
        for_run({"code": "1", "files": [{"name": "a", "base64": "%%"}]}, "g")


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(CallerFault, match="two files are called `a`"):
        for_run({"code": "1", "files": [{"name": "a", "text": "1"}, {"name": "a", "text": "2"}]}, "g")


@given(st.text(max_size=40))
def test_no_accepted_name_leaves_the_folder(name: str) -> None:
    try:
        request = for_run({"code": "1", "files": [{"name": name, "text": ""}]}, "g")
    except CallerFault:
        return
    accepted = request.files[0].name
    assert accepted == name
    assert not accepted.startswith("/")
    assert ".." not in accepted.split("/")


def test_aliases_mean_the_same_call() -> None:
    assert from_run_python_code({"python_code": "1", "global_variables": {"a": 1}}) == {
        "code": "1",
        "context": {"a": 1},
    }
    assert from_run_python({"code": "1", "timeout": 1.5}) == {"code": "1", "timeout": 1500}


def test_an_alias_passes_on_what_it_does_not_know_so_that_it_is_refused() -> None:
    assert from_run_python_code({"python_code": "1", "root": True})["root"] is True
    assert from_run_python({"code": "1", "root": True})["root"] is True


def test_an_alias_says_what_is_missing_or_not_offered() -> None:
    with pytest.raises(CallerFault, match="`python_code` is missing"):
        from_run_python_code({"code": "1"})
    with pytest.raises(CallerFault, match="`servers` is not offered"):
        from_run_python({"code": "1", "servers": ["a"]})
    for seconds in (0, -1, True, "5", float("nan")):
        with pytest.raises(CallerFault, match="a number of seconds above 0"):
            from_run_python({"code": "1", "timeout": seconds})
