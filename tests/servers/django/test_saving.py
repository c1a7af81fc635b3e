"""Where an exported file can go: into the project, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.servers.django.saving import checked, save


@pytest.mark.parametrize(
    "name", ["/tmp/x.py", "~/x.py", "C:\\x.py", "../x.py", "a/../../x.py", "./x.py", "a//x.py", "", "a\nb.py"]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(CallerFault):
        checked(name)


def test_a_name_without_an_ending_gets_one() -> None:
    assert checked("notes") == "notes.py"
    assert checked("notes", ".ipynb") == "notes.ipynb"
    assert checked("notes.ipynb") == "notes.ipynb"
    assert checked("a.b/notes.py") == "a.b/notes.py"


def test_a_file_is_written_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    save(tmp_path, "notes/x.py", b"x = 1\n")

    assert (tmp_path / "notes/x.py").read_bytes() == b"x = 1\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("mine", encoding="utf-8")

    with pytest.raises(CallerFault, match="is there already"):
        save(tmp_path, "x.py", b"x = 1\n")
    assert (tmp_path / "x.py").read_text(encoding="utf-8") == "mine"


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside, project = tmp_path / "outside", tmp_path / "project"
    outside.mkdir()
    project.mkdir()
    (project / "away").symlink_to(outside)
    (project / "file.py").symlink_to(outside / "file.py")

    for name in ("away/x.py", "file.py"):
        with pytest.raises(CallerFault):
            save(project, name, b"x = 1\n")
    assert not list(outside.iterdir())


def test_nothing_is_written_where_code_could_not_write(tmp_path: Path) -> None:
    sealed = tmp_path / "site/.venv"
    (sealed / "lib").mkdir(parents=True)
    save(tmp_path, "site/x.py", b"", [sealed])

    for name in ("site/.venv/sitecustomize.py", "site/.venv/lib/sitecustomize.py"):
        with pytest.raises(CallerFault, match="read-only here"):
            save(tmp_path, name, b"import os\n", [sealed])
    assert not list(sealed.rglob("*.py"))


def test_nothing_is_written_when_what_is_sealed_is_not_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="cannot be written"):
        save(tmp_path, "x.py", b"", [tmp_path / "gone"])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="cannot be written: No such file or directory"):
        save(tmp_path, "notes/x.py", b"")
