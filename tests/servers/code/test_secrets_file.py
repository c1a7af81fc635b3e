"""The file of secrets: what it may say, and that nothing it is refused for shows a value."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ostiary.builtin import CodeOptions
from ostiary.errors import CallerFault
from ostiary.servers.code.secrets_file import MAX_BYTES, SecretEntry, read_secrets
from ostiary.wiring.code_secrets import _WRITABLE, _content

VALUE = "a-real-value-0123"
GOOD = {"env": "A", "hosts": ["api.example.org"], "grants": ["local"]}


def read(entries: object, name: str = "s.json", **variables: str) -> tuple[SecretEntry, ...]:
    content = entries if isinstance(entries, bytes) else json.dumps({"secrets": entries}).encode()
    return read_secrets(content, name, {"A": VALUE, **variables}, lambda path: f"{path}-content\n".encode())


def test_an_entry_is_for_the_grants_it_names_and_an_empty_list_is_for_nobody() -> None:
    mine, nobodys, everybodys, other = read(
        {
            "MINE": GOOD,
            "NOBODYS": {**GOOD, "grants": []},
            "EVERYBODYS": {**GOOD, "grants": ["*"]},
            "OTHER": {"file": "somewhere", "mode": "value", "grants": ["local"]},
        }
    )
    assert (mine.is_for("local"), mine.is_for("other")) == (True, False)
    assert (nobodys.is_for("local"), everybodys.is_for("other")) == (False, True)
    assert (other.value, other.servers) == ("somewhere-content", ())
    assert VALUE not in repr(mine)


def test_toml_says_the_same() -> None:
    content = b'[secrets.MINE]\nenv = "A"\nhosts = ["api.example.org"]\ngrants = ["local"]\n'
    assert read(content, "s.toml") == read({"MINE": GOOD})


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (b"{", "not JSON"),
        (b"x" * (MAX_BYTES + 1), "over"),
        (b'{"secret": {}}', "unknown key `secret`"),
        ({}, "at least one"),
        ({"mcp_A": GOOD}, "variable"),
        ({"a-b": GOOD}, "variable"),
        ({"class": GOOD}, "something else"),
        ({"print": GOOD}, "something else"),
        ({"call_tool": GOOD}, "something else"),
        ({"A": {**GOOD, "host": []}}, "unknown key `host`"),
        ({"A": {**GOOD, "value": VALUE}}, "unknown key `value`"),
        ({"A": {**GOOD, "file": "b"}}, "either `env` or `file`"),
        ({"A": {**GOOD, "env": "NOT_SET"}}, "s.json: secret `A`: `env`: the variable is not set"),
        ({"A": {**GOOD, "env": "short"}}, "did you mean `SHORT`"),
        ({"A": {**GOOD, "env": "SHORT"}}, "must have 8"),
        ({"A": {**GOOD, "env": "LINES"}}, "cannot stand in a header"),
        ({"A": {"env": "A", "hosts": ["a.example"]}}, "`grants` is missing"),
        ({"A": {"env": "A", "grants": []}}, "`hosts` is missing"),
        ({"A": {**GOOD, "hosts": ["*.org"]}}, "no suffix"),
        ({"A": {**GOOD, "mode": "plain"}}, "`mode`"),
        ({"A": {**GOOD, "mode": "value"}}, "`hosts` is for mode"),
        ({"A": {**GOOD, "servers": ["Odd"]}}, "`servers` is for mode"),
        ({f"A{n}": GOOD for n in range(65)}, "64 is the most"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place_and_without_a_value(
    entries: object, said: str
) -> None:
    with pytest.raises(CallerFault) as refused:
        read(entries, SHORT="tiny-7", LINES="first line\nsecond line")
    told = f"{refused.value.message} {refused.value.hint}"
    assert refused.value.message.startswith("s.json")
    assert said in told
    assert not any(value in told for value in (VALUE, "tiny-7", "first line"))


@pytest.mark.parametrize("typed", ["ghp_1tXkYp8bWq0aLsZr4VnCe7", "swordfish", "CORRECT_HORSE", "with\nlines"])
def test_a_secret_typed_where_its_variable_is_to_be_named_is_not_shown(typed: str) -> None:
    with pytest.raises(CallerFault) as refused:
        read({"A": {**GOOD, "env": typed}})
    told = f"{refused.value.message} {refused.value.hint}"
    assert "secret `A`: `env`: the variable is not set" in told
    assert "never the value itself" in told
    assert typed not in told


def test_a_file_that_others_can_change_or_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(VALUE, encoding="utf-8")
    file.chmod(0o640)
    with pytest.raises(CallerFault, match="others can read") as refused:
        _content(str(file), 100, stat.S_IRWXG | stat.S_IRWXO, "")
    assert refused.value.hint == f"chmod 600 {file}"
    file.chmod(0o664)
    with pytest.raises(CallerFault, match="others can write"):
        _content(str(file), 100, _WRITABLE, "")
    file.chmod(0o644)
    assert _content(str(file), 100, _WRITABLE, "") == VALUE.encode()
    with pytest.raises(CallerFault, match="is no file"):
        _content("/dev/zero", 100, 0, "")
    with pytest.raises(CallerFault, match="too large"):
        _content(str(file), 5, 0, "")


def test_what_weakens_it_is_told() -> None:
    told = CodeOptions(servers=Path("s"), unsafe_private_hosts=("localhost:1",)).unsafe()
    assert [one.partition(":")[0] for one in told] == ["--unsafe-private-host localhost"]
