"""`ostiary run django`: what its options come to, and what cannot be meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ostiary.builtin import DjangoOptions
from ostiary.cli.run import COMMANDS, read_options
from ostiary.errors import CallerFault


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings in it, and nothing in the environment that names others."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    made = tmp_path / "site"
    (made / "mysite").mkdir(parents=True)
    (made / "mysite/__init__.py").touch()
    (made / "mysite/settings.py").touch()
    return made


def options(project: Path, *words: str) -> DjangoOptions:
    found = read_options(["django", "--project", str(project), *words]).builtin
    assert isinstance(found, DjangoOptions)
    return found


def test_without_more_it_is_a_session_behind_strict_walls_under_the_policy_that_comes_with_it(
    project: Path,
) -> None:
    gate = read_options(["django", "--project", str(project), "--settings", "mysite.settings"])

    assert gate.builtin == DjangoOptions(settings="mysite.settings", project=str(project))
    assert gate.policy == COMMANDS["django"].policy
    assert COMMANDS["django"].policy.is_file()
    assert gate.server == "django"


def test_options_reach_the_server(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_HOST", "db")
    (project / "more").mkdir()
    words = [
        "--settings", "mysite.settings", "--python", sys.executable, "--pythonpath", str(project / "more"),
        "--state", "fresh", "--rollback", "--env", "DATABASE_HOST", "--redact", "LICENCE", "--network",
        "--timeout", "1.5", "--djangopackages", "https://packages.example.org", "--naming", "both",
        "--extended", "--isolation", "best-effort", "--cache-dir", "cache",
    ]  # fmt: skip

    assert options(project, *words) == DjangoOptions(
        settings="mysite.settings",
        project=str(project),
        python=sys.executable,
        pythonpath=(str(project / "more"),),
        state="fresh",
        mode="rollback",
        environment=("DATABASE_HOST",),
        redact=("LICENCE",),
        network=True,
        isolation="best-effort",
        naming="both",
        extended=True,
        timeout_ms=1_500,
        djangopackages="https://packages.example.org",
        cache_dir="cache",
    )


def test_the_settings_can_be_named_by_the_variable_that_django_reads(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.settings")

    assert options(project).settings == "mysite.settings"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "neither --settings nor DJANGO_SETTINGS_MODULE", "--settings mysite.settings"),
        (("--settings", "mysite.setings"), "no settings module `mysite.setings`", "mysite.settings"),
        (("--settings", "misite.settings"), "no settings module `misite.settings`", "mysite.settings"),
        (("--settings", "mysite/settings.py"), "is not the name of a module", "mysite.settings"),
        (("--settings", "mysite.settings", "--read-only", "--rollback"), "contradict each other", "undoes"),
        (("--settings", "mysite.settings", "--timeout", "0"), "--timeout", None),
        (("--settings", "mysite.settings", "--timeout", "nan"), "--timeout", None),
        (
            ("--settings", "mysite.settings", "--env", "A=b"),
            "is not the name of a variable",
            "no other process",
        ),
        (
            ("--settings", "mysite.settings", "--env", "NOT_SET_HERE"),
            "--env: the variable is not set",
            "never the value",
        ),
        (("--settings", "mysite.settings", "--python", "nowhere"), "is not a program", ".venv/bin/python"),
        (("--settings", "mysite.settings", "--pythonpath", "nowhere"), "there is no folder", None),
        (
            ("--settings", "mysite.settings", "--isolation", "strict", "--unsafe-no-isolation"),
            "contradict each other",
            "leave one of them out",
        ),
    ],
)
def test_what_cannot_be_meant_is_said_with_what_may_be(
    project: Path, words: tuple[str, ...], message: str, hint: str | None
) -> None:
    with pytest.raises(CallerFault) as raised:
        options(project, *words)

    assert message in raised.value.message
    assert hint is None or hint in str(raised.value.hint)


def test_a_folder_that_is_not_there_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="there is no folder"):
        options(tmp_path / "nowhere", "--settings", "mysite.settings")


def test_settings_of_an_installed_package_or_of_another_interpreter_are_left_to_it(project: Path) -> None:
    assert options(project, "--settings", "json.decoder").settings == "json.decoder"
    given = ("--settings", "elsewhere.settings", "--python", sys.executable)
    assert options(project, *given).settings == "elsewhere.settings"


def test_nothing_of_the_project_is_imported_to_find_its_settings(project: Path) -> None:
    (project / "mysite/settings.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")

    assert options(project, "--settings", "mysite.settings").settings == "mysite.settings"
    with pytest.raises(CallerFault):
        options(project, "--settings", "mysite.settings.more")


def test_an_address_that_is_none_keeps_the_server_from_starting(project: Path, state_dir: Path) -> None:
    command = [
        sys.executable, "-m", "ostiary", "run", "django", "--settings", "mysite.settings",
        "--project", str(project), "--state-dir", str(state_dir), "--unsafe-no-isolation",
        "--djangopackages", "ftp://packages.example.org", "--cache-dir", str(project / "cache"),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env={"PATH": os.defpath}
    )

    assert done.returncode == 2
    assert "--djangopackages: the address cannot be used" in done.stderr
