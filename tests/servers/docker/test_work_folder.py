"""The one folder in which arguments may name places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.servers.docker.work_folder import MAX_ENV_FILE, WorkFolder


def written(folder: Path, text: str | bytes, name: str = "vars") -> WorkFolder:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return WorkFolder(folder)


def test_variables_are_read_line_by_line_as_they_stand(tmp_path: Path) -> None:
    folder = written(tmp_path, "\ufeff# remark\n\nA=1\n  B='two words' # kept \r\nC=\nD=a=b\n")

    assert folder.variables("vars") == ("A=1", "B='two words' # kept", "C=", "D=a=b")


def test_a_name_alone_takes_nothing_of_our_own_variables(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="`envFile` has `PATH` without `=`"):
        written(tmp_path, "A=1\nPATH\n").variables("vars")


@pytest.mark.parametrize("name", ["../outside", "link", "folder/link", "/etc/passwd", "a/../../outside"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("SECRET=1\n")
    inner = tmp_path / "work"
    (inner / "folder").mkdir(parents=True)
    (inner / "link").symlink_to(tmp_path / "outside")
    (inner / "folder/link").symlink_to("../../outside")

    with pytest.raises(CallerFault) as told:
        WorkFolder(inner).variables(name)

    assert "is outside the work folder" in told.value.message
    assert "SECRET" not in told.value.message


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    folder = written(tmp_path, "A=1\n")
    (tmp_path / "link").symlink_to("vars")

    assert folder.variables("link") == ("A=1",)
    assert folder.inside("path", "link") == tmp_path.resolve() / "vars"


@pytest.mark.parametrize("swapped", ["folder", "folder/vars"])
def test_a_link_that_is_put_in_meanwhile_is_not_followed(
    tmp_path: Path, swapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, outer = tmp_path / "work", tmp_path / "outer"
    for place in (inner / "folder", outer):
        place.mkdir(parents=True)
        (place / "vars").write_text(f"FROM={place.name}\n")
    whole = WorkFolder.inside

    def inside(self: WorkFolder, name: str, text: str) -> Path:
        found = whole(self, name, text)
        (inner / swapped).rename(tmp_path / "aside")
        (inner / swapped).symlink_to(outer if swapped == "folder" else outer / "vars")
        return found

    assert WorkFolder(inner).variables("folder/vars") == ("FROM=folder",)
    monkeypatch.setattr(WorkFolder, "inside", inside)
    with pytest.raises(CallerFault, match="cannot be read"):
        WorkFolder(inner).variables("folder/vars")


def test_a_name_that_is_no_text_leads_nowhere(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="leads nowhere"):
        WorkFolder(tmp_path).inside("path", "\ud800")


def test_without_a_folder_nothing_is_read_at_all(tmp_path: Path) -> None:
    for ask in (lambda: WorkFolder(None).variables("vars"), lambda: WorkFolder(None).inside("path", ".")):
        with pytest.raises(CallerFault, match="is not offered here") as told:
            ask()
        assert "--work-folder" in (told.value.hint or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("A=1\n" * 1_001, "more than 1000 variables"),
        ("A=" + "x" * MAX_ENV_FILE, "is over 65536 bytes"),
        (b"A=\xff\n", "is not UTF-8"),
        ("A=\0\n", "holds a NUL"),
        ("=1\n", "cannot be the name of a variable"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(CallerFault, match=reason):
        written(tmp_path, content).variables("vars")


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    folder = WorkFolder(tmp_path)

    for name, reason in (
        ("pipe", "is not a file"), ("folder", "is not a file"), ("missing", "No such file"),
        ("loop", "leads nowhere"), ("a\0", "holds a NUL"),
    ):  # fmt: skip
        with pytest.raises(CallerFault, match=reason):
            folder.variables(name)
