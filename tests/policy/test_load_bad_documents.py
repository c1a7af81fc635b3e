"""Documents that must not load: each file is named after what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.policy.check import check_against
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.diagnostic import CODES, Diagnostic, PolicyError
from ostiary.policy.load import document, load_text

BAD = Path(__file__).parent / "bad"


def _expected() -> dict[str, list[str]]:
    lines = (BAD / "expected.txt").read_text(encoding="utf-8").splitlines()
    table: dict[str, list[str]] = {}
    for line in lines:
        name, *words = line.split(" ")
        table[name] = [f"{code} {place}" for code, place in zip(words[::2], words[1::2], strict=True)]
    return table


EXPECTED = _expected()


def _diagnostics(name: str) -> list[Diagnostic]:
    found, diagnostics = load_text((BAD / name).read_bytes(), file=name)
    assert found is None
    return diagnostics


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_bad_document_is_refused_at_the_right_place(name: str):
    """P1.7: what is wrong is named with file, line and column."""
    diagnostics = _diagnostics(name)
    assert [f"{each.code} {each.line}:{each.column}" for each in diagnostics] == EXPECTED[name]
    assert {each.file for each in diagnostics} == {name}
    assert any(each.severity == "error" for each in diagnostics)


def test_every_bad_file_is_in_the_table_and_every_line_has_its_file():
    files = {path.name for path in BAD.iterdir()} - {"expected.txt", "README.md"}
    assert files == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_messages_follow_the_house_style(name: str):
    for each in _diagnostics(name):
        for text in (each.message, each.hint or "x"):
            assert not text.endswith(".")
            assert text.isprintable()
            assert text[0].islower() or text[0] in "`%-" or not text[0].isalpha()
            assert text.count("`") % 2 == 0


SMALL = b'{"version": "1", "default": "deny", '
WARNED = {
    "hidden-and-listed": SMALL + b'"hide": ["a"], "tools": {"a": {}}}',
    "refund-on-error": SMALL
    + b'"tools": {"a": {"limits": [{"counter": "c", "window": "minute", "max": 1, "refund": "on_error"}]}}}',
    "argument-scope-alone": SMALL
    + b'"tools": {"a": {"limits": [{"counter": "c", "window": "minute", "max": 1, "scope": "args.x"}]}}}',
    "approvers-bypassed": SMALL
    + b'"tools": {"a": {"action": "require_approval", "approval": '
    + b'{"approvers": ["user:b"], "convenience": true}}}}',
    "timeout-before-hold": SMALL
    + b'"tools": {"a": {"action": "require_approval", "approval": {"timeout": "30s", "hold": "1m"}}}}',
    "shared-timeout": b'version: "1"\ndefault: deny\ntools: {a: {rules: [{name: n, action: require_approval, '
    b"approval_timeout: 1h}, {name: m, action: require_approval}]}}",
    "implied-default": b'version: "1"\ntools: {a: {rules: [{name: n, action: deny}]}}',
}
LARGE = {
    "too-large": b" " * 1_048_577,
    "too-many-values": b"[" + b"0," * 250_000 + b"0]",
    "too-many-rules": SMALL
    + b'"tools": {"a": {"deny_if": ['
    + b",".join([b'{"conditions": []}'] * 10_001)
    + b"]}}}",
    "too-many-patterns": SMALL
    + b'"tools": {"a": {"deny_if": [{"conditions": ['
    + b",".join(b'{"path": "args.a", "op": "regex", "value": "^a%d"}' % at for at in range(1_001))
    + b"]}]}}}",
    "too-many-problems": b"{" + b",".join(b'"%d": 0' % key for key in range(300)) + b"}",
}
LARGE_IN_YAML = {**LARGE, "too-many-values": b"-\n" * 250_000}
"""The same, where the document is read as YAML; a list of empty entries is the least work to read."""


@pytest.mark.parametrize("code", sorted(WARNED))
def test_what_may_surprise_is_a_warning_and_still_loads(code: str):
    found, diagnostics = load_text(WARNED[code], file="policy")
    assert found is not None
    assert [(each.code, each.severity) for each in diagnostics] == [(code, "warning")]


@pytest.mark.parametrize("code", sorted(LARGE))
def test_a_document_beyond_the_bounds_is_refused(code: str):
    """P1.7: at most 1 MiB and 10,000 rules; values and problems are bounded too."""
    found, diagnostics = load_text(LARGE[code], file="policy.json")
    assert found is None
    assert code in {each.code for each in diagnostics}
    assert len(diagnostics) <= 201


def test_exactly_ten_thousand_rules_load():
    """P1.7: the bound itself is allowed."""
    rules = b",".join([b'{"conditions": []}'] * 10_000)
    found, diagnostics = load_text(SMALL + b'"tools": {"a": {"deny_if": [' + rules + b"]}}}", file="p.json")
    assert found is not None
    assert diagnostics == []


def _against_tools() -> list[Diagnostic]:
    text = (
        SMALL + b'"hide": ["gone"], "tools": {"b": {"validate": {"schema": "advertised"}}, "a": {"deny_if": '
        b'[{"conditions": [{"path": "args.x", "op": "exists", "value": true}]}]}}}'
    )
    found, _ = load_text(text, file="policy.json")
    assert found is not None
    assert found.single is not None
    schema = {"type": "object", "properties": {"y": {}}}
    tools = {"a": ToolDefinition("a", "", schema), "b": ToolDefinition("b", "", {"$ref": "elsewhere"})}
    return check_against(found.single, Catalogue(tools))


OF_TESTS = {"unknown-variable", "matrix-too-large", "unknown-server"}
"""What only a file of policy tests can get wrong; those have inputs of their own."""


def test_every_code_has_a_sentence_and_every_sentence_an_input():
    produced = {code for codes in EXPECTED.values() for code in (entry.split(" ")[0] for entry in codes)}
    for texts in (WARNED, LARGE_IN_YAML):
        for text in texts.values():
            produced |= {each.code for each in load_text(text, file="policy")[1]}
    produced |= {each.code for each in _against_tools()}
    assert produced == set(CODES) - OF_TESTS


def test_the_exception_names_the_first_error_and_carries_all():
    text = b'{"version": "1", "defualt": "deny", "hidden": []}'
    with pytest.raises(PolicyError) as caught:
        document(text, file="p.json")
    assert caught.value.message.startswith("p.json:1:")
    assert [each.code for each in caught.value.diagnostics] == [
        "empty-document",
        "unknown-key",
        "unknown-key",
    ]
    assert caught.value.message.endswith("(and 2 more)")


def test_a_diagnostic_prints_place_severity_message_and_hint():
    _, diagnostics = load_text(b'{"version": "1", "default": "dney"}', file="p.json")
    assert diagnostics[0].render() == (
        "p.json:1:29: error: `default` cannot be `dney` [bad-choice]\n  hint: did you mean `deny`"
    )


def test_columns_count_characters_and_lines_count_from_one():
    text = '{"version": "1",\r\n "default": "deny",\r\n "hide": ["é😀", "\\u00e9", "é😀"]}'.encode()
    _, diagnostics = load_text(text, file="p.json")
    assert [(each.code, each.line, each.column) for each in diagnostics] == [("duplicate-entry", 3, 27)]


def test_text_of_the_author_cannot_break_a_line_or_a_quotation():
    text = b'{"version": "1", "default": "deny", "a\\nb`c\\u202e": 1}'
    _, diagnostics = load_text(text, file="p.json")
    assert diagnostics[0].message == "unknown key `a\\u000ab\\u0060c\\u202e`"


def test_a_null_document_and_a_blank_one_never_load():
    """P1.6: a document that is empty is never activated."""
    for text in (b"", b"\n", b"null", b"~", b"---\n", b"# x\n", b"{}", b"[]", b'""', b"0"):
        for file in ("p.json", "p.yaml", "p"):
            found, diagnostics = load_text(text, file=file)
            assert found is None, (text, file)
            assert diagnostics
