"""Which calls are the same call to an approver (P5.7)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.approvals.digest import MAX_CONTENT, TooLargeError, canonical_call
from ostiary.wire.strict import Refused, parse_json

Json = Any


def canonical(text: str) -> str:
    """The canonical text of a call whose arguments arrive as this JSON."""
    arguments: Json = parse_json(text.encode())
    return canonical_call("tools/call", "x", arguments).decode()


def same(one: str, other: str) -> bool:
    return canonical(one) == canonical(other)


def test_a_canonical_call_has_method_name_and_arguments_in_the_order_of_keys() -> None:
    text = canonical_call("tools/call", "wipe", {"b": 1, "a": [True, None, "é"]})

    assert text == rb'{"arguments":{"a":[true,null,"\u00e9"],"b":1},"method":"tools/call","name":"wipe"}'


def test_keys_stand_in_the_order_of_utf_16_code_units() -> None:
    """RFC 8785 section 3.2.3: U+1F600 is a surrogate pair and so comes before U+FB33."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    text = canonical(json.dumps(dict.fromkeys(keys, 0)))

    assert list(json.loads(text)["arguments"]) == [
        "\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33",
    ]  # fmt: skip


def test_canonical_json_sorts_maps_inside_arrays() -> None:
    """A bug found in review of another gateway: there only maps inside maps were sorted."""
    assert same('{"a":[{"x":1,"y":[{"p":1,"q":2}]}]}', '{"a":[{"y":[{"q":2,"p":1}],"x":1}]}')
    assert not same('{"a":[1,2]}', '{"a":[2,1]}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":2}', '{ "b" : 2,\n"a":1 }'),
        ('{"a":"\\u0041\\/"}', '{"a":"A/"}'),
        ('{"a":1.0}', '{"a":1e0}'),
        ('{"a":1.0}', '{"a":1.000}'),
        ('{"a":1.5e3}', '{"a":1500.0}'),
        ('{"a":1e999999999}', '{"a":10e999999998}'),
        ('{"a":0.0}', '{"a":0e77}'),
        ('{"a":-0.0}', '{"a":-0e3}'),
        ('{"a":-0}', '{"a":0}'),  # as the strict reader has it
    ],
)
def test_spellings_of_one_value_are_the_same_call(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":1.0}'),
        ('{"a":1}', '{"a":1e0}'),
        ('{"a":100}', '{"a":1e2}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":0}', '{"a":false}'),
        ('{"a":1}', '{"a":1,"b":null}'),
        ('{"a":[]}', '{"a":{}}'),
        ('{"a":0.0}', '{"a":-0.0}'),
        ('{"a":0}', '{"a":-0.0}'),
        ('{"a":0.1}', '{"a":0.1000000000000000055511151231257827}'),
        ('{"a":9007199254740993}', '{"a":9007199254740992}'),
        ('{"a":1e308}', '{"a":1e309}'),
        ('{"a":1e999999998}', '{"a":1e999999999}'),
        ('{"a":"\u00e9"}', '{"a":"e\u0301"}'),
        ('{"a":"A"}', '{"a":"\u0410"}'),
        ('{"a":"x"}', '{"a":"x "}'),
        ('{"a":"x"}', '{"a":"x\\u0000"}'),
        ('{"a":{"b":1}}', '{"a.b":1}'),
    ],
)
def test_every_small_edit_is_another_call(one: str, other: str) -> None:
    assert not same(one, other)


def test_an_exponent_that_no_number_has_never_gets_here() -> None:
    """A decimal beyond every range would read as infinity, whose canonical text is that of zero."""
    with pytest.raises(Refused):
        canonical('{"a":1e99999999999999999999}')


@pytest.mark.parametrize(
    "large",
    [
        {"a": "x" * MAX_CONTENT},
        {"a": "\u00e9" * (MAX_CONTENT // 6)},
        {"a": [0] * (MAX_CONTENT // 2)},
        {"k" * MAX_CONTENT: 1},
        {"\u00e9" * (MAX_CONTENT // 6): 1},
        {f"k{number}": {} for number in range(MAX_CONTENT // 8)},
    ],
    ids=["text", "escaped text", "array", "key", "escaped key", "many keys"],
)
def test_a_call_that_nobody_could_read_is_refused(large: Json) -> None:
    with pytest.raises(TooLargeError):
        canonical_call("tools/call", "x", large)


def test_the_bound_is_on_the_bytes_that_are_stored() -> None:
    text = canonical_call("tools/call", "x", {"a": "x" * (MAX_CONTENT - 200)})

    assert MAX_CONTENT - 200 < len(text) <= MAX_CONTENT


def test_a_later_round_is_another_call_than_the_first() -> None:
    """Answers that a client gives to a server's question are shown to the approver, and bound."""
    first = canonical_call("tools/call", "x", {})
    later = canonical_call("tools/call", "x", {}, {"requestState": "s", "inputResponses": {"k": 1}})

    assert first != later
    assert json.loads(later)["inputResponses"] == {"k": 1}


# The promise: one text for one value.

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abAé", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
arguments = st.dictionaries(st.text("abAé", max_size=3), values, max_size=4)


def exact(value: Json) -> Json:
    """What a value is to an approver: types apart, numbers exact, keys without an order."""
    if isinstance(value, dict):
        return ("object", frozenset((key, exact(one)) for key, one in value.items()))
    if isinstance(value, list):
        return ("array", tuple(exact(one) for one in value))
    if isinstance(value, float):
        number = Decimal(repr(value))
        return ("decimal", number.is_signed(), number)
    return (type(value).__name__, value)


@given(arguments, arguments)
def test_two_calls_have_one_text_exactly_if_they_are_one_value(one: Json, other: Json) -> None:
    texts = [canonical_call("tools/call", "x", each) for each in (one, other)]

    assert (texts[0] == texts[1]) == (exact(one) == exact(other))


@given(arguments, st.randoms(use_true_random=False))
def test_neither_the_order_of_keys_nor_white_space_makes_another_call(value: Json, chance: Any) -> None:
    def shuffled(one: Json) -> Json:
        if isinstance(one, dict):
            pairs = [(key, shuffled(inner)) for key, inner in one.items()]
            chance.shuffle(pairs)
            return dict(pairs)
        return [shuffled(inner) for inner in one] if isinstance(one, list) else one

    try:
        texts = [
            canonical(json.dumps(each, indent=gap)) for each, gap in ((value, None), (shuffled(value), 3))
        ]
    except Refused:  # twins such as `a` and `A` never get here
        return

    assert texts[0] == texts[1]
