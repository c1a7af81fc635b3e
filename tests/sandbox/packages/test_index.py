"""Where packages come from, as this machine's own tools are told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.egress.places import Place
from ostiary.sandbox.packages.index import PUBLIC, find_index, read_index

ONE, TWO, THREE = ("https://one.example/simple/", "https://two.example/simple/", "https://three.example/x/")


@pytest.fixture(autouse=True)
def _no_files_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/etc/pip.conf` is the machine's; here every file is the test's."""
    real = Path.read_text

    def read(path: Path, *args, **kwargs) -> str:
        if str(path).startswith("/etc/"):
            raise FileNotFoundError
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read)


def test_credentials_are_taken_out_of_the_address() -> None:
    index = read_index("https://me:p%40ss@One.example:8443/simple")

    assert (index.url, index.user, index.password) == ("https://One.example:8443/simple/", "me", "p@ss")
    assert index.place == Place("one.example", 8443)
    assert "ss" not in repr(index)
    assert "p@ss" not in f"{[index]}"


@pytest.mark.parametrize(
    "url",
    [
        "", "one.example/simple", "file:///srv/wheels", "ftp://me:hush@one.example/", "https://",
        "https://me:hush@/simple", "https://me:hush@one.example/simple?x=1", "https://me:hush@one.example/#f",
        "https://me:hush@one example/", "https://me:hush@one.example:99999/", "https://me:hush@0x7f.1/",
        "https://me:hush@one.example/\n", "https://me:hush@[::1/",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CallerFault) as fault:
        read_index(url)

    assert "hush" not in f"{fault.value} {fault.value.hint}"


def test_the_more_particular_setting_wins(tmp_path: Path) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(f"[global]\nindex-url = {THREE}\n")
    home = {"HOME": str(tmp_path)}

    assert find_index({}).url == f"https://{PUBLIC}.org/simple/"
    assert find_index(home).url == THREE
    assert find_index(home | {"PIP_INDEX_URL": TWO}).url == TWO
    assert find_index(home | {"PIP_INDEX_URL": TWO, "UV_DEFAULT_INDEX": ONE}).url == ONE
    assert find_index(home | {"UV_DEFAULT_INDEX": ONE, "OSTIARY_INDEX_URL": TWO}).url == TWO
    assert find_index(home | {"OSTIARY_INDEX_URL": TWO}, THREE).url == THREE


def test_authorities_and_folders_are_taken_from_the_same_places(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\ncert = /a.pem\nfind-links =\n  {tmp_path}\n  /absent\n  https://x.example/\n"
    )
    environ = {"HOME": "/nonexistent", "PIP_CONFIG_FILE": str(config)}

    assert find_index(environ).certificates == "/a.pem"
    assert find_index(environ).folders == (str(tmp_path),)
    assert find_index(environ | {"SSL_CERT_FILE": "/b.pem"}).certificates == "/b.pem"
    assert find_index(environ | {"PIP_CONFIG_FILE": "/dev/null"}).certificates == ""


@pytest.mark.parametrize(
    "text", ["no section", "[global\n", "[global]\nindex-url\n", "[global]\nx = %(y)s\n"]
)
def test_a_broken_file_is_passed_over(tmp_path: Path, text: str) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(text)

    assert find_index({"HOME": "/nonexistent", "PIP_CONFIG_FILE": str(config)}).url.endswith("/simple/")
