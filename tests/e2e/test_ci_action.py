"""The CI action: its step is run with bash as a runner would, a scan of our own in place of the real one."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.markdown import fences

ROOT = Path(__file__).resolve().parents[2]
ACTION: Any = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEP = ACTION["runs"]["steps"][0]

SCAN = """
import json, os, pathlib, sys
options = dict(each.split("=", 1) for each in sys.argv[2:] if each.startswith("--"))
told = json.loads(pathlib.Path(options["--config"]).read_text())
record = {"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd(), "path": sys.path}
with open(pathlib.Path(sys.prefix, "calls"), "a") as calls:
    calls.write(json.dumps(record) + "\\n")
for line in told.get("says", []):
    print(line)
if told.get("report", True):
    run = {"tool": {"driver": {"name": "Ostiary"}}, "results": [{"level": "error"}] * told.get("results", 0)}
    pathlib.Path(options["--output"]).write_text(json.dumps({"version": "2.1.0", "runs": [run]}))
raise SystemExit(told.get("status", 0))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with an `ostiary scan` that does what its configuration says."""
    folder = tmp_path_factory.mktemp("python") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    package = next((folder / "lib").glob("python*/site-packages")) / "ostiary"
    (package / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py", "cli/scan.py"):
        (package / name).write_text("")
    (package / "__main__.py").write_text(SCAN)
    return folder / "bin/python"


class Job:
    """A folder with a repository, and the step of the action run in it."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.checkout = ROOT
        self.calls_file = python.parents[1] / "calls"
        self.calls_file.unlink(missing_ok=True)
        (folder / "repository").mkdir()
        (folder / "runner").mkdir()
        self.inputs = {name: str(each["default"]) for name, each in ACTION["inputs"].items()}
        self.inputs["python"] = str(python)

    def write(self, name: str, **told: Any) -> None:
        file = self.folder / "repository" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told))

    def run(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        """What the step does with these inputs, as the runner fills them in."""
        given = self.inputs | {name.replace("_", "-"): value for name, value in inputs.items()}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GITHUB_ACTION_PATH": str(self.checkout),
            "GITHUB_OUTPUT": str(self.folder / "outputs"),
            "RUNNER_TEMP": str(self.folder / "runner"),
            "GITHUB_TOKEN": "ghs_plainly-secret",
            "NPM_TOKEN": "npm_plainly-secret",
        }
        for name, value in STEP["env"].items():
            environ[name] = given[value.removeprefix("${{ inputs.").removesuffix(" }}")]
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]],
            cwd=self.folder / "repository",
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[Any]:
        text = self.calls_file.read_text() if self.calls_file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def report(self, name: str = "ostiary.sarif") -> Any:
        return json.loads((self.folder / "repository" / name).read_text())


@pytest.fixture
def job(tmp_path: Path, python: Path) -> Job:
    return Job(tmp_path, python)


# --- the file that a runner reads -------------------------------------------------------------------


def test_no_input_is_pasted_into_a_command() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    used = [re.findall(r"inputs\.([a-z-]+)", value) for value in STEP["env"].values()]
    assert sorted(each for found in used for each in found) == sorted(ACTION["inputs"])


def test_the_action_uses_nothing_from_elsewhere_and_asks_for_no_token() -> None:
    text = (ROOT / "action.yml").read_text() + "".join(
        each.read_text() for each in sorted((ROOT / "scripts/action").iterdir()) if each.is_file()
    )

    for word in (
        "uses:",
        "github.token",
        "GITHUB_TOKEN",
        "curl",
        "wget",
        "http.client",
        "urllib",
        "socket",
        "api.",
    ):
        assert word not in text, word


# --- the threshold ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["high", "High", "HIGH", " high ", ""])
def test_what_comes_up_to_the_threshold_fails_in_any_letter_case(job: Job, word: str) -> None:
    job.write(".mcp.json", status=1, results=2)
    ended = job.run(fail_on=word)

    assert ended.returncode == 1
    assert "--fail-on=high" in job.calls[0]["argv"]
    assert ".mcp.json: 2 results; failed: something is high or worse" in ended.stderr
    assert len(job.report()["runs"][0]["results"]) == 2


def test_nothing_that_comes_up_to_it_passes(job: Job) -> None:
    job.write(".mcp.json", results=1)
    ended = job.run(fail_on="critical")

    assert ended.returncode == 0
    assert "1 result; passed" in ended.stderr


@pytest.mark.parametrize("word", ["hihg", "severe", "1", "high,low", "$(touch pwned)", "--help"])
def test_an_unknown_threshold_is_an_error_and_nothing_is_scanned(job: Job, word: str) -> None:
    job.write(".mcp.json")
    ended = job.run(fail_on=word)

    assert ended.returncode == 2
    assert "fail-on" in ended.stderr
    assert job.calls == []
    assert not (job.folder / "repository/pwned").exists()
    assert word != "hihg" or "did you mean `high`" in ended.stderr


def test_none_only_reports(job: Job) -> None:
    job.write(".mcp.json", results=3)

    assert job.run(fail_on="None").returncode == 0
    assert not any(each.startswith("--fail-on") for each in job.calls[0]["argv"])


# --- the configurations -----------------------------------------------------------------------------


def test_the_usual_files_that_are_there_are_scanned(job: Job) -> None:
    job.write(".mcp.json", results=1)
    job.write(".cursor/mcp.json", results=2)
    ended = job.run()

    assert ended.returncode == 0
    assert [each["argv"][1] for each in job.calls] == ["--config=.mcp.json", "--config=.cursor/mcp.json"]
    runs = job.report()["runs"]
    assert [each["automationDetails"]["id"] for each in runs] == [
        "ostiary-scan/.mcp.json/",
        "ostiary-scan/.cursor/mcp.json/",
    ]
    assert [len(each["results"]) for each in runs] == [1, 2]


def test_without_any_configuration_the_job_fails(job: Job) -> None:
    ended = job.run()

    assert ended.returncode == 2
    assert "there is none of .mcp.json, .vscode/mcp.json, .cursor/mcp.json" in ended.stderr


def test_one_missing_file_among_several_is_an_error_before_anything_is_scanned(job: Job) -> None:
    job.write("a.json")
    ended = job.run(config_path="a.json\nb.json\n")

    assert ended.returncode == 2
    assert "there is no file b.json" in ended.stderr
    assert job.calls == []


@pytest.mark.parametrize("name", ["with a space.json", "-o.json", "$(touch pwned).json", "*.json", "é.json"])
def test_a_file_is_found_by_any_name(job: Job, name: str) -> None:
    job.write(name)

    assert job.run(config_path=f"  {name}  ").returncode == 0
    assert job.calls[0]["argv"][1] == f"--config={name}"
    assert not (job.folder / "repository/pwned").exists()


def test_one_bad_configuration_fails_the_job_and_the_others_are_still_reported(job: Job) -> None:
    job.write("bad.json", status=2, report=False)
    job.write("good.json", results=1)
    ended = job.run(config_path="bad.json\ngood.json")

    assert ended.returncode == 2
    assert "bad.json: 0 results; failed: not every server could be scanned" in ended.stderr
    assert [len(each["results"]) for each in job.report()["runs"]] == [1]


@pytest.mark.parametrize("status", [3, 127, -9])
def test_a_scan_that_dies_is_no_pass(job: Job, status: int) -> None:
    job.write(".mcp.json", status=status % 256)

    assert job.run().returncode == 2


def test_a_scan_that_passes_without_a_report_is_no_pass(job: Job) -> None:
    job.write(".mcp.json", report=False)

    assert job.run().returncode == 2


# --- what the job has and the servers must not ------------------------------------------------------


def test_the_tokens_of_the_job_do_not_reach_the_scan(job: Job) -> None:
    job.write(".mcp.json")
    job.run()

    assert {each for each in job.calls[0]["environ"] if "TOKEN" in each or "OSTIARY" in each} == set()
    assert "plainly-secret" not in json.dumps(job.calls)


def test_modules_of_the_repository_are_not_ours(job: Job) -> None:
    job.write(".mcp.json")
    for name in ("ostiary", "json", "subprocess", "typer"):
        (job.folder / f"repository/{name}.py").write_text("raise SystemExit('taken over')")
    ended = job.run()

    assert ended.returncode == 0, ended.stderr
    assert str(job.folder / "repository") not in job.calls[0]["path"]


def test_no_line_of_a_server_is_a_command_to_the_runner(job: Job) -> None:
    lines = ["::add-mask::x", "  ::error::x", "##[error]x", "a ##[set-output name=x]y", "\x1b[2J::warning::x"]
    job.write(".mcp.json", says=lines)
    ended = job.run()

    told = ended.stdout + ended.stderr
    assert "add-mask" in told
    assert "##[" not in told
    assert "::" not in told
    assert "\x1b" not in told


def test_hosts_are_handed_on_one_by_one(job: Job) -> None:
    job.write(".mcp.json")
    job.run(allow_hosts="registry.example.org\n$(touch pwned), b.example.org")

    assert [each for each in job.calls[0]["argv"] if each.startswith("--allow-host")] == [
        "--allow-host=registry.example.org",
        "--allow-host=$(touch",
        "--allow-host=pwned)",
        "--allow-host=b.example.org",
    ]
    assert not (job.folder / "repository/pwned").exists()


# --- the report -------------------------------------------------------------------------------------


def test_the_report_is_written_where_it_is_asked_for_and_told_as_an_output(job: Job) -> None:
    job.write(".mcp.json", status=1)

    assert job.run(sarif_file="out/x y.sarif").returncode == 1
    assert job.report("out/x y.sarif")["version"] == "2.1.0"
    assert (job.folder / "outputs").read_text() == "sarif-file=out/x y.sarif\n"


def test_a_path_with_a_line_break_makes_no_second_output(job: Job) -> None:
    job.write(".mcp.json")
    ended = job.run(sarif_file="a.sarif\nother=x")

    assert ended.returncode == 2
    assert not (job.folder / "outputs").exists()


def test_a_report_that_cannot_be_written_is_an_error(job: Job) -> None:
    job.write(".mcp.json")
    job.write("file")

    assert job.run(sarif_file="file/x.sarif").returncode == 2


def test_nothing_is_left_beside_the_report(job: Job) -> None:
    job.write(".mcp.json")
    job.run()

    assert sorted(each.name for each in (job.folder / "repository").iterdir()) == [
        ".mcp.json",
        "ostiary.sarif",
    ]
    assert [*(job.folder / "runner").iterdir()] == []


def test_a_link_that_the_repository_has_where_the_report_is_drafted_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = runpy.run_path(str(ROOT / "scripts/action/scan.py"))
    other = tmp_path / "other"
    other.write_text("kept")
    monkeypatch.setattr("secrets.token_hex", lambda _size: str(os.getpid()))
    (tmp_path / f".ostiary.sarif.{os.getpid()}").symlink_to(other)

    with pytest.raises(scan["Fault"]):
        scan["write"](tmp_path / "ostiary.sarif", [])
    assert other.read_text() == "kept"


# --- the interpreter --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such-python", "/bin/false", "$(touch pwned)"])
def test_a_python_that_is_none_is_an_error(job: Job, name: str) -> None:
    job.write(".mcp.json")
    ended = job.run(python=name)

    assert ended.returncode == 2
    assert "the input `python` names" in ended.stderr
    assert not (job.folder / "repository/pwned").exists()


MADE = """#!/usr/bin/env bash
set -eu
printf '%s\\n' "$PYTHON" "$@" >"$HOME/made"
python3 -c 'import ensurepip'
python3 -m venv --without-pip "$1"
"""


def test_without_a_python_an_environment_is_made_from_the_lock_and_this_very_checkout(job: Job) -> None:
    checkout = job.folder / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    (checkout / "scripts/action").symlink_to(ROOT / "scripts/action")
    (checkout / "scripts/make-environment.sh").write_text(MADE)
    (checkout / "src/ostiary").mkdir(parents=True)
    (checkout / "src/ostiary/__init__.py").write_text("")
    (checkout / "src/ostiary/__main__.py").write_text(SCAN)
    job.write(".mcp.json", status=1)
    for name in ("venv", "ensurepip", "pip"):
        (job.folder / f"repository/{name}.py").write_text("raise SystemExit('taken over')")
    job.checkout = checkout
    ended = job.run(python="")

    assert ended.returncode == 1, ended.stderr
    environment = job.folder / "runner/ostiary-action"
    made = (job.folder / "made").read_text().splitlines()
    assert made == ["", str(environment), str(checkout / "requirements/runtime.lock")]
    [call] = [json.loads(line) for line in (environment / "calls").read_text().splitlines()]
    assert str(checkout / "src") in call["path"]


# --- the page ---------------------------------------------------------------------------------------

PAGE = ROOT / "docs/how-to/scan-in-ci.md"


def test_the_workflow_of_the_page_gives_inputs_that_there_are_and_pins_every_action() -> None:
    [text] = [fence.text for fence in fences(PAGE) if fence.label == "yaml job"]
    steps = yaml.safe_load(text)["jobs"]["scan"]["steps"]

    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)
    [ours] = [step for step in steps if step.get("id") == "scan"]
    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert set(re.findall(r"steps\.scan\.outputs\.([a-z-]+)", text)) == set(ACTION["outputs"])


def test_the_page_tells_every_input_and_its_default() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Inputs")[2].partition("## When")[0]
    told = re.findall(r"^\| `([a-z-]+)` \| .* \| (.*) \|$", table, re.MULTILINE)

    assert [name for name, _ in told] == [*ACTION["inputs"]]
    for name, default in told:
        assert ACTION["inputs"][name]["default"] in {"", default.strip("`")}
