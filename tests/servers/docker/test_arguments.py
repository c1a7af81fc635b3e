"""What `exec` may be asked for, and what is refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from ostiary.errors import CallerFault
from ostiary.servers.core.schema import Schema
from ostiary.servers.docker.arguments import ExecAsked, accepted, count, exec_asked, flag
from ostiary.servers.docker.exec_schemas import EXEC, PS


def asked(**more: Any) -> ExecAsked:
    return exec_asked({"container": "web", "command": ["ls"], **more})


def test_what_is_not_said_is_as_the_schema_says() -> None:
    assert asked() == ExecAsked(container="web", argv=("ls",))
    assert (asked().timeout_ms, asked().compact, asked().detach) == (30_000, True, False)


def test_everything_that_is_said_arrives() -> None:
    told = asked(
        workdir="/srv", user="1000:1000", env=["A=1", "B="], envFile="vars", detach=True, timeout=1_500,
        parseJson=True, limit=10.9, path=".", compact=False,
    )  # fmt: skip

    assert told == ExecAsked(
        "web", ("ls",), ("A=1", "B="), "vars", "/srv", "1000:1000", True, 1_500, True, 10, ".", False
    )


@pytest.mark.parametrize(("word", "value"), [("true", True), ("false", False), (True, True), (False, False)])
def test_a_boolean_may_be_the_word_for_it(word: object, value: bool) -> None:
    assert Schema(accepted(EXEC)).problem({"container": "a", "command": ["b"], "detach": word}) is None
    assert flag({"detach": word}, "detach") is value


@pytest.mark.parametrize("word", ["yes", "True", "1", 1, 0, "", None, []])
def test_no_other_word_is_a_boolean(word: object) -> None:
    assert Schema(accepted(EXEC)).problem({"container": "a", "command": ["b"], "detach": word}) is not None
    assert Schema(accepted(PS)).problem({"all": word}) is not None


@pytest.mark.parametrize(
    "arguments",
    [
        {"container": "a"},
        {"command": ["b"]},
        {"container": "a", "command": ["b"], "privileged": True},
        {"container": "a", "command": ["b"], "volumes": ["/:/host"]},
        {"container": "a", "command": ["b"], "timeout": 999},
        {"container": "a", "command": ["b"], "timeout": 600_001},
        {"container": "a", "command": ["b"], "timeout": 1_500.5},
        {"container": "a", "command": ["b"], "timeout": "1500"},
        {"container": "a" * 256, "command": ["b"]},
        {"container": "a", "command": ["b" * 65_537]},
        {"container": "a", "command": ["b"] * 1_001},
        {"container": "a", "command": [1]},
        {"container": "a", "command": {"b": 1}},
        {"container": ["a"], "command": ["b"]},
        {"container": "a", "command": ["b"], "env": ["A=1"] * 1_001},
        {"container": "a", "command": ["b"], "user": "u" * 256},
        {"container": "a", "command": ["b"], "workdir": "/" * 4_097},
        {"container": "a", "command": ["b"], "limit": "10"},
    ],
)
def test_what_the_schema_does_not_know_reaches_no_handler(arguments: dict[str, Any]) -> None:
    assert Schema(accepted(EXEC)).problem(arguments) is not None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"command": "ls -la"}, "`command` is a list of strings, found one string"),
        ({"command": []}, "`command` is empty"),
        ({"command": ["-x"]}, "`command` begins with `-x`"),
        ({"command": [""]}, "`command` begins with ``"),
        ({"command": ["a", "b\0c"]}, "`command` holds a NUL"),
        ({"command": ["a", "\ud800"]}, "`command` holds half a character"),
        ({"container": "-it"}, "`container` begins with `-`"),
        ({"container": "--privileged"}, "`container` begins with `-`"),
        ({"container": ""}, "`container` is empty"),
        ({"container": "web\0"}, "`container` holds a NUL"),
        ({"env": ["FOO"]}, "`env` has `FOO` without `=`"),
        ({"env": ["OSTIARY_TOKEN"]}, "without `=`"),
        ({"env": ["=x"]}, "cannot be the name of a variable"),
        ({"env": ["-e=x"]}, "cannot be the name of a variable"),
        ({"env": ["A B=x"]}, "cannot be the name of a variable"),
        ({"env": ["A\n=x"]}, "cannot be the name of a variable"),
        ({"env": ["A=\0"]}, "`env` holds a NUL"),
        ({"env": "A=1"}, "`env` is a list of strings"),
        ({"limit": -1}, "`limit` is 0 or more, found -1"),
        ({"limit": -0.5}, "`limit` is 0 or more"),
        ({"workdir": "-w"}, "`workdir` begins with `-`"),
        ({"workdir": "/a\0"}, "`workdir` holds a NUL"),
        ({"user": "--user=root"}, "`user` begins with `-`"),
        ({"user": "a\0"}, "`user` holds a NUL"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_reason(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(CallerFault) as told:
        asked(**arguments)

    assert reason in told.value.message


def test_a_refusal_of_a_string_shows_how_a_list_looks() -> None:
    with pytest.raises(CallerFault) as told:
        asked(command="ls | wc -l")

    assert told.value.hint is not None
    assert '["sh", "-c", "ls | wc -l"]' in told.value.hint


def test_a_variable_without_a_value_is_refused_because_it_would_copy_ours() -> None:
    with pytest.raises(CallerFault) as told:
        asked(env=["PATH"])

    assert "copy the variable of the machine" in (told.value.hint or "")


def test_a_limit_of_nothing_is_a_limit() -> None:
    assert asked(limit=0).limit == 0
    assert count({}, "limit") is None
    with pytest.raises(CallerFault, match="1 or more"):
        count({"last": 0}, "last", least=1)
