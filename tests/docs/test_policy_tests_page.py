"""The guide to testing policies: its files, its command and its CI job do what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.console import agrees, run, typed
from tests.docs.markdown import ROOT, fences

PAGE = ROOT / "docs/how-to/policy-tests-in-ci.md"


def _fence(label: str) -> str:
    [found] = [fence.text for fence in fences(PAGE) if fence.label == label]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(_fence("yaml policy"))
    (tmp_path / "policy.tests.yaml").write_text(_fence("yaml tests"))
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder), "PYTHONUTF8": "1"}


def _job(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the last step of the job as the runner does."""
    script = yaml.safe_load(_fence("yaml job"))["jobs"]["policies"]["steps"][-1]["run"]
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_answers_as_the_page_says(folder: Path, environment: dict[str, str]) -> None:
    [command] = typed(PAGE)

    assert agrees(command.shown, run(command.command, folder, environment))


def test_the_job_passes_with_the_files_of_the_page(folder: Path, environment: dict[str, str]) -> None:
    done = _job(folder, environment)

    assert (done.returncode, done.stderr) == (0, "")
    assert "7 tests passed" in done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("policy.yaml", "value: /srv/project}", "value: /srv}", "2 of 7 tests failed"),
        ("policy.yaml", "on_deny: only", "on_deni: only", "unknown key `on_deni`"),
        ("policy.yaml", "default: deny", "default:  deny", "would be formatted"),
        ("policy.tests.yaml", "expect: allow", "expect: deny", "2 of 7 tests failed"),
        ("policy.tests.yaml", "expect: allow", "expects: allow", "unknown key `expects`"),
    ],
)
def test_the_job_fails_when_anything_is_wrong(
    file: str, old: str, new: str, words: str, folder: Path, environment: dict[str, str]
) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))

    done = _job(folder, environment)

    assert done.returncode != 0
    assert words in done.stdout + done.stderr


def test_the_job_fails_for_a_policy_without_tests(folder: Path, environment: dict[str, str]) -> None:
    (folder / "policy.tests.yaml").unlink()

    done = _job(folder, environment)

    assert done.returncode == 2
    assert "there are no tests beside `policy.yaml`" in done.stderr
