"""What comes from outside is what is pinned, or nothing."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.sandbox.pyodide import fetch
from tests.sandbox.pyodide.prepared import needs_archive


def packed(files: dict[str, bytes], *, link: str = "") -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return whole.getvalue()


def test_the_pinned_archive_is_taken() -> None:
    path = needs_archive()

    assert fetch.fetched({}, archive=path) == path.read_bytes()


def test_an_archive_with_one_other_byte_is_refused(tmp_path: Path) -> None:
    content = bytearray(needs_archive().read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "other.tgz").write_bytes(content)

    with pytest.raises(GatewayFault, match="is not the package pyodide") as raised:
        fetch.fetched({}, archive=tmp_path / "other.tgz")
    assert "do not use it" in (raised.value.hint or "")


def test_without_npm_the_refusal_says_what_else_would_do(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="no npm on PATH") as raised:
        fetch.fetched({"PATH": str(tmp_path)})
    assert "--registry" in (raised.value.hint or "")
    assert "--archive" in (raised.value.hint or "")


def test_what_npm_says_when_it_fails_is_told(tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'E404 not in this mirror' >&2\nexit 1\n")
    npm.chmod(0o755)

    with pytest.raises(CallerFault, match="E404 not in this mirror"):
        fetch.fetched({"PATH": f"{tmp_path}:/usr/bin:/bin"})


@pytest.mark.parametrize(
    "registry", ["http://registry.example", "ftp://registry.example", "file:///etc", "x"]
)
def test_a_registry_that_is_not_https_is_refused(registry: str) -> None:
    with pytest.raises(CallerFault, match="expected an https:// address"):
        fetch.fetched({}, registry=registry)


def test_only_the_files_that_are_needed_are_written(tmp_path: Path) -> None:
    wanted = {f"package/{name}": name.encode() for name in fetch.FILES}
    strange = {"package/../../escaped": b"x", "/absolute": b"x", "package/console.html": b"x"}

    fetch.unpack(packed(wanted | strange), tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        name: name.encode() for name in fetch.FILES
    }
    assert not (tmp_path.parent.parent / "escaped").exists()


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    files = {f"package/{name}": b"x" for name in fetch.FILES if name != "pyodide.mjs"}

    with pytest.raises(GatewayFault, match=r"lacks pyodide\.mjs"):
        fetch.unpack(packed(files, link="package/pyodide.mjs"), tmp_path)
    assert not (tmp_path / "pyodide.mjs").is_symlink()
