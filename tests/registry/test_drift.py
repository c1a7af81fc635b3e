"""What became of a tool since it was pinned: classes, words, and that nothing passes in silence (P7)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.registry.change import by_risk, excerpt, named, valued, worst
from ostiary.registry.drift import MAX_BYTES, Version, compare, compare_definitions, compare_lists
from ostiary.registry.fingerprint import canonical, definition, digest_of
from ostiary.registry.schema_drift import MAX_CHANGES, compare_schemas
from ostiary.wire.strict import parse_json

Json = Any

BASE: dict[str, Json] = {
    "name": "t",
    "title": "T",
    "description": "Does things.",
    "annotations": {"readOnlyHint": True, "destructiveHint": False},
    "inputSchema": {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Where.", "maxLength": 10, "pattern": "^a"},
            "mode": {"type": "string", "enum": ["r", "w"]},
            "depth": {"type": "integer", "minimum": 0, "maximum": 5, "default": 1},
            "items": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["path"],
        "additionalProperties": False,
    },
    "outputSchema": {"type": "object"},
}


def found(pointer: str) -> tuple[dict[str, Json], Json, str]:
    """A copy of `BASE`, the object in it that holds the place, and the last step to it."""
    made = copy.deepcopy(BASE)
    *way, last = pointer.strip("/").split("/")
    at: Json = made
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    return made, at, last


def put(pointer: str, value: Json) -> dict[str, Json]:
    """`BASE` with another value at one place."""
    made, at, last = found(pointer)
    at[last] = value
    return made


def cut(pointer: str) -> dict[str, Json]:
    """`BASE` without what is at one place."""
    made, at, last = found(pointer)
    del at[last]
    return made


ARGS = "/inputSchema/properties"
STRING = {"type": "string"}
CASES: list[tuple[str, dict[str, Json], str, str]] = [
    ("new argument", put(f"{ARGS}/to", STRING), "medium", "argument `to`"),
    ("argument removed", cut(f"{ARGS}/depth"), "medium", "argument `depth` was removed"),
    ("becomes required", put("/inputSchema/required", ["path", "mode"]), "high", "`mode` is now required"),
    ("may be left out", put("/inputSchema/required", []), "high", "`path`: may now be left out"),
    ("type added", put(f"{ARGS}/path/type", ["string", "object"]), "high", "string or object"),
    ("type narrowed", cut(f"{ARGS}/depth/type"), "high", "is anything"),
    ("integer to number", put(f"{ARGS}/depth/type", "number"), "high", "is number"),
    ("enum widened", put(f"{ARGS}/mode/enum", ["r", "w", "x"]), "high", 'also takes "x"'),
    ("enum dropped", cut(f"{ARGS}/mode/enum"), "high", "any value is taken"),
    ("enum narrowed", put(f"{ARGS}/mode/enum", ["r"]), "low", "fewer of the listed"),
    ("enum reordered", put(f"{ARGS}/mode/enum", ["w", "r"]), "low", "in another way"),
    ("bound loosened", put(f"{ARGS}/depth/maximum", 50), "high", "`maximum` was 5 and is 50"),
    ("bound dropped", cut(f"{ARGS}/path/maxLength"), "high", "`maxLength` was 10 and is none"),
    ("lower bound loosened", put(f"{ARGS}/depth/minimum", -1), "high", "`minimum` was 0 and is -1"),
    ("bound tightened", put(f"{ARGS}/depth/maximum", 4), "low", "`maximum` was 5 and is 4"),
    ("bound is no number", put(f"{ARGS}/depth/maximum", "9"), "high", "cannot be told"),
    ("pattern dropped", cut(f"{ARGS}/path/pattern"), "high", "the pattern was dropped"),
    ("pattern changed", put(f"{ARGS}/path/pattern", "."), "high", "another pattern"),
    ("format added", put(f"{ARGS}/path/format", "uri"), "low", "a format was added"),
    ("opened", put("/inputSchema/additionalProperties", True), "high", "arguments that are not listed"),
    ("opened by leaving out", cut("/inputSchema/additionalProperties"), "high", "not listed"),
    ("in an array", put(f"{ARGS}/items/items/properties/x/type", ["string", "null"]), "high", "`items[].x`"),
    ("one more", put(f"{ARGS}/either/anyOf", [STRING, {"type": "null"}, {}]), "high", "another alt"),
    ("an alternative less", put(f"{ARGS}/either/anyOf", [STRING]), "low", "alternative was dropped"),
    ("within an alternative", put(f"{ARGS}/either/anyOf/1/type", "object"), "high", "argument `either`"),
    ("default", put(f"{ARGS}/depth/default", 5), "medium", "the default was 1 and is 5"),
    ("argument description", put(f"{ARGS}/path/description", "Other."), "medium", "`path`: the description"),
    ("unknown keyword", put(f"{ARGS}/path/oneOf", [{}]), "high", "`oneOf` changed"),
    ("a reference", put(f"{ARGS}/path/$ref", "#/x"), "high", "`$ref` changed"),
    ("no schema", put(f"{ARGS}/path", "nothing"), "high", "no schema"),
    ("anything", put(f"{ARGS}/path", True), "high", "takes more"),
    ("nothing", put(f"{ARGS}/path", False), "low", "takes less"),
    ("description", put("/description", "Does other things."), "medium", "the description changed"),
    ("hidden text", put("/description", "Does things.\u200b\u202e"), "high", "nobody sees"),
    ("hidden in an argument", put(f"{ARGS}/path/description", "Where.\u2060"), "high", "nobody sees"),
    ("title", put("/title", "U"), "low", "the title changed"),
    ("no longer read-only", put("/annotations/readOnlyHint", False), "high", "was true and is false"),
    ("silent now", cut("/annotations/readOnlyHint"), "high", "missing (which means false)"),
    ("destructive", put("/annotations/destructiveHint", True), "high", "`destructiveHint`"),
    ("by default", put("/annotations", {"readOnlyHint": True}), "high", "missing (which means true)"),
    ("open world said", put("/annotations/openWorldHint", True), "low", "means true) and is true"),
    ("closed world", put("/annotations/openWorldHint", False), "medium", "`openWorldHint`"),
    ("no hint", put("/annotations/readOnlyHint", "yes"), "high", "`readOnlyHint`"),
    ("another annotation", put("/annotations/audience", ["user"]), "medium", "`audience` was added"),
    ("no annotations", put("/annotations", 7), "high", "no object"),
    ("output", put("/outputSchema", {"type": "array"}), "medium", "the output schema was changed"),
    ("output gone", cut("/outputSchema"), "medium", "the output schema was removed"),
    ("anything else", put("/execution", {"taskSupport": "required"}), "medium", "`execution` was added"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "risk", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_kind_of_change_has_its_class_and_its_words(new: Json, risk: str, words: str) -> None:
    """P7.6."""
    changes = compare_definitions("t", BASE, new)

    assert worst(changes) == risk, changes
    assert words in "\n".join(change.words for change in changes)


def test_a_new_argument_that_is_required_is_told_once_and_is_high() -> None:
    new = put(f"{ARGS}/sidenote", {"type": "string"})
    new["inputSchema"]["required"] = ["path", "sidenote"]

    [change] = compare_definitions("t", BASE, new)

    assert (change.risk, change.kind, change.words) == (
        "high", "argument-required", "new required argument `sidenote`",
    )  # fmt: skip
    assert change.pointer == "/inputSchema/properties/sidenote"


def test_a_removed_argument_that_was_required_is_told_once() -> None:
    new = cut(f"{ARGS}/path")
    new["inputSchema"]["required"] = []

    [change] = compare_definitions("t", BASE, new)

    assert (change.risk, change.words) == ("medium", "argument `path` was removed")


def test_what_is_referred_to_is_compared_where_it_stands() -> None:
    old = {"$defs": {"P": {"type": "string", "enum": ["a"]}}, "properties": {"p": {"$ref": "#/$defs/P"}}}
    new = copy.deepcopy(old)
    new["$defs"]["P"]["enum"] = ["a", "b"]

    [change] = compare_schemas("t", old, new)

    assert (change.risk, change.words) == ("high", 'argument `<P>`: also takes "b"')


def test_a_loop_of_references_ends() -> None:
    old = {"$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}, "$ref": "#"}
    new = {"$defs": {"A": {"$ref": "#/$defs/A"}, "B": {"$ref": "#/$defs/A"}}, "$ref": "#"}

    assert worst(compare_schemas("t", old, new)) == "high"


def test_less_below_a_negation_is_not_called_less() -> None:
    """A narrower definition makes the schema wider that is the negation of it."""
    old = {"$defs": {"D": {"enum": ["a", "b"]}}, "properties": {"p": {"not": {"$ref": "#/$defs/D"}}}}
    new = {"$defs": {"D": {"enum": ["a"]}}, "properties": {"p": {"not": {"$ref": "#/$defs/D"}}}}

    assert worst(compare_schemas("t", old, new)) == "high"


def test_a_schema_that_is_too_deep_or_has_too_many_changes_is_high_and_ends() -> None:
    deep: list[Json] = [{"type": "string"}, {"type": "integer"}]
    for _ in range(100):
        deep = [{"properties": {"x": each}} for each in deep]
    wide = [{"properties": {f"a{i}": {"type": kind} for i in range(5_000)}} for kind in ("string", "null")]

    assert worst(compare_schemas("t", deep[0], deep[1])) == "high"
    changes = compare_schemas("t", wide[0], wide[1])
    assert len(changes) == MAX_CHANGES + 1
    assert "more than" in changes[-1].words


def test_a_definition_over_the_bound_is_not_compared_but_told() -> None:
    versions = [version({"name": "t", "description": letter * MAX_BYTES}) for letter in "ab"]

    [change] = compare("t", *versions)

    assert (change.risk, change.kind) == ("high", "incomparable")


def version(value: Json) -> Version:
    return Version(digest_of(canonical(value)), value)


def test_lists_tell_of_tools_that_came_and_went_and_of_one_that_only_has_a_digest() -> None:
    pinned = {"a": version({"name": "a"}), "b": Version("sha256:old", None), "c": version({"name": "c"})}
    present = {"b": version({"name": "b"}), "c": version({"name": "c"}), "d": version({"name": "d"})}

    changes = by_risk(compare_lists(pinned, present))

    assert [(one.risk, one.tool, one.kind) for one in changes] == [
        ("high", "b", "incomparable"),
        ("medium", "d", "tool-added"),
        ("low", "a", "tool-removed"),
    ]


def test_texts_of_a_server_can_neither_steer_a_terminal_nor_flood_it() -> None:
    hostile = "\x1b[2J\u202e\n" + "x" * 10_000

    for shown in (
        excerpt(hostile),
        named(hostile),
        valued(hostile),
        valued([hostile] * 20),
        valued({hostile: 1}),
    ):
        assert shown.isprintable()
        assert len(shown) < 700


# Whatever differs.

scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b", "string", "null", "object"])
)
KEYS = [
    "type", "enum", "const", "properties", "required", "items", "additionalProperties", "anyOf", "allOf",
    "oneOf", "not", "$ref", "$defs", "pattern", "format", "minimum", "maxLength", "multipleOf", "uniqueItems",
    "description", "title", "default", "x-other", "name", "annotations", "readOnlyHint", "inputSchema",
    "outputSchema", "if", "prefixItems",
]  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=5)


@given(value=values)
def test_what_is_identical_has_no_change(value: Json) -> None:
    assert compare_schemas("t", value, copy.deepcopy(value)) == []
    assert compare_definitions("t", {"inputSchema": value}, {"inputSchema": copy.deepcopy(value)}) == []


@given(old=objects, new=objects)
def test_no_difference_is_silent(old: Json, new: Json) -> None:
    """P7.6: whatever differs."""
    differs = canonical(old) != canonical(new)

    assert bool(compare_definitions("t", old, new)) == differs
    assert bool(compare_definitions("t", {"inputSchema": old}, {"inputSchema": new})) == differs


@given(old=values, new=values)
def test_no_difference_of_schemas_is_silent(old: Json, new: Json) -> None:
    assert bool(compare_schemas("t", old, new)) == (canonical(old) != canonical(new))


@given(base=objects, key=st.sampled_from(KEYS), inner=values, others=objects)
def test_a_change_at_one_place_is_found_whatever_else_changed(
    base: Json, key: str, inner: Json, others: Json
) -> None:
    """A harmless change does not cover for another one beside it."""
    old = {"properties": {"p": {**base, key: inner}, "q": {"maximum": 1}}}
    new = {"properties": {"p": {**others, key: inner}, "q": {"maximum": 2}}}

    changes = compare_schemas("t", old, new)

    assert any(one.pointer == "/inputSchema/properties/q/maximum" for one in changes)
    inside = any(one.pointer.startswith("/inputSchema/properties/p") for one in changes)
    assert inside == (canonical(old["properties"]["p"]) != canonical(new["properties"]["p"]))


@given(old=values, new=values)
def test_every_change_is_printable_and_names_a_place(old: Json, new: Json) -> None:
    for change in compare_schemas("t", old, new):
        assert change.words.isprintable()
        assert change.pointer.startswith("/inputSchema")


@pytest.mark.parametrize(
    "number", ["1e16", "1E16", "1e-7", "1.10", "0.000001", "-0.0", "1e400", "123456789.5"]
)
def test_one_definition_has_one_digest_however_the_text_around_it_is_spaced(number: str) -> None:
    """P7.3: what was pinned from a file is what comes over the wire."""
    close = f'{{"name":"t","inputSchema":{{"maximum":{number}}}}}'
    spaced = f'{{"name": "t", "inputSchema": {{"maximum": {number}}} }}'
    parsed: list[Json] = [parse_json(text.encode()) for text in (close, spaced)]
    digests = {definition("t", b"", each).digest for each in parsed}
    again = canonical(parse_json(canonical(parse_json(close.encode()))))

    assert len(digests) == 1
    assert digest_of(again) in digests


def test_a_number_and_its_text_and_another_number_make_three_definitions() -> None:
    texts = ('{"maximum":1}', '{"maximum":"1"}', '{"maximum":true}', '{"maximum":2}')

    assert len({digest_of(canonical(parse_json(text.encode()))) for text in texts}) == 4
