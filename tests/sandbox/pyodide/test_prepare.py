"""The set-up step leaves what can be used, and what it left is checked again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.pyodide.javascript import Runtime
from ostiary.sandbox.pyodide.prepare import find_pyodide, place_of, prepare_pyodide
from tests.sandbox.pyodide.prepared import Prepared, needs_archive

pytestmark = pytest.mark.timeout(180)


def copy(here: Prepared, cache: Path) -> Path:
    """Of the prepared folder, in a cache of its own; all can be written."""
    place = place_of(cache)
    shutil.copytree(here.found.place, place)
    for path in place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return place


def test_nothing_is_found_where_nothing_was_prepared(here: Prepared, tmp_path: Path) -> None:
    assert find_pyodide(tmp_path, here.found.runtime) is None


def test_what_was_prepared_is_found_with_its_snapshot(here: Prepared) -> None:
    found = find_pyodide(here.cache, here.found.runtime)

    assert found == here.found
    assert found is not None
    assert found.note == ""
    assert Path(found.place, found.snapshot).stat().st_size > 10 << 20
    assert Path(found.place, found.snapshot).stat().st_mode & 0o777 == 0o444


def test_another_program_has_to_be_prepared_for(here: Prepared) -> None:
    other = Runtime("node", here.found.runtime.path, here.found.runtime.version, "another digest")

    assert find_pyodide(here.cache, other) is None


def test_a_snapshot_with_another_byte_is_not_used_and_the_note_says_so(
    here: Prepared, tmp_path: Path
) -> None:
    place = copy(here, tmp_path)
    with (place / here.found.snapshot).open("r+b") as file:
        file.seek(1000)
        file.write(b"!")

    found = find_pyodide(tmp_path, here.found.runtime)

    assert found is not None
    assert found.snapshot == ""
    assert "not the one that was tested" in found.note


def test_a_snapshot_that_is_gone_is_noted(here: Prepared, tmp_path: Path) -> None:
    place = copy(here, tmp_path)
    (place / here.found.snapshot).unlink()

    found = find_pyodide(tmp_path, here.found.runtime)

    assert found is not None
    assert (found.snapshot, "is gone" in found.note) == ("", True)


def test_a_snapshot_that_failed_its_test_stays_unused_with_the_reason(here: Prepared, tmp_path: Path) -> None:
    place = copy(here, tmp_path)
    made = place / here.found.snapshot.replace(".bin", ".json")
    made.write_text(json.dumps({"check": "x", "digest": "", "why": "the memory snapshot failed its test"}))

    found = find_pyodide(tmp_path, here.found.runtime)

    assert found is not None
    assert (found.snapshot, found.note) == ("", "the memory snapshot failed its test")


def test_a_wrong_archive_leaves_nothing_behind(here: Prepared, tmp_path: Path) -> None:
    (tmp_path / "wrong.tgz").write_bytes(b"no archive")

    with pytest.raises(GatewayFault, match="is not the package"):
        prepare_pyodide(tmp_path, here.found.runtime, environ={}, archive=tmp_path / "wrong.tgz")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.tgz"]


def test_a_runtime_that_cannot_load_it_is_told(here: Prepared, tmp_path: Path) -> None:
    false = tmp_path / "node"
    false.write_text("#!/bin/sh\nexit 1\n")
    false.chmod(0o755)
    runtime = Runtime("node", str(false), "24.0.0", "x")

    with pytest.raises(GatewayFault, match="ended without a word"):
        prepare_pyodide(tmp_path, runtime, environ={}, archive=needs_archive())


def test_without_an_archive_and_without_npm_nothing_is_fetched(here: Prepared, tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="no npm"):
        prepare_pyodide(tmp_path, here.found.runtime, environ={"PATH": str(tmp_path)})
