"""What a project says of itself when it is loaded is read as strictly as an answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ostiary.sandbox.django.warm import Facts

DATABASE = {"alias": "a", "engine": "e", "name": "n", "host": "h", "port": "p"}
GOOD: dict[str, Any] = {
    "ready": True, "django": "5.2.8", "databases": [DATABASE], "secrets": ["x"], "threads": 1,
}  # fmt: skip


def read(**more: Any) -> Facts:
    """The facts with some other members."""
    return msgspec.json.decode(json.dumps(GOOD | more), type=Facts)


def test_facts_are_read() -> None:
    assert (read().django, read().databases[0].engine) == ("5.2.8", "e")


@pytest.mark.parametrize(
    "more",
    [{"django": "5" * 101}, {"databases": [DATABASE] * 1_001}, {"secrets": ["x"] * 257}, {"threads": "1"}],
)
def test_facts_that_are_too_much_are_none(more: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(**more)
