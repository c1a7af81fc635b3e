"""The shell as clients see it: what it keeps, what it survives, what it shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.driver import PYTHON_2, PYTHON_2_LEGACY, Drivers
from tests.e2e.world import wait_for
from tests.servers.django.world import Client, over_stdio, run_of, structured, texts

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]
SECRET = "made-up-secret-4711"


@pytest.fixture(scope="module", params=[PYTHON_2, PYTHON_2_LEGACY], ids=lambda kind: kind.name)
def shell(
    request: pytest.FixtureRequest, clients: Drivers, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    target = over_stdio(
        tmp_path_factory.mktemp("shell"), project, "--timeout", "5", env={"SECRET_TOKEN": SECRET}
    )
    with clients.connect(request.param, target) as connection:
        yield Client(connection)


@pytest.fixture(scope="module")
def fresh(clients: Drivers, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    target = over_stdio(tmp_path_factory.mktemp("fresh"), project, "--state", "fresh")
    with clients.connect(PYTHON_2, target) as connection:
        yield Client(connection)


def test_names_stay_from_call_to_call(shell: Client) -> None:
    shell.execute("x = 1")

    assert shell.value("x") == 1


def test_with_state_fresh_they_do_not_and_that_is_data(fresh: Client) -> None:
    fresh.execute("x = 1")

    assert fresh.raised("x")["exc_type"] == "NameError"


def test_the_value_of_the_last_expression_is_shown_and_is_in_the_record(shell: Client) -> None:
    answer = shell.connection.call("execute", code="2+2")

    assert texts(answer) == ['{"status":"success","output":{},"stdout":"","stderr":""}', "value: 4"]
    assert run_of(answer)["result"] == {"text": "4", "json": "4"}
    assert answer["result"]["_meta"]["fastmcp"] == {"wrap_result": True}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import sys; sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os._exit(1)", "SystemExit"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    ],
)
def test_code_that_leaves_is_answered_and_the_next_call_works(shell: Client, code: str, kind: str) -> None:
    assert shell.raised(code)["exc_type"] == kind
    assert shell.value("1 + 1") == 2


def test_a_shell_that_was_killed_says_that_its_names_are_gone(shell: Client) -> None:
    shell.execute("kept = 1")
    answer = shell.connection.call("execute", code="import os; os._exit(1)")

    assert any("its variables are gone" in one for one in texts(answer))
    assert run_of(answer)["session_lost"] is True
    assert shell.raised("kept")["exc_type"] == "NameError"


def test_a_loop_is_ended_when_its_time_is_up_and_keeps_what_it_printed_and_named(shell: Client) -> None:
    shell.execute("kept = 1")
    told = shell.execute("print('begun', flush=True)\nwhile True: pass")

    assert told["stdout"] == "begun\n"
    assert told["output"]["exception"]["exc_type"] == "TimeLimit"
    assert shell.value("kept") == 1


def test_there_is_nothing_to_read_on_standard_input(shell: Client) -> None:
    assert shell.raised("input('x')")["exc_type"] == "EOFError"


def test_what_a_child_process_writes_is_captured_and_the_protocol_stays_clean(shell: Client) -> None:
    assert shell.execute("import os; os.system('echo hi')")["stdout"] == "hi\n"


def test_two_megabytes_are_cut_and_can_be_read_whole(shell: Client) -> None:
    answer = shell.connection.call("execute", code="print('y' * 2_000_000)")
    run = run_of(answer)

    assert len(json.dumps(answer)) < 200_000
    assert (run["stdout_truncated"], run["stdout_bytes"]) == (True, 2_000_001)
    assert any(f"all of it is {run['uri']}/stdout" in one for one in texts(answer))
    whole = shell.connection.ask("resources/read", {"uri": f"{run['uri']}/stdout"})
    assert len(whole["result"]["contents"][0]["text"]) == 2_000_001


def test_secrets_of_the_host_are_nowhere(shell: Client) -> None:
    shell.execute(
        "import os, pathlib\n"
        "def content(path):\n"
        "    try:\n"
        "        return pathlib.Path(path).read_bytes().decode(errors='replace')\n"
        "    except OSError as error:\n"
        "        return str(error)\n"
    )

    found = shell.value("[str(dict(os.environ)), content('/proc/self/environ'), content('/proc/1/environ')]")
    assert SECRET not in str(found)


def test_secrets_of_the_project_are_masked_in_what_it_prints(shell: Client) -> None:
    told = shell.execute("print(settings.PAYMENT_TOKEN)")

    assert "tok_made_up_5561" not in json.dumps(told)


def test_a_variable_of_the_host_is_there_when_it_was_named(
    clients: Drivers, project: Path, tmp_path: Path
) -> None:
    target = over_stdio(tmp_path, project, "--env", "GREETING", env={"GREETING": "hello", "OTHER": "x"})
    with clients.connect(PYTHON_2, target) as connection:
        value = Client(connection).value("import os; [os.environ.get('GREETING'), os.environ.get('OTHER')]")

    assert value == ["hello", None]


def test_an_error_shows_the_line_it_came_from_and_nothing_of_the_server(shell: Client) -> None:
    told = shell.execute("x = 1\n1/0")
    exception = told["output"]["exception"]

    assert (exception["exc_type"], exception["message"]) == ("ZeroDivisionError", "division by zero")
    [frame] = exception["traceback"]
    assert frame.startswith('File "<cell ')
    assert frame.endswith('", line 2, in <module>\n  1/0\n  ~^~')
    assert told["stderr"] == ""


def test_code_is_the_main_module_and_what_it_defines_can_be_pickled(shell: Client) -> None:
    code = "class Thing: pass\nimport pickle\nok = pickle.loads(pickle.dumps(Thing())).__class__ is Thing\n"

    assert shell.value(code + "[__name__, Thing.__module__, ok]") == ["__main__", "__main__", True]


def test_the_orm_works_as_it_is_and_awaited(shell: Client) -> None:
    assert shell.value("from shop.models import Book; Book.objects.count()") == 3
    assert shell.value("await Book.objects.acount()") == 3
    assert shell.value("[one.title async for one in Book.objects.order_by('title')][:1]") != []


def test_more_than_one_client_is_more_than_one_session(
    clients: Drivers, project: Path, tmp_path: Path
) -> None:
    with (
        clients.connect(PYTHON_2_LEGACY, over_stdio(tmp_path / "a", project)) as one,
        clients.connect(PYTHON_2_LEGACY, over_stdio(tmp_path / "b", project)) as two,
    ):
        Client(one).execute("x = 1")

        assert Client(two).raised("x")["exc_type"] == "NameError"


def test_a_module_that_was_changed_is_read_again_and_that_is_said(
    clients: Drivers, own: Path, tmp_path: Path
) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, own)) as connection:
        shell = Client(connection)
        module = own / "shop/added.py"
        module.write_text("WORD = 'old'\n", encoding="utf-8")
        assert shell.value("from shop import added; added.WORD") == "old"

        module.write_text("WORD = 'newer'\n", encoding="utf-8")
        answer = connection.call("execute", code="from shop import added; added.WORD")

        assert json.loads(run_of(answer)["result"]["json"]) == "newer"
        assert "changed" in " ".join([*texts(answer)[1:], structured(answer)["result"]["stderr"]])


def test_a_session_can_be_named(clients: Drivers, project: Path, tmp_path: Path) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, project, "--extended")) as connection:
        shell = Client(connection)
        assert shell.execute("x = 1\nx", session="one")["output"] == {"value": {"text": "1", "json": "1"}}
        assert shell.raised("x")["exc_type"] == "NameError"
        assert shell.execute("x", session="one")["status"] == "success"
        late = shell.execute("while True: pass", timeout_ms=100)
        assert late["output"]["exception"]["exc_type"] == "TimeLimit"


def test_a_project_that_does_not_load_is_a_failure_that_says_why(
    clients: Drivers, own: Path, tmp_path: Path
) -> None:
    (own / "bookshop/settings.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    with clients.connect(PYTHON_2, over_stdio(tmp_path, own)) as connection:
        assert "nowhere_to_be_found" in Client(connection).failing("execute", code="1")
        assert len(connection.ask("tools/list")["result"]["tools"]) == 13
    wait_for("the log", lambda: "could not warm up" in (tmp_path / "log").read_text(encoding="utf-8"))
