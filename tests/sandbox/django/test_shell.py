"""Code in a session and without one: what it gives back, and what stays."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.django.world import Shells

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def shell(any_shell: Shells) -> Shells:
    """Where code is run; each test uses a session of its own name."""
    return any_shell


@pytest.fixture
def session(request: pytest.FixtureRequest, shell: Shells):
    """A session that is closed after the test."""
    yield request.node.name
    shell.close(request.node.name)


def test_a_session_keeps_names_and_a_run_without_one_keeps_none(shell: Shells, session: str) -> None:
    assert shell.run("x = 41", session=session).status == "success"
    assert shell.run("x + 1", session=session).json == "42"
    assert shell.run("x = 41").status == "success"
    told = shell.run("x")
    assert told.status == "error"
    assert told.error.type == "NameError"


def test_the_value_of_the_last_expression_is_text_and_json(shell: Shells) -> None:
    told = shell.run("print('seen')\n{'a': [1, 2.5, None, 10**30]}")
    assert told.stdout.shown == "seen\n"
    assert told.result.text == "{'a': [1, 2.5, None, 1000000000000000000000000000000]}"
    assert json.loads(told.json) == {"a": [1, 2.5, None, 10**30]}


def test_a_model_is_text_and_no_json(shell: Shells) -> None:
    told = shell.run("from shop.models import Book; Book.objects.get(title='Emma')")
    assert told.result.text == "<Book: Emma>"
    assert told.result.json is None


def test_names_of_a_script_are_those_of_a_script(shell: Shells) -> None:
    code = "import pickle\nclass Mine: pass\nif __name__ == '__main__': print(Mine.__module__)\n"
    told = shell.run(code + "type(pickle.loads(pickle.dumps(Mine()))) is Mine")
    assert told.stdout.shown == "__main__\n"
    assert told.json == "true"


def test_settings_are_there_and_the_project_is_set_up(shell: Shells) -> None:
    assert shell.run("settings.ROOT_URLCONF").result.text == "bookshop.urls"
    assert shell.run("from shop.models import Book; Book.objects.count()").json == "3"


def test_a_traceback_shows_the_line_and_none_of_our_frames(shell: Shells, session: str) -> None:
    shell.run("pass", session=session)
    told = shell.run("def half(n):\n    return 1 / n\nhalf(0)", session=session)
    assert told.error.type == "ZeroDivisionError"
    lines = told.error.traceback.splitlines()
    assert lines[1] == '  File "<cell 2>", line 3, in <module>'
    assert lines[2] == "    half(0)"
    assert '  File "<cell 2>", line 2, in half' in lines
    assert "ostiary" not in told.error.traceback
    assert told.stderr.shown == ""


def test_a_traceback_of_awaited_code_begins_with_it(shell: Shells) -> None:
    told = shell.run("from shop.models import Book\nawait Book.objects.aget(pk=-1)")
    assert told.error.type == "shop.models.Book.DoesNotExist"
    assert told.error.traceback.splitlines()[1] == '  File "<cell 1>", line 2, in <module>'


def test_what_awaits_may_stand_at_the_top(shell: Shells) -> None:
    code = (
        "from shop.models import Book\n"
        "n = await Book.objects.acount()\n"
        "[b.title async for b in Book.objects.order_by('title')][:n]"
    )
    assert json.loads(shell.run(code).json) == ["Emma", "Persuasion", "The Time Machine"]


def test_tasks_of_one_piece_of_code_run_together(shell: Shells) -> None:
    code = (
        "import asyncio\n"
        "async def f(n):\n"
        "    await asyncio.sleep(0)\n"
        "    return n\n"
        "t = asyncio.create_task(f(1))\n"
        "await asyncio.gather(t, f(2))"
    )
    assert shell.run(code).json == "[1, 2]"


def test_reading_input_is_the_end_of_it(shell: Shells) -> None:
    assert shell.run("input('who? ')").error.type == "EOFError"


def test_what_a_program_writes_is_captured(shell: Shells) -> None:
    shell.needs_processes()
    told = shell.run("import os, sys\nos.system('echo out; echo err >&2')\nprint('mine', file=sys.stderr)")
    assert told.stdout.shown == "out\n"
    assert told.stderr.shown == "err\nmine\n"


def test_the_projects_own_warnings_are_on_stderr_and_nothing_of_ours(shell: Shells) -> None:
    told = shell.run("import logging, warnings\nlogging.getLogger('shop').warning('low stock')")
    assert told.stderr.shown == "low stock\n"


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "raise SystemExit(3)", "exit(3)"])
def test_leaving_is_told_and_loses_nothing(shell: Shells, session: str, code: str) -> None:
    shell.run("x = 1", session=session)
    told = shell.run(code, session=session)
    assert (told.status, told.error.category, told.error.type) == ("error", "exit", "SystemExit")
    assert "status 3" in told.error.message
    assert not told.session_lost
    assert shell.run("x", session=session).json == "1"


def test_leaving_with_nothing_to_say_is_no_fault(shell: Shells) -> None:
    assert shell.run("import sys; print('done'); sys.exit()").status == "success"


def test_an_interrupt_is_told_and_loses_nothing(shell: Shells, session: str) -> None:
    shell.run("x = 1", session=session)
    told = shell.run("raise KeyboardInterrupt", session=session)
    assert (told.status, told.error.type, told.session_lost) == ("error", "KeyboardInterrupt", False)
    assert shell.run("x", session=session).json == "1"


def test_context_is_there_as_names(shell: Shells) -> None:
    assert shell.run("wanted['k'][1]", context={"wanted": {"k": [1, 2]}}).json == "2"


def test_two_sessions_of_one_name_and_two_owners_are_two(shell: Shells, session: str) -> None:
    shell.run("x = 'ana'", session=session)
    assert shell.run("x", session=session, owner="ben").error.type == "NameError"
    assert shell.close(session, "ben")
    assert shell.run("x", session=session).result.text == "ana"


def test_random_numbers_of_two_runs_differ(shell: Shells) -> None:
    code = "import random, uuid; [random.random(), random.getrandbits(64), str(uuid.uuid4())]"
    first, second = (json.loads(shell.run(code).json) for _ in range(2))
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_what_is_written_to_the_database_stays(shell: Shells) -> None:
    made = shell.run("from shop.models import Tag; Tag.objects.create(word='kept').pk").json
    assert shell.run(f"from shop.models import Tag; Tag.objects.get(pk={made}).delete()[0]").json == "1"


def test_a_wrong_piece_of_syntax_is_told_with_its_place(shell: Shells) -> None:
    told = shell.run("x = 1\nif x\n    pass")
    assert told.error.type == "SyntaxError"
    assert 'File "<cell 1>", line 2' in told.error.traceback
