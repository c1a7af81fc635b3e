"""One filled shop for each process of tests, one engine on it for each file, and one PostgreSQL for all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needs_django_6
from tests.sandbox.django.world import Shells, copied, filled, shells, stock_of
from tests.tools.postgres import Postgres, postgres

LINES = ("5.2", "6.0")


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A filled shop that is only copied."""
    with filled() as project:
        yield project


@pytest.fixture
def project(template: Path) -> Iterator[Path]:
    """A shop of a test's own."""
    with copied(template) as project:
        yield project


@pytest.fixture(scope="module")
def common(template: Path) -> Iterator[Path]:
    """A shop for all tests of a file: they write nothing that another one reads."""
    with copied(template) as project:
        yield project


@contextmanager
def on_line(line: str, project: Path, **more: Any) -> Iterator[Shells]:
    """Behind walls, on a line of Django: the newer one has an interpreter of its own."""
    python = "" if line == LINES[0] else str(needs_django_6())
    with shells(project, python=python, **more) as made:
        assert made.runner.version.startswith(f"Django {line}")
        yield made


@pytest.fixture(scope="module", params=LINES)
def any_line(request: pytest.FixtureRequest, common: Path) -> Iterator[Shells]:
    """On each line of Django."""
    with on_line(request.param, common) as made:
        yield made


@pytest.fixture(scope="module", params=[(line, kind) for line in LINES for kind in ("sqlite", "postgresql")])
def any_shell(request: pytest.FixtureRequest, common: Path) -> Iterator[Shells]:
    """On each line of Django, on each kind of database."""
    line, kind = request.param
    more: dict[str, Any] = {}
    if kind == "postgresql":
        variables: dict[str, str] = request.getfixturevalue("stocked")
        more = {"settings": "bookshop.postgresql", "environment": tuple(variables), "environ": variables}
    with on_line(line, common, **more) as made:
        yield made


@pytest.fixture(scope="module")
def walled(common: Path) -> Iterator[Shells]:
    """Behind walls."""
    with shells(common) as made:
        yield made


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """PostgreSQL, with a filled shop as the template of others and two users beside its own."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="session")
def stock(server: Postgres, template: Path) -> dict[str, str]:
    """A database with the shop in it that is only copied."""
    return stock_of(server, template)


@pytest.fixture(scope="module")
def stocked(server: Postgres, stock: dict[str, str]) -> dict[str, str]:
    """A database of PostgreSQL with the shop in it, as variables; `keeper` owns it, `reader` may read."""
    return stock | {"BOOKSHOP_DB_NAME": server.database(stock["BOOKSHOP_DB_NAME"], "keeper")}


@pytest.fixture(autouse=True, scope="session")
def _no_compiled_files() -> Iterator[None]:
    """What tests compile in the project's source would be copied with it."""
    yield
    for folder in (Path(__file__).parent / "project").rglob("__pycache__"):
        shutil.rmtree(folder, ignore_errors=True)
