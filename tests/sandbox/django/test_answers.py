"""What a shell says of its project, and management commands."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from ostiary.sandbox.limits import Limits
from tests.sandbox.django.world import GRACE_MS, Shells

pytestmark = pytest.mark.timeout(120)


def answer(shop: Shells, do: str, **fields: Any) -> Any:
    """The answer to a question."""
    told = shop.ask(do, **fields)
    assert told.status == "success", told.record
    return json.loads(told.json)


def test_the_project_says_which_python_and_which_django_it_is(any_line: Shells) -> None:
    told = answer(any_line, "project")
    django, python = (told[one][key] for one, key in (("django", "version"), ("python", "version_info")))
    assert any_line.runner.version.startswith(f"Django {django[0]}.{django[1]}")
    assert any_line.runner.version.endswith(f"(Python {python[0]}.{python[1]})")
    assert told["python"]["platform"] == sys.platform
    assert told["python"]["prefix"] != told["python"]["base_prefix"]
    assert told["python"]["executable"].startswith(told["python"]["prefix"])
    assert told["python"]["path"][0] == str(any_line.project)
    version = ".".join(map(str, told["python"]["version_info"][:2]))
    assert f"{told['python']['base_prefix']}/lib/python{version}" in told["python"]["path"]
    assert told["django"]["apps"][-1] == "shop"
    assert told["django"]["auth_user_model"] == "django.contrib.auth.models.User"
    assert told["django"]["base_dir"] == str(any_line.project)
    assert told["django"]["debug"] is True
    assert told["django"]["settings_module"] == "bookshop.settings"
    assert told["django"]["databases"] == {
        "default": {"engine": "django.db.backends.sqlite3", "name": str(any_line.project / "db.sqlite3")}
    }


def test_a_setting_comes_with_its_type(any_line: Shells) -> None:
    assert answer(any_line, "setting", key="USE_TZ") == {"key": "USE_TZ", "value": True, "value_type": "bool"}
    told = answer(any_line, "setting", key="BASE_DIR")
    assert told == {"key": "BASE_DIR", "value": str(any_line.project), "value_type": "PosixPath"}
    databases = answer(any_line, "setting", key="DATABASES")["value"]["default"]
    assert databases["NAME"] == str(any_line.project / "db.sqlite3")


@pytest.mark.parametrize("key", ["NOT_THERE", "configure", "_wrapped"])
def test_a_setting_that_is_not_there_is_an_attribute_error(any_line: Shells, key: str) -> None:
    told = any_line.ask("setting", key=key)
    assert (told.status, told.error.type) == ("error", "AttributeError")
    assert key in told.error.message


def test_apps_have_their_models(any_line: Shells) -> None:
    told = {one["label"]: one for one in answer(any_line, "apps")}
    assert list(told) == ["contenttypes", "auth", "sessions", "shop"]
    assert told["shop"]["name"] == "shop"
    assert told["shop"]["path"] == str(any_line.project / "shop")
    assert told["shop"]["models"] == ["Author", "Tag", "Book"]
    assert answer(any_line, "app", label="shop") == told["shop"]
    assert any_line.ask("app", label="shoe").error.type == "LookupError"


def test_models_are_the_projects_unless_more_is_asked_for(any_line: Shells) -> None:
    own = answer(any_line, "models")
    assert [one["model_class"] for one in own] == ["Author", "Tag", "Book"]
    assert own[2] == {
        "model_class": "Book",
        "import_path": "shop.models.Book",
        "source_path": str(any_line.project / "shop/models.py"),
        "fields": {
            "id": "BigAutoField",
            "title": "CharField",
            "author": "ForeignKey",
            "price": "DecimalField",
            "stock": "PositiveIntegerField",
        },
    }
    every = answer(any_line, "models", scope="all")
    assert {"ContentType", "User", "Session", "Book"} <= {one["model_class"] for one in every}
    some = answer(any_line, "models", include=["auth"], scope="project")
    assert [one["model_class"] for one in some] == ["Permission", "Group", "User"]
    assert answer(any_line, "models", include=[]) == []
    assert answer(any_line, "model", label="shop", name="book") == own[2]


def test_routes_have_their_views(any_line: Shells) -> None:
    views = str(any_line.project / "shop/views.py")
    told = answer(any_line, "routes")
    assert [(one["pattern"], one["name"], one["namespace"], one["parameters"]) for one in told] == [
        ("", "front", None, []),
        ("shop/books/", "books", "shop", []),
        ("shop/books/<int:pk>/stock/", "stock", "shop", ["pk"]),
        ("shop/^old/(?P<pk>[0-9]+)/$", "old-stock", "shop", ["pk"]),
        ("shop/orders/<int:pk>/<int:count>/", "order", "shop", ["pk", "count"]),
    ]
    by_name = {one["name"]: one["view"] for one in told}
    assert by_name["front"] == {
        "name": "shop.views.front", "type": "function", "source_path": views, "methods": [],
    }  # fmt: skip
    assert by_name["books"] == {
        "name": "shop.views.BookList", "type": "class", "source_path": views,
        "methods": ["GET", "OPTIONS"], "class_bases": ["ListView"],
    }  # fmt: skip
    assert by_name["stock"]["methods"] == ["GET"]
    assert by_name["order"]["methods"] == ["POST", "PUT"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"method": "PUT"}, ["front", "order"]),
        ({"method": "GET"}, ["front", "books", "stock", "old-stock"]),
        ({"name": "stock"}, ["stock", "old-stock"]),
        ({"pattern": "<int:"}, ["stock", "order"]),
        ({"pattern": "books", "name": "stock"}, ["stock"]),
        ({"name": "Stock"}, []),
    ],
)
def test_routes_are_searched_by_what_they_contain(
    any_line: Shells, asked: dict[str, str], found: list[str]
) -> None:
    assert [one["name"] for one in answer(any_line, "routes", **asked)] == found


def test_commands_are_listed_with_their_apps(any_line: Shells) -> None:
    told = answer(any_line, "commands")
    assert {"name": "restock", "app_name": "shop"} in told
    assert {"name": "migrate", "app_name": "django.core"} in told
    assert [one["name"] for one in told] == sorted(one["name"] for one in told)


def test_a_command_says_how_it_went_and_writes_where_code_writes(any_line: Shells) -> None:
    told = any_line.ask("command", command="restock", args=["0"], options={"tags": ["comedy"]})
    assert json.loads(told.json) == {
        "status": "success",
        "command": "restock",
        "args": ["0"],
        "options": {"tags": ["comedy"]},
        "exception": None,
    }
    assert told.stdout.shown == "Emma: 5\n"
    assert told.stderr.shown == "restocked\n"


@pytest.mark.parametrize("options", [{"tags": "comedy"}, {"tag": "comedy"}])
def test_an_option_that_takes_several_takes_one(any_line: Shells, options: dict[str, str]) -> None:
    told = any_line.ask("command", command="restock", args=["0"], options=options)
    assert told.stdout.shown == "Emma: 5\n"


def test_check_takes_a_tag(any_line: Shells) -> None:
    told = any_line.ask("command", command="check", options={"tag": "security"})
    assert json.loads(told.json)["status"] == "success"
    assert "no issues" in told.stdout.shown


def test_help_is_an_answer(any_line: Shells) -> None:
    told = any_line.ask("command", command="showmigrations", args=["--help"])
    said = json.loads(told.json)
    assert (said["status"], said["exception"]) == ("success", None)
    assert "--plan" in told.stdout.shown


@pytest.mark.parametrize(
    ("command", "fields", "kind", "words"),
    [
        ("restock", {"args": ["1"], "options": {"leave": 4}}, "SystemExit", "4"),
        ("restock", {"args": ["-1"]}, "CommandError", "less than nothing"),
        ("restock", {}, "CommandError", "required: count"),
        ("restok", {}, "CommandError", "did you mean 'restock'"),
        ("restock", {"args": ["1"], "options": {"colour": "red"}}, "TypeError", "colour"),
    ],
)
def test_a_command_that_fails_is_an_answer(
    any_line: Shells, command: str, fields: dict[str, Any], kind: str, words: str
) -> None:
    told = any_line.ask("command", command=command, session="same", **fields)
    said = json.loads(told.json)
    assert (said["status"], said["exception"]["type"]) == ("error", kind)
    assert words in said["exception"]["message"]
    assert any_line.ask("command", command="check", session="same").status == "success"


def test_a_command_that_takes_too_long_is_ended_with_what_it_wrote(
    any_line: Shells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(any_line.runner, "grace_ms", GRACE_MS)
    told = any_line.run(
        "", limits=Limits(wall_ms=3_000), ask={"do": "command", "command": "shell", "options": {"command": (
"print('up', flush=True)\n"
"while True: pass"
), "verbosity": 0}}, session="same"
    )  # fmt: skip
    assert (told.status, told.session_lost) == ("timeout", False)
    assert told.stdout.shown == "up\n"


def test_a_question_that_is_none_is_told(any_line: Shells) -> None:
    assert "no such question" in any_line.ask("weather").error.message


def test_a_question_sees_what_its_session_has_done(any_line: Shells) -> None:
    any_line.run("settings.USE_TZ = False", session="changed")
    told = any_line.ask("setting", key="USE_TZ", session="changed")
    assert json.loads(told.json)["value"] is False
    assert answer(any_line, "setting", key="USE_TZ")["value"] is True
