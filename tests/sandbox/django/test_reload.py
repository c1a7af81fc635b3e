"""A project that changes while its shell is open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.limits import Limits
from tests.sandbox.django.world import Shells, own, shells

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def shop(project: Path) -> Iterator[Shells]:
    """A shell on a shop whose files a test may change."""
    with shells(project) as made:
        yield made


def change(shop: Shells, name: str, text: str) -> None:
    """Write a file of the project."""
    (shop.project / name).write_text(text)
    own(shop.project / name)


GROSS = "from shop.prices import gross; gross(100)"


def test_a_session_runs_what_the_file_says_now_and_says_that_its_names_are_gone(shop: Shells) -> None:
    shop.run("x = 1", session="s")
    assert shop.run(GROSS, session="s").json == "107"
    change(shop, "shop/prices.py", "def gross(net):\n    return net * 2\n")
    told = shop.run(GROSS, session="s")
    assert told.json == "200"
    assert told.stderr.shown.startswith("ostiary: prices.py changed: ")
    assert "names of this session are gone" in told.notes[0]
    assert not told.session_lost
    assert shop.run("x", session="s").error.type == "NameError"
    assert shop.run(GROSS, session="s").stderr.shown == ""


def test_what_code_says_that_has_changed_is_told_as_a_short_name_and_nothing_else(shop: Shells) -> None:
    code = (
        "import sys\nframe = sys._getframe()\n"
        "while 'loaded' not in frame.f_locals: frame = frame.f_back\n"
        "frame.f_locals['loaded'].watch._times = {'/x/' + chr(10) + chr(27) + '[2J' + 'n' * 3_000: 1}"
    )
    assert shop.run(code, session="s").status == "success"
    told = shop.run("1", session="s")
    assert told.json == "1"
    assert told.notes[0].startswith("??[2Jnnn")
    assert len(told.notes[0]) < 250


def test_the_time_that_a_new_start_takes_is_not_the_codes(shop: Shells) -> None:
    """Loading the project anew takes longer than this code may."""
    shop.run("x = 1", session="s")
    models = (shop.project / "shop/models.py").read_text()
    change(shop, "shop/models.py", f"import time\ntime.sleep(0.5)\n{models}")
    told = shop.run("1", session="s", limits=Limits(wall_ms=400))
    assert told.json == "1"
    assert told.notes


def test_a_run_without_a_session_sees_a_change_of_what_was_loaded(shop: Shells) -> None:
    code = "from shop.models import Book; str(Book.objects.get(title='Emma'))"
    assert shop.run(code).result.text == "Emma"
    models = (shop.project / "shop/models.py").read_text()
    change(shop, "shop/models.py", models.replace("str(self.title)", "'a book'"))
    assert shop.run(code).result.text == "a book"
    assert shop.troubles == []


def test_a_file_that_nobody_has_imported_changes_nothing(shop: Shells) -> None:
    shop.run("x = 1", session="s")
    change(shop, "shop/prices.py", "VAT = 19\n")
    change(shop, "notes.txt", "nothing\n")
    assert shop.run("x", session="s").json == "1"


def test_a_new_module_can_be_imported_at_once(shop: Shells) -> None:
    shop.run("import shop", session="s")
    assert shop.run("import shop.fresh", session="s").error.type == "ModuleNotFoundError"
    change(shop, "shop/fresh.py", "A = 5\n")
    assert shop.run("import shop.fresh; shop.fresh.A", session="s").json == "5"


def test_a_project_that_no_longer_loads_is_told_in_pythons_words_until_it_does(shop: Shells) -> None:
    shop.run("x = 1", session="s")
    models = (shop.project / "shop/models.py").read_text()
    change(shop, "shop/models.py", "class Book(:\n")
    for session in ("s", ""):
        told = shop.run("1", session=session)
        assert told.error.category == "worker"
        assert "does not load: SyntaxError: " in told.error.message
    change(shop, "shop/models.py", models)
    assert shop.run("1", session="s").json == "1"
    assert shop.run("1").json == "1"


def test_another_session_notices_by_itself(shop: Shells) -> None:
    for session in ("s", "t"):
        shop.run(GROSS, session=session)
    change(shop, "shop/prices.py", "def gross(net):\n    return 3\n")
    assert [shop.run(GROSS, session=one).json for one in ("s", "t")] == ["3", "3"]
