"""The JSON Schema of format 4 comes from the loader's own tables (P1.8)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from ostiary.policy.formats.table import TABLES
from ostiary.policy.jsonschema_export import schema
from ostiary.policy.load import load_text

HERE = Path(__file__).parent
VALIDATOR = jsonschema_rs.validator_for(json.loads(json.dumps(schema())))


def _codes(value: Any) -> set[str]:
    return {each.code for each in load_text(json.dumps(value).encode(), file="p.json")[1]}


def test_the_schema_is_a_schema():
    jsonschema_rs.meta.validate(json.loads(json.dumps(schema())))


@pytest.mark.parametrize("path", sorted((HERE / "published").glob("*.json")), ids=lambda path: path.name)
def test_published_documents_fit_the_schema(path: Path):
    assert VALIDATOR.is_valid(json.loads(path.read_bytes()))


FULL: dict[str, Any] = {
    "version": "1",
    "description": "x",
    "default": "deny",
    "mode": "enforce",
    "hide": ["h"],
    "all_tools": {"limits": [{"counter": "all", "window": "hour", "max": 1}]},
    "resources": {"default": "allow", "deny": ["file://**"]},
    "tools": {
        "t": {
            "require": [{"conditions": [{"path": ["a.b"], "op": "eq", "value": 1}], "reason": "r"}],
            "deny_if": [
                {"conditions": [{"any": [{"not": {"path": "args.a", "any_of": {"op": "eq", "value": 1}}}]}]},
                {"conditions": []},
            ],
            "limits": [
                {"counter": "c", "window": "30s", "max": 1, "scope": ["grant", "user"], "max_concurrent": 1}
            ],
            "validate": {"schema": "advertised", "extra": "deny"},
            "rate_limit": {"max": 1, "window": 60},
            "approve_if": [{"conditions": [], "reason": "r"}],
            "approval": {
                "timeout": "7d",
                "hold": "0s",
                "approvers": ["user:é@example.org"],
                "message": "m",
                "convenience": False,
            },
        }
    },
}


def test_a_document_with_every_part_fits_and_loads():
    assert [error.message for error in VALIDATOR.iter_errors(FULL)] == []
    assert _codes(FULL) == set()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_is_closed_and_later_keys_are_left_out(name: str):
    """P1.7: unknown keys are errors, in the editor as in the loader."""
    table: Any = schema() if name == "document" else schema()["$defs"]
    properties = table if name == "document" else table[name]
    assert properties["additionalProperties"] is False
    assert set(properties["properties"]) == {key for key, each in TABLES[name].items() if not each.later}


def _refused_by_schema() -> list[Path]:
    found: list[Path] = []
    for path in sorted((HERE / "bad").glob("*.json")):
        try:
            value = json.loads(path.read_bytes(), parse_constant=lambda _: "not JSON")
        except ValueError:
            continue
        if not VALIDATOR.is_valid(value):
            found.append(path)
    return found


def test_what_the_schema_refuses_the_loader_refuses_too():
    """The schema is for editors; it must never forbid what loads."""
    refused = _refused_by_schema()
    assert len(refused) > 25
    for path in refused:
        assert load_text(path.read_bytes(), file=path.name)[0] is None


def test_an_unknown_key_and_a_bad_word_are_refused_by_the_schema():
    assert not VALIDATOR.is_valid({**FULL, "defualt": "deny"})
    assert not VALIDATOR.is_valid({**FULL, "default": "no"})
    assert not VALIDATOR.is_valid({"version": "1"})


@pytest.mark.parametrize(
    "terms",
    [
        {"timeout": 30},
        {"timeout": "half an hour"},
        {"hold": "1h30m"},
        {"approvers": []},
        {"approvers": ["oncall"]},
        {"approvers": ["user:on call"]},
        {"approvers": [f"user:{at}" for at in range(17)]},
        {"message": "a" * 501},
        {"convenience": "yes"},
    ],
)
def test_terms_that_the_schema_refuses_the_loader_refuses_too(terms: dict[str, Any]):
    """P5.2: the bounds of an approval, in the editor."""
    asking = {"version": "1", "default": "deny", "tools": {"t": {"action": "require_approval"}}}
    asking["tools"]["t"]["approval"] = terms
    assert not VALIDATOR.is_valid(asking)
    assert _codes(asking) - {"timeout-before-hold"} != set()
