"""`ostiary policy convert`: every format as format 4, and every call decided alike (P1.8)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.policy.compile import compile_policy
from ostiary.policy.convert.convert import Syntax, converted
from ostiary.policy.decide import decide
from ostiary.policy.decision import Decision, Question
from ostiary.policy.definition import Catalogue
from ostiary.policy.diagnostic import PolicyError
from ostiary.policy.formats.table import WINDOWS
from ostiary.policy.load import document as load
from ostiary.policy.load import load_text
from ostiary.policy.model import Document, Policy
from tests.policy.documents import ARGUMENTS, DOCUMENTS, TOOLS
from tests.policy.world import arguments_of, definition

PUBLISHED = sorted(
    path for path in (Path(__file__).parent / "published").iterdir() if path.suffix in {".json", ".yaml"}
)
SYNTAXES: list[Syntax] = ["json", "yaml"]
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "n": {"default": 2}},
    "required": ["path"],
}
CATALOGUE = Catalogue({name: definition(name, SCHEMA) for name in (*TOOLS, "execute")})


def _policies(found: Document) -> list[Policy]:
    return (
        [found.single]
        if found.single is not None
        else [found.servers[name] for name in sorted(found.servers)]
    )


def _answer(decision: Decision, *, renamed: bool) -> object:
    """What a caller and the ledger see: everything but the ids of rules."""
    charges = [replace(charge, rule="") for charge in decision.charges]
    if renamed:
        charges = [replace(charge, key="", bucket_of="") for charge in charges]
    hold = decision.hold and replace(decision.hold, rules=(), reasons=())
    return decision.effect, decision.message, charges, decision.unchecked, len(decision.reasons), hold


def _assert_alike(raw: bytes, file: str, to: Syntax, arguments: dict[str, Any]) -> None:
    before = load(raw, file=file, unsafe_monitor=True)
    result = converted(raw, file=file, to=to)
    after, diagnostics = load_text(result.text, file=f"p.{to}", unsafe_monitor=True)
    assert after is not None, diagnostics
    renamed = any("is now called" in note.message for note in result.notes)
    for old, new in zip(_policies(before), _policies(after), strict=True):
        assert new.format in {1, 4}
        one, two = compile_policy(old), compile_policy(new)
        for tool in (*TOOLS, "execute", "RUN"):
            for catalogue in (None, CATALOGUE):
                question = Question(tool=tool, arguments=arguments, catalogue=catalogue)
                answers = [_answer(decide(each, question), renamed=renamed) for each in (one, two)]
                assert answers[0] == answers[1], (tool, arguments)


@given(DOCUMENTS, st.sampled_from(SYNTAXES), st.sampled_from(SYNTAXES), ARGUMENTS)
def test_every_document_of_every_format_decides_every_call_alike_as_format_4(
    written: dict[str, Any], source: Syntax, to: Syntax, arguments: dict[str, Any]
):
    """P1.8, P3.3: JSON text is YAML as well, so both readers see every document."""
    raw = json.dumps(written, ensure_ascii=True).encode()
    assume(load_text(raw, file=f"p.{source}")[0] is not None)

    _assert_alike(raw, f"p.{source}", to, arguments_of(json.dumps(arguments)))


@pytest.mark.parametrize("to", SYNTAXES)
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_the_published_snippets_decide_alike_as_format_4(path: Path, to: Syntax) -> None:
    """P1.8."""
    for arguments in ({}, {"path": "x"}, {"code": "1", "n": 5}, {"PATH": 1}):
        _assert_alike(path.read_bytes(), path.name, to, dict(arguments))


INTERCEPT = b"""\
# who may charge
version: "1"
description: payments
tools:
  create_charge:
    rules:
      - name: small amounts
        conditions:
          - {path: args.amount, op: lte, value: 5e3}
          - {path: args.currency, op: in, value: [eur, usd]}
        on_deny: amounts above 50.00 need a person
      - name: a few an hour
        rate_limit: 5/hour
      - name: spent
        conditions: [{path: "state.create_charge.spent\\tx", op: lt, value: 100}]
        state: {counter: "spent\\tx", window: day, increment: 5}
"""


def test_approvals_of_intercept_say_what_became_of_their_settings() -> None:
    """P5.5, P5.6."""
    raw = b"""\
version: "1"
default: deny
approvals: {default_timeout: 5m, dedupe_window: 1m}
tools:
  pay:
    rules:
      - {name: large, action: require_approval, conditions: [{path: args.n, op: gt, value: 9}], reason: a lot}
"""
    result = converted(raw, file="i.yaml", to="json")

    assert json.loads(result.text)["tools"]["pay"] == {
        "approve_if": [
            {
                "$comment": "large",
                "conditions": [
                    {
                        "any": [
                            {"path": "args.n", "op": "gt", "value": 9},
                            {"path": "args.n", "op": "exists", "value": False},
                        ]
                    }
                ],
                "reason": "a lot",
            }
        ],
        "approval": {"timeout": "5m"},
    }
    assert sorted(note.render().partition(":")[2].partition(" note")[0] for note in result.notes) == [
        "1:1:", "3:34:", "7:9:", "7:9:"
    ]  # fmt: skip


def _notes(raw: bytes, file: str, to: Syntax) -> list[str]:
    return [note.render() for note in converted(raw, file=file, to=to).notes]


def test_the_report_names_what_is_said_otherwise_and_where() -> None:
    notes = _notes(INTERCEPT, "i.yaml", "yaml")

    wanted = [
        ("i.yaml:1:1: note: a comment is not carried over", ""),
        ("i.yaml:2:1: note: `default` is missing", "`default: allow`"),
        ("i.yaml:2:1: note: rules get other ids", "`/tools/create_charge/rules/0`"),
        ("i.yaml:7:9: note: compares numeric text", "`numeric_text: true`"),
        ("i.yaml:12:9: note: counts on the UTC clock", "`align: calendar`"),
        ("i.yaml:14:9: note: counts on the UTC clock", ""),
        ("i.yaml:14:9: note: each call counts 5", "`cost: 5`"),
        ("i.yaml:14:9: note: the counter `spent\\u0009x` is now called `spent_x`", "from zero"),
    ]
    assert len(notes) == len(wanted)
    for note, (start, within) in zip(notes, wanted, strict=True):
        assert note.startswith(start)
        assert within in note


def test_the_names_of_rules_and_the_description_are_kept() -> None:
    found = json.loads(converted(INTERCEPT, file="i.yaml", to="json").text)

    tool = found["tools"]["create_charge"]
    assert found["description"] == "payments"
    assert [rule["$comment"] for rule in tool["require"]] == ["small amounts"]
    assert [limit["$comment"] for limit in tool["limits"]] == ["a few an hour", "spent"]


def test_a_renamed_counter_never_takes_the_name_of_another() -> None:
    """P4.5: two limits that shared a counter would count every call twice."""
    rule = (
        '- {{name: n, conditions: [{{path: "state.x.{0}", op: lte, value: 1}}],'
        ' state: {{counter: "{0}", window: day}}}}'
    )
    rules = "".join(f"\n      {rule.format(name)}" for name in ("c_d", "c\\td", "c\\nd"))
    raw = f'version: "1"\ndefault: deny\ntools:\n  x:\n    rules:{rules}\n'.encode()

    found = json.loads(converted(raw, file="i.yaml", to="json").text)

    assert [limit["counter"] for limit in found["tools"]["x"]["limits"]] == ["c_d", "c_d-2", "c_d-3"]


def test_comments_in_the_document_survive_and_comments_of_yaml_are_reported() -> None:
    raw = b'$comment: [kept, too]\nversion: "1"  # lost\ndefault: deny\ntools:\n  x: {$comment: here}\n'

    result = converted(raw, file="p.yaml", to="json")

    found = json.loads(result.text)
    assert (found["$comment"], found["tools"]["x"]["$comment"]) == (["kept", "too"], "here")
    assert [note.message for note in result.notes] == ["a comment is not carried over; `$comment` would be"]


def test_numbers_that_json_cannot_spell_are_respelt_and_reported() -> None:
    """P3.4: the value is exact in either spelling."""
    limit = "{counter: c, window: minute, max: 0x10, per: +.5, cost: args.n}"
    raw = f'version: "1"\ndefault: deny\ntools:\n  x: {{limits: [{limit}]}}\n'.encode()

    result = converted(raw, file="p.yaml", to="json")

    assert b'"max": 16' in result.text
    assert b'"per": 0.5' in result.text
    assert [note.message for note in result.notes] == [
        "the number `0x10` is now spelt `16`",
        "the number `+.5` is now spelt `0.5`",
    ]


def test_what_does_not_load_is_not_converted() -> None:
    with pytest.raises(PolicyError, match="unknown key `tolls`"):
        converted(b'{"version": "1", "default": "deny", "tolls": {}}', file="p.json", to="yaml")


def test_a_document_that_would_outgrow_the_bounds_is_refused_and_not_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P1.7: format 4 says in more words what format 2 says in few."""
    rules = "".join(f"      - {{name: n, rate_limit: {at}/{window}}}\n" for at, window in enumerate(WINDOWS))
    raw = f'version: "1"\ndefault: deny\ntools:\n  x:\n    rules:\n{rules}'.encode()
    monkeypatch.setattr("ostiary.policy.source.MAX_BYTES", 2 * len(raw))

    with pytest.raises(CallerFault, match="would not load: larger than"):
        converted(raw, file="p.yaml", to="json")
