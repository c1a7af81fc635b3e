"""djangopackages.org, played by a server of the test: what is asked, and what is made of the answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from ostiary.errors import CallerFault, OstiaryError
from ostiary.servers.core.schema import Schema
from ostiary.servers.django.interface import interfaces
from ostiary.servers.django.packages import MAX_ANSWER, DjangoPackages

PACKAGE = {
    "category": "/api/v3/categories/apps/",
    "slug": "bookshelf",
    "title": "bookshelf",
    "description": "",
    "repo_description": "Shelves for books",
    "grids": ["/api/v3/grids/shelves/", "/api/v3/grids/books/"],
    "modified": "2026-01-02T03:04:05",
    "participants": "ann, bob,",
    "documentation_url": None,
    "pypi_url": "https://packages.example.org/bookshelf",
    "pypi_version": "1.2",
    "repo_forks": 3,
    "repo_url": "https://code.example.org/bookshelf",
    "repo_watchers": 5,
    "usage_count": 7,
}
GRID = {
    "title": "Shelves",
    "slug": "shelves",
    "description": "All kinds",
    "packages": ["/api/v3/packages/bookshelf/"],
}
FOUND = [
    {
        "item_type": "package",
        "slug": "bookshelf",
        "title": "bookshelf",
        "repo_watchers": 5,
        "participants": ["a"],
    },
    {"item_type": "grid", "slug": "shelves", "title": "Shelves", "description": "All kinds", "score": 1},
]
ANSWERS: dict[str, Any] = {
    "/api/v4/search/?q=books%20%26%20shelves": FOUND,
    "/api/v3/packages/bookshelf/": PACKAGE,
    "/api/v3/grids/shelves/": GRID,
    "/api/v3/grids/number/": 7,
    "/api/v3/grids/bare/": {"slug": "bare"},
    "/api/v3/packages/list/": {**PACKAGE, "repo_watchers": "5"},
}


class Site(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = json.dumps(ANSWERS.get(self.path)).encode()
        status = 200 if self.path in ANSWERS else 404
        if self.path.endswith("/long/"):
            status, body = 200, b'"' + b"x" * MAX_ANSWER + b'"'
        if self.path.endswith("/broken/"):
            status, body = 200, b"<html>"
        if self.path.endswith("/deep/"):
            status, body = 200, b"[" * 100_000
        if self.path.endswith("/down/"):
            status = 503
        if self.path.endswith("/away/"):
            status = 302
        self.send_response(status)
        self.send_header("Location", "https://elsewhere.example.org/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        return


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join(5)


def ask(site: str, question: Callable[[DjangoPackages], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(5):
            return await question(DjangoPackages(site))

    return asyncio.run(bounded())


def test_a_search_finds_packages_and_grids(site: str) -> None:
    found = ask(site, lambda packages: packages.search("books & shelves"))

    assert Schema(interfaces()["djangopackages_search"].output_schema).problem({"result": found}) is None
    assert [one["item_type"] for one in found] == ["package", "grid"]
    assert found[0]["participants"] == 1
    assert set(found[1]) == {"item_type", "slug", "title", "description"}


def test_a_package_is_named_by_the_last_parts_of_addresses(site: str) -> None:
    found = ask(site, lambda packages: packages.package("bookshelf"))

    assert Schema(interfaces()["djangopackages_get_package"].output_schema).problem(found) is None
    assert list(found) == list(interfaces()["djangopackages_get_package"].output_schema["properties"])
    assert (found["category"], found["grids"]) == ("apps", ["shelves", "books"])
    assert (found["description"], found["participants"]) == ("Shelves for books", 2)
    assert found["last_updated"] == "2026-01-02T03:04:05"


def test_a_grid_has_its_packages(site: str) -> None:
    found = ask(site, lambda packages: packages.grid("shelves"))

    assert Schema(interfaces()["djangopackages_get_grid"].output_schema).problem(found) is None
    assert found == {
        "title": "Shelves",
        "slug": "shelves",
        "description": "All kinds",
        "packages": ["bookshelf"],
    }


@pytest.mark.parametrize(
    ("slug", "words"),
    [
        ("nothing", "nothing by that name"),
        ("number", "not what it is known to send"),
        ("bare", "not what it is known to send"),
        ("broken", "not what it is known to send"),
        ("deep", "not what it is known to send"),
        ("long", "longer than"),
        ("down", "answered with status 503"),
        ("away", "is not followed"),
    ],
)
def test_an_answer_that_cannot_be_used_is_said(site: str, slug: str, words: str) -> None:
    with pytest.raises(OstiaryError, match=words):
        ask(site, lambda packages: packages.grid(slug))


def test_a_member_of_another_type_is_not_handed_on(site: str) -> None:
    with pytest.raises(OstiaryError, match="not what it is known to send"):
        ask(site, lambda packages: packages.package("list"))


@pytest.mark.parametrize("slug", ["../search", "a/b", "a?b", "", "ä", "a" * 101])
def test_what_is_no_slug_is_not_asked_for(site: str, slug: str) -> None:
    before = len(Site.asked)
    with pytest.raises(CallerFault, match="is not a slug"):
        ask(site, lambda packages: packages.package(slug))

    assert len(Site.asked) == before


def test_without_a_site_it_is_said_how_to_name_one() -> None:
    with pytest.raises(CallerFault, match=r"--djangopackages https://djangopackages\.org"):
        ask("", lambda packages: packages.search("x"))


def test_an_address_that_is_none_is_refused_at_start() -> None:
    with pytest.raises(CallerFault, match="--djangopackages"):
        DjangoPackages("ftp://packages.example.org")
