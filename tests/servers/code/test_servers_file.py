"""The file of servers: what is understood, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.servers.code.servers_file import ServerEntry, read_servers


def read(document: Any, **environ: str) -> tuple[ServerEntry, ...]:
    return read_servers(json.dumps(document).encode(), "servers.json", environ)


def test_commands_and_urls_are_read_as_clients_read_them() -> None:
    first, second = read(
        {
            "mcpServers": {
                "Time": {"command": "uvx", "args": ["mcp-server-time"], "env": {"TZ": "UTC"}},
                "Web": {"url": "http://127.0.0.1:1/mcp", "headers": {"X-Key": "${KEY}"}, "type": "http"},
            }
        },
        KEY="s3cret",
    )

    assert first == ServerEntry(name="Time", command=("uvx", "mcp-server-time"), env={"TZ": "UTC"})
    assert second.headers == (("X-Key", "s3cret"),)


@pytest.mark.parametrize(
    ("document", "what", "hint"),
    [
        ([], "expected `mcpServers`", "mcpServers"),
        ({"mcpServers": {}}, "expected `mcpServers`", ""),
        ({"mcpServers": {"x": {}}}, "either `command` or `url`", ""),
        ({"mcpServers": {"x": {"command": "a", "url": "b"}}}, "either `command` or `url`", ""),
        ({"mcpServers": {"x": {"command": "a", "arg": []}}}, "unknown key `arg`", "did you mean `args`"),
        ({"mcpServers": {"x": {"command": ["a"]}}}, "`command`: expected a text", ""),
        ({"mcpServers": {"x": {"command": "a", "args": "b"}}}, "`args`: expected a list", ""),
        (
            {"mcpServers": {"x": {"command": "a", "env": {"K": "${NOPE}"}}}},
            "server `x`: `env`, `K`: the variable is not set",
            "the name of a variable that is set",
        ),
        ({"mcpServers": {"-x": {"command": "a"}}}, "not a name", "a letter"),
        ({"mcpServers": {"a.b": {"command": "a"}, "a-b": {"command": "a"}}}, "the same names", "differs"),
        (
            {"mcpServers": {"x": {"url": "http://h/", "headers": {"Host": "h"}}}},
            "is set by the gate itself",
            "",
        ),
        ({"mcpServers": {"x": {"url": "http://h/", "headers": {"a b": "c"}}}}, "no name of a header", "X-"),
        ({"mcpServers": {f"s{n}": {"command": "a"} for n in range(65)}}, "64 is the most", ""),
    ],
)
def test_what_is_not_understood_says_what_was_expected(document: Any, what: str, hint: str) -> None:
    with pytest.raises(CallerFault) as told:
        read(document)

    assert what in told.value.message
    assert "servers.json" in told.value.message
    assert hint in (told.value.hint or "")


@pytest.mark.parametrize("typed", ["ghp_1tXkYp8bWq0aLsZr4VnCe7", "swordfish", "CORRECT_HORSE"])
@pytest.mark.parametrize("place", ["env", "headers"])
def test_a_secret_typed_where_a_variable_is_to_be_named_is_not_shown(place: str, typed: str) -> None:
    how = {"command": "a"} if place == "env" else {"url": "http://h/"}

    with pytest.raises(CallerFault) as told:
        read(
            {"mcpServers": {"x": {**how, place: {"OTHER": "${KEY}", "K": f"${{KEY}}:${{{typed}}}"}}}}, KEY="v"
        )

    assert f"server `x`: `{place}`, `K`: variable number 2 of 2 is not set" in told.value.message
    assert typed not in f"{told.value.message} {told.value.hint}"


def test_a_variable_of_the_file_that_is_set_and_nearly_named_so_is_offered() -> None:
    with pytest.raises(CallerFault) as told:
        read({"mcpServers": {"x": {"command": "a", "env": {"K": "${TICKETS_TOKN}"}}}}, TICKETS_TOKEN="s3cret")

    assert told.value.hint == "did you mean `TICKETS_TOKEN`"
    assert "TOKN" not in told.value.message


def test_a_secret_that_no_header_can_carry_is_refused_and_not_told() -> None:
    entry = {"url": "http://h/", "headers": {"Authorization": "Bearer ${KEY}"}}

    with pytest.raises(CallerFault) as told:
        read({"mcpServers": {"x": entry}}, KEY="s3cret\r\nX-Other: 1")

    assert "a character that HTTP does not allow" in told.value.message
    assert "s3cret" not in told.value.message + (told.value.hint or "")


def test_a_file_that_lies_too_deep_is_refused() -> None:
    with pytest.raises(CallerFault, match="this is not JSON"):
        read_servers(b"[" * 100_000, "servers.json", {})


TREES = st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
DOCUMENTS = TREES.map(lambda value: json.dumps({"mcpServers": value}).encode())


@given(st.binary(max_size=200) | DOCUMENTS)
def test_any_bytes_are_read_or_refused_by_the_name_of_the_file(content: bytes) -> None:
    told = "f: "
    try:
        read_servers(content, "f", {})
    except CallerFault as fault:
        told = fault.message

    assert told.startswith("f: ")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"mcpServers": {"A": {"command": "a"},\n  "A": {"command": "b"}}}', "f.json:2:3: the key `A`"),
        ('{"mcpServers": {"A": {"command": "a", "c\\u006fmmand": "b"}}}', "f.json:1:39: the key `command`"),
        ('{"mcpServers": {}, "mcpServers": {"A": {"command": "a"}}}', "f.json:1:20: the key `mcpServers`"),
    ],
)
def test_a_key_that_stands_twice_is_refused_where_it_stands(text: str, where: str) -> None:
    with pytest.raises(CallerFault) as told:
        read_servers(text.encode(), "f.json", {})

    assert told.value.message.startswith(where)


def test_the_same_key_in_different_objects_or_as_a_value_is_no_duplicate() -> None:
    text = b'{"mcpServers": {"A": {"command": "A", "args": ["A", "A", "{\\"A\\""]}, "B": {"command": "A"}}}'

    assert [one.name for one in read_servers(text, "f.json", {})] == ["A", "B"]
