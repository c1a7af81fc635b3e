"""Behaviours on the wire that mcp-django 0.14.0 has and its written suite holds on to, with its names.

Written against what that server was seen to answer, under `--naming prefixed --state fresh`. Where ours
differs on purpose, the test says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.driver import PYTHON_1, PYTHON_2, Drivers
from tests.sandbox.django.world import copied
from tests.servers.django.world import Client, over_stdio, texts

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]
LOGIN_FREE = "shop/books/"


@pytest.fixture(scope="module")
def written(project: Path) -> Iterator[Path]:
    with copied(project) as made:
        yield made


@pytest.fixture(scope="module", params=[PYTHON_1, PYTHON_2], ids=lambda kind: kind.name)
def server(
    request: pytest.FixtureRequest, clients: Drivers, written: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    options = ("--naming", "prefixed", "--state", "fresh")
    target = over_stdio(tmp_path_factory.mktemp("prefixed"), written, *options)
    with clients.connect(request.param, target) as connection:
        yield Client(connection, prefix=True)


@pytest.fixture(autouse=True)
def _empty_history(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").tool("shell_clear_history")


def execute(server: Client, code: str) -> dict[str, Any]:
    return server.tool("shell_execute", code=code)["result"]


# --- what is there ----------------------------------------------------------------------------------


def test_the_thirteen_tools_are_listed_in_order(server: Client) -> None:
    assert [tool["name"] for tool in server.connection.ask("tools/list")["result"]["tools"]] == [
        "djangopackages_get_grid", "djangopackages_get_package", "djangopackages_search",
        "management_execute_command", "management_list_commands", "project_get_project_info",
        "project_list_apps", "project_list_models", "project_list_routes", "project_get_setting",
        "shell_execute", "shell_export_history", "shell_clear_history",
    ]  # fmt: skip


def test_the_instructions_say_what_there_is(server: Client) -> None:
    assert "Django" in server.connection.about["instructions"]


def test_resources_and_templates_have_the_addresses_on_the_wire(server: Client) -> None:
    listed = server.connection.ask("resources/list")["result"]["resources"]
    templates = server.connection.ask("resources/templates/list")["result"]["resourceTemplates"]

    assert {"django://project/apps", "django://project/models"} <= {one["uri"] for one in listed}
    assert {
        "django://project/app/{app_label}", "django://project/app/{app_label}/models",
        "django://project/model/{app_label}/{model_name}", "django://project/route/{pattern*}",
        "django://project/setting/{key}", "django://djangopackages/package/{slug}",
        "django://djangopackages/grid/{slug}",
    } <= {one["uriTemplate"] for one in templates}  # fmt: skip


def test_there_are_no_prompts(server: Client) -> None:
    assert "prompts" not in server.connection.about["capabilities"]


# --- the shell --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "stdout"),
    [
        ("print('hi')", "hi\n"),
        ("2 + 2", ""),
        ("x = 5", ""),
        ("", ""),
        ("# only words", ""),
        ("x = 5\ny = 10\nprint(x + y)", "15\n"),
        ("for n in range(3):\n    print(n)", "0\n1\n2\n"),
        ("print('eins')\nprint('zwei')\n", "eins\nzwei\n"),
        ("print('ünïcode ✓')", "ünïcode ✓\n"),
    ],
)
def test_code_that_succeeds(server: Client, code: str, stdout: str) -> None:
    assert execute(server, code) == {"status": "success", "output": {}, "stdout": stdout, "stderr": ""}


def test_the_text_is_the_inner_object_and_the_reply_says_that_it_was_wrapped(server: Client) -> None:
    answer = server.connection.call("shell_execute", code="print('hi')")

    assert texts(answer)[0] == '{"status":"success","output":{},"stdout":"hi\\n","stderr":""}'
    assert answer["result"]["_meta"]["fastmcp"] == {"wrap_result": True}


def test_standard_error_is_captured(server: Client) -> None:
    assert execute(server, "import sys; print('no', file=sys.stderr)")["stderr"] == "no\n"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("nowhere", "NameError", "name 'nowhere' is not defined"),
        ("def f(:", "SyntaxError", "invalid syntax"),
        ("import nowhere_at_all", "ModuleNotFoundError", "No module named 'nowhere_at_all'"),
        ("raise ValueError('why')", "ValueError", "why"),
        (
            "from shop.models import Book; Book.objects.get(pk=-1)",
            "DoesNotExist",
            "matching query does not exist",
        ),
    ],
)
def test_code_that_fails_is_data_with_its_exception(server: Client, code: str, kind: str, words: str) -> None:
    told = execute(server, code)

    assert told["status"] == "error"
    assert told["output"]["exception"]["exc_type"] == kind
    assert words in told["output"]["exception"]["message"]
    assert told["stderr"] == ""  # theirs has a line of the server's written log here


def test_what_was_printed_before_an_error_is_there(server: Client) -> None:
    told = execute(server, "print('before')\n1/0")

    assert (told["status"], told["stdout"]) == ("error", "before\n")


def test_nothing_is_kept_between_calls(server: Client) -> None:
    execute(server, "x = 42\nimport math\ndef f(): return 1")

    for name in ("x", "math", "f"):
        assert execute(server, name)["output"]["exception"]["exc_type"] == "NameError"


def test_models_can_be_imported_queried_and_written(server: Client) -> None:
    code = (
        "from shop.models import Tag\n"
        "made, new = Tag.objects.get_or_create(word='found')\n"
        "print(Tag.objects.filter(word='found').count())\n"
        "made.delete()"
    )

    assert execute(server, code)["stdout"] == "1\n"


def test_the_exported_script_has_the_steps_that_succeeded_and_their_imports_at_the_top(
    server: Client,
) -> None:
    execute(server, "import os\nprint(os.name)")
    execute(server, "1/0")
    execute(server, "from datetime import date\nimport os\nx = date.today()")

    made = server.tool("shell_export_history")["result"]
    head, _, steps = made.partition("# Step 1")
    assert made.startswith("# Django Shell Session Export\n# Generated: ")
    assert "from datetime import date\nimport os\n" in head
    assert "1/0" not in made
    assert "import" not in steps  # theirs leaves them in the steps, too
    assert "# Step 2\nx = date.today()" in steps


def test_an_empty_history_makes_a_script_that_says_so(server: Client) -> None:
    execute(server, "1/0")

    assert server.tool("shell_export_history") == {"result": "# No history to export\n"}


def test_an_export_into_a_file_says_how_much_and_shows_its_beginning(server: Client, written: Path) -> None:
    execute(server, "\n".join(f"x{n} = {n}" for n in range(30)))

    told = server.tool("shell_export_history", filename="exported")["result"]
    content = (written / "exported.py").read_text(encoding="utf-8")
    (written / "exported.py").unlink()
    lines = content.rstrip("\n").split("\n")
    assert told.split("\n")[0] == f"Exported {len(lines)} lines to exported.py"
    assert told.split("\n")[2:22] == lines[:20]
    assert told.split("\n")[-1] == f"... ({len(lines) - 20} more lines)"


def test_an_export_to_an_absolute_path_is_refused(server: Client) -> None:
    execute(server, "x = 1")

    assert "Absolute paths not allowed" in server.failing("shell_export_history", filename="/tmp/x.py")


def test_clearing_the_history_says_so(server: Client) -> None:
    execute(server, "x = 1")

    assert server.tool("shell_clear_history") == {"result": "Django shell history has been cleared."}
    assert server.tool("shell_export_history") == {"result": "# No history to export\n"}


# --- management commands ----------------------------------------------------------------------------


def test_a_command_that_succeeds(server: Client) -> None:
    assert server.tool("management_execute_command", command="check") == {
        "status": "success", "command": "check", "args": [], "options": {},
        "stdout": "System check identified no issues (0 silenced).\n", "stderr": "", "exception": None,
    }  # fmt: skip


def test_arguments_and_options_reach_the_command_and_are_told_again(server: Client) -> None:
    told = server.tool(
        "management_execute_command", command="showmigrations", args=["shop"], options={"verbosity": 1}
    )

    assert (told["args"], told["options"]) == (["shop"], {"verbosity": 1})
    assert told["stdout"].startswith("shop\n")


def test_options_may_be_numbers_truths_and_texts(server: Client) -> None:
    options = {"plan": True, "verbosity": 2, "database": "default"}
    told = server.tool("management_execute_command", command="migrate", options=options)

    assert told["status"] == "success"
    assert "No planned migration operations" in told["stdout"]
    assert told["options"] == options


def test_arguments_may_be_null(server: Client) -> None:
    told = server.tool("management_execute_command", command="check", args=None, options=None)

    assert (told["status"], told["args"], told["options"]) == ("success", [], {})


def test_an_unknown_command_is_data(server: Client) -> None:
    told = server.tool("management_execute_command", command="nowhere")

    assert (told["status"], told["stdout"], told["stderr"]) == ("error", "", "")
    assert told["exception"]["type"] == "CommandError"
    assert "Unknown command: 'nowhere'" in told["exception"]["message"]


def test_an_app_that_is_unknown_to_a_command_does_not_end_the_server(server: Client) -> None:
    told = server.tool("management_execute_command", command="showmigrations", args=["nowhere"])

    assert told["exception"] == {"type": "SystemExit", "message": "2"}  # theirs ends here
    assert server.tool("management_execute_command", command="check")["status"] == "success"


def test_commands_are_listed_with_their_apps_in_order(server: Client) -> None:
    listed = server.tool("management_list_commands")["result"]

    assert {"name": "check", "app_name": "django.core"} in listed
    assert {"name": "restock", "app_name": "shop"} in listed
    assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)
    assert all(set(one) == {"name", "app_name"} for one in listed)


# --- the project ------------------------------------------------------------------------------------


def test_project_info(server: Client, written: Path) -> None:
    told = server.tool("project_get_project_info")

    assert set(told["python"]) == {
        "base_prefix", "executable", "path", "platform", "prefix", "version_info",
    }  # fmt: skip
    assert told["django"]["apps"][-1] == "shop"
    assert told["django"]["auth_user_model"] == "django.contrib.auth.models.User"
    assert told["django"]["base_dir"] == str(written)
    assert told["django"]["databases"] == {
        "default": {"engine": "django.db.backends.sqlite3", "name": str(written / "db.sqlite3")}
    }
    assert told["django"]["settings_module"] == "bookshop.settings"
    assert len(told["django"]["version"]) == len(told["python"]["version_info"]) == 5


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("DEBUG", True, "bool"),
        ("ALLOWED_HOSTS", ["localhost"], "list"),
        ("ROOT_URLCONF", "bookshop.urls", "str"),
        ("USE_TZ", True, "bool"),
    ],
)
def test_a_setting_has_its_value_and_its_type(server: Client, key: str, value: object, kind: str) -> None:
    assert server.tool("project_get_setting", key=key) == {"key": key, "value": value, "value_type": kind}


def test_a_path_in_a_setting_is_a_text(server: Client, written: Path) -> None:
    told = server.tool("project_get_setting", key="BASE_DIR")

    assert (told["value"], told["value_type"]) == (str(written), "PosixPath")


def test_a_setting_that_is_missing_fails(server: Client) -> None:
    assert "'Settings' object has no attribute 'NOPE'" in server.failing("project_get_setting", key="NOPE")


def test_apps_have_name_label_path_and_models(server: Client, written: Path) -> None:
    apps = {one["label"]: one for one in server.tool("project_list_apps")["result"]}

    assert apps["shop"] == {
        "name": "shop", "label": "shop", "path": str(written / "shop"), "models": ["Author", "Tag", "Book"],
    }  # fmt: skip
    assert apps["auth"]["models"] == ["Permission", "Group", "User"]


def test_models_are_those_of_the_project_of_some_apps_or_all(server: Client, written: Path) -> None:
    mine = server.tool("project_list_models")["result"]
    some = server.tool("project_list_models", include=["auth"])["result"]
    every = server.tool("project_list_models", scope="all")["result"]

    assert [one["model_class"] for one in mine] == ["Author", "Tag", "Book"]
    [author] = [one for one in mine if one["model_class"] == "Author"]
    assert author == {
        "model_class": "Author", "import_path": "shop.models.Author",
        "source_path": str(written / "shop/models.py"),
        "fields": {"id": "BigAutoField", "name": "CharField", "born": "DateField"},
    }  # fmt: skip
    assert {one["model_class"] for one in some} == {"Permission", "Group", "User"}
    assert server.tool("project_list_models", include=["auth"], scope="project")["result"] == some
    assert {one["import_path"] for one in every} > {one["import_path"] for one in mine + some}
    assert server.tool("project_list_models", include=[])["result"] == []


def test_routes_are_filtered_by_what_they_contain(server: Client) -> None:
    every = server.tool("project_list_routes")["result"]
    patterns = [one["pattern"] for one in every]

    assert patterns[0] == ""
    assert LOGIN_FREE in patterns
    for asked, found in (
        ({"name": "sto"}, ["stock", "old-stock"]),
        ({"name": "nowhere"}, []),
        ({"pattern": "orders"}, ["order"]),
        ({"method": "PUT", "pattern": "orders"}, ["order"]),
        ({"method": "DELETE", "pattern": "orders"}, []),
        ({"name": "STO"}, []),
    ):
        routes = server.tool("project_list_routes", **asked)["result"]
        assert [one["name"] for one in routes] == found
    [books] = [one for one in every if one["name"] == "books"]
    assert (books["view"]["type"], books["view"]["class_bases"]) == ("class", ["ListView"])
    [order] = [one for one in every if one["name"] == "order"]
    assert (order["parameters"], order["view"]["methods"]) == (["pk", "count"], ["POST", "PUT"])


def test_a_method_that_is_none_is_refused(server: Client) -> None:
    assert "post" in server.failing("project_list_routes", method="post")


def test_resources_answer_as_the_tools_do(server: Client) -> None:
    assert server.read("django://project/apps") == server.tool("project_list_apps")["result"]
    assert server.read("django://project/models") == server.tool("project_list_models")["result"]
    assert server.read("django://project/setting/DEBUG") == server.tool("project_get_setting", key="DEBUG")
    assert [one["name"] for one in server.read("django://project/route/orders")] == ["order"]
    assert server.read("django://project/model/shop/book")["model_class"] == "Book"
    for missing in ("app/nope", "model/shop/nope", "setting/NOPE"):
        assert "error" in server.connection.ask("resources/read", {"uri": f"django://project/{missing}"})


def test_an_argument_that_is_unknown_or_missing_is_refused(server: Client) -> None:
    assert "extra" in server.failing("shell_execute", code="1", extra=1)
    assert "code" in server.failing("shell_execute")
