"""`ostiary doctor` says what is there, what is missing, and what brings it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.needs import missing, needs_bubblewrap, needs_docker

NEEDED = ["bubblewrap", "user namespaces", "seccomp"]


def doctor(*arguments: str, path: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ostiary", "doctor", *arguments],
        cwd=cwd,
        env={"PATH": path, "HOME": str(cwd), "PYTHONUTF8": "1", "OSTIARY_CACHE_DIR": str(cwd / "c"), **more},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip


@pytest.fixture
def without(tmp_path: Path) -> str:
    """A PATH without bubblewrap."""
    return str(tmp_path)


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_without_bubblewrap_the_answer_is_best_effort_and_names_the_package(
    tmp_path: Path, without: str
) -> None:
    done = doctor(path=without, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"isolation: best-effort (for user {os.geteuid()})\n")
    assert "- bubblewrap        missing: no program `bwrap` on PATH\n" in done.stdout
    assert "to get it: apt-get install bubblewrap\n" in done.stdout


def test_the_document_names_every_layer(tmp_path: Path, without: str) -> None:
    done = doctor("--format", "json", path=without, cwd=tmp_path)

    told = document(done)
    assert done.returncode == 1
    assert {name: told[name] for name in ("v", "user", "level", "strict")} == {
        "v": 1, "user": os.geteuid(), "level": "best-effort", "strict": False,
    }  # fmt: skip
    assert [layer["name"] for layer in told["layers"]] == [*NEEDED, "cgroups", "landlock"]
    assert [layer["name"] for layer in told["layers"] if layer["needed"]] == NEEDED
    assert all(set(layer) == {"needed", *FIELDS} for layer in told["layers"])
    assert all(set(program) == set(FIELDS) for program in told["programs"])
    assert told["cache"] == str(tmp_path / "c")
    assert (told["users"] is None) is (os.geteuid() != 0)


FIELDS = ("name", "found", "path", "version", "why", "remedy", "loss")


def test_whatever_is_missing_has_a_reason_a_remedy_or_both(tmp_path: Path, without: str) -> None:
    told = document(doctor("--format", "json", path=without, cwd=tmp_path))

    for layer in (*told["layers"], *told["programs"]):
        assert layer["found"] or (layer["why"] and (layer["remedy"] or layer["why"].startswith("not tried")))


def test_a_machine_with_every_layer_is_strict(tmp_path: Path) -> None:
    tmp_path.parent.chmod(0o755)
    done = doctor("--format", "json", path=needs_bubblewrap(), cwd=tmp_path)

    told = document(done)
    lacking = [layer for layer in told["layers"] if layer["needed"] and not layer["found"]]
    if lacking:
        missing(f"{lacking[0]['name']}: {lacking[0]['why']}")
    assert (done.returncode, told["level"], told["strict"]) == (0, "strict", True)


def test_looking_makes_no_folder(tmp_path: Path, without: str) -> None:
    doctor(path=without, cwd=tmp_path)

    assert not (tmp_path / "c").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands out users")
def test_a_setting_that_cannot_be_used_ends_with_two(tmp_path: Path, without: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ostiary", "doctor"],
        env={"PATH": without, "OSTIARY_UID_RANGE": "0-1"}, cwd=tmp_path,
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert "error:" in done.stderr


def test_the_container_engine_is_named_with_its_version(tmp_path: Path) -> None:
    engine = needs_docker()
    done = doctor("--format", "json", path=os.environ["PATH"], cwd=tmp_path, DOCKER_HOST=engine)

    found = [program for program in document(done)["programs"] if program["name"] == "container engine"]
    assert [one["found"] for one in found] == [True]
    assert found[0]["version"].startswith("docker ")
    assert found[0]["path"] == engine


def test_that_no_container_engine_answers_is_said(tmp_path: Path) -> None:
    done = doctor(path=os.environ["PATH"], cwd=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/no.sock")

    assert "- container engine  missing: " in done.stdout
    assert "no.sock" in done.stdout
    assert "without it `ostiary run docker` has no containers" in done.stdout
