"""What the server tells of the project: tools, resources under both addresses, commands, history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from tests.e2e.driver import PYTHON_2, Drivers
from tests.servers.django.world import Client, over_stdio

pytestmark = [pytest.mark.timeout(120), pytest.mark.service]


@pytest.fixture(scope="module")
def shell(clients: Drivers, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with clients.connect(PYTHON_2, over_stdio(tmp_path_factory.mktemp("project"), project)) as connection:
        yield Client(connection)


def test_every_answer_fits_the_schema_that_is_listed(shell: Client) -> None:
    tools = {tool["name"]: tool for tool in shell.connection.ask("tools/list")["result"]["tools"]}
    asked = {
        "execute": {"code": "1/0"},
        "execute_command": {"command": "check"},
        "list_commands": {},
        "export_history": {},
        "clear_history": {},
        "get_project_info": {},
        "get_setting": {"key": "DATABASES"},
        "list_apps": {},
        "list_models": {"scope": "all"},
        "list_routes": {},
    }

    for name, arguments in asked.items():
        jsonschema.validate(shell.tool(name, **arguments), tools[name]["outputSchema"])


def test_settings_that_are_secret_are_masked(shell: Client) -> None:
    assert shell.tool("get_setting", key="DEBUG") == {"key": "DEBUG", "value": True, "value_type": "bool"}
    for key in ("SECRET_KEY", "PAYMENT_TOKEN", "MAIL", "BROKER_URL"):
        told = json.dumps(shell.tool("get_setting", key=key))
        assert not any(word in told for word in ("not-a-real-key", "tok_made_up", "made-up-mail", "s3cr3t"))


def test_a_setting_that_is_not_there_is_a_failure_in_the_words_of_python(shell: Client) -> None:
    assert shell.failing("get_setting", key="NOPE") == "'Settings' object has no attribute 'NOPE'"


def test_apps_models_and_routes(shell: Client) -> None:
    [app] = [one for one in shell.tool("list_apps")["result"] if one["label"] == "shop"]
    models = shell.tool("list_models")["result"]

    assert app["models"] == ["Author", "Tag", "Book"]
    assert {one["model_class"] for one in models} == {"Author", "Tag", "Book"}
    assert {one["import_path"] for one in shell.tool("list_models", include=["auth"])["result"]} == {
        f"django.contrib.auth.models.{name}" for name in ("Permission", "Group", "User")
    }
    [route] = shell.tool("list_routes", name="stock", method="GET", pattern="books/<int")["result"]
    assert (route["pattern"], route["namespace"], route["parameters"]) == (
        "shop/books/<int:pk>/stock/", "shop", ["pk"],
    )  # fmt: skip
    assert "get" in shell.failing("list_routes", method="get")


@pytest.mark.parametrize("before", ["django://", "django://project/"])
def test_resources_are_read_under_the_address_on_the_wire_and_that_of_the_documentation(
    shell: Client, before: str
) -> None:
    apps = shell.read(f"{before}apps")
    book = shell.read(f"{before}model/shop/book")

    assert apps == shell.tool("list_apps")["result"]
    assert shell.read(f"{before}models") == shell.tool("list_models")["result"]
    assert shell.read(f"{before}app/shop") in apps
    assert book in shell.read(f"{before}app/shop/models")
    assert [one["name"] for one in shell.read(f"{before}route/shop/orders")] == ["order"]
    assert shell.read(f"{before}route/nowhere") == []
    assert shell.read(f"{before}setting/DEBUG")["value"] is True


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("django://project/app/nope", "No installed app with label 'nope'"),
        ("django://app/nope/models", "No installed app with label 'nope'"),
        ("django://model/shop/nope", "doesn't have a 'nope' model"),
        ("django://setting/NOPE", "has no attribute 'NOPE'"),
        ("django://package/x", "--djangopackages"),
        ("django://nothing", "not found"),
    ],
)
def test_what_cannot_be_read_is_said(shell: Client, uri: str, words: str) -> None:
    answer = shell.connection.ask("resources/read", {"uri": uri})

    assert words in json.dumps(answer["error"])


# --- management commands ----------------------------------------------------------------------------


def test_help_is_an_answer_and_the_server_lives(shell: Client) -> None:
    told = shell.tool("execute_command", command="showmigrations", args=["--help"])

    assert (told["status"], told["exception"]) == ("success", None)
    assert "usage: " in told["stdout"]


def test_an_option_that_takes_a_list_takes_one_text(shell: Client) -> None:
    told = shell.tool("execute_command", command="check", options={"tag": "security"})

    assert told["status"] == "success"
    assert (told["command"], told["args"], told["options"]) == ("check", [], {"tag": "security"})


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"command": "nope"}, "CommandError", "Unknown command: 'nope'"),
        ({"command": "restock", "args": ["-1"]}, "CommandError", ""),
        ({"command": "restock", "args": ["1", "--leave", "3"]}, "SystemExit", "3"),
    ],
)
def test_a_command_that_fails_is_data(shell: Client, asked: dict, kind: str, words: str) -> None:
    told = shell.tool("execute_command", **asked)

    assert told["status"] == "error"
    assert told["exception"]["type"] == kind
    assert words in told["exception"]["message"]


def test_what_a_command_writes_is_captured_without_words_of_the_server(shell: Client) -> None:
    told = shell.tool("execute_command", command="restock", args=["0"])

    assert told["stdout"].count("\n") == 3
    assert told["stderr"].strip() == "restocked"


def test_code_and_commands_see_the_same(shell: Client) -> None:
    shell.execute("from django.core.cache import cache; cache.set('seen', 1)")
    told = shell.tool("list_commands")["result"]

    assert {"name": "restock", "app_name": "shop"} in told
    assert [one["name"] for one in told] == sorted(one["name"] for one in told)


# --- history ----------------------------------------------------------------------------------------


def test_history_is_exported_without_what_failed_and_cleared_with_every_name(shell: Client) -> None:
    shell.tool("clear_history")
    shell.execute("import math\nradius = 2")
    shell.raised("1/0")
    shell.execute("import math\nprint(math.pi * radius)")

    made = shell.tool("export_history")["result"]
    assert made.count("import math") == 1
    assert "1/0" not in made
    assert "# Step 2\nprint(math.pi * radius)" in made

    assert shell.tool("clear_history") == {"result": "Django shell history has been cleared."}
    assert shell.tool("export_history") == {"result": "# No history to export\n"}
    assert shell.raised("radius")["exc_type"] == "NameError"


@pytest.mark.parametrize("filename", ["../../escape.py", "/tmp/escape.py", "away/escape.py", "a/../b.py"])
def test_an_export_that_leads_elsewhere_is_refused(
    clients: Drivers, own: Path, tmp_path: Path, filename: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (own / "away").symlink_to(outside)
    with clients.connect(PYTHON_2, over_stdio(tmp_path, own)) as connection:
        shell = Client(connection)
        shell.execute("x = 1")
        shell.failing("export_history", filename=filename)

    assert list(outside.iterdir()) == []
    assert list(own.parent.iterdir()) == [own]


def test_an_export_into_the_project_overwrites_nothing(clients: Drivers, own: Path, tmp_path: Path) -> None:
    with clients.connect(PYTHON_2, over_stdio(tmp_path, own)) as connection:
        shell = Client(connection)
        shell.execute("x = 1")

        told = shell.tool("export_history", filename="shop/notes")["result"]
        assert told.startswith("Exported 5 lines to shop/notes.py")
        assert "is there already" in shell.failing("export_history", filename="shop/notes.py")
        told = shell.tool("export_history", filename="notes.ipynb")["result"]
        assert told == "Exported 1 cell to notes.ipynb"

    assert (own / "shop/notes.py").read_text(encoding="utf-8").endswith("# Step 1\nx = 1\n")
    cells = json.loads((own / "notes.ipynb").read_bytes())["cells"]
    assert [cell["source"] for cell in cells] == [["x = 1"]]


def test_an_export_does_not_go_where_code_cannot_write(clients: Drivers, own: Path, tmp_path: Path) -> None:
    (own / "more").mkdir()
    given = ("--pythonpath", str(own / "more"))
    with clients.connect(PYTHON_2, over_stdio(tmp_path, own, *given)) as connection:
        shell = Client(connection)
        assert shell.execute("open('more/x.py', 'w')")["status"] == "error"
        shell.execute("x = 1")

        assert "read-only here" in shell.failing("export_history", filename="more/x.py")
        assert shell.tool("export_history", filename="x.py")["result"].startswith("Exported")
    assert not (own / "more/x.py").exists()


def test_the_history_and_the_notebook_of_a_session_are_resources(shell: Client) -> None:
    shell.tool("clear_history")
    shell.execute("print('a')")
    shell.raised("1/0")

    history = shell.read("session://current/history")
    ran = [(one["code"], one["status"]) for one in history["runs"]]
    assert ran == [("print('a')", "success"), ("1/0", "error")]
    uri = f"session://{history['session']}/notebook"
    [content] = shell.connection.ask("resources/read", {"uri": uri})["result"]["contents"]
    assert content["mimeType"] == "application/x-ipynb+json"
    first, second = json.loads(content["text"])["cells"]
    assert first["outputs"][0]["text"] == ["a\n"]
    assert second["outputs"][0]["ename"] == "ZeroDivisionError"
    listed = {one["uri"] for one in shell.connection.ask("resources/list")["result"]["resources"]}
    assert f"session://{history['session']}/history" in listed
