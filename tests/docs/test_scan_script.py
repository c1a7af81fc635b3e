"""The script that scans published servers: licences, commands, and what it takes out of a reason."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ostiary.registry.records import Entry, Package, Record
from ostiary.registry.records.listed import Registry
from ostiary.scan.scanned import Scanned, Target

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from scanned_page import page  # noqa: E402 - from the folder of the scripts
from server_packages import Packages  # noqa: E402

METADATA = "Metadata-Version: 2.4\nName: one-server\nVersion: 1.2\n"
CLASSIFIED = "Classifier: License :: OSI Approved :: MIT License\n"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scan_servers", SCRIPTS / "scan-servers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a Node.js in it, so that none is copied."""
    (tmp_path / "node/bin").mkdir(parents=True)
    (tmp_path / "node/bin/node").touch()
    return tmp_path


def listed(registry: Registry, name: str = "one-server", command: str = "one") -> Entry:
    return Entry("One", registry, name, "1.2", command)


def installed(folder: Path, entry: Entry) -> Path:
    place = folder / "installed" / entry.slug
    place.mkdir(parents=True)
    (place / ".version").write_text(entry.version)
    return place


@pytest.mark.parametrize("program", ["start.js", {"one": "start.js"}])
def test_a_server_of_npm_is_started_by_the_program_that_its_package_names(
    folder: Path, program: object
) -> None:
    entry = listed("npm", "@some/one")
    package = installed(folder, entry) / "node_modules/@some/one"
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"bin": program, "license": {"type": "MIT"}}))

    fetched = Packages(folder, folder).fetch(entry)

    assert fetched.command == (str(folder / "node/bin/node"), str(package / "start.js"))
    assert (fetched.license, fetched.reason) == ("MIT", "")


def test_a_package_without_the_listed_program_is_a_failure_with_its_reason(folder: Path) -> None:
    entry = listed("pypi", command="other")
    installed(folder, entry)

    assert Packages(folder, folder).fetch(entry).reason == "the package brings no program `other`"


@pytest.mark.parametrize(
    ("lines", "text", "licence"),
    [
        (f"License-Expression: Apache-2.0\n{CLASSIFIED}", "", "Apache-2.0"),
        (CLASSIFIED, "", "MIT License"),
        ("License: BSD\n", "", "BSD"),
        ("", "\nMIT License\n\nCopyright\n", "MIT License"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_the_licence_is_what_the_metadata_names_or_else_how_its_text_begins(
    folder: Path, lines: str, text: str, licence: str
) -> None:
    entry = listed("pypi")
    place = installed(folder, entry)
    about = place / "lib/python3.11/site-packages/one_server-1.2.dist-info"
    (about / "licenses").mkdir(parents=True)
    (about / "METADATA").write_text(METADATA + lines)
    (about / "licenses/LICENSE").write_text(text)
    (place / "bin").mkdir()
    (place / "bin/one").touch()

    fetched = Packages(folder, folder).fetch(entry)

    assert (fetched.license, fetched.reason) == (licence, "")


def test_a_reason_does_not_say_where_on_this_machine_a_package_lies(script: ModuleType) -> None:
    folder = Path("/some/where")
    fault = 'it ended: File "/some/where/installed/pypi__one/lib/x", /some/where/node/bin/node'
    answer = script.without_paths(Scanned(target=Target(name="one"), fault=fault), folder)

    assert answer.fault == 'it ended: File "…/lib/x", …/bin/node'


def test_a_row_of_the_page_shows_hostile_text_as_text() -> None:
    record = Record(
        package=Package("npm", "one", "1.2"), scanned="2026-07-28", isolated=True, network="none",
        reason="it | ended <b>`now`</b>\n[so](there); the last that it wrote: File x / Error: *no* / at y",
    )  # fmt: skip
    row = next(line for line in page([(listed("npm", "one"), record)]).splitlines() if "npm: `one`" in line)

    assert row.endswith(r"| it \| ended bnow/b \[so\](there); the last that it wrote: Error: \*no\* |")
