"""What the project keeps secret does not leave it by the usual ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.django.veil import MASK
from tests.sandbox.django.world import Shells, shells

pytestmark = pytest.mark.timeout(120)

KEY = "a-key-from-the-environment-'\"\\-8812"
HOST = {"BOOKSHOP_SECRET_KEY": KEY, "AWS_SECRET": "not-for-this-project", "REGION": "eu-north-9"}


@pytest.fixture(scope="module")
def shop(common: Path) -> Iterator[Shells]:
    """A shell that was given two of the host's variables."""
    with shells(
        common, environ=HOST, environment=("BOOKSHOP_SECRET_KEY", "REGION"), redact=("REGION",)
    ) as made:
        yield made


@pytest.mark.parametrize(
    "code",
    [
        "print(settings.SECRET_KEY)",
        "import sys; print(settings.SECRET_KEY, file=sys.stderr)",
        "settings.SECRET_KEY",
        "{'a': [settings.SECRET_KEY]}",
        "raise ValueError(settings.SECRET_KEY)",
        "key = settings.SECRET_KEY\nexec(f'raise ValueError({key!r})')",
        "import subprocess; subprocess.run(['printenv', 'BOOKSHOP_SECRET_KEY'])",
        "import os; os.environ",
        "dict(__import__('os').environ)",
        "print(open('/proc/self/environ').read())",
        "import sys, time\nfor c in settings.SECRET_KEY:\n    print(c, end='', flush=True)",
    ],
)
def test_a_secret_is_masked_wherever_code_shows_it(shop: Shells, code: str) -> None:
    if "subprocess" in code:
        shop.needs_processes()
    told = shop.run(code)
    whole = json.dumps(told.record.summary())
    for form in (KEY, json.dumps(KEY)[1:-1], repr(KEY)[1:-1]):
        assert json.dumps(form)[1:-1] not in whole
    assert MASK in whole


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("settings.PAYMENT_TOKEN", MASK),
        ("settings.BROKER_URL", f"amqp://worker:{MASK}@queue.invalid/shop"),
        ("settings.MAIL['PASSWORD']", MASK),
        ("settings.MAIL['HOST']", "mail.invalid"),
        ("settings.PASSWORD_HASHERS[0]", "django.contrib.auth.hashers.PBKDF2PasswordHasher"),
        ("settings.CSRF_COOKIE_NAME", "csrftoken"),
        ("import os; os.environ['REGION']", MASK),
    ],
)
def test_what_is_masked_goes_by_the_name_of_what_holds_it(shop: Shells, code: str, shown: str) -> None:
    assert shop.run(code).result.text == shown


def test_no_variable_of_the_host_is_there_that_was_not_given(shop: Shells) -> None:
    code = (
        "import glob, os\nfound = dict(os.environ)\n"
        "for path in glob.glob('/proc/[0-9]*/environ') + ['/proc/self/environ', '/proc/1/environ']:\n"
        "    try: found[path] = open(path).read()\n"
        "    except OSError as error: found[path] = type(error).__name__\nfound"
    )
    told = shop.run(code)
    names = set(json.loads(told.json))
    assert {"PATH", "LANG", "DJANGO_SETTINGS_MODULE", "BOOKSHOP_SECRET_KEY", "REGION"} <= names
    assert "AWS_SECRET" not in told.result.text
    assert "not-for-this-project" not in told.result.text


def test_settings_are_answered_with_what_is_secret_masked(shop: Shells) -> None:
    def value(key: str) -> object:
        return json.loads(shop.ask("setting", key=key).json)["value"]

    assert value("SECRET_KEY") == MASK
    assert value("PAYMENT_TOKEN") == MASK
    assert value("BROKER_URL") == f"amqp://worker:{MASK}@queue.invalid/shop"
    assert value("MAIL") == {"HOST": "mail.invalid", "PASSWORD": MASK}
    assert value("SECRET_KEY_FALLBACKS") == MASK
    assert value("PASSWORD_RESET_TIMEOUT") == 259_200
    assert value("AUTH_PASSWORD_VALIDATORS") == []


def test_a_short_secret_is_masked_by_its_name_alone(project: Path) -> None:
    settings = project / "bookshop/settings.py"
    settings.write_text(settings.read_text() + "\nSHORT_TOKEN = 'abc'\n")
    with shells(project) as shop:
        assert shop.run("'abcdef'").result.text == "abcdef"
        assert json.loads(shop.ask("setting", key="SHORT_TOKEN").json)["value"] == MASK


@pytest.mark.parametrize(
    ("given", "which"), [(("NOWHERE",), "the variable"), (("THERE", "NOWHERE"), "variable number 2 of 2")]
)
def test_a_variable_that_is_not_set_is_told_at_start_and_what_was_typed_is_not(
    common: Path, given: tuple[str, ...], which: str
) -> None:
    told = pytest.raises(CallerFault, match=f"^{which} that the project is to get is not set")
    with told as refused, shells(common, environment=given, environ={"THERE": "x"}):
        pass
    assert "NOWHERE" not in f"{refused.value.message} {refused.value.hint}"
