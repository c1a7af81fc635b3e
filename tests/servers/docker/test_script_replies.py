"""The strings of the toolset `scripts`, character for character, and what they leave out."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.record import Fault, RunRecord, Stream
from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker.script_replies import (
    Done,
    answered,
    command_of,
    executed,
    failed,
    operator_note,
    packages_of,
    table,
    words_of,
)
from ostiary.servers.docker.script_schemas import DONE
from tests.servers.python.records import record

CONTAINER = {
    "Id": "0123456789abcdef" * 4,
    "Names": ["/box"],
    "Status": "Up 2 minutes",
    "Image": "python:3.12-slim",
    "Created": 1_000,
}


def stream(whole: str) -> Stream:
    return Stream(whole, whole, len(whole.encode()))


def told(one: RunRecord, what: str = "command", *, strict: bool = False) -> ToolResult:
    answer = executed(one, what, strict=strict)
    jsonschema.validate(answer.structured, DONE)
    return answer


def words(answer: ToolResult) -> object:
    return answer.content[0]["text"]


def test_success_is_what_was_printed_as_it_was_printed() -> None:
    answer = told(record(exit_code=0, stdout=stream("2\n"), stderr=stream("careful\n")))

    assert words(answer) == "Command output: 2\n"
    assert answer.structured == {"exitCode": 0, "stdout": "2\n", "stderr": "careful\n", "timedOut": False}


@pytest.mark.parametrize("what", ["command", "Python script"])
def test_failure_is_the_error_and_what_was_printed_before_is_in_the_data(what: str) -> None:
    fault = Fault("exit", "SystemExit", "the code left with status 3")
    one = record(status="error", exit_code=3, error=fault, stdout=stream("before\n"), stderr=stream("no\n"))
    answer = told(one, what)

    assert words(answer) == f"Error executing {what}: no\n"
    assert answer.structured == {"exitCode": 3, "stdout": "before\n", "stderr": "no\n", "timedOut": False}
    assert not answer.is_error
    assert told(one, what, strict=True).is_error


@pytest.mark.parametrize("what", ["command", "Python script"])
def test_a_time_out_keeps_what_was_printed(what: str) -> None:
    answer = told(record(status="timeout", stdout=stream("half")), what)

    assert words(answer) == f"Timeout while executing {what}. Operation took too long."
    assert answer.structured == {"exitCode": 124, "stdout": "half", "stderr": "", "timedOut": True}


def test_success_is_no_error_however_strict() -> None:
    assert not told(record(exit_code=0), strict=True).is_error
    assert not answered(Done("done"), strict=True).is_error


def test_much_output_is_cut_and_named() -> None:
    answer = told(record(exit_code=0, stdout=stream("x" * 200_000)))

    assert len(str(words(answer))) < 70_000
    assert [one["uri"] for one in answer.content[1:]] == ["run://run_1/stdout"]


def test_what_did_not_begin_says_why_in_the_same_words() -> None:
    done = failed("Error creating container", CallerFault("no", hint="so"))

    assert done.words == "Error creating container: no (so)"
    assert (done.exit_code, done.stderr) == (1, "no (so)")


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("python -c 'print(1+1)'", ("python", "-c", "print(1+1)")),
        ("python -c \"print('a b')\"", ("python", "-c", "print('a b')")),
        ("echo a | wc -c", ("echo", "a", "|", "wc", "-c")),
        ("echo $HOME `id` $(id)", ("echo", "$HOME", "`id`", "$(id)")),
        ("ls  -la\n/tmp", ("ls", "-la", "/tmp")),
        ("echo ''", ("echo", "")),
        ("echo a\\ b", ("echo", "a b")),
    ],
)
def test_a_command_is_its_words_with_the_quotes_right(command: str, argv: tuple[str, ...]) -> None:
    assert command_of(command) == argv


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "`command` is empty"),
        ("   ", "`command` is empty"),
        ("'' x", "`command` is empty"),
        ("echo 'a", "`command` cannot be read: No closing quotation"),
        ("echo a\\", "`command` cannot be read"),
        ("-it sh", "`command` begins with `-it`"),
        ("echo \0", "holds a NUL"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(command: str, reason: str) -> None:
    with pytest.raises(CallerFault, match=reason):
        command_of(command)


def test_arguments_of_a_script_are_words() -> None:
    assert words_of("a 'b c' --flag", "script_args") == ("a", "b c", "--flag")
    assert words_of("", "script_args") == ()
    with pytest.raises(CallerFault, match="`script_args` cannot be read"):
        words_of("'", "script_args")


@pytest.mark.parametrize(
    "command", ["echo a | wc -c", "a && b", "a ; b", "a > f", "a 2>&1", "a >f", "a < f", "a &"]
)
def test_operators_of_a_shell_are_told_to_be_arguments(command: str) -> None:
    (note,) = operator_note(command, command_of(command))

    assert "no shell reads the command" in note
    assert f"sh -c '{command}'" in note


@pytest.mark.parametrize(
    "command",
    ["echo a", "echo '|'", "grep '>' f", "sh -c 'a | b' | c", "/bin/sh -c 'a;b'", "echo a|b", "echo x=1"],
)
def test_what_was_quoted_or_read_by_a_shell_needs_no_word(command: str) -> None:
    assert operator_note(command, command_of(command)) == []


@pytest.mark.parametrize(
    "dependencies",
    [
        "x; touch /pwn",
        "x && id",
        "$(id)",
        "`id`",
        "x|y",
        "--index-url=http://h",
        "-r requirements.txt",
        "x > /f",
        "x\0",
        "'x'",
        "../../etc",
        "/etc/passwd",
        "x" * 201,
        "a\\b",
    ],
)
def test_what_cannot_be_a_package_is_refused(dependencies: str) -> None:
    with pytest.raises(CallerFault, match="cannot be a package"):
        packages_of(dependencies)


@pytest.mark.parametrize(
    ("dependencies", "packages"),
    [
        ("", ()),
        ("numpy  pandas==2.3", ("numpy", "pandas==2.3")),
        ("@scope/name@^1.2 lodash@~4", ("@scope/name@^1.2", "lodash@~4")),
        ("requests[socks]>=2,<3 g++ libc6:amd64", ("requests[socks]>=2,<3", "g++", "libc6:amd64")),
    ],
)
def test_packages_of_every_manager_are_let_through(dependencies: str, packages: tuple[str, ...]) -> None:
    assert packages_of(dependencies) == packages


def test_a_table_is_as_the_client_of_the_engine_draws_it() -> None:
    told = table([CONTAINER], 1_130.0, everything=False)

    assert told == (
        "CONTAINER ID   NAMES     STATUS         IMAGE              CREATED\n"
        "0123456789ab   box       Up 2 minutes   python:3.12-slim   2 minutes ago\n"
        "You can use these container names with other tools like add_dependencies, execute_code, etc."
    )


def test_a_table_of_all_says_which_of_them_can_be_used() -> None:
    assert table([CONTAINER], 1_130.0, everything=True).endswith(
        "\nNote: Only containers with 'Up' in their Status are currently running and can be interacted with."
    )


def test_that_there_is_no_container_can_be_said() -> None:
    assert table([], 0.0, everything=True) == "No existing containers found."
    assert table([], 0.0, everything=False) == "No running containers found."


def test_a_reply_carries_its_notes_below_the_string() -> None:
    answer: Any = answered(Done("done"), strict=False, notes=("beware",))

    assert [one["text"] for one in answer.content] == ["done", "beware"]
