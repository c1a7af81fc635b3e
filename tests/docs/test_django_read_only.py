"""The page on read-only Django shells, followed: on a real PostgreSQL, and on a file of SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, fences
from tests.sandbox.django.world import copied, filled, own, shells, stock_of
from tests.tools.postgres import Postgres, postgres

PAGE = ROOT / "docs/how-to/django-read-only.md"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with filled() as project:
        yield project


@pytest.fixture
def project(template: Path) -> Iterator[Path]:
    with copied(template) as project:
        yield project


def blocks(label: str) -> list[str]:
    return [one.text for one in fences(PAGE) if one.label == label]


def block(first: str) -> str:
    """The block of Python that begins with this comment."""
    found = [text for text in blocks("python") if text.startswith(f"# {first}\n")]
    assert len(found) == 1
    return found[0]


def test_the_role_of_the_page_reads_and_cannot_write_by_any_way(server: Postgres, project: Path) -> None:
    variables = stock_of(server, project)
    database = variables["BOOKSHOP_DB_NAME"]
    server.sql("DROP ROLE IF EXISTS shell_reader")
    # Roles are made by whoever may; everything else by the owner, as the page says.
    first, *grants = [line for text in blocks("sql") for line in text.splitlines()]
    assert first.startswith("CREATE ROLE ")
    server.sql(first)
    for line in grants:
        server.sql(
            line, database=database, user="postgres" if "ROLE" in line or "REVOKE" in line else "keeper"
        )
    server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO shell_reader", database=database)
    settings = project / "bookshop/shell.py"
    settings.write_text(block("the module mysite.shell").replace("mysite.settings", "bookshop.postgresql"))
    own(settings)

    try:
        with shells(
            project,
            settings="bookshop.shell",
            environment=tuple(variables),
            environ=variables,
            mode="read-only",
        ) as shop:
            assert shop.run("from shop.models import Book; Book.objects.count()").json == "3"
            assert (
                "guard rail"
                in shop.run("from shop.models import Book; Book.objects.all().delete()").error.message
            )
            told = shop.run(block("try it"))
            assert "permission denied for table django_migrations" in told.error.message
            later = "CREATE TABLE later (n int); INSERT INTO later VALUES (5)"
            server.sql(later, database=database, user="keeper")
            code = (
                "from django.db import connection\n"
                "with connection.cursor() as c:\n"
                "    c.execute('SELECT n FROM later')\n"
                "    n = c.fetchone()[0]\n"
                "n"
            )
            assert shop.run(code).json == "5"
    finally:
        server.sql("DROP OWNED BY shell_reader CASCADE", database=database)
        server.sql("DROP OWNED BY shell_reader CASCADE", "DROP ROLE shell_reader")


def test_the_file_of_the_page_cannot_be_written(project: Path) -> None:
    with shells(project, mode="read-only") as shop:
        told = shop.run(block("try it with sqlite"))
        assert "attempt to write a readonly database" in told.error.message
        assert shop.run("from shop.models import Book; Book.objects.count()").json == "3"


def test_the_page_says_what_is_answered() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "`permission denied for table django_migrations`" in text
    assert "`attempt to write a readonly database`" in text
