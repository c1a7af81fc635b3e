"""What is found on a machine: this one, and this one with something taken away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation import probe as module
from ostiary.sandbox.isolation.cache import blocked, cache_folder, cache_path
from ostiary.sandbox.isolation.probe import probe
from ostiary.sandbox.isolation.walls import Walls
from tests.needs import ROOT, missing, needs_root
from tests.sandbox.isolation.standing import RUN, Standing, open_folder


def ordinary(standing: Standing, *deny: str) -> dict[str, Any]:
    """What a gate of an ordinary user finds and does here."""
    program = Path(standing.found.bubblewrap.path)
    if blocked(program) is not None:
        missing("bubblewrap lies where another user cannot reach it")
    place = standing.shared("ordinary")
    if os.geteuid() == 0:
        os.chown(place, 12345, 12345)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "ordinary.py"), str(place),
         f"{program.parent}:/usr/bin:/bin", json.dumps(msgspec.to_builtins(standing.root)), *deny],
        capture_output=True, text=True, timeout=RUN, check=False, cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_ordinary_user_has_strict_isolation(standing: Standing) -> None:
    told = ordinary(standing)

    assert all(told["layers"][name][0] for name in ("bubblewrap", "user namespaces", "seccomp"))
    assert told["users"] is False
    assert told["err"] == ""
    assert told["out"].startswith("65534 2 77\n")


def test_an_ordinary_user_without_cgroups_starts_no_processes_and_is_told_so(standing: Standing) -> None:
    told = ordinary(standing)
    if told["layers"]["cgroups"][0]:
        missing("cgroups are handed to ordinary users here")

    assert told["out"].splitlines()[1:] == ["1"]
    assert any("new processes" in sentence for sentence in told["missing"])
    assert told["layers"]["cgroups"][2] != ""


def test_a_machine_that_refuses_user_namespaces_is_found_out_by_trying(standing: Standing) -> None:
    told = ordinary(standing, "deny")

    found, why, remedy = told["layers"]["user namespaces"]
    assert found is False
    assert why
    assert remedy
    message, hint = told["refused"]
    assert message == f"strict isolation needs user namespaces: {why}"
    assert remedy in hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ],
)
def test_the_setting_that_switches_user_namespaces_off_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(value + "\n")
    monkeypatch.setattr(module, "_SETTINGS", tmp_path)

    why, remedy = module._why_no_namespaces("bwrap: No permissions to create new namespace\n")

    assert why == f"{name.replace('/', '.')} is {value}"
    assert f"sysctl -w {name.replace('/', '.')}=" in remedy


def test_without_bubblewrap_it_is_named_with_its_package(tmp_path: Path) -> None:
    found = probe({"PATH": str(tmp_path), "OSTIARY_CACHE_DIR": str(tmp_path)})

    assert found.bubblewrap.found is False
    assert found.bubblewrap.why == "no program `bwrap` on PATH"
    assert found.bubblewrap.remedy == "apt-get install bubblewrap"
    assert found.seccomp.found is True
    with pytest.raises(CallerFault, match="strict isolation needs bubblewrap"):
        Walls.decide("strict", found)


def test_a_bubblewrap_that_does_not_run_is_none(tmp_path: Path) -> None:
    with open_folder() as folder:
        (folder / "bwrap").write_text("#!/nowhere\n")
        (folder / "bwrap").chmod(0o755)

        found = probe({"PATH": str(folder), "OSTIARY_CACHE_DIR": str(folder)})

    assert "does not run" in found.bubblewrap.why


def test_a_bubblewrap_that_workers_cannot_reach_is_copied_to_where_they_can(standing: Standing) -> None:
    needs_root("hand a program to other users")
    closed = standing.shared("closed")
    shutil.copy(standing.found.bubblewrap.path, closed / "bwrap")
    closed.chmod(0o700)

    found = probe({**standing.environ, "PATH": str(closed)})

    assert found.lacking() == ()
    copied = Path(found.bubblewrap.path)
    assert copied.is_relative_to(standing.environ["OSTIARY_CACHE_DIR"])
    assert copied.stat().st_mode & 0o222 == 0


def test_the_version_of_landlock_is_that_of_the_kernel(standing: Standing) -> None:
    from ostiary.sandbox.isolation.confine import landlock_version

    version = landlock_version()

    assert standing.found.landlock.found is (version > 0)
    assert standing.found.landlock.version == (str(version) if version else "")


def test_a_cache_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)

    with pytest.raises(CallerFault, match="can be written by others"):
        cache_folder({"OSTIARY_CACHE_DIR": str(shared)})


def test_a_cache_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    needs_root("give a folder away")
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    os.chown(other, 12345, 12345)

    with pytest.raises(CallerFault, match="belongs to another user"):
        cache_folder({"OSTIARY_CACHE_DIR": str(other)})


def test_a_cache_folder_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(GatewayFault, match="cannot make the cache folder"):
        cache_folder({"OSTIARY_CACHE_DIR": str(tmp_path / "file/cache")})


def test_a_relative_cache_folder_is_refused() -> None:
    with pytest.raises(CallerFault, match="absolute"):
        cache_path({"OSTIARY_CACHE_DIR": "cache"})


def test_the_cache_folder_follows_its_variable_and_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_path({"OSTIARY_CACHE_DIR": "/a/b", "HOME": "/h"}) == Path("/a/b")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cache_path({"HOME": "/h", "XDG_CACHE_HOME": "/x"}) == Path("/var/cache/ostiary")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache_path({"HOME": "/h", "XDG_CACHE_HOME": "/x"}) == Path("/x/ostiary")
    assert cache_path({"HOME": "/h", "XDG_CACHE_HOME": "x"}) == Path("/h/.cache/ostiary")
