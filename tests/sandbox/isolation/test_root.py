"""The file system of boxes: copied once, whole, and of nothing but what it was built from."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.isolation import root as module
from ostiary.sandbox.isolation.libraries import closure, loader
from ostiary.sandbox.isolation.root import Root, build_root
from tests.needs import missing, needs_node, needs_root
from tests.sandbox.isolation.standing import Standing, open_folder


@pytest.fixture
def cache() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


PYTHON = Path(sys.executable)


def inside(root: Root) -> list[Path]:
    return sorted(Path(root.path).rglob("*"))


def test_building_again_builds_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_root(cache, PYTHON)
    monkeypatch.setattr(module, "_build", None)
    monkeypatch.setattr(module, "inspect", None)

    assert build_root(cache, PYTHON) == first


def test_several_builders_at_once_end_with_one_whole_root(cache: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        roots = list(pool.map(lambda _: build_root(cache, PYTHON), range(3)))

    assert len(set(roots)) == 1
    left = [path.name for path in (cache / "roots").iterdir() if not path.name.endswith(".plan")]
    assert left == [roots[0].key]
    assert len(inside(roots[0])) > 500


def test_a_build_that_fails_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(GatewayFault, match="No space left"):
            build_root(cache, PYTHON)
        assert [path.name for path in (cache / "roots").iterdir() if path.is_dir()] == []

    assert Path(build_root(cache, PYTHON).path).is_dir()


@pytest.fixture
def copied(cache: Path) -> Path:
    """An extra program that can be changed."""
    path = cache / "programs" / "true"
    path.parent.mkdir()
    shutil.copy("/bin/true", path)
    return path


def test_a_changed_program_makes_another_root_and_leaves_the_first(cache: Path, copied: Path) -> None:
    first = build_root(cache, PYTHON, (copied,))
    os.utime(copied, ns=(0, 0))

    second = build_root(cache, PYTHON, (copied,))

    assert first.key != second.key
    assert Path(first.path).is_dir()
    assert first.programs == ("/bin/true",)


def test_a_plan_that_cannot_be_read_is_made_anew(cache: Path) -> None:
    first = build_root(cache, PYTHON)
    [plan] = (cache / "roots").glob("*.plan")
    plan.write_text("{}")

    assert build_root(cache, PYTHON) == first


def test_only_the_owner_could_change_a_root_and_everybody_can_read_it(cache: Path) -> None:
    old = os.umask(0o077)
    try:
        root = build_root(cache, PYTHON)
    finally:
        os.umask(old)

    for path in inside(root):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        assert path.stat().st_uid == os.geteuid()
        assert not mode & (stat.S_IWGRP | stat.S_IWOTH), path
        assert mode & stat.S_IROTH, path
        assert not path.is_dir() or mode & stat.S_IXOTH, path


def test_a_root_holds_no_file_of_the_hosts_that_is_not_a_library_or_a_certificate(standing: Standing) -> None:
    root = Path(standing.root.path)

    assert sorted(path.name for path in root.iterdir()) == [
        "bin", "dev", "etc", "lib", "lib64", "proc", "python", "tmp", "work",
    ]  # fmt: skip
    etc = {path.relative_to(root).as_posix() for path in (root / "etc").rglob("*") if path.is_file()}
    written = {"etc/passwd", "etc/group", "etc/hosts", "etc/nsswitch.conf"}
    assert etc - {"etc/ssl/certs/ca-certificates.crt"} == written
    assert "root" not in (root / "etc/passwd").read_text()
    assert [path.name for path in (root / "bin").iterdir()] == ["python3"]
    assert {path.name.split(".so")[1][:1] for path in (root / "lib").iterdir()} <= {"", "."}


@pytest.mark.parametrize("name", ["test", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages"])
def test_what_no_run_needs_is_left_out(standing: Standing, name: str) -> None:
    root = standing.root

    assert [
        path for path in inside(root) if path.name == name and path.parent.name.startswith("python3")
    ] == []


def test_no_link_leads_out_of_a_root(standing: Standing) -> None:
    root = standing.root
    top = Path(root.path)

    assert [
        path for path in inside(root) if path.is_symlink() and not path.resolve().is_relative_to(top)
    ] == []


def test_the_interpreter_of_an_environment_stands_for_the_one_it_was_made_from(standing: Standing) -> None:
    """An environment's own packages stay outside."""
    from_environment = standing.root
    from_base = build_root(standing.folder / "cache", Path(getattr(sys, "_base_executable", sys.executable)))

    assert from_environment.key == from_base.key
    assert not any("site-packages" in str(path) for path in inside(from_environment))


def test_debians_interpreter_gives_a_root_that_works(standing: Standing) -> None:
    debian = Path("/usr/bin/python3")
    if not debian.exists():
        missing("there is no /usr/bin/python3")
    root = build_root(standing.folder / "cache", debian)
    code = "import sys, ssl, sqlite3, ctypes; print('%d.%d.%d' % sys.version_info[:3], sys.prefix)"

    done = standing.run(
        "", root=root,
        command=(root.python, "-I", "-c", code),
    )  # fmt: skip

    assert (done.out, done.err) == (f"{root.version} /python\n", "")


def test_an_extra_program_brings_its_libraries(standing: Standing) -> None:
    root = build_root(standing.folder / "cache", PYTHON, (Path("/bin/ls"),))

    done = standing.run("", root=root, command=("/bin/ls", "/"))

    assert done.err == ""
    assert done.out.split() == ["bin", "dev", "etc", "lib", "lib64", "proc", "python", "tmp", "work"]


def test_a_program_that_needs_no_library_has_no_loader(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")

    assert loader(tmp_path / "script") is None
    assert loader(Path("/bin/ls")) is not None


def test_a_library_that_a_library_needs_is_found(cache: Path) -> None:
    node = needs_node()
    asked = loader(node)
    assert asked is not None

    found = closure(asked, [node])

    assert "libc.so.6" in found
    assert all(path.is_file() for path in found.values())


def test_a_cache_that_workers_cannot_reach_is_named(cache: Path) -> None:
    needs_root("have workers of other users")
    closed = cache / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(CallerFault, match=rf"{closed} is closed") as refused:
        build_root(closed, PYTHON)

    assert "OSTIARY_CACHE_DIR" in (refused.value.hint or "")


def test_an_interpreter_that_cannot_be_run_is_the_callers_fault(cache: Path) -> None:
    with pytest.raises(CallerFault, match="cannot run the interpreter"):
        build_root(cache, Path("/bin/false"))
    with pytest.raises(CallerFault, match="cannot run the interpreter"):
        build_root(cache, cache / "nowhere")


def test_certificates_are_those_of_the_host(standing: Standing) -> None:
    if not standing.root.certificates:
        missing("this machine has no certificates")

    bundle = repr(standing.root.certificates)

    done = standing.run(
        f"from ssl import *; print(create_default_context(cafile={bundle}).cert_store_stats()['x509'])"
    )

    assert int(done.out) > 0


def test_a_module_is_loaded_from_what_was_compiled_already(standing: Standing) -> None:
    done = standing.run("", command=(standing.root.python, "-I", "-v", "-c", "import json"))

    loaded = [line for line in done.err.splitlines() if "json/decoder" in line]
    assert any("decoder.cpython-" in line and ".pyc matches" in line for line in loaded), loaded
