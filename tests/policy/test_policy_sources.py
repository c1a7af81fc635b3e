"""How text becomes a tree: JSON strictly, YAML by the 1.2 core schema only (P1.7)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ostiary.policy import json_source, yaml_source
from ostiary.policy.source import ListNode, MapNode, Node, Scalar, SourceFault, decode


def _plain(node: Node | None) -> object:
    if isinstance(node, MapNode):
        return {entry.key: _plain(entry.value) for entry in node.entries}
    if isinstance(node, ListNode):
        return [_plain(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.value


def _yaml(text: str) -> object:
    return _plain(yaml_source.read(text)[0])


def _json(text: str) -> object:
    return _plain(json_source.read(text)[0])


@pytest.mark.parametrize(
    "word",
    ["yes", "no", "on", "off", "Yes", "NO", "y", "n", "1_000", "1:30", "2026-11-20", "0b1", "=", "tRue"],
)
def test_yaml_1_1_words_are_text(word: str):
    """P1.7: everything else is a string."""
    assert _yaml(f"a: {word}") == {"a": word}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("true", True), ("True", True), ("FALSE", False), ("null", None), ("~", None), ("", None)),
        *(("10", Decimal(10)), ("-1.50", Decimal("-1.50")), ("+3", Decimal(3)), (".5", Decimal("0.5"))),
        *(("1e3", Decimal("1e3")), ("010", Decimal(10)), ("0x1F", Decimal(31)), ("0o17", Decimal(15))),
        *(('"10"', "10"), ("'true'", "true"), ('""', ""), ("'~'", "~")),
    ],
)
def test_yaml_scalars_follow_the_core_schema(word: str, value: object):
    """P1.7, YAML 1.2.2 section 10.3.2."""
    assert _yaml(f"a: {word}") == {"a": value}


def test_yaml_numbers_keep_their_spelling():
    """P3.4."""
    node, _ = yaml_source.read("a: 1.10")
    assert isinstance(node, MapNode)
    value = node.get("a")
    assert isinstance(value, Scalar)
    assert (value.text, value.is_number) == ("1.10", True)


def test_yaml_block_scalars_are_text():
    assert _yaml("a: |\n  10\nb: >\n  true\n") == {"a": "10\n", "b": "true\n"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("a: &x 1", "yaml-anchor"), ("a: *x", "yaml-anchor"), ("*x : 1", "yaml-anchor")),
        *(
            ("<<: {a: 1}", "yaml-merge"),
            ("a: !!str 1", "yaml-tag"),
            ("a: ! 1", "yaml-tag"),
            ("!x {}", "yaml-tag"),
        ),
        *(("%TAG ! tag:x,1:\n---\na: 1", "yaml-directive"), ("%YAML 1.1\n---\na: 1", "yaml-directive")),
        *(
            ("true: 1", "key-not-text"),
            ("~: 1", "key-not-text"),
            ("[a]: 1", "key-not-text"),
            ("1.5: 1", "key-not-text"),
        ),
        *(("a: -.INF", "not-a-number"), ("a: .NaN", "not-a-number")),
        *(('a: "\\UFFFFFFFF"', "bad-yaml"), ('a: "\\ud800"', "bad-character"), ("a: \x00", "bad-character")),
        *(
            ("a: x\u2028b", "bad-character"),
            ("a: x\ufeff", "bad-character"),
            ("a: 1\n--- \nb: 2", "several-documents"),
        ),
        *(("a: 0x" + "f" * 60, "wide-number"), ("a: 1e999999999999", "wide-number")),
        *(("- " * 80, "too-deep"), ("[" * 200_000, "too-deep"), ("{a: " * 100_000, "too-deep")),
        ("&a [*a]", "yaml-anchor"),
    ],
)
def test_what_yaml_readers_disagree_about_is_refused(text: str, code: str):
    """P1.7: no anchors, aliases, merge keys or tags."""
    with pytest.raises(SourceFault) as caught:
        yaml_source.read(text)
    assert caught.value.code == code


def test_a_quoted_merge_key_is_a_key_like_any_other():
    assert _yaml("'<<': 1") == {"<<": Decimal(1)}


def test_yaml_1_2_may_be_said_and_a_document_may_be_marked():
    assert _yaml("%YAML 1.2\n---\na: b\n...\n") == {"a": "b"}


def test_duplicate_keys_are_found_at_every_depth_and_all_named():
    """P1.7."""
    for read, text in (
        (yaml_source.read, "a: {b: 1, b: 2}\na: 3"),
        (json_source.read, '{"a":{"b":1,"b":2},\n"a":3}'),
    ):
        _, duplicates = read(text)
        assert [fault.code for fault in duplicates] == ["duplicate-key", "duplicate-key"]
        assert [fault.at.line for fault in duplicates] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{a:1}",
            "{'a':1}",
            '{"a":1,}',
            "[1,]",
            "[1 2]",
            '{"a" 1}',
            '{"a":}',
            "[",
            "{",
            '{"a"',
            '"',
            '"a\nb"',
        ),
        *(
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "0x1",
            "1e",
            "tru",
            "True",
            "None",
            "undefined",
            '"\\x41"',
            '"\\u12"',
            "\x0b1",
        ),
        *("1,", "{}{}", '[1]"', "[\u00a01]"),
    ],
)
def test_what_is_almost_json_is_refused(text: str):
    """RFC 8259, and nothing more."""
    with pytest.raises(SourceFault):
        json_source.read(text)


def test_json_values_are_read_exactly():
    text = ' {"a\\u00e9": [1.10, -0, true, false, null, "\\ud83d\\ude00\\/\\n", {}, []]} '
    assert _json(text) == {"aé": [Decimal("1.10"), Decimal(0), True, False, None, "😀/\n", {}, []]}


@pytest.mark.parametrize("text", ["// a\n{}", "{} /* a */", "{/**/}", "# a\n{}"])
def test_comments_in_json_are_named(text: str):
    with pytest.raises(SourceFault) as caught:
        json_source.read(text)
    assert caught.value.code == "json-comment"


def test_the_bounds_on_numbers_are_met_exactly():
    """P3.4: at most 40 digits, exponent within +-308; checked on the text."""
    assert _json("1" * 40) == Decimal("1" * 40)
    assert _json("1e308") == Decimal("1e308")
    assert _json("1e-0308") == Decimal("1e-308")
    for text in ("1" * 41, "1e309", "1e-309", "0." + "0" * 40 + "1", "1e" + "9" * 100_000):
        with pytest.raises(SourceFault) as caught:
            json_source.read(text)
        assert caught.value.code == "wide-number"


def test_depth_is_bounded_alike_in_both():
    for read in (json_source.read, yaml_source.read):
        assert read("[" * 65 + "]" * 65)[0] is not None
        with pytest.raises(SourceFault):
            read("[" * 66 + "]" * 66)


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"\xfe\xff\x00{\x00}"])
def test_byte_order_marks_are_refused(raw: bytes):
    """P1.7: UTF-8 without one."""
    with pytest.raises(SourceFault) as caught:
        decode(raw)
    assert caught.value.code == "byte-order-mark"


def test_one_mebibyte_is_allowed_and_one_byte_more_is_not():
    """P1.7."""
    assert len(decode(b" " * 1_048_576)) == 1_048_576
    with pytest.raises(SourceFault):
        decode(b" " * 1_048_577)
