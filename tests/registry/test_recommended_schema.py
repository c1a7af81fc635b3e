"""The schema that counts for a bound: what is behind references and beside null, and nothing guessed."""

from __future__ import annotations

import pytest

from ostiary.registry.recommended_schema import kind_of, plain

TEXT = {"type": "string", "maxLength": 4}
NUMBER = {"type": "integer"}
NULL = {"type": "null"}


@pytest.mark.parametrize("key", ["anyOf", "oneOf", "allOf"])
@pytest.mark.parametrize("listed", [[TEXT], [TEXT, NULL], [NULL, TEXT], [NULL, NULL, TEXT, NULL]])
def test_a_schema_that_may_only_be_null_besides_is_itself(key: str, listed: list[object]) -> None:
    assert plain({key: listed}, {}) == TEXT


@pytest.mark.parametrize("key", ["anyOf", "oneOf", "allOf"])
@pytest.mark.parametrize(
    "listed",
    [[], [NULL], [TEXT, NUMBER], [TEXT, NULL, NUMBER], [NULL, TEXT, NUMBER, TEXT], [TEXT, TEXT], [TEXT, "x"]],
)
def test_a_schema_of_several_alternatives_or_none_has_no_type(key: str, listed: list[object]) -> None:
    """Bound by the first of them, a policy would refuse what fits another."""
    assert kind_of(plain({key: listed}, {})) == ""
