"""With a policy that allows everything, an official client cannot tell the gate from the server."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import requests_made as made
from tests.e2e import world
from tests.e2e.driver import KINDS, Connection, Drivers, Http, Kind, Stdio

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

Json = Any
Gates = Callable[[str, Sequence[str] | str, Mapping[str, str]], Http]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@dataclass
class Subject:
    """A server: its command or URL, what to ask it, and how to make its world anew.

    `settled` is in the last notification that it sends by itself after the start.
    """

    reached_by: Sequence[str] | str
    asks: Sequence[made.Ask]
    env: Mapping[str, str] = field(default_factory=dict)
    reset: Callable[[], None] = lambda: None
    settled: str = ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transparency")


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """A page on loopback."""
    with page_server() as url:
        yield url


@contextmanager
def page_server() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/page"
            body = b"<html><body><article><h1>Title</h1><p>One paragraph of text.</p></article></body></html>"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/page"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def prepare_files(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    (folder / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(64)))
    (folder / "inner").mkdir()


@pytest.fixture(scope="module")
def subjects(folder: Path, page: str) -> Mapping[str, Callable[[], Subject]]:
    """Made when a test asks for one, so that a missing server skips only its own tests."""
    shared = folder / "files"

    def of_git() -> Subject:
        repository = folder / "repository"
        if not repository.exists():
            world.make_repository(folder)
        return Subject(world.published("git"), made.git(repository), world.GIT_ENVIRONMENT)

    def of_memory() -> Subject:
        graph = folder / "memory.jsonl"
        return Subject(
            world.memory(),
            made.MEMORY,
            {"MEMORY_FILE_PATH": str(graph)},
            lambda: graph.unlink(missing_ok=True),
        )

    def of_files() -> Subject:
        prepare_files(shared)
        return Subject(world.filesystem(shared), made.filesystem(shared), reset=lambda: prepare_files(shared))

    return {
        "everything": lambda: Subject(world.everything(), made.EVERYTHING, settled=ROOTS_KNOWN),
        "filesystem": of_files,
        "memory": of_memory,
        "git": of_git,
        "time": lambda: Subject(world.published("time", "--local-timezone", "UTC"), made.TIME),
        "fetch": lambda: Subject(
            world.published("fetch", "--allow-private-ips", "--ignore-robots-txt"),
            made.fetch(page),
            {"NO_PROXY": "127.0.0.1", "PATH": "/nowhere"},  # without Node it converts pages by itself
        ),
    }


@pytest.fixture(scope="module")
def gates(folder: Path) -> Iterator[Gates]:
    """HTTP gates in front of servers, one for each name, started when first asked for."""
    running: dict[str, world.Gate] = {}

    def of(name: str, upstream: Sequence[str] | str, env: Mapping[str, str]) -> Http:
        if name not in running:
            place = folder / f"gate-{name}"
            place.mkdir()
            running[name] = world.Gate(world.ALLOW_ALL, place, upstream=upstream, env=env)
        return running[name].http

    yield of
    for gate in running.values():
        assert gate.stop() == 0


@pytest.fixture(scope="module")
def http_subjects(folder: Path) -> Iterator[Callable[[str], Subject]]:
    """HTTP servers, started when first asked for."""
    running: dict[str, world.HttpServer] = {}

    def of(name: str) -> Subject:
        everything = name == "everything-http"
        if name not in running:
            start = world.everything_over_http if everything else world.modern_over_http
            running[name] = start(folder / f"{name}.log")
        url = running[name].url
        return Subject(url, made.EVERYTHING, settled=ROOTS_KNOWN) if everything else Subject(url, made.MODERN)

    yield of
    for server in running.values():
        server.stop(signal.SIGKILL)


@dataclass
class Seen:
    """Everything that a client got from a server."""

    about: Json
    answers: list[Json]
    notifications: list[str]
    questions: list[str]


ROOTS_KNOWN = "Roots updated"
"""What server-everything logs when it has asked for the roots, a third of a second after the start."""


def drive(connection: Connection, subject: Subject) -> Seen:
    """Make every request, one after the other, and gather what came back."""
    with connection:
        notes, questions = settle(connection, subject.settled)
        answers = [connection.ask(method, params) for method, params in subject.asks]
        heard = connection.heard()
        return Seen(
            connection.about,
            [made.steady(answer) for answer in answers],
            sorted(json.dumps(made.steady(note), sort_keys=True) for note in notes + heard["heard"]),
            sorted(questions + heard["asked"]),
        )


def settle(connection: Connection, sign: str) -> tuple[list[Json], list[str]]:
    """Listen until a notification holds `sign`; gives all that was heard and asked until then."""
    notes: list[Json] = []
    questions: list[str] = []
    while sign and sign not in json.dumps(notes):
        heard = connection.heard(count=1)
        notes += heard["heard"]
        questions += heard["asked"]
    return notes, questions


def assert_same(direct: Seen, through: Seen, asks: Sequence[made.Ask]) -> None:
    assert through.about == direct.about
    for ask, one, other in zip(asks, direct.answers, through.answers, strict=True):
        assert other == one, f"{ask} was answered differently through the gate"
    assert through.questions == direct.questions
    assert through.notifications == direct.notifications


NAMES = ("everything", "filesystem", "memory", "git", "time", "fetch")
names = pytest.mark.parametrize("name", NAMES)


@names
@kinds
def test_stdio_server_answers_alike_through_stdio_and_through_http(
    name: str,
    kind: Kind,
    subjects: Mapping[str, Callable[[], Subject]],
    gates: Gates,
    clients: Drivers,
    tmp_path: Path,
) -> None:
    """P6: under `default: allow` every method passes, both ways, as it is."""
    subject = subjects[name]()

    compare(name, subject, kind, clients, gates, tmp_path)


@pytest.mark.parametrize("name", ["everything-http", "modern-http"])
@kinds
def test_http_server_answers_alike_through_stdio_and_through_http(
    name: str,
    kind: Kind,
    http_subjects: Callable[[str], Subject],
    gates: Gates,
    clients: Drivers,
    tmp_path: Path,
) -> None:
    """P6: under `default: allow` every method passes, both ways, as it is."""
    compare(name, http_subjects(name), kind, clients, gates, tmp_path)


def compare(name: str, subject: Subject, kind: Kind, clients: Drivers, gates: Gates, folder: Path) -> None:
    """Ask a server directly, through a gate on stdio and through one on HTTP; compare everything."""
    targets: list[Stdio | Http] = [
        Http(subject.reached_by)
        if isinstance(subject.reached_by, str)
        else world.direct(subject.reached_by, folder, subject.env),
        world.gated(world.ALLOW_ALL, folder, upstream=subject.reached_by, env=subject.env),
        gates(name, subject.reached_by, subject.env),
    ]

    seen: list[Seen] = []
    for target in targets:
        subject.reset()
        seen.append(drive(clients.connect(kind, target, answers=True), subject))

    direct, by_stdio, by_http = seen
    assert len(direct.answers) == len(subject.asks)
    assert not [answer for answer in direct.answers if "fault" in answer]
    assert_same(direct, by_stdio, subject.asks)
    assert_same(direct, by_http, subject.asks)
