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
    started = time.process_time()
    decision = _validated({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions}, {"a": "x"})
    assert decision.effect == "deny"
    assert "multiplies work" in decision.reasons[0]
    assert time.process_time() - started < 2


@pytest.mark.parametrize("word", ["unevaluatedProperties", "unevaluatedItems"])
def test_asking_what_was_not_evaluated_counts_as_asking_again(word: str) -> None:
    """P3.8: forty such objects in a chain take 3^40 visits, which are counted and not made."""
    chain: dict[str, object] = {"d0": {"properties": {"x": {}}}}
    for at in range(1, 40):
        chain[f"d{at}"] = {"allOf": [{"$ref": f"#/$defs/d{at - 1}"}], word: False}
    started = time.process_time()
    decision = _validated({"$defs": chain, "$ref": "#/$defs/d39"}, {"x": 1})
    assert decision.effect == "deny"
    assert "multiplies work" in decision.reasons[0]
    assert time.process_time() - started < 2


def test_one_object_without_unevaluated_members_is_still_checked() -> None:
    """P3.8: what ordinary schemas ask stays possible."""
    schema = {"allOf": [{"properties": {"x": {"type": "integer"}}}], "unevaluatedProperties": False}
    assert _validated(schema, {"x": 1}).effect == "allow"
    assert _validated(schema, {"y": 1}).effect == "deny"


def test_many_checks_of_many_values_are_refused_at_once() -> None:
    """P3.8: 5,000 checks of each of 20,000 values are counted, not made."""
    checks = [{"minimum": -at} for at in range(5_000)]
    schema = {"properties": {"a": {"items": {"allOf": checks}}}}
    assert _validated(schema, {"a": [1] * 100}).effect == "allow"
    decision = _validated(schema, {"a": [1] * 20_000})
    assert decision.reasons == ("advertised schema multiplies work on a document of this size",)


@pytest.mark.parametrize(
    "patterns",
    [
        {"allOf": [{"pattern": f"a{at}"} for at in range(101)]},
        {"patternProperties": {f"a{at}": True for at in range(101)}},
    ],
)
def test_the_number_of_patterns_is_bounded(patterns: dict[str, object]) -> None:
    """P3.8: compiling thousands of patterns takes seconds."""
    with pytest.raises(SchemaError, match="more than 100 patterns"):
        compile_schema(patterns)


def test_a_schema_of_many_parts_is_measured_in_no_time() -> None:
    """P3.8: the work of a flat schema is known after two rounds."""
    started = time.process_time()
    compile_schema({"properties": {f"p{at}": {"type": "string"} for at in range(6_000)}})
    assert time.process_time() - started < 2


def test_the_first_of_many_faults_is_named_without_listing_them() -> None:
    """P2.10: a large list in which everything is wrong is answered at once."""
    schema = {"properties": {"a": {"items": {"type": "string"}}}}
    started = time.process_time()
    decision = _validated(schema, {"a": list(range(500_000))})
    assert decision.reasons == ("`type` fails at `/a/0`",)
    assert time.process_time() - started < 2


def test_the_place_of_a_fault_is_printable() -> None:
    """P2.10: the caller chooses the names in it, and they end up on terminals."""
    schema = {"properties": {"a": {"additionalProperties": {"type": "string"}}}}
    decision = _validated(schema, {"a": {"\x1b[2J": 1}})
    assert decision.reasons == ("`type` fails at `/a/?[2J`",)


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
    started = time.process_time()
    assert (
        _validated({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 50_000 + "b"}).effect == "deny"
    )
    assert time.process_time() - started < 2
