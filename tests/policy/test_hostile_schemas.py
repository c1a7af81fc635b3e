"""Advertised schemas as hostile input (P3.8)."""

from __future__ import annotations

import time

import pytest

from ostiary.policy.compile import compile_policy
from ostiary.policy.decide import decide
from ostiary.policy.decision import Decision, Question
from ostiary.policy.definition import Catalogue
from ostiary.policy.model import Policy, ToolRules, Validation
from ostiary.policy.schema import MAX_BYTES, SchemaError, advertised, compile_schema
from tests.policy.world import definition


def _validated(schema: object, arguments: dict[str, object]) -> Decision:
    rules = ToolRules(validation=Validation("/tools/x/validate", schema=True))
    catalogue = Catalogue({"x": definition("x", schema)})
    compiled = compile_policy(Policy(format=4, default="deny", tools={"x": rules}))
    return decide(compiled, Question("x", arguments, catalogue=catalogue))


def _deep(levels: int) -> dict[str, object]:
    schema: dict[str, object] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def test_schema_depth_is_bounded_at_thirty_two() -> None:
    """P3.8: one level more denies and is named."""
    assert compile_schema(_deep(31)) is not None
    with pytest.raises(SchemaError, match="deeper than 32"):
        compile_schema(_deep(32))


def test_schema_size_is_bounded() -> None:
    """P3.8: beyond 256 kB denies and is named."""
    decision = _validated({"description": "x" * MAX_BYTES}, {})
    assert decision.reasons == ("advertised schema is larger than 256 kB",)


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:1/a", "file:///etc/hostname", "other.json", "#anchor"]
)
def test_references_that_are_not_pointers_inside_are_refused(reference: str) -> None:
    """P3.8: nothing is fetched or opened."""
    with pytest.raises(SchemaError, match="inside itself"):
        compile_schema({"properties": {"a": {"items": {"$ref": reference}}}})


def test_an_unknown_dialect_is_refused_and_not_fetched() -> None:
    """P3.8: `$schema` is a reference too."""
    with pytest.raises(SchemaError):
        compile_schema({"$schema": "http://127.0.0.1:1/meta"})


def test_a_schema_that_multiplies_work_is_refused_at_once() -> None:
    """P3.8: 2^30 visits are counted, not made."""
    definitions: dict[str, object] = {"d30": {"type": "string"}}
    for at in range(30):
        inner = {"$ref": f"#/$defs/d{at + 1}"}
        definitions[f"d{at}"] = {"allOf": [inner, inner]}
    started = time.perf_counter()
    decision = _validated({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions}, {"a": "x"})
    assert decision.effect == "deny"
    assert "multiplies work" in decision.reasons[0]
    assert time.perf_counter() - started < 2


def test_recursive_work_is_judged_by_the_depth_of_the_document() -> None:
    """P3.8: a grammar with two branches is fine for flat arguments and refused for deep ones."""
    grammar = {
        "properties": {"e": {"$ref": "#/$defs/e"}},
        "$defs": {
            "e": {
                "anyOf": [
                    {"properties": {"l": {"$ref": "#/$defs/e"}}},
                    {"properties": {"r": {"$ref": "#/$defs/e"}}},
                ]
            }
        },
    }
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"l": deep}
    assert _validated(grammar, {"e": {"l": {"r": {}}}}).effect == "allow"
    assert "multiplies work" in _validated(grammar, {"e": deep}).reasons[0]


def test_a_schema_that_only_refers_to_itself_is_refused() -> None:
    """P3.8: such a cycle never descends."""
    with pytest.raises(SchemaError, match="without descending"):
        compile_schema({"allOf": [{"$ref": "#"}]})


def test_a_nested_address_is_refused() -> None:
    """P3.8: `$id` inside would change what a pointer means."""
    with pytest.raises(SchemaError, match="address"):
        compile_schema({"properties": {"a": {"$id": "http://x.example/", "type": "string"}}})


def test_compiled_schemas_are_remembered_by_digest_and_bounded() -> None:
    """P3.8: the same definition compiles once; many definitions do not fill memory."""
    first = definition("x", {"type": "object"})
    assert advertised(first) is advertised(first)
    kept = advertised(first)
    for at in range(600):
        advertised(definition("x", {"minProperties": at}))
    assert advertised(first) is not kept


def test_the_reason_of_a_schema_failure_names_keyword_and_place() -> None:
    """P2.10: enough to correct the call, without the value."""
    decision = _validated(
        {"properties": {"a": {"properties": {"b": {"type": "integer"}}}}}, {"a": {"b": "s3cret"}}
    )
    assert decision.reasons == ("`type` fails at `/a/b`",)
    assert "`type` fails at `/a/b`" in decision.message


def test_linear_patterns_stay_fast_on_the_classic_bomb() -> None:
    """P3.8: patterns run on a linear engine."""
    started = time.perf_counter()
    assert (
        _validated({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 50_000 + "b"}).effect == "deny"
    )
    assert time.perf_counter() - started < 2
