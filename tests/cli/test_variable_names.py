"""Options that take the name of a variable: whoever types the secret itself there reads it nowhere again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ostiary.cli.entry import main
from ostiary.errors import CallerFault
from ostiary.settings import checked_header
from tests.docs.test_command_reference import commands

OPTIONS = sorted(
    (command, option)
    for command, options in commands()
    for option in options
    if option == "--env" or option.endswith("-env")
)
SECRETS = [
    "ghp_1tXkYp8bWq0aLsZr4VnCe7GuHd2JfM3oQi5S",
    "sk-ant-api03-9qLmW2xR7",
    "3F9A6C01D4E8B7725A90C1E2F3D4B5A6",
    "AKIAIOSFODNN7EXAMPLE",
    "CORRECT_HORSE_BATTERY_STAPLE",
    "swordfish",
    "pa$$ word, with=all; sorts\tof\x1b[31m things",
    "LOGIN=swordfish",
    "é" * 5_000,
]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of Django in the current folder, and nobody's state or settings."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/settings.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OSTIARY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What a command that cannot run says."""
    monkeypatch.setattr(sys, "argv", ["ostiary", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    return out + err


def line(command: str, option: str, *values: str) -> list[str]:
    """The command with these variables named, one after another."""
    words = command.split()[1:]
    if option == "--env":
        words += ["--project", ".", "--settings", "site.settings"]
        return [*words, *(f"{option}={value}" for value in values)]
    words += (
        ["http://127.0.0.1:9/mcp"] if command == "ostiary precheck" else ["--upstream=http://127.0.0.1:9/mcp"]
    )
    return [*words, *(f"{option}={value}" for value in values)]


def test_these_are_the_options_that_take_the_name_of_a_variable() -> None:
    assert OPTIONS == [
        ("ostiary pins accept", "--header-env"),
        ("ostiary pins diff", "--header-env"),
        ("ostiary pins write", "--header-env"),
        ("ostiary precheck", "--header-env"),
        ("ostiary proxy", "--header-env"),
        ("ostiary run django", "--env"),
        ("ostiary scan", "--header-env"),
        ("ostiary scan-tools", "--header-env"),
    ]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_a_secret_typed_where_a_variable_is_to_be_named_is_not_shown(
    command: str,
    option: str,
    secret: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = secret if option == "--env" else f"Authorization: Bearer {secret}"
    text = told(capsys, monkeypatch, *line(command, option, value))

    assert f"error: {option}: " in text
    assert "variable" in text
    for part in (secret, *secret.split(), *secret.split("=")):
        assert part[:40] not in text or part in ("of", "with", "things"), part


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_the_error_says_which_header_or_which_of_several_it_is_about(
    command: str, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IS_SET", "x")
    values = ["IS_SET", "NOT_SET_ANYWHERE"]
    if option == "--env":
        text = told(capsys, monkeypatch, *line(command, option, *values))
        assert "number 2 of 2" in text
    else:
        names = ["X-Team", "X-API-Key"]
        lines = [f"{name}: {value}" for name, value in zip(names, values, strict=True)]
        text = told(capsys, monkeypatch, *line(command, option, *lines))
        assert "`X-API-Key`" in text
        assert "X-Team" not in text


@pytest.mark.parametrize(("command", "option"), OPTIONS)
@pytest.mark.parametrize("typed", ["GITHUB_TOKN", "github_token", "GITHUBTOKEN"])
def test_a_variable_that_is_set_and_nearly_named_so_is_offered(
    command: str,
    option: str,
    typed: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "the-value-of-it")
    value = typed if option == "--env" else f"Authorization: Bearer {typed}"
    text = told(capsys, monkeypatch, *line(command, option, value))

    assert "did you mean `GITHUB_TOKEN`" in text
    assert typed not in text
    assert "the-value-of-it" not in text


@pytest.mark.parametrize(
    "secret",
    ["AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI", "ghp_1tXkYp8bWq0aLsZr4V: Authorization", "1234567:AAEhBP"],
)
@pytest.mark.parametrize(("command", "option"), [each for each in OPTIONS if each[1] == "--header-env"])
def test_a_secret_typed_in_the_place_of_the_header_is_not_shown_either(
    command: str,
    option: str,
    secret: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = told(capsys, monkeypatch, *line(command, option, secret))

    assert f"error: {option}: " in text
    for part in secret.split(":"):
        assert part.strip() == "Authorization" or part.strip() not in text


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sk-live-key-123: x", "--header-env 'NAME: VARIABLE'"),
        ("AKIA-key-IOSFODNN7EXAMPLE:wJalrXUtnFEMI", "--header-env 'NAME: VARIABLE'"),
        ("swordfish-token: x", "--header-env 'NAME: VARIABLE'"),
        ("mcp-swordfish: x", "begins with `mcp-`"),
        ("swordfish: wJalr\x01XUtnFEMI", "a character that HTTP does not allow"),
        ("swordfish", "expected 'Name: value'"),
        ("swordfish\x01: x", "expected 'Name: value'"),
    ],
)
@pytest.mark.parametrize("command", [each[0] for each in OPTIONS if each[1] == "--header-env"])
def test_what_was_typed_for_a_header_is_not_shown_and_what_was_expected_is(
    command: str,
    typed: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = told(capsys, monkeypatch, *line(command, "--header", "X-Team: platform", typed))
    alone = told(capsys, monkeypatch, *line(command, "--header", typed))

    assert expected in " ".join(text.split())
    assert "error: --header, number 2 of 2: " in text
    assert "error: --header: " in alone
    for part in typed.replace("\x01", ":").split(":"):
        assert part.strip() in ("", "x") or part.strip() not in text + alone, part


def test_a_line_of_a_file_of_headers_is_told_by_its_number_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "headers"
    for wrong in ("swordfish: wJalr\x01XUtnFEMI", "swordfish wJalr", "mcp-swordfish: wJalr"):
        file.write_text(f"# ours\nX-Team: platform\n\n{wrong}\n")
        file.chmod(0o600)
        text = told(capsys, monkeypatch, *line("ostiary scan", "--header-file", str(file)))

        assert "line 4: " in text
        assert "swordfish" not in text
        assert "wJalr" not in text


def test_a_typed_name_that_is_none_of_a_header_is_not_shown() -> None:
    with pytest.raises(CallerFault, match="--header: this is no name of a header") as refused:
        checked_header("sword fish", "x", "--header")

    assert "sword" not in refused.value.message
